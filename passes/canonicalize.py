"""canonicalize: dead code, identities, constants and composed wiring are gone; what is left does something."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tncc.ir.chip import Chip
from tncc.ir.cone import live
from tncc.ir.graph import Graph
from tncc.ir.infer import infer_domains
from tncc.ir.interpreter import evaluate
from tncc.ir.ops import ELEMENTWISE, WIRING, Concat, Constant, Gather, HostOp, Op, Reshape, Transpose, Unary
from tncc.ir.types import Domain, TensorType
from tncc.passes.base import Module, Pass


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Rewrites until nothing changes. Every value that stays keeps its name, graph outputs always.

    - ops on constants are evaluated, ops that nothing needs are dropped;
    - identities are bypassed: wiring that moves nothing, elementwise ops that map spikes to themselves;
    - wiring of wiring of the same kind is composed;
    - domains are inferred again.
    """

    name: ClassVar[str] = "canonicalize"
    takes: ClassVar[type[Graph]] = Graph
    ensures: ClassVar[tuple[str, ...]] = ("ssa",)

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        graph = live(infer_domains(module))
        while True:
            rewritten = live(infer_domains(_once(graph)))
            if rewritten == graph:
                return graph
            graph = rewritten


def _once(graph: Graph) -> Graph:
    """One sweep of all rules over all ops."""
    same_as: dict[str, str] = {}  # bypassed value -> the value that stands for it
    made: dict[str, Op] = {}  # the ops so far, by result
    for op in graph.ops:
        names = tuple(same_as.get(name, name) for name in op.inputs)
        op = op if names == op.inputs else replace(op, inputs=names)
        for rule in (_fold_constants, _compose_wiring, _simplify_function_of_a_spike):
            op = rule(op, made, graph.types)
        if op.output not in graph.outputs and _is_identity(op, graph.types):
            same_as[op.output] = op.inputs[0]
        else:
            made[op.output] = op
    return graph.with_ops(tuple(made.values()))


Made = dict[str, Op]
Types = dict[str, TensorType]


def _fold_constants(op: Op, made: Made, types: Types) -> Op:
    """An op on constants alone is a constant."""
    operands = [made.get(name) for name in op.inputs]
    values = [evaluate(operand, ()) for operand in operands if isinstance(operand, Constant)]
    if not operands or len(values) < len(operands) or isinstance(op, HostOp):
        return op
    value = np.broadcast_to(evaluate(op, values)[0], op.type.shape)
    location = op.location.via(Canonicalize.name)
    return Constant(inputs=(), output=op.output, type=op.type, location=location, value=value)


def _compose_wiring(op: Op, made: Made, types: Types) -> Op:
    """Wiring of wiring of the same kind is one wiring op."""
    inner = made.get(op.inputs[0]) if op.inputs else None
    if inner is None or type(op) is not type(inner):
        return op
    location = (inner.location + op.location).via(Canonicalize.name)
    if isinstance(op, Reshape):
        return replace(op, inputs=inner.inputs, location=location)
    if isinstance(op, Transpose) and isinstance(inner, Transpose):
        permutation = tuple(inner.permutation[axis] for axis in op.permutation)
        return replace(op, inputs=inner.inputs, location=location, permutation=permutation)
    if isinstance(op, Gather) and isinstance(inner, Gather) and op.axis == inner.axis and inner.indices.ndim == 1:
        return replace(op, inputs=inner.inputs, location=location, indices=inner.indices[op.indices])
    return op


def _simplify_function_of_a_spike(op: Op, made: Made, types: Types) -> Op:
    """An elementwise op on one spikes value and constants is the spike itself, its opposite, or a constant."""
    varying = {name for name in op.inputs if not isinstance(made.get(name), Constant)}
    if not isinstance(op, ELEMENTWISE) or len(varying) != 1 or op.type.domain is not Domain.SPIKES:
        return op
    (name,) = varying
    if types[name] != op.type:
        return op
    results = []
    for spike in (0, 1):
        frame = np.full((1, *op.type.shape), spike, np.uint8)
        results.append(evaluate(op, [frame if i == name else evaluate(made[i], ()) for i in op.inputs]))
    location = op.location.via(Canonicalize.name)
    silent, fired = results
    if not np.any(silent) and np.all(fired):
        return Reshape(inputs=(name,), output=op.output, type=op.type, location=location)
    if np.all(silent) and not np.any(fired) and op.inputs != (name,):
        return Unary(inputs=(name,), output=op.output, type=op.type, location=location, kind="not")
    if np.array_equal(silent, fired):
        return Constant(inputs=(), output=op.output, type=op.type, location=location, value=fired[0])
    return op


def _is_identity(op: Op, types: Types) -> bool:
    """Whether the result is the operand, element for element."""
    if isinstance(op, Concat):
        return len(op.inputs) == 1
    if not isinstance(op, WIRING) or types[op.inputs[0]] != op.type:
        return False
    if isinstance(op, Transpose):
        return op.permutation == tuple(range(len(op.permutation)))
    if isinstance(op, Gather):
        return op.indices.ndim == 1 and np.array_equal(op.indices, np.arange(op.type.shape[op.axis]))
    return True
