"""prune-constants: neurons that always or never fire, and neurons that nothing reads, lose their synapses; what a
filter reads twice, it reads once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.errors import ChipLimit
from tncc.ir.axon_code import axon_code
from tncc.ir.chip import Chip
from tncc.ir.cone import trace
from tncc.ir.graph import Graph
from tncc.ir.interpreter import reachable_thresholds, rewire, weight_bounds, weighted_sum
from tncc.ir.ops import Op, SpikingConv2d, integer_weight
from tncc.passes.base import Module, Pass

Array = npt.NDArray[Any]

UNKNOWN = -1  # beside 0 and 1: what is known of a spike


@dataclass(frozen=True)
class PruneConstants(Pass):
    """Constants go into the thresholds of their readers; what nobody reads any more gets no weights.

    Input channels of a layer that are the same spikes, place by place, become one, with the sum of their weights.
    Shapes stay: a pruned feature has a row of zeros, and the mapping gives no core to features without readers and no
    axon to inputs without synapses.
    """

    name: ClassVar[str] = "prune-constants"
    takes: ClassVar[type[Graph]] = Graph
    requires: ClassVar[tuple[str, ...]] = ("no-real-on-chip",)

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        return _without_dead(_without_constants(_without_repeats(module, chip)))


def _without_repeats(graph: Graph, chip: Chip) -> Graph:
    """Where a layer has one source channel several times, the first time gets all its weights."""
    ops = [_join_repeats(graph, op, chip) if isinstance(op, SpikingConv2d) else op for op in graph.ops]
    return graph.with_ops(ops)


def _join_repeats(graph: Graph, op: SpikingConv2d, chip: Chip) -> SpikingConv2d:
    """The layer with weights on the first of every set of equal input channels of a convolution group only; itself
    where no axons make up their sums."""
    channels = _source_elements(graph, op.inputs[0])
    group = np.repeat(np.arange(op.groups), op.weight.shape[1])[:, None]
    if len(np.unique(np.hstack([group, channels[:, :1]]), axis=0)) == len(channels):
        return op
    _, firsts, same = np.unique(np.hstack([group, channels]), axis=0, return_index=True, return_inverse=True)
    first = firsts[same.reshape(-1)]
    out, per_group, *kernel = op.weight.shape
    weight = op.weight.astype(np.int64).reshape(op.groups, out // op.groups, per_group, *kernel)
    for channel in np.flatnonzero(first != np.arange(first.size)):
        g, repeat = divmod(int(channel), per_group)
        weight[g, :, int(first[channel]) % per_group] += weight[g, :, repeat]
        weight[g, :, repeat] = 0
    weight = weight.reshape(op.weight.shape)
    try:
        axon_code(replace(op, weight=weight), chip)  # before 16 bits have to hold the sums
    except ChipLimit:
        return op
    return _rewritten(op, weight, op.threshold)


def _source_elements(graph: Graph, name: str) -> Array:
    """int64 [channels, positions]: a number for the neuron or input behind each element of a map, through wiring."""
    cone = trace(graph, name)
    numbers: dict[str, Array] = {}
    count = 0
    for source in cone.sources:
        type = graph.types[source]
        numbers[source] = count + np.arange(type.size).reshape(1, *type.shape)
        count += type.size
    for op in cone.ops:
        numbers[op.output] = rewire(op, [numbers[operand] for operand in op.inputs])
    found: Array = numbers[name][0]
    return found.reshape(found.shape[0], -1)


def _without_constants(graph: Graph) -> Graph:
    """From the inputs on: constant spikes are folded into thresholds, constant neurons lose their synapses."""
    known = {value.name: np.full((1, *value.type.shape), UNKNOWN, np.int8) for value in graph.inputs}
    ops: list[Op] = []
    for op in graph.ops:
        operands = [known[name] for name in op.inputs]
        if isinstance(op, SpikingConv2d):
            op = _fold_inputs(op, operands[0][0])
            op, known[op.output] = _fold_outputs(op)
        else:
            known[op.output] = rewire(op, operands)
        ops.append(op)
    return graph.with_ops(ops)


def _fold_inputs(op: SpikingConv2d, spikes: Array) -> SpikingConv2d:
    """The layer without synapses from input channels that are constant all over the map [channels, height, width]."""
    flat = spikes.reshape(spikes.shape[0], -1)
    constant = np.all(flat == 0, axis=1) | np.all(flat == 1, axis=1)
    reads = _read_channels(op, constant)
    if not np.any(reads & (op.weight != 0)):
        return op
    share = weighted_sum(np.where(constant[:, None, None], spikes, 0)[None], op)[0]
    return _rewritten(op, np.where(reads, 0, op.weight), reachable_thresholds(op) - share)


def _read_channels(op: SpikingConv2d, channels: Array) -> Array:
    """bool, broadcasts to the weight: synapses from the input channels that are set in `channels`."""
    out, per_group = op.weight.shape[:2]
    own = channels.reshape(op.groups, per_group)
    return np.repeat(own, out // op.groups, axis=0)[:, :, None, None]


def _fold_outputs(op: SpikingConv2d) -> tuple[SpikingConv2d, Array]:
    """The layer without synapses of features that are constant all over the map, and what is known of its spikes."""
    lowest, highest = weight_bounds(op.weight)
    fired = np.select([op.threshold > highest, op.threshold <= lowest], [0, 1], UNKNOWN).astype(np.int8)
    flat = fired.reshape(fired.shape[0], -1)
    constant = np.all(flat == 0, axis=1) | np.all(flat == 1, axis=1)
    spikes = np.broadcast_to(fired, op.type.shape)[None]
    column = np.asarray(constant)[:, None, None]
    return _rewritten(op, op.weight * ~column[..., None], np.where(column, 1 - fired, op.threshold)), spikes


def _rewritten(op: SpikingConv2d, weight: Array, threshold: Array) -> SpikingConv2d:
    """The op with these; itself where they are its own."""
    first = threshold[:, :1, :1]
    if np.array_equal(np.broadcast_to(first, threshold.shape), threshold):
        threshold = first
    if np.array_equal(weight, op.weight) and np.array_equal(threshold, op.threshold):
        return op
    location = op.location.via(PruneConstants.name)
    return replace(op, weight=integer_weight(weight), threshold=threshold.astype(np.int32), location=location)


def _without_dead(graph: Graph) -> Graph:
    """From the outputs back: features that nothing reads lose their synapses."""
    read = {name: np.zeros(type.shape, bool) for name, type in graph.types.items()}
    for name in graph.outputs:
        read[name][...] = True
    ops: list[Op] = []
    for op in reversed(graph.ops):
        if isinstance(op, SpikingConv2d):
            needed = np.asarray(read[op.output].reshape(op.type.shape[0], -1).any(axis=1))
            threshold = np.where(needed[:, None, None], op.threshold, 1)
            op = _rewritten(op, op.weight * needed[:, None, None, None], threshold)
            groups, per_group = op.groups, op.weight.shape[1]
            used = np.any(op.weight != 0, axis=(2, 3)).reshape(groups, -1, per_group).any(axis=1)
            read[op.inputs[0]] |= used.reshape(-1, 1, 1)
        else:
            _read_through(op, read)
        ops.append(op)
    return graph.with_ops(reversed(ops))


def _read_through(op: Op, read: dict[str, Array]) -> None:
    """Marks the elements of a wiring op's operands that are read through it."""
    first, numbered = 0, []
    for name in op.inputs:
        shape = read[name].shape
        size = read[name].size
        numbered.append(np.arange(first, first + size).reshape(1, *shape))
        first += size
    chosen = rewire(op, numbered)[0][read[op.output]]
    marks = np.zeros(first, bool)
    marks[chosen] = True
    for name, numbers in zip(op.inputs, numbered, strict=True):
        read[name] |= marks[numbers[0]]
