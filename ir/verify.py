"""The verifier: whether a module is well formed. It runs after every pass and on every .tn file."""

from __future__ import annotations

from collections.abc import Iterator

from tncc.errors import ModelTooLarge, ModuleInvalid
from tncc.ir.graph import Graph
from tncc.ir.infer import infer_graph_values, infer_shape
from tncc.ir.netlist import Netlist
from tncc.ir.types import TensorType
from tncc.ir.verify_netlist import verify_netlist

MAX_ELEMENTS = 1 << 26  # of one value in one frame


def verify(module: Graph | Netlist) -> None:
    """Raises CompileError naming the op, or the core and neuron, where the module is not well formed."""
    if isinstance(module, Graph):
        verify_graph(module)
    else:
        verify_netlist(module)


def verify_graph(graph: Graph) -> None:
    """SSA, operand and result shapes, domains.

    A result may be declared in a wider domain than can be inferred, never in a narrower one; what a `HostOp` declares
    is believed.
    """
    for location, complaint in ssa_violations(graph):
        raise ModuleInvalid(complaint, location)
    types = graph.types
    for name, kind in types.items():
        check_size(name, kind, graph.producer[name].location if name in graph.producer else f"graph {graph.name}")
    for op in graph.ops:
        operands = [types[name].shape for name in op.inputs]
        shape = infer_shape(type(op), operands, dict(op.attributes()), shape=op.type.shape, location=op.location)
        if shape != op.type.shape:
            expected = TensorType(op.type.domain, shape)
            raise ModuleInvalid(f"{op.output} is declared {op.type}; the operands make it {expected}", op.location)
    values = infer_graph_values(graph)
    for op in graph.ops:
        if not values[op.output].within(op.type.domain):
            inferred = TensorType(values[op.output].domain, op.type.shape)
            raise ModuleInvalid(
                f"{op.output} is declared {op.type}; the operands make it {inferred}",
                op.location,
                "infer_domains recomputes the type of every op",
            )


def check_size(name: str, kind: TensorType, where: object) -> None:
    """Raises ModelTooLarge where a frame of a value would be too large to compute anything from it."""
    if kind.size > MAX_ELEMENTS:
        raise ModelTooLarge(f"{name} is {kind}: more than {MAX_ELEMENTS:,} elements a frame are too many", where)


def ssa_violations(graph: Graph) -> Iterator[tuple[object, str]]:
    """(where, what) of every value that is defined twice, used before its definition, or returned but missing."""
    defined: set[str] = set()
    for value in graph.inputs:
        if value.name in defined:
            yield f"graph {graph.name}", f"input {value.name} is defined twice"
        defined.add(value.name)
    later = {op.output for op in graph.ops}
    for op in graph.ops:
        for name in op.inputs:
            if name not in defined:
                what = "is used before it is defined" if name in later else "is not defined"
                yield op.location, f"operand {name} {what}"
        if op.output in defined:
            yield op.location, f"{op.output} is defined twice"
        defined.add(op.output)
    for name in graph.outputs:
        if name not in defined:
            yield f"graph {graph.name}", f"output {name} is not defined"
