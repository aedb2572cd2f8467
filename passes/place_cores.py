"""place-cores: gives every core a place on the mesh."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from tncc.errors import ChipInvalid, PassMisplaced, PipelineInvalid
from tncc.ir.chip import Chip
from tncc.ir.netlist import Netlist
from tncc.passes.base import Module, Pass
from tncc.passes.placement.annealing import FARTHEST, Effort, anneal
from tncc.passes.placement.traffic import read_traffic
from tncc.passes.placement.wires import core_edges

EFFORTS = {
    "low": Effort(starts=1, start_moves=300, finalists=1, round_moves=200),
    "default": Effort(starts=4, start_moves=2_000, finalists=1, round_moves=4_000),
    "high": Effort(starts=64, start_moves=2_000, finalists=4, round_moves=12_000),
}


@dataclass(frozen=True)
class PlaceCores(Pass):
    """Places cores by simulated annealing for few mean hops; defective cores stay free.

    Options:
        effort: low, default or high: how long to search.
        seed: of the search. The same seed gives the same placement, whatever the number of threads.
        crossing_hops: how many extra hops a step from one chip to the next counts for.
        traffic: a file with the spikes that were sent in a run of the same network: what `tncc run --stats --json`
            prints, or a .npy array by core ([cores]) or by neuron ([cores, neurons]). Connections then count by
            their spikes. "": every connection counts the same.
        threads: that search at a time; the placement does not depend on it.
    """

    name: ClassVar[str] = "place-cores"
    takes: ClassVar[type[Netlist]] = Netlist
    requires: ClassVar[tuple[str, ...]] = ("cores-fit",)
    ensures: ClassVar[tuple[str, ...]] = ("placed",)

    effort: str = "default"
    seed: int = 0
    crossing_hops: int = 8
    traffic: str = ""
    threads: int = field(default=1, compare=False)

    def run(self, module: Module, chip: Chip) -> Netlist:
        if not isinstance(module, Netlist):
            raise PassMisplaced("place-cores takes a netlist of cores, not a graph of layers", self.name)
        if self.effort not in EFFORTS:
            raise PipelineInvalid(f"effort is {self.effort!r}; it is low, default or high", self.name)
        for option, least in (("seed", 0), ("threads", 1)):
            if getattr(self, option) < least:
                raise PipelineInvalid(f"{option} is {getattr(self, option)}; it must be at least {least}", self.name)
        if not 0 <= self.crossing_hops <= 1000:
            raise PipelineInvalid(f"crossing-hops is {self.crossing_hops}; it lies in 0..1000", self.name)
        for cores, chips in ((chip.width, chip.chips_x), (chip.height, chip.chips_y)):
            hops = cores - 1 + (chips - 1) * self.crossing_hops
            if hops > FARTHEST:
                raise ChipInvalid(
                    f"an edge of {cores:,} cores on {chips:,} chips is {hops:,} hops long where chip edges count as "
                    f"{self.crossing_hops} more; up to {FARTHEST:,} are placed",
                    self.name,
                    "fewer chips in a row, or smaller crossing-hops",
                )
        weight = read_traffic(Path(self.traffic), module) if self.traffic else None
        edges = core_edges(module.target_core, weight)
        x, y = anneal(edges, chip, EFFORTS[self.effort], self.seed, self.crossing_hops, self.threads)
        return replace(module, core_x=x, core_y=y)
