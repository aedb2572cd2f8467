"""distribute-sums: a layer that reads a sum of spikes becomes a sum of layers that read spikes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.cone import feeds_spikes, live
from tncc.ir.graph import Graph
from tncc.ir.infer import infer_domains
from tncc.ir.ops import WIRING, AveragePool2d, Binary, Concat, Conv2d, Linear
from tncc.ir.types import Domain
from tncc.passes.base import Module, Pass
from tncc.passes.strict_signs import all_strict

TERMS = 8  # longer sums are left alone
DEPTH = 64  # and so are those that many ops away
Term = tuple[str, int]  # spikes or signs, and the sign they count with


@dataclass(frozen=True)
class DistributeSums(Pass):
    """conv(a + b) is conv(a) + conv(b): residual connections that add spikes. merge-sums makes one layer of them.

    A linear layer reads all of them end to end. The sum may be a difference, be nested, and pass through wiring and
    average pools.
    """

    name: ClassVar[str] = "distribute-sums"
    takes: ClassVar[type[Graph]] = Graph

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        build = Builder(module)
        strict = all_strict(module)  # a sum distributes whatever its terms are; as sums of signs it is worth it
        sums = _Sums(strict, build)
        for op in module.ops:
            reads_sum = isinstance(op, Conv2d | Linear) and feeds_spikes(strict, op.output)
            terms = sums.terms(op.inputs[0]) if reads_sum else []
            if len(terms) < 2:
                build.append(op)
            elif isinstance(op, Conv2d) or sums.means.intersection(name for name, _ in terms):
                assert isinstance(op, Conv2d | Linear)
                _sum_of_layers(build, op, terms)
            elif isinstance(op, Linear):
                _layer_on_all(build, op, terms)
        return infer_domains(live(module.with_ops(build.ops)))


def _sum_of_layers(build: Builder, op: Conv2d | Linear, terms: list[Term]) -> None:
    """Adds a layer a term, and their sum."""
    location, total = op.location.via(DistributeSums.name), ""
    for i, (name, sign) in enumerate(terms):
        part = build.fresh(f"{op.output}/part{i}")
        build.append(replace(op, inputs=(name,), output=part, weight=op.weight * sign, location=location))
        output = op.output if i == len(terms) - 1 else build.fresh(f"{op.output}/sum{i}")
        total = build.add(Binary, (total, part), output, location, kind="add") if total else part


def _layer_on_all(build: Builder, op: Linear, terms: list[Term]) -> None:
    """Adds one linear layer on all terms, end to end."""
    location = op.location.via(DistributeSums.name)
    names = tuple(name for name, _ in terms)
    joined = build.add(Concat, names, build.fresh(f"{op.output}/terms"), location, axis=0)
    weight = np.concatenate([op.weight * sign for _, sign in terms], axis=1)
    build.append(replace(op, inputs=(joined,), weight=weight, location=location))


class _Sums:
    """Which values of a graph are sums of spikes or signs."""

    def __init__(self, graph: Graph, build: Builder) -> None:
        self.graph, self.build = graph, build
        self._known: dict[str, list[Term]] = {}
        self.means: set[str] = set()  # terms that are means, or moved ones

    def terms(self, name: str, depth: int = 0) -> list[Term]:
        """The spikes, signs or means of them that `name` is the sum of; [] where it is no such sum or a long one."""
        if name not in self._known:
            self._known[name] = self._find(name, depth) if depth < DEPTH else []
        return self._known[name]

    def _find(self, name: str, depth: int) -> list[Term]:
        types = self.graph.types
        if types[name].domain in (Domain.SPIKES, Domain.SIGNS):
            return [(name, 1)]
        op = self.graph.producer.get(name)
        if isinstance(op, Binary) and op.kind in ("add", "sub"):
            left, right = (self.terms(operand, depth + 1) for operand in op.inputs)
            alike = all(types[operand].shape == op.type.shape for operand in op.inputs)
            if not left or not right or not alike or len(left) + len(right) > TERMS:
                return []
            return left + [(term, sign if op.kind == "add" else -sign) for term, sign in right]
        if op is not None and isinstance(op, (*WIRING, AveragePool2d)) and not isinstance(op, Concat):
            moved = []
            for term, sign in self.terms(op.inputs[0], depth + 1):
                output = self.build.fresh(f"{op.output}/{term}")
                attributes = dict(op.attributes())
                self.build.add(type(op), (term,), output, op.location, shape=op.type.shape, **attributes)
                moved.append((output, sign))
                if isinstance(op, AveragePool2d) or term in self.means:
                    self.means.add(output)
            return moved
        return []
