"""threshold-before-pool: a maximum of sums that is compared becomes a comparison of every sum, then an OR."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.cone import Cone, live, trace
from tncc.ir.graph import Graph
from tncc.ir.interpreter import evaluate
from tncc.ir.ops import ELEMENTWISE, WIRING, Binary, Constant, MaxPool2d, Op, TrinaryConv2d
from tncc.ir.types import Domain, TensorType
from tncc.passes.base import Module, Pass

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ThresholdBeforePool(Pass):
    """Spikes computed from MaxPool2d of a layer's sums: the ops behind the pool move before it.

    A channel that fires for large maxima fires where any sum of the window does. A channel that fires for small ones
    fires where no sum of the window is large: there the spikes are inverted before the pool and again behind it.
    Left alone: ops behind the pool that tell positions apart, or that are no threshold on the sums that occur.
    """

    name: ClassVar[str] = "threshold-before-pool"
    takes: ClassVar[type[Graph]] = Graph

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        build = Builder(module)
        for op in module.ops:
            pooled = _pooled_sums(module, op)
            falling = None if pooled is None else _falling_channels(module, *pooled)
            if pooled is None or falling is None:
                build.append(op)
            else:
                _emit(build, op, *pooled, falling)
        return live(module.with_ops(build.ops))


def _pooled_sums(graph: Graph, op: Op) -> tuple[Cone, MaxPool2d] | None:
    """(ops behind the pool, the pool) where `op` makes spikes of the maximum of a layer's sums; else None."""
    if not isinstance(op, ELEMENTWISE) or op.type.domain is not Domain.SPIKES:
        return None
    cone = trace(graph, op.output)
    pool = graph.producer.get(cone.sources[0]) if len(cone.sources) == 1 else None
    if not isinstance(pool, MaxPool2d) or graph.types[pool.inputs[0]].domain in (Domain.SPIKES, Domain.SIGNS):
        return None
    fits = op.type.shape == pool.type.shape and all(map(_alike_everywhere, cone.ops))
    return (cone, pool) if fits else None


def _alike_everywhere(op: Op) -> bool:
    """Whether an op of a cone treats all positions of a channel alike."""
    return not isinstance(op, WIRING) and not (isinstance(op, Constant) and any(n > 1 for n in op.type.shape[-2:]))


def _falling_channels(graph: Graph, cone: Cone, pool: MaxPool2d) -> Array | None:
    """bool [channels]: where the spikes are a falling function of the maximum; None where they are neither."""
    before = trace(graph, pool.inputs[0])
    layer = graph.producer.get(before.sources[0]) if len(before.sources) == 1 else None
    if not isinstance(layer, TrinaryConv2d):
        return None
    if not all(map(_alike_everywhere, before.ops)):
        return None
    terms = np.abs(layer.weight.astype(np.int64)).sum(axis=(1, 2, 3))
    reach = int(terms.max(initial=0))
    column = (1, terms.size, 1, 1)
    # beyond a channel's own terms the function need not be monotone: those sums repeat the last that occurs
    n = np.clip(np.arange(-reach, reach + 1).reshape(-1, 1, 1, 1), -terms.reshape(column), terms.reshape(column))
    values = {layer.output: n.astype(np.float32) * layer.scale.reshape(column)}
    _evaluate(before, values)
    values = {pool.output: np.sort(values[pool.inputs[0]], axis=0)}
    _evaluate(cone, values)
    fires = np.broadcast_to(values[cone.output], (n.shape[0], terms.size, 1, 1))[:, :, 0, 0].astype(np.int8)
    steps = np.diff(fires, axis=0)
    rises, falls = np.any(steps > 0, axis=0), np.any(steps < 0, axis=0)
    return None if np.any(rises & falls) else falls


def _evaluate(cone: Cone, values: dict[str, Array]) -> None:
    for op in cone.ops:
        values[op.output] = evaluate(op, [values[name] for name in op.inputs])


def _emit(build: Builder, op: Op, cone: Cone, pool: MaxPool2d, falling: Array) -> None:
    """Adds the cone's ops on the sums themselves, the pool of their spikes, and the inversions."""
    location = (pool.location + op.location).via(ThresholdBeforePool.name)
    shape = build.types[pool.inputs[0]].shape
    moved = {pool.output: pool.inputs[0]}
    for inner in cone.ops:
        inputs = tuple(moved.get(name, name) for name in inner.inputs)
        if inputs == inner.inputs:
            continue  # computed from constants alone
        moved[inner.output] = build.fresh(f"{inner.output}/unpooled")
        type = TensorType(inner.type.domain, shape)
        build.append(replace(inner, inputs=inputs, output=moved[inner.output], type=type))
    spikes = moved[cone.output]
    pooled = replace(pool, inputs=(spikes,), output=op.output, type=op.type, location=location)
    if not np.any(falling):
        build.append(pooled)
        return
    mask = build.add(
        Constant, (), build.fresh(f"{op.output}/falling"), location, value=falling[:, None, None].astype(np.uint8)
    )
    inverted = build.add(Binary, (spikes, mask), build.fresh(f"{op.output}/inverted"), location, kind="xor")
    ored = build.append(replace(pooled, inputs=(inverted,), output=build.fresh(f"{op.output}/any")))
    build.add(Binary, (ored, mask), op.output, location, kind="xor")
