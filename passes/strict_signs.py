"""Which sign(x), three-valued as written, count as {-1, +1}."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tncc.errors import CompileError
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph, Value
from tncc.ir.infer import infer_domains
from tncc.ir.ops import (
    ELEMENTWISE,
    WIRING,
    AveragePool2d,
    Conv2d,
    HostOp,
    Linear,
    MaxPool2d,
    Op,
    SpikingConv2d,
    TrinaryConv2d,
    Unary,
)
from tncc.ir.types import Domain, TensorType
from tncc.passes.fold_thresholds import FoldThresholds
from tncc.passes.lower_pools import LowerPools
from tncc.passes.lower_signs import LowerSigns
from tncc.passes.merge_sums import MergeSums
from tncc.passes.threshold_before_pool import ThresholdBeforePool
from tncc.passes.trinarize_weights import TrinarizeWeights

LAYERS = (Conv2d, Linear, TrinaryConv2d, SpikingConv2d, AveragePool2d, MaxPool2d)
MOVES = (*WIRING, MaxPool2d)
DECIDING = (TrinarizeWeights(), LowerSigns(), MergeSums(), ThresholdBeforePool(), LowerPools(), FoldThresholds())


def with_strict_signs(graph: Graph, chip: Chip) -> Graph:
    """The graph where a sign(x) counts as {-1, +1} if all that comes of it is binary before it leaves the chip.

    Layers may read it, and elementwise ops that make two values of two, as (sign(x) + 1) / 2. That x is never 0 is for
    fold-thresholds to see at all sums that can be, and for a session to see at the host's values of every frame. A sign
    that nothing on the chip needs counts as {-1, +1} where it is seen here that no sum is 0; else the host computes it.
    """
    signs = _three_valued(graph)
    if not signs:
        return graph
    strict = _with_strict(graph, signs)

    def is_binary(op: Op, types: Mapping[str, TensorType]) -> bool:
        return types[op.output].domain in (Domain.SPIKES, Domain.SIGNS)

    def fits(op: Op) -> bool:
        return isinstance(op, LAYERS) or (isinstance(op, ELEMENTWISE) and is_binary(op, strict.types))

    def fits_anyway(op: Op) -> bool:
        # what is binary for a three-valued sign too, as sign(sign(x) + 0.1), needs no promise
        return isinstance(op, ELEMENTWISE) and is_binary(op, graph.types)

    def passes_on(op: Op) -> bool:
        return isinstance(op, MOVES) or (isinstance(op, ELEMENTWISE) and not is_binary(op, strict.types))

    def counts(name: str) -> bool:
        binary = all_readers(strict, name, fits, passes_on)
        if binary and _feeds_neuron(strict, name) and not all_readers(strict, name, fits_anyway, passes_on):
            return True
        return _never_zero(strict, name, chip)

    fit = {name for name in signs if counts(name)}
    return strict if fit == signs else _with_strict(graph, fit)


def all_strict(graph: Graph) -> Graph:
    """The graph with every sign taken as {-1, +1}: what a chip would make of it, whether or not it may."""
    return _with_strict(graph, _three_valued(graph))


def _three_valued(graph: Graph) -> set[str]:
    unary = [op for op in graph.ops if isinstance(op, Unary) and op.type.domain is Domain.INT]
    return {op.output for op in unary if op.kind == "sign"}


def all_readers(graph: Graph, name: str, test: Callable[[Op], bool], passes_on: Callable[[Op], bool]) -> bool:
    """Whether every reader of a value, through ops that pass it on, satisfies the test, and there are readers."""
    pending, seen = [name], {name}
    while pending:
        readers = graph.consumers[pending.pop()]
        if not readers:
            return False
        for op in readers:
            if passes_on(op):
                if op.output not in seen:
                    seen.add(op.output)
                    pending.append(op.output)
            elif not test(op):
                return False
    return True


def _with_strict(graph: Graph, signs: set[str]) -> Graph:
    ops = [replace(op, kind="strict_sign") if isinstance(op, Unary) and op.output in signs else op for op in graph.ops]
    return infer_domains(graph.with_ops(ops)) if signs else graph


def _feeds_neuron(graph: Graph, name: str) -> bool:
    """Whether a binary value is computed from `name`, and not only moved."""
    pending, seen = [name], {name}
    while pending:
        for op in graph.consumers[pending.pop()]:
            if op.type.domain in (Domain.SPIKES, Domain.SIGNS) and not isinstance(op, MOVES):
                return True
            if op.output not in seen:
                seen.add(op.output)
                pending.append(op.output)
    return False


def _never_zero(graph: Graph, name: str, chip: Chip) -> bool:
    """Whether the strict sign `name` is a neuron's decision on a weighted sum of spikes that is never 0."""
    needed, inputs, pending = {name}, dict[str, TensorType](), list(graph.producer[name].inputs)
    while pending:
        operand = pending.pop()
        type, op = graph.types[operand], graph.producer.get(operand)
        if type.domain in (Domain.SPIKES, Domain.SIGNS) and (op is None or op.inputs):
            inputs[operand] = type
        elif op is None or isinstance(op, HostOp):
            return False
        elif operand not in needed:
            needed.add(operand)
            pending.extend(op.inputs)
    ops = [op for op in graph.ops if op.output in needed]
    if not any(isinstance(op, LAYERS) for op in ops):
        return False
    part = Graph(graph.name, tuple(Value(*item) for item in inputs.items()), tuple(ops), (name,))
    try:
        for deciding in DECIDING:
            found = deciding.run(part, chip)
            assert isinstance(found, Graph)
            part = found
    except CompileError:
        return False
    return True
