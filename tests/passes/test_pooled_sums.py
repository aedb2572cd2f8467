"""Whatever order a runtime adds in, and fused or not, the means of a layer's sums lie in their bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.nets import CHIP, at, finish, start
from tests.passes.test_rounding import added_up
from tncc.ir import ops
from tncc.ir.builder import Builder
from tncc.ir.graph import Graph
from tncc.passes.merge_sums import MergeSums
from tncc.passes.pooled_sums import PooledSums
from tncc.passes.rounding import bounded_sum, constant, step
from tncc.passes.weighted_sum import WeightedSum

Array = npt.NDArray[Any]
f32 = np.float32
WINDOW: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}


def layer(build: Builder, name: str, weight: Array, scale: np.float32, x: str = "x") -> str:
    kernel = weight.reshape(1, -1, 1, 1).astype(np.int8)
    return build.add(ops.TrinaryConv2d, (x,), name, at(name), weight=kernel, scale=np.array([scale], f32), **WINDOW)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 9), st.booleans(), st.booleans(), st.booleans())
def test_means_lie_in_the_bounds(seed: int, count: int, dyadic: bool, normed: bool, refine: bool) -> None:
    """`count` sums of one filter, each with a bias and perhaps a batch normalisation, then their mean."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-1, 2, int(rng.integers(2, 20)))
    weight[0] = 1
    scale = f32(2.0 ** -rng.integers(0, 4) if dyadic else rng.uniform(0.05, 2))
    bias = f32(rng.integers(-4, 5) / 4 if dyadic else rng.normal())
    gamma, beta, mean, variance = (f32(rng.uniform(low, 2)) for low in (0.2, -2, -2, 0.2))
    build = start((weight.size, count, 1))
    value = layer(build, "sums", weight, scale)
    level = build.constant(bias, "bias", at("bias"))
    value = build.add(ops.Binary, (value, level), "biased", at("Add"), kind="add")
    if normed:
        norm = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        arrays = {key: np.array([number]) for key, number in norm.items()}
        value = build.add(ops.BatchNorm, (value,), "normed", at("BatchNorm"), epsilon=1e-5, **arrays)
    pool = {"kernel": (count, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "count_include_pad": False}
    value = build.add(ops.AveragePool2d, (value,), "mean", at("AveragePool"), **pool)
    graph = finish(build, value)
    (found,) = [op for op in graph.ops if isinstance(op, ops.AveragePool2d)]
    pooled = PooledSums.of(graph, found, CHIP)
    factor = gamma * (f32(1) / np.sqrt(variance + f32(1e-5)))
    for _ in range(6):
        results, total = [], 0
        for _ in range(count):
            active = rng.random(weight.size) < rng.random()
            total += int(weight[active].sum())
            terms, offset = (weight * scale).astype(f32)[active], bias
            if normed and rng.random() < 0.5:  # in the weights
                terms, offset = (terms * factor).astype(f32), f32(f32((bias - mean) * factor) + beta)
            elif normed:
                result = f32(
                    added_up(np.append(terms, bias), rng) if rng.random() < 0.5 else added_up(terms, rng) + bias
                )
                results.append(f32(f32(result * factor) + f32(beta - mean * factor)))
                continue
            results.append(added_up(np.append(terms, offset), rng))
        mean_of_them = f32(added_up(np.array(results, f32), rng) / f32(count))
        bounds = pooled.means(np.full((1, 1, 1, 1), total), np.array([refine]))
        assert bounds.low.item() <= mean_of_them <= bounds.high.item()
        if dyadic and not normed and count in (1, 2, 4, 8):
            assert bounds.low.item() == bounds.high.item()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.booleans())
def test_biased_sums_that_are_added_up_lie_in_the_bounds(seed: int, refine: bool) -> None:
    """(a + bias) + (b + bias): the bounds of the merged layer and both constants hold the sum of the two."""
    rng = np.random.default_rng(seed)
    weights = [rng.integers(-1, 2, int(rng.integers(1, 9))) for _ in range(2)]
    for weight in weights:
        weight[0] = 1
    scale = f32(rng.uniform(0.05, 2))
    biases = rng.normal(size=2).astype(f32) * f32(10.0 ** rng.integers(-1, 4))
    if rng.random() < 0.5:
        biases[1] = -biases[0]  # large ones that cancel leave large errors
    build = start((sum(weight.size for weight in weights), 1, 1))
    names = []
    for i, weight in enumerate(weights):
        indices = np.arange(weight.size) + i * weights[0].size
        part = build.add(ops.Gather, ("x",), f"part{i}", at("Gather"), indices=indices, axis=0)
        sums = layer(build, f"sums{i}", weight, scale, part)
        level = build.constant(biases[i], f"bias{i}", at("bias"))
        names.append(build.add(ops.Binary, (sums, level), f"biased{i}", at("Add"), kind="add"))
    graph = finish(build, build.add(ops.Binary, tuple(names), "y", at("Sum"), kind="add"))
    merged = MergeSums().run(graph, CHIP)
    assert isinstance(merged, Graph)
    (only,) = [op for op in merged.ops if isinstance(op, ops.TrinaryConv2d)]
    flat = only.weight.reshape(-1).astype(np.int64)
    shape = (1, 1, 1, 1)
    for _ in range(6):
        active = [rng.random(weight.size) < rng.random() for weight in weights]
        parts = [(weight * scale).astype(f32)[on] for weight, on in zip(weights, active, strict=True)]
        n = sum(int(weight[on].sum()) for weight, on in zip(weights, active, strict=True))
        numbers = (n, np.maximum(flat, 0).sum(), -np.minimum(flat, 0).sum(), np.count_nonzero(flat), 1)
        n_, plus, minus, terms, largest = (np.full(shape, int(number), np.int64) for number in numbers)
        source = WeightedSum(
            n_, only.scale.reshape(shape), plus, minus, terms, largest, np.zeros(shape), np.full(shape, refine)
        )
        values = {only.output: bounded_sum(source)}
        for op in merged.ops:
            if isinstance(op, ops.Constant):
                values[op.output] = constant(op)
            elif isinstance(op, ops.Binary):
                values[op.output] = step(op, [values[name] for name in op.inputs])
        results = []
        for part, bias in zip(parts, biases, strict=True):
            fused = rng.random() < 0.5
            results.append(added_up(np.append(part, bias), rng) if fused else f32(added_up(part, rng) + bias))
        assert values["y"].low.item() <= f32(results[0] + results[1]) <= values["y"].high.item()
