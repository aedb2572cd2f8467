"""split-filter-groups: features that may share cores need few enough axons for one core."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.errors import FilterTooLarge, PassMisplaced, PipelineInvalid
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.invariants import filter_axons
from tncc.ir.ops import Op, SpikingConv2d
from tncc.passes.base import Module, Pass
from tncc.passes.filter_groups import input_groups, split_groups
from tncc.passes.partial_sums.costs import partial_sums_hint

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class SplitFilterGroups(Pass):
    """Relabels feature_groups so that every group's inputs at one position fit a core's axons.

    An input takes the axons that make up the group's weights on it: for trinary weights, one for each sign that it has.
    Features stay in the group they are in where it fits. A group that does not is cut by those axons: similar filters
    end up together.

    Options:
        max_axons: axons of a core that may be used; 0 means all that the chip has.
    """

    name: ClassVar[str] = "split-filter-groups"
    takes: ClassVar[type[Graph]] = Graph
    requires: ClassVar[tuple[str, ...]] = ("no-real-on-chip",)
    ensures: ClassVar[tuple[str, ...]] = ("filters-fit",)

    max_axons: int = 0

    def run(self, module: Module, chip: Chip) -> Graph:
        if not isinstance(module, Graph):
            raise PassMisplaced("split-filter-groups takes a graph of layers, not a netlist of cores", self.name)
        if not 0 <= self.max_axons <= chip.axons:
            raise PipelineInvalid(f"max-axons is {self.max_axons}; a core has {chip.axons} axons", self.name)
        limit = self.max_axons or chip.axons
        return module.with_ops([self._split(op, chip, limit, module) for op in module.ops])

    def _split(self, op: Op, chip: Chip, limit: int, graph: Graph) -> Op:
        if not isinstance(op, SpikingConv2d):
            return op
        refusal = filter_too_large(op, graph.types[op.inputs[0]].shape, chip, limit)
        if refusal is not None:
            raise refusal
        labels = split_groups(filter_axons(op, chip), input_groups(op), limit)
        if np.array_equal(labels, op.feature_groups):
            return op
        return replace(op, feature_groups=labels, location=op.location.via(self.name))


def filter_too_large(op: SpikingConv2d, in_shape: tuple[int, ...], chip: Chip, limit: int) -> FilterTooLarge | None:
    """The error for a layer of which some filter alone needs more than `limit` axons; in_shape: the operand's."""
    axons = filter_axons(op, chip).sum(axis=1)
    if int(axons.max()) <= limit:
        return None
    return _too_large(op, axons, limit, partial_sums_hint(op, in_shape, chip))


def _too_large(op: SpikingConv2d, axons: Array, limit: int, otherwise: str) -> FilterTooLarge:
    """The error for filters of more than `limit` axons. axons: int64 [features]; otherwise: what else would work."""
    worst = int(axons.argmax())
    channels, height, width = op.weight.shape[1:]
    support = f"{height}x{width}x{channels} = {height * width * channels}"
    weight = op.weight[worst]
    nonzero = np.count_nonzero(weight)
    each = int(axons[worst]) / nonzero
    inputs = int(limit / each)  # that about fit
    hints = [_fewer_inputs(op, inputs), otherwise] if inputs else []
    filled = nonzero == height * width * channels
    what = f"filter support {support} inputs" if filled else f"filter {worst} has {nonzero} nonzero weights "
    what += "" if filled else f"(support {support}), which"
    if each > 1:
        what += f" with weights {weight.min()}..{weight.max()} of {each:.3g} axons each on average"
        hints.append("or quantise the weights to fewer bits" if hints else "quantise the weights to fewer bits")
    return FilterTooLarge(f"{what} exceeds the {limit} axons of a core", op.location, "; ".join(hints))


def _fewer_inputs(op: SpikingConv2d, inputs: int) -> str:
    """The hint for filters of which about so many inputs fit a core."""
    out, channels, height, width = op.weight.shape
    if height * width > inputs:
        fits = f"a kernel of at most {inputs} taps would fit"
    else:
        channels *= op.groups
        least = -(-height * width * channels // inputs)
        fits = f"groups >= {least} would fit"
        enough = (g for g in range(1, channels + 1) if channels % g == 0 and out % g == 0)
        chosen = next((g for g in enough if height * width * channels // g <= inputs), 0)
        fits += f" ({chosen} divides the {channels} input and {out} output channels)" if chosen else ""
    return f"{fits}, or at most {inputs} nonzero weights a filter"
