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
from tncc.passes.partial_sums.costs import partial_sums_hint

Array = npt.NDArray[Any]

WINDOW = 4096  # features among which the most similar one is sought: bounds the work for layers with more


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
        labels = split_groups(filter_axons(op, chip), _input_groups(op), limit)
        if np.array_equal(labels, op.feature_groups):
            return op
        return replace(op, feature_groups=labels, location=op.location.via(self.name))


def _input_groups(op: SpikingConv2d) -> Array:
    """int64 [features]: a number for each (feature group, convolution group): its filters read the same channels."""
    features = op.weight.shape[0]
    convolution_group = np.arange(features) * op.groups // features
    both = op.feature_groups.astype(np.int64) * op.groups + convolution_group
    return np.unique(both, return_inverse=True)[1].reshape(-1)


def filter_too_large(op: SpikingConv2d, in_shape: tuple[int, ...], chip: Chip, limit: int) -> FilterTooLarge | None:
    """The error for a layer of which some filter alone needs more than `limit` axons; in_shape: the operand's."""
    axons = filter_axons(op, chip).sum(axis=1)
    if int(axons.max()) <= limit:
        return None
    return _too_large(op, axons, limit, partial_sums_hint(op, in_shape, chip))


def _too_large(op: SpikingConv2d, axons: Array, limit: int, otherwise: str) -> FilterTooLarge:
    """The error for filters of more than `limit` axons. axons: int64 [features]; otherwise: what else would work."""
    worst = int(axons.argmax())
    out, channels, height, width = op.weight.shape
    support = f"{height}x{width}x{channels} = {height * width * channels}"
    weight = op.weight[worst]
    nonzero = np.count_nonzero(weight)
    each = int(axons[worst]) / nonzero
    inputs = int(limit / each)  # that about fit
    full = height * width * channels * op.groups
    enough = [g for g in range(1, channels * op.groups + 1) if channels * op.groups % g == 0 and out % g == 0]
    enough = [g for g in enough if full // g <= inputs]
    hint = f"groups >= {-(-full // inputs)} would fit"
    if enough:
        hint += f" ({enough[0]} divides the {channels * op.groups} input and {out} output channels)"
    if height * width > inputs:
        hint = f"a kernel of at most {inputs} taps would fit"
    hint += f", or at most {inputs} nonzero weights a filter; {otherwise}"
    filled = nonzero == height * width * channels
    what = f"filter support {support} inputs" if filled else f"filter {worst} has {nonzero} nonzero weights "
    what += "" if filled else f"(support {support}), which"
    if each > 1:
        what += f" with weights {weight.min()}..{weight.max()} of {each:.3g} axons each on average"
        hint += "; or quantise the weights to fewer bits"
    return FilterTooLarge(f"{what} exceeds the {limit} axons of a core", op.location, hint)


def split_groups(used: Array, groups: Array, limit: int) -> Array:
    """int32 [features]: new labels, numbered by first feature; groups whose union of axons fits stay whole.

    used: bool [features, axons], at most `limit` a row. groups: int64 [features].
    """
    parts = np.zeros(groups.size, np.int64)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sizes = np.diff(starts, append=groups.size)
    unions = np.logical_or.reduceat(used[order], starts) if groups.size else used
    for group in np.flatnonzero(unions.sum(axis=1) > limit):
        members = order[starts[group] : starts[group] + sizes[group]]
        parts[members] = _by_similarity(used[members], limit)
    _, first, label = np.unique(groups * (parts.max() + 1) + parts, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(first.size, dtype=np.int32)
    return rank[label.reshape(-1)]


def _by_similarity(used: Array, limit: int) -> Array:
    """int64 [features]: each part starts with the first feature left and takes, while it fits, the feature that adds
    the fewest axons (the first of equals). Of those left the first WINDOW are looked at."""
    parts = np.empty(len(used), np.int64)
    sizes, by_axon = used.sum(axis=1), np.ascontiguousarray(used.T)
    window = np.arange(min(WINDOW, len(used)))
    following, part = window.size, 0
    while window.size:
        union = np.zeros(used.shape[1], bool)
        added = sizes[window]  # axons that each feature would add to the part
        taken = np.zeros(window.size, bool)
        held, best = 0, 0
        while not taken.all() and held + int(added[best]) <= limit:
            taken[best] = True
            held += int(added[best])
            new = np.flatnonzero(used[window[best]] & ~union)
            union[new] = True
            added = added - by_axon[new[:, None], window].sum(axis=0)
            best = int(np.argmin(np.where(taken, limit + 1, added)))
        parts[window[taken]] = part
        part += 1
        more = np.arange(following, min(following + int(taken.sum()), len(used)))
        window = np.concatenate((window[~taken], more))
        following += more.size
    return parts
