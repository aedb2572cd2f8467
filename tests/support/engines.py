"""The engines that take every chip, by name: what holds for one must hold for all."""

from __future__ import annotations

from functools import partial

from tncc.runtime import _native
from tncc.runtime.engine_batch import BatchEngine
from tncc.runtime.engine_numpy import NumpyEngine
from tncc.runtime.engine_tick import TickEngine

ENGINES = {
    "numpy": NumpyEngine,
    **{f"tick-{variant}": partial(TickEngine, variant=variant) for variant in _native.variants()},
    "tick-threads": partial(TickEngine, threads=3),
    "batch": BatchEngine,
}
