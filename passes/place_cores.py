"""place-cores: gives every core a place on the mesh."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.errors import PassMisplaced, PipelineInvalid
from tncc.ir.chip import Chip
from tncc.ir.netlist import Netlist
from tncc.passes.base import Module, Pass
from tncc.passes.placement.annealing import anneal
from tncc.passes.placement.wires import core_edges

Array = npt.NDArray[Any]

MOVES_PER_CORE = {"low": 500, "default": 8_000, "high": 60_000}


@dataclass(frozen=True)
class PlaceCores(Pass):
    """Places cores by simulated annealing for few mean hops; defective cores stay free.

    Options:
        effort: low, default or high: how long to search.
        seed: of the search. The same seed gives the same placement, whatever the number of threads.
        crossing_hops: how many extra hops a step from one chip to the next counts for.
        traffic: a .npy file with the spikes that each core ([cores]) or each neuron ([cores, neurons]) sent in a run;
            connections then count by their spikes. "": every connection counts the same.
    """

    name: ClassVar[str] = "place-cores"
    takes: ClassVar[type[Netlist]] = Netlist
    requires: ClassVar[tuple[str, ...]] = ("cores-fit",)
    ensures: ClassVar[tuple[str, ...]] = ("placed",)

    effort: str = "default"
    seed: int = 0
    crossing_hops: int = 8
    traffic: str = ""

    def run(self, module: Module, chip: Chip) -> Netlist:
        if not isinstance(module, Netlist):
            raise PassMisplaced("place-cores takes a netlist of cores, not a graph of layers", self.name)
        if self.effort not in MOVES_PER_CORE:
            raise PipelineInvalid(f"effort is {self.effort!r}; it is low, default or high", self.name)
        if not 0 <= self.crossing_hops <= 1000:
            raise PipelineInvalid(f"crossing-hops is {self.crossing_hops}; it lies in 0..1000", self.name)
        weight = read_traffic(Path(self.traffic), module) if self.traffic else None
        edges = core_edges(module.target_core, weight)
        x, y = anneal(edges, chip, MOVES_PER_CORE[self.effort], self.seed, self.crossing_hops)
        return replace(module, core_x=x, core_y=y)


def read_traffic(path: Path, netlist: Netlist) -> Array:
    """float64 [cores, neurons]: the spikes each neuron sent; where only cores were counted, shared by their neurons."""
    try:
        spikes = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PipelineInvalid(f"cannot read the traffic file: {error}", path, "a .npy file of spike counts") from None
    shape = netlist.target_core.shape
    if not isinstance(spikes, np.ndarray) or spikes.dtype.kind not in "uif" or spikes.shape not in (shape, shape[:1]):
        found = f"{spikes.dtype}{list(spikes.shape)}" if isinstance(spikes, np.ndarray) else "an archive"
        raise PipelineInvalid(
            f"the traffic file holds {found}; expected numbers [{shape[0]}] or [{shape[0]}, {shape[1]}]",
            path,
            "statistics of a run of this very network, mapped with the same options",
        )
    counts = spikes.astype(np.float64)
    if not np.all(np.isfinite(counts)) or np.any(counts < 0):
        raise PipelineInvalid("the traffic file holds a count that is negative or not finite", path)
    if counts.ndim == 1:
        used = np.count_nonzero(netlist.neuron_type >= 0, axis=1)
        counts = np.broadcast_to((counts / np.maximum(used, 1))[:, None], shape)
    return counts
