"""A layer on means of spikes: whatever a runtime rounds on the way, its sums lie in the composed layer's bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.nets import CHIP, at, finish, start
from tests.passes.test_rounding import added_up
from tncc.ir import ops
from tncc.ir.graph import Graph
from tncc.passes.fold_averages import FoldAverages
from tncc.passes.fold_scales import FoldScales
from tncc.passes.rounding import bounded_sum
from tncc.passes.trinarize_weights import TrinarizeWeights
from tncc.passes.weighted_sum import WeightedSum

f32 = np.float32


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(2, 9), st.booleans(), st.booleans())
def test_sums_lie_in_the_bounds(seed: int, count: int, dyadic: bool, scaled: bool) -> None:
    """One filter on the means of `count` spikes each, perhaps of {0, v}; quotients also by way of 1 / count."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1, 2, int(rng.integers(2, 12)))
    codes[0] = 1
    weight = codes.astype(f32) * f32(2.0 ** -rng.integers(0, 4) if dyadic else rng.uniform(0.05, 2))
    level = f32(rng.uniform(0.1, 2)) if scaled else f32(1)
    build = start((codes.size, count, 1))
    x = "x"
    if scaled:
        x = build.add(ops.Binary, ("x", build.constant(level, "v", at("v"))), "scaled", at("Mul"), kind="mul")
    pool = {"kernel": (count, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "count_include_pad": False}
    means = build.add(ops.AveragePool2d, (x,), "means", at("AveragePool"), **pool)
    window: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}
    sums = build.add(ops.Conv2d, (means,), "sums", at("Conv"), weight=weight.reshape(1, -1, 1, 1), **window)
    half = build.constant(0.5, "half", at("half"))
    module: Any = finish(build, build.add(ops.Binary, (sums, half), "y", at("Greater"), kind="gt"))
    for each in (FoldScales(), FoldAverages(), TrinarizeWeights()):
        module = each.run(module, CHIP)
    assert isinstance(module, Graph)
    (layer,) = [op for op in module.ops if isinstance(op, ops.TrinaryConv2d)]
    assert layer.inputs == ("x",)
    flat, shape = layer.weight.astype(np.int64).reshape(codes.size, count), (1, 1, 1, 1)
    if dyadic and not scaled and count in (2, 4, 8):
        assert layer.tolerance == 0
    for _ in range(6):
        spikes = rng.random((codes.size, count)) < rng.random()
        numbers = (
            (flat * spikes).sum(),
            np.maximum(flat, 0).sum(),
            -np.minimum(flat, 0).sum(),
            np.count_nonzero(flat),
            np.abs(flat).max(),
        )
        n, plus, minus, terms, largest = (np.full(shape, int(number), np.int64) for number in numbers)
        source = WeightedSum(
            n,
            layer.scale.reshape(shape),
            plus,
            minus,
            terms,
            largest,
            np.full(shape, layer.tolerance),
            np.full(shape, rng.random() < 0.5),
        )
        bounds = bounded_sum(source)
        added = np.array([added_up(np.full(int(row.sum()), level), rng) for row in spikes], f32)
        mean = added / f32(count) if rng.random() < 0.5 else added * (f32(1) / f32(count))
        if rng.random() < 0.5:
            total = added_up((mean * weight).astype(f32), rng)
        else:  # fused multiply-adds
            total = f32(0)
            for a, b in zip(mean, weight, strict=True):
                total = f32(float(total) + float(a) * float(b))
        assert bounds.low.item() <= total <= bounds.high.item()
