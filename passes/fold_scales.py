"""fold-scales: a layer that reads scaled spikes, {0, v} or {-v, +v}, reads the spikes; v goes into its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.cone import feeds_spikes, live
from tncc.ir.graph import Graph
from tncc.ir.infer import infer_domains
from tncc.ir.interpreter import evaluate
from tncc.ir.ops import ELEMENTWISE, WIRING, AveragePool2d, Constant, Conv2d, Linear, MaxPool2d, Op
from tncc.ir.types import Domain
from tncc.passes.base import Module, Pass
from tncc.passes.weighted_sum import UNIT

Array = npt.NDArray[Any]

LEVELS = {Domain.SPIKES: (0, 1), Domain.SIGNS: (-1, 1)}
MOVES = (*WIRING, MaxPool2d)  # what does the same to v x as to x, for v > 0


@dataclass(frozen=True)
class FoldScales(Pass):
    """Quantisers leave activations with a scale: 0.7 * b, `where(b, 0.7, 0)`, dequantised codes 255 / 255.

    Conv2d and Linear that read v * b, v > 0, through wiring and pools, read b and have weights v * w. Where
    every v * w is a float32, each product that the source model adds up is the same number as before. Otherwise it may
    round each, or add them up unrounded: the layer's tolerance says so, and fold-thresholds sees to it that no decision
    hangs on it.
    """

    name: ClassVar[str] = "fold-scales"
    takes: ClassVar[type[Graph]] = Graph

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        scales = _Scales(module)
        for op in module.ops:
            if isinstance(op, Conv2d | Linear) and feeds_spikes(module, op.output):
                op = _rescaled(op, scales)
            scales.build.append(op)
        return infer_domains(live(module.with_ops(scales.build.ops)))


def _rescaled(op: Conv2d | Linear, scales: _Scales) -> Op:
    """The layer on unscaled spikes; the layer itself where its operand is not scaled, or products leave float32."""
    found = scales.unscaled(op.inputs[0])
    if found is None or found[1] == 1:
        return op
    name, scale = found
    exact = op.weight.astype(np.float64) * scale
    with np.errstate(over="ignore", under="ignore"):
        weight = exact.astype(np.float32)
    off = np.abs(weight - exact)
    if not np.all(off <= UNIT * np.abs(exact)):
        return op
    tolerance = op.tolerance + (UNIT if np.any(off) else 0) + scales.roundings.get(name, 0) * UNIT
    location = op.location.via(FoldScales.name)
    return replace(op, inputs=(name,), weight=weight, tolerance=tolerance, location=location)


class _Scales:
    """Which values of a graph are v times spikes or signs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.build = Builder(graph)
        self._known: dict[str, tuple[str, float] | None] = {}
        self.roundings: dict[str, int] = {}  # of unscaled means: how often the source model rounds its sum

    def unscaled(self, name: str) -> tuple[str, float] | None:
        """(spikes or signs, v > 0) with `name` = v * them; None where there are none."""
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> tuple[str, float] | None:
        if self.graph.types[name].domain in LEVELS:
            return name, 1.0
        op = self.graph.producer.get(name)
        if op is not None and isinstance(op, MOVES):
            return self._moved(op)
        if isinstance(op, AveragePool2d):
            return self._mean(op)
        return self._multiple(name) if isinstance(op, ELEMENTWISE) else None

    def _mean(self, op: AveragePool2d) -> tuple[str, float] | None:
        """The mean of v * b is v times the mean of b, but for rounding of the sums of v."""
        found = self.unscaled(op.inputs[0])
        if found is None or found[1] == 1:
            return None
        name, scale = found
        output = self.build.fresh(f"{op.output}/unscaled")
        attributes = dict(op.attributes())
        self.build.add(AveragePool2d, (name,), output, op.location.via(FoldScales.name), **attributes)
        if math.frexp(scale)[0] != 0.5:
            self.roundings[output] = math.prod(op.kernel) + 1
        return output, scale

    def _moved(self, op: Op) -> tuple[str, float] | None:
        found = [self.unscaled(operand) for operand in op.inputs]
        scales = {each[1] for each in found if each is not None}
        if None in found or len(scales) != 1:
            return None
        operands = tuple(each[0] for each in found if each is not None)
        location = op.location.via(FoldScales.name)
        attributes = dict(op.attributes())
        output = self.build.fresh(f"{op.output}/unscaled")
        self.build.add(type(op), operands, output, location, shape=op.type.shape, **attributes)
        self.roundings[output] = max(self.roundings.get(operand, 0) for operand in operands)
        return output, scales.pop()

    def _multiple(self, name: str) -> tuple[str, float] | None:
        """Follows elementwise ops with one varying operand back to spikes or signs, then computes what they do."""
        chain: list[Op] = []
        source = name
        while self.graph.types[source].domain not in LEVELS:
            op = self.graph.producer.get(source)
            varying = {n for n in op.inputs if not self._is_constant(n)} if isinstance(op, ELEMENTWISE) else set()
            if op is None or len(varying) != 1:
                return None
            chain.append(op)
            (source,) = varying
        type = self.graph.types[source]
        if type.shape != self.graph.types[name].shape:
            return None
        low, high = (self._computed(chain[::-1], source, level) for level in LEVELS[type.domain])
        scale = float(high.flat[0])
        if not (np.isfinite(scale) and scale > 0 and np.all(high == scale)):
            return None
        return (source, scale) if np.all(low == scale * LEVELS[type.domain][0]) else None

    def _is_constant(self, name: str) -> bool:
        return isinstance(self.graph.producer.get(name), Constant)

    def _computed(self, chain: list[Op], source: str, level: int) -> Array:
        """The chain's result where every element of its source is `level`."""
        values: dict[str, Array] = {source: np.full((1, *self.graph.types[source].shape), level, np.float32)}
        for op in chain:
            operands = [values[n] if n in values else evaluate(self.graph.producer[n], ()) for n in op.inputs]
            values[op.output] = evaluate(op, operands)
        return values[chain[-1].output]
