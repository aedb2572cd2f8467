"""lower-logic: logic on spikes of different layers becomes a weighted sum and a comparison."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.ir.builder import Builder, side_by_side
from tncc.ir.chip import Chip
from tncc.ir.cone import Cone, live, trace
from tncc.ir.graph import Graph
from tncc.ir.interpreter import evaluate
from tncc.ir.ops import ELEMENTWISE, WIRING, Binary, Constant, Op, TrinaryConv2d
from tncc.ir.types import Domain
from tncc.passes.base import Module, Pass

Array = npt.NDArray[Any]

OPERANDS = 4  # all 3^n weightings of all 2^n inputs are tried


@dataclass(frozen=True)
class LowerLogic(Pass):
    """Elementwise functions of up to four spikes values become: weighted sum of them >= threshold.

    `a and b` is a + b >= 2, `a or b` is a + b >= 1, `not a` is -a >= 0, and so on for every function with weights in
    {-1, 0, 1}: a residual sum of spikes that is compared to a constant, min, max, where with constants. Left alone:
    functions of one layer's sums alone, which fold-thresholds handles without another layer, and functions that
    no such sum computes (exclusive or).
    """

    name: ClassVar[str] = "lower-logic"
    takes: ClassVar[type[Graph]] = Graph

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        build = Builder(module)
        for op in module.ops:
            form = _threshold_form(module, op)
            if form is None:
                build.append(op)
            else:
                _emit(build, op, *form)
        return live(module.with_ops(build.ops))


def _threshold_form(graph: Graph, op: Op) -> tuple[Cone, tuple[int, ...], int] | None:
    """(cone back to spikes, weight of each source, threshold) of an op that is to be lowered; else None."""
    if not isinstance(op, ELEMENTWISE) or op.type.domain is not Domain.SPIKES:
        return None
    everything = trace(graph, op.output)
    if len(everything.sources) == 1 and everything.sources[0] in graph.producer:
        return None
    cone = trace(graph, op.output, through_spikes=False)
    frames = {graph.types[name] for name in cone.sources} | {op.type}
    moves = any(isinstance(inner, WIRING) for inner in cone.ops)
    if not 1 <= len(cone.sources) <= OPERANDS or len(frames) > 1 or len(op.type.shape) not in (1, 3) or moves:
        return None
    decisions = [_decision(cone, combination) for combination in _combinations(len(cone.sources))]
    if None in decisions:
        return None
    return next(((cone, *found) for found in _weightings(len(cone.sources), decisions)), None)


def _combinations(count: int) -> Iterator[tuple[int, ...]]:
    return itertools.product((0, 1), repeat=count)


def _decision(cone: Cone, spikes: tuple[int, ...]) -> bool | None:
    """The cone's result for these spikes; None where elements of the frame differ."""
    values: dict[str, Array] = {
        name: np.full((1,), spike, np.uint8) for name, spike in zip(cone.sources, spikes, strict=True)
    }
    for op in cone.ops:
        values[op.output] = evaluate(op, [values[name] for name in op.inputs])
    result = values[cone.output]
    return bool(result.flat[0]) if np.all(result == result.flat[0]) else None


def _weightings(count: int, decisions: list[bool | None]) -> Iterator[tuple[tuple[int, ...], int]]:
    """(weights, threshold) with sum(weights * spikes) >= threshold for all combinations, fewest weights first."""
    spikes = np.array(list(_combinations(count)))
    fires = np.array(decisions, bool)
    for weights in sorted(itertools.product((1, -1, 0), repeat=count), key=np.count_nonzero):
        sums = spikes @ np.array(weights)
        low = sums[~fires].max(initial=-count - 1)
        high = sums[fires].min(initial=count + 1)
        if low < high:
            yield weights, int(high)


def _emit(build: Builder, op: Op, cone: Cone, weights: tuple[int, ...], threshold: int) -> None:
    """Adds the layer: the sources' channels side by side, one group a channel."""
    location = op.location
    for inner in cone.ops:
        if not isinstance(inner, Constant):
            location = location + inner.location
    location = location.via(LowerLogic.name)
    shape = op.type.shape
    channels = shape[0]
    names = [
        name if len(shape) == 3 else build.reshape(name, (*shape, 1, 1), build.fresh(f"{name}/column"), location)
        for name in cone.sources
    ]
    count = len(names)
    operand = names[0] if count == 1 else side_by_side(build, tuple(names), channels, op.output, location)
    sums = build.add(
        TrinaryConv2d,
        (operand,),
        build.fresh(f"{op.output}/sums"),
        location,
        weight=np.tile(np.array(weights, np.int8).reshape(1, count, 1, 1), (channels, 1, 1, 1)),
        scale=np.ones(channels, np.float32),
        strides=(1, 1),
        pads=(0, 0, 0, 0),
        dilations=(1, 1),
        groups=channels,
    )
    limit = build.constant(threshold, f"{op.output}/threshold", location)
    if len(shape) == 3:
        build.add(Binary, (sums, limit), op.output, location, kind="ge")
    else:
        flat = build.reshape(sums, shape, build.fresh(f"{op.output}/flat"), location)
        build.add(Binary, (flat, limit), op.output, location, kind="ge")
