"""Cones: what an elementwise result is computed from, back to the values that weighted sums and inputs define."""

from __future__ import annotations

from dataclasses import dataclass

from tncc.ir.graph import Graph
from tncc.ir.location import Location
from tncc.ir.ops import ELEMENTWISE, WIRING, Constant, Op
from tncc.ir.types import Domain


@dataclass(frozen=True)
class Cone:
    """The ops that compute `output` from `sources` by elementwise arithmetic and wiring.

    Attributes:
        output: the value computed.
        sources: values that are neither constant nor computed within the cone, in order of first use.
        ops: in topological order; constants included.
    """

    output: str
    sources: tuple[str, ...]
    ops: tuple[Op, ...]

    def location(self, source: Location) -> Location:
        """That of what is computed from a source: the source's and those of all ops but constants."""
        for op in self.ops:
            if not isinstance(op, Constant):
                source = source + op.location
        return source


def trace(graph: Graph, output: str, *, through_spikes: bool = True) -> Cone:
    """The cone of `output`: back through elementwise ops, wiring and constants, as far as they go.

    With `through_spikes=False` it also stops at every spikes value but `output` itself.
    """
    inside: dict[str, Op] = {}
    sources: dict[str, None] = {}
    pending = [output]
    while pending:
        name = pending.pop()
        if name in inside or name in sources:
            continue
        op = graph.producer.get(name)
        stop = not through_spikes and name != output and graph.types[name].domain is Domain.SPIKES
        if op is not None and (isinstance(op, Constant) or (isinstance(op, (*ELEMENTWISE, *WIRING)) and not stop)):
            inside[name] = op
            pending.extend(reversed(op.inputs))
        else:
            sources[name] = None
    ordered = tuple(inside[name] for name in sorted(inside, key=graph.position.__getitem__))
    return Cone(output, tuple(sources), ordered)


def live(graph: Graph) -> Graph:
    """The graph without ops whose results nothing needs."""
    needed = set(graph.outputs)
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if op.output in needed:
            kept.append(op)
            needed.update(op.inputs)
    return graph.with_ops(reversed(kept)) if len(kept) < len(graph.ops) else graph


def feeds_spikes(graph: Graph, name: str) -> bool:
    """Whether a value in {0, 1} or {-1, +1} is computed from `name`. A layer of which that is not so is the host's."""
    pending, seen = [name], {name}
    while pending:
        for op in graph.consumers[pending.pop()]:
            if op.type.domain in (Domain.SPIKES, Domain.SIGNS):
                return True
            if op.output not in seen:
                seen.add(op.output)
                pending.append(op.output)
    return False
