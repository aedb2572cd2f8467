"""partition-cores: spiking layers become cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tncc.errors import ChipTooSmall, PassMisplaced, PipelineInvalid
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.netlist import Netlist
from tncc.ir.ops import SpikingConv2d
from tncc.passes.base import Module, Pass
from tncc.passes.mapping.emit import emit
from tncc.passes.mapping.search import search
from tncc.passes.mapping.wiring import resolve

SEARCHABLE = 1 << 20  # neurons of a layer; on smaller ones the search says by how many cores the chip is too small


@dataclass(frozen=True)
class PartitionCores(Pass):
    """Chooses tiles, feature splits, packing, copies and splitters for few cores; emits the netlist.

    Options:
        input_fanout: "host" drives every axon of an input itself; "splitters": cores on the chip do (one tick more).
        beam: states the search keeps on graphs with branches; chains are solved exactly over the candidates.
    """

    name: ClassVar[str] = "partition-cores"
    takes: ClassVar[type[Graph]] = Graph
    requires: ClassVar[tuple[str, ...]] = ("no-real-on-chip", "filters-fit")
    ensures: ClassVar[tuple[str, ...]] = (
        "cores-fit",
        "axons-driven-once",
        "synapses-driven",
        "outputs-driven-once",
        "frames-aligned",
    )

    input_fanout: str = "host"
    beam: int = 64

    def run(self, module: Module, chip: Chip) -> Netlist:
        if not isinstance(module, Graph):
            raise PassMisplaced("partition-cores takes a graph of layers, not a netlist of cores", self.name)
        if self.input_fanout not in ("host", "splitters"):
            raise PipelineInvalid(f"input_fanout is {self.input_fanout!r}; it is host or splitters", self.name)
        if self.beam < 1:
            raise PipelineInvalid(f"beam is {self.beam}; it must be at least 1", self.name)
        _check_neurons(module, chip)
        network = resolve(module, chip)
        input_levels = 1 if self.input_fanout == "splitters" else 0
        decisions = search(network, chip, self.beam, input_levels)
        netlist = emit(network, chip, decisions, input_levels)
        _check_size(netlist, chip)
        return netlist


def _check_neurons(graph: Graph, chip: Chip) -> None:
    """Refuses at once, before any search, a layer that alone has more neurons than the chip."""
    for op in graph.ops:
        if isinstance(op, SpikingConv2d) and op.type.size > max(chip.cores * chip.neurons, SEARCHABLE):
            raise ChipTooSmall(
                f"the layer has {op.type.size:,} neurons; {_what(chip)} {chip.cores * chip.neurons:,}",
                op.location,
                "a smaller map, larger strides, or an array of chips (--chips)",
            )


def _what(chip: Chip) -> str:
    return f"{chip.chips_x} x {chip.chips_y} chips have" if chip.chips > 1 else "the chip has"


def _check_size(netlist: Netlist, chip: Chip) -> None:
    """A CompileError that names the largest layers where the chip has too few cores."""
    if netlist.n_cores <= chip.cores:
        return
    sizes = [int((netlist.layer == k).sum()) for k in range(len(netlist.layers))]
    largest = sorted(range(len(sizes)), key=lambda k: (-sizes[k], k))[:3]
    top = ", ".join(f"{netlist.layers[k].name} uses {sizes[k]:,}" for k in largest)
    where = f"{chip.chips_x} x {chip.chips_y} chips have" if chip.chips > 1 else "chip has"
    per_chip = chip.mesh_x * chip.mesh_y
    needed = -(-netlist.n_cores // per_chip)
    hint = f"{needed} chips of {per_chip:,} cores would hold it"
    if needed <= chip.chips:
        hint = f"defective: {len(chip.defects):,}; another chip beside would make up for them"
    raise ChipTooSmall(
        f"needs {netlist.n_cores:,} cores, {where} {chip.cores:,}; {top}",
        netlist.layers[largest[0]].location,
        hint,
    )
