"""Whatever order a runtime adds the weights of a filter in, and fused or not, its results lie in the bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph, Value
from tncc.ir.location import Location
from tncc.ir.ops import BatchNorm, Binary, Conv2d
from tncc.ir.types import Domain, TensorType
from tncc.passes.fold_scales import FoldScales
from tncc.passes.rounding import Interval, bounded_sum, step
from tncc.passes.trinarize_weights import IntegerForm, integer_form
from tncc.passes.weighted_sum import WeightedSum

f32 = np.float32


def added_up(terms: np.ndarray, rng: np.random.Generator) -> np.float32:
    """The float32 sum over a random tree: balanced, sequential, or pairs drawn at random."""
    left = list(terms[rng.permutation(terms.size)])
    kind = rng.integers(3)
    while len(left) > 1:
        if kind == 0:
            left = [f32(sum(left[i : i + 2], f32(0))) for i in range(0, len(left), 2)]
            continue
        i = 0 if kind == 1 else int(rng.integers(len(left)))
        one = left.pop(i)
        j = 0 if kind == 1 else int(rng.integers(len(left)))
        left[j] = f32(one + left[j])
        if kind == 1:
            left.insert(0, left.pop(j))
    return left[0] if left else f32(0)


def bounds(form: IntegerForm, norm: BatchNorm, n: int) -> tuple[Interval, Interval]:
    """Of the weighted sum n of the one filter, and of its batch normalisation."""
    weight = form.weight.astype(np.int64).reshape(-1)
    shape = (1, 1, 1, 1)
    counts = (n, np.maximum(weight, 0).sum(), -np.minimum(weight, 0).sum(), np.count_nonzero(weight), abs(weight).max())
    n_, plus, minus, terms, largest = (np.full(shape, int(count), np.int64) for count in counts)
    scale = form.scale.reshape(shape)
    source = WeightedSum(n_, scale, plus, minus, terms, largest, np.full(shape, form.tolerance), np.full(shape, True))
    total = bounded_sum(source)
    return total, step(norm, [total])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 8), st.booleans(), st.booleans())
def test_results_lie_in_the_bounds(seed: int, bits: int, rounded: bool, twice: bool) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(-(1 << bits - 1), 1 << bits - 1, int(rng.integers(2, 40)))
    codes[0] = 1
    weight = codes.astype(f32) * f32(rng.uniform(0.01, 1) if rounded else 2.0 ** -rng.integers(0, 8))
    if twice:  # a batch normalisation that an exporter has folded in
        weight = weight * f32(rng.uniform(0.1, 3))
    form = integer_form(weight.reshape(1, -1, 1, 1), 255)
    assert isinstance(form, IntegerForm)
    np.testing.assert_allclose(form.weight.reshape(-1) * form.scale[0].astype(np.float64), weight, rtol=form.tolerance)
    if not np.any(codes < -1) and not np.any(codes > 1):
        assert form.tolerance == 0
    gamma, beta, mean, variance = (rng.uniform(*span, 1).astype(f32) for span in ((-2, 2), (-2, 2), (-2, 2), (0.2, 2)))
    norm = BatchNorm(
        inputs=("x",),
        output="y",
        type=TensorType(Domain.REAL, (1, 1, 1)),
        location=Location.of("norm"),
        gamma=gamma,
        beta=beta,
        mean=mean,
        variance=variance,
        epsilon=1e-5,
    )
    factor = gamma * (f32(1) / np.sqrt(variance + f32(1e-5)))
    offset = beta - mean * factor
    for _ in range(8):
        active = rng.random(codes.size) < rng.random()
        plain, normed = bounds(form, norm, int(form.weight.reshape(-1)[active].sum()))
        total = added_up(weight[active], rng)
        assert plain.low.item() <= total <= plain.high.item()
        assert normed.low.item() <= (f32(total * factor[0]) + offset[0]) <= normed.high.item()
        fused = added_up(np.append(f32(weight * factor)[active], offset), rng)
        assert normed.low.item() <= fused <= normed.high.item()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 4))
def test_scaled_spikes_multiplied_and_added_in_one(seed: int, bits: int) -> None:
    """Operands {0, v}: products v * w rounded, or added unrounded as fused multiply-adds do."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(-(1 << bits - 1), (1 << bits - 1) + 1, (1, 30, 1, 1))
    build = Builder(Graph("scaled", (Value("b", TensorType(Domain.SPIKES, (30, 1, 1))),), (), ()))
    level = build.constant(rng.uniform(0.1, 2), "v", Location.of("v"))
    scaled = build.add(Binary, ("b", level), "x", Location.of("Mul"), kind="mul")
    window = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}
    weight = codes.astype(f32) * f32(rng.uniform(0.1, 2))
    sums = build.add(Conv2d, (scaled,), "sums", Location.of("Conv"), weight=weight, **window)
    half = build.constant(0.5, "half", Location.of("half"))
    build.add(Binary, (sums, half), "y", Location.of("Greater"), kind="gt")
    graph = Graph("scaled", build.graph.inputs, tuple(build.ops), ("y",))
    (layer,) = [op for op in FoldScales().run(graph, Chip()).ops if isinstance(op, Conv2d)]  # type: ignore[union-attr]
    assert layer.inputs == ("b",)
    form = integer_form(layer.weight, 255)
    assert isinstance(form, IntegerForm)
    form = replace(form, tolerance=form.tolerance + layer.tolerance)
    v = build.ops[0].value.item()  # type: ignore[attr-defined]
    norm = BatchNorm(
        inputs=("x",),
        output="y",
        type=TensorType(Domain.REAL, (1, 1, 1)),
        location=Location.of("norm"),
        **dict.fromkeys(("gamma", "variance"), np.ones(1, f32)),
        **dict.fromkeys(("beta", "mean"), np.zeros(1, f32)),
        epsilon=0.0,
    )
    for _ in range(8):
        active = rng.random(30) < rng.random()
        total, _normed = bounds(form, norm, int(form.weight.reshape(-1)[active].sum()))
        at_once = f32(0)
        for w in weight.reshape(-1)[active][rng.permutation(int(active.sum()))].tolist():
            at_once = f32(float(at_once) + v * w)
        assert total.low.item() <= at_once <= total.high.item()
        rounded = added_up((f32(v) * weight.reshape(-1)[active]).astype(f32), rng)
        assert total.low.item() <= rounded <= total.high.item()


def test_weights_near_no_multiple_have_no_form() -> None:
    weight = np.array([[1.0, 1.3711, -2.1179]], f32)
    assert integer_form(weight, 255) == 0
    assert integer_form(np.array([[1.0, np.inf]], f32), 255) == 0
    assert integer_form(np.array([[1.0, 300.0]], f32), 255) == 0
    assert integer_form(np.array([[1.0, -1.0], [1.0, 256.0]], f32), 255) == 1
