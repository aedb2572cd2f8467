"""Types of results: one shape rule and one value rule per op. Frontends, passes and the verifier all ask here.

Shapes follow from operand shapes and attributes; only `Reshape` and `HostOp` are told theirs. Domains follow from
the sets of numbers that values may hold (value_sets.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tncc.ir import ops
from tncc.ir.graph import Graph
from tncc.ir.ops import Op
from tncc.ir.shapes import Shape, infer_shape
from tncc.ir.types import TensorType
from tncc.ir.value_sets import Values, infer_values

__all__ = [
    "cancels",
    "estimators",
    "infer_domains",
    "infer_graph_values",
    "infer_shape",
    "infer_values",
    "result_type",
    "straight_through",
]


def result_type(
    op_class: type[Op],
    operands: Sequence[TensorType],
    attributes: Mapping[str, Any],
    *,
    shape: Shape | None = None,
    location: object = "",
) -> TensorType:
    """Type of the result of an op that is about to be built.

    Args:
        op_class: which op.
        operands: types of its operands, in order.
        attributes: its own fields by name, all of them.
        shape: the result's shape where nothing else says it: `Reshape` and `HostOp`; otherwise not needed.
        location: named in errors.

    Raises:
        CompileError: operands and attributes do not fit together.
    """
    found = infer_shape(op_class, [t.shape for t in operands], attributes, shape=shape, location=location)
    values = infer_values(op_class, [Values.of_domain(t.domain) for t in operands], attributes, location=location)
    return TensorType(values.domain, found)


def infer_domains(graph: Graph) -> Graph:
    """The graph with the type of every op's result recomputed, from value sets rather than from domains.

    Knows more than `result_type`: constants' values, that x - x is 0 and that the straight-through form c + (b - c)
    stands for b.
    A `HostOp` keeps the type it declares, a graph input too.
    """
    values = infer_graph_values(graph)
    shapes = {value.name: value.type.shape for value in graph.inputs}
    rewritten: list[Op] = []
    for op in graph.ops:
        given = [shapes[name] for name in op.inputs]
        attributes = dict(op.attributes())
        shape = infer_shape(type(op), given, attributes, shape=op.type.shape, location=op.location)
        shapes[op.output] = shape
        found = TensorType(values[op.output].domain, shape)
        rewritten.append(op if found == op.type else replace(op, type=found))
    return graph.with_ops(rewritten)


def infer_graph_values(graph: Graph) -> dict[str, Values]:
    """The value set of every value of the graph, by name; ops must be in topological order."""
    values = {value.name: Values.of_domain(value.type.domain) for value in graph.inputs}
    for op in graph.ops:
        through = straight_through(op, graph.producer)
        if isinstance(op, ops.HostOp):
            values[op.output] = Values.of_domain(op.type.domain)
        elif cancels(op):
            values[op.output] = Values.of(np.zeros(1))
        elif through is not None:
            values[op.output] = values[through[0]]
        else:
            operands = [values[name] for name in op.inputs]
            values[op.output] = infer_values(type(op), operands, dict(op.attributes()), location=op.location)
    return values


def cancels(op: Op) -> bool:
    """Whether `op` is x - x, as straight-through estimators of the form b + (x - x.detach()) leave it."""
    return isinstance(op, ops.Binary) and op.kind == "sub" and op.inputs[0] == op.inputs[1]


def straight_through(op: Op, producer: Mapping[str, Op]) -> tuple[str, str] | None:
    """The names (b, c) where `op` is c + (b - c) or (b - c) + c, as straight-through estimators leave it; else None."""
    if not (isinstance(op, ops.Binary) and op.kind == "add"):
        return None
    for carrier, difference in (op.inputs, op.inputs[::-1]):
        source = producer.get(difference)
        if isinstance(source, ops.Binary) and source.kind == "sub" and source.inputs[1] == carrier:
            return source.inputs[0], carrier
    return None


def estimators(graph: Graph) -> set[str]:
    """The sums and differences of which straight-through estimators are made; they are no residual connections."""
    found = {op.output for op in graph.ops if cancels(op)}
    for op in graph.ops:
        through = straight_through(op, graph.producer)
        if through is not None:
            found.update({op.output, *op.inputs} - {through[1]})
    return found
