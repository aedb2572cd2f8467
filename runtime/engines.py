"""Makes engines by name."""

from __future__ import annotations

import numpy as np

from tncc.errors import InputError
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import Engine, target_hops
from tncc.runtime.stages import core_stages

ENGINES = ("auto", "batch", "tick", "numpy")


def make_engine(name: str, config: ChipConfig, threads: int = 1) -> Engine:
    """The engine of that name, switched on; all give the same spikes. `auto` is the fastest for this chip.

    Raises:
        InputError: an unknown name, or a number of threads out of range.
    """
    if not 1 <= threads <= 1024:
        raise InputError(f"{threads} threads; use 1 to 1024")
    if name == "auto":
        name = (
            "batch" if 2 * np.count_nonzero(core_stages(config, target_hops(config)) % 2) < config.n_cores else "tick"
        )
    if name == "batch":
        from tncc.runtime.engine_batch import BatchEngine

        return BatchEngine(config, threads=threads)
    if name == "tick":
        from tncc.runtime.engine_tick import TickEngine

        return TickEngine(config, threads=threads)
    if name == "numpy":
        from tncc.runtime.engine_numpy import NumpyEngine

        return NumpyEngine(config, threads=threads)
    raise InputError(f"no engine is called {name!r}; there are {', '.join(ENGINES)}")
