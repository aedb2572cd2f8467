"""The engines that take every chip, by name: what holds for one must hold for all."""

from __future__ import annotations

from tncc.runtime.engine_numpy import NumpyEngine

ENGINES = {"numpy": NumpyEngine}
