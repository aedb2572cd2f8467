"""fold-thresholds: thresholds read off the model's own float32 expression; refusals with their whole message."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.nets import CHIP, at, finish, start
from tncc.errors import CompileError
from tncc.ir import ops
from tncc.ir.builder import Builder
from tncc.ir.graph import Graph
from tncc.ir.infer import infer_domains
from tncc.ir.interpreter import run
from tncc.ir.verify import verify
from tncc.passes.decisions import Decisions
from tncc.passes.fold_thresholds import FoldThresholds
from tncc.passes.manager import run_pipeline
from tncc.passes.weighted_sum import summation_extremes

Array = npt.NDArray[Any]
EXACT = FoldThresholds()
NEAREST = FoldThresholds(rounding="nearest")


def layer(build: Builder, weight: Any, scale: Any, **window: Any) -> str:
    """A TrinaryConv2d on x named sums."""
    weight = np.asarray(weight, np.int8)
    attributes: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1, **window}
    return build.add(
        ops.TrinaryConv2d,
        ("x",),
        "sums",
        at("Conv_0"),
        weight=weight,
        scale=np.broadcast_to(np.asarray(scale, np.float32), weight.shape[:1]),
        **attributes,
    )


def row(*weights: int) -> Array:
    """One filter on a vector of inputs."""
    return np.array(weights, np.int8).reshape(1, -1, 1, 1)


def binary(build: Builder, kind: str, a: str, b: Any, output: str) -> str:
    """a kind b, where b is a name or a constant."""
    b = b if isinstance(b, str) else build.constant(b, f"{output}/constant", at(output))
    return build.add(ops.Binary, (a, b), output, at(f"{kind}_{output}"), kind=kind)


def batch_norm(build: Builder, x: str, gamma: float, beta: float, mean: float, variance: float) -> str:
    values = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    arrays = {name: np.full(build.types[x].shape[0], value, np.float32) for name, value in values.items()}
    return build.add(ops.BatchNorm, (x,), "normalised", at("BatchNorm_1"), epsilon=1e-5, **arrays)


def fold(graph: Graph, options: FoldThresholds = EXACT) -> Graph:
    """The folded graph, verified and equal to the source on every input of up to 10 bits."""
    folded = options.run(graph, CHIP)
    assert isinstance(folded, Graph)
    verify(folded)
    size = graph.inputs[0].type.size
    if size <= 10:
        x = np.array(list(itertools.product((0, 1), repeat=size))).reshape(-1, *graph.inputs[0].type.shape)
        before, after = run(graph, {"x": x}), run(folded, {"x": x})
        for name in graph.outputs:
            np.testing.assert_array_equal(before[name], after[name])
    return folded


def only_layer(graph: Graph) -> ops.SpikingConv2d:
    (found,) = [op for op in graph.ops if isinstance(op, ops.SpikingConv2d)]
    return found


def test_a_tie_of_fresh_batch_norm_is_decided_as_written() -> None:
    build = start((4, 1, 1))
    normalised = batch_norm(build, layer(build, row(1, -1, 1, -1), 1.0), 1.0, 0.0, 0.0, 1.0)
    assert only_layer(fold(finish(build, binary(build, "ge", normalised, 0.0, "y")))).threshold.tolist() == [[[0]]]


def test_a_tie_of_fresh_batch_norm_is_refused_where_fusing_it_into_the_weights_rounds() -> None:
    """1 / sqrt(1 + 1e-5) needs 22 bits: four terms add up exactly in any order, forty do not."""
    build = start((40, 1, 1))
    normalised = batch_norm(build, layer(build, row(*[1, -1] * 20), 1.0), 1.0, 0.0, 0.0, 1.0)
    with pytest.raises(CompileError, match="at the integer sum 0 the model's float32 rounding decides the comparison"):
        fold(finish(build, binary(build, "ge", normalised, 0.0, "y")))


def test_batch_norm_that_fuses_exactly_may_tie() -> None:
    build = start((40, 1, 1))
    sums = layer(build, row(*[1, -1] * 20), 1.0)
    four, three = np.full(1, 4, np.float32), np.full(1, 3, np.float32)
    build.add(
        ops.BatchNorm, (sums,), "n", at("BN"), gamma=four / 4, beta=four / 16, mean=three, variance=four, epsilon=0.0
    )
    assert only_layer(fold(finish(build, binary(build, "ge", "n", 0.25, "y")))).threshold.tolist() == [[[3]]]


@pytest.mark.parametrize(
    ("kind", "level", "weights", "threshold"),
    [
        ("ge", 1.5, [1, -1, 1], 2),
        ("gt", 1.0, [1, -1, 1], 2),
        ("le", 0.0, [-1, 1, -1], 0),
        ("lt", 0.0, [-1, 1, -1], 1),
        ("ge", 3.0, [1, -1, 1], 3),  # never: the highest sum is 2
        ("ge", -1.0, [1, -1, 1], -1),  # always
        ("lt", 9.0, [1, -1, 1], -1),  # always
    ],
)
def test_direction_and_range(kind: str, level: float, weights: list[int], threshold: int) -> None:
    build = start((3, 1, 1))
    y = binary(build, kind, layer(build, row(1, -1, 1), 1.0), level, "y")
    found = only_layer(fold(finish(build, y)))
    assert found.weight.reshape(-1).tolist() == weights
    assert found.threshold.tolist() == [[[threshold]]]


def test_negative_gamma_negates_the_row_of_its_channel_only() -> None:
    build = start((2, 2, 2))
    sums = layer(build, np.ones((2, 2, 1, 1)), 1.0)
    gamma = np.array([2, -2], np.float32)
    zero, one = np.zeros(2, np.float32), np.ones(2, np.float32)
    normalised = build.add(
        ops.BatchNorm, (sums,), "n", at("BN"), gamma=gamma, beta=zero + 1, mean=one, variance=one, epsilon=0.0
    )
    found = only_layer(fold(finish(build, binary(build, "ge", normalised, 0.0, "y"))))
    assert found.weight[:, 0, 0, 0].tolist() == [1, -1]
    assert found.threshold.tolist() == [[[1]], [[-1]]]  # 2(n-1)+1 >= 0 from n = 1; -2(n-1)+1 >= 0 up to n = 1


def test_thresholds_by_position() -> None:
    build = start((1, 2, 3))
    bias = np.array([[[0.5, -0.5, 1.5], [-1.5, 0.5, 0.5]]])
    biased = binary(build, "add", layer(build, [[[[1]]], [[[-1]]]], 1.0), bias, "biased")
    found = only_layer(fold(finish(build, binary(build, "ge", biased, 0.0, "y"))))
    assert found.threshold.shape == (2, 2, 3)
    assert found.threshold[0].tolist() == [[0, 1, 0], [2, 0, 0]]


def test_heaviside_as_where_and_equal() -> None:
    build = start((3, 1, 1))
    sums = layer(build, row(1, 1, -1), 1.0)
    equal = binary(build, "eq", sums, 0.0, "equal")
    below = binary(build, "lt", build.constant(0.0, "zero", at("zero")), sums, "below")
    one = build.constant(1.0, "one", at("one"))
    y = build.add(ops.Where, (equal, one, below), "y", at("Where_3"))
    assert only_layer(fold(finish(build, y))).threshold.tolist() == [[[0]]]


def test_rounded_and_clipped_straight_through_form() -> None:
    build = start((3, 1, 1))
    sums = layer(build, row(1, 1, 1), 1.0)
    level = binary(build, "ge", sums, 2.0, "hard")
    carrier = build.add(ops.Clip, (sums,), "soft", at("Clip_1"), low=0.0, high=1.0)
    difference = binary(build, "sub", level, carrier, "difference")
    total = binary(build, "add", carrier, difference, "y")
    graph = finish(build, total)
    assert only_layer(fold(infer_domains(graph))).threshold.tolist() == [[[2]]]


def test_transposed_sums_are_wired_back() -> None:
    build = start((2, 1, 2))
    rng = np.random.default_rng(0)
    sums = layer(build, rng.integers(-1, 2, (3, 2, 1, 1)), 1.0)
    moved = build.add(ops.Transpose, (sums,), "moved", at("Transpose_1"), permutation=(1, 2, 0))
    y = binary(build, "ge", moved, np.array([0.5, -0.5, 1.5]), "y")
    folded = fold(finish(build, y))
    assert folded.types["y"].shape == (1, 2, 3)


def test_a_sum_with_two_comparisons_gets_two_layers() -> None:
    build = start((3, 1, 1))
    sums = layer(build, row(1, 1, 1), 1.0)
    low = binary(build, "ge", sums, 1.0, "low")
    high = binary(build, "ge", sums, 3.0, "high")
    folded = fold(finish(build, low, high))
    assert [op.threshold.item() for op in folded.ops if isinstance(op, ops.SpikingConv2d)] == [1, 3]


# --- rounding -----------------------------------------------------------------------------------------------------


def tie() -> Graph:
    build = start((6, 1, 1))
    return finish(build, binary(build, "ge", layer(build, row(1, 1, 1, -1, -1, -1), 0.1), 0.0, "y"))


def test_a_decision_within_rounding_error_is_refused() -> None:
    with pytest.raises(CompileError) as caught:
        fold(tie())
    assert str(caught.value) == (
        "Conv_0 + ge_y: output channel 0: at the integer sum 0 the model's float32 rounding decides the comparison, so "
        "the answer of ONNX Runtime depends on how it orders and fuses the arithmetic\n"
        "  hint: shift the threshold by half a step, or use weights of magnitude 1 or a power of two, or decide as "
        "written: --rounding nearest (fold-thresholds{rounding=nearest})"
    )


@pytest.mark.parametrize(("pairs", "channels", "times"), [(3, 1, 2), (3, 2, 2), (300, 1, 1), (300, 2, 1)])
def test_doubts_are_looked_at_again_only_where_that_may_settle_them(
    monkeypatch: pytest.MonkeyPatch, pairs: int, channels: int, times: int
) -> None:
    """Once for the cheap bounds, once for the tight ones of one channel, where sums are few enough for those."""
    decided: list[Decisions] = []
    decide = Decisions._decide
    monkeypatch.setattr(Decisions, "_decide", lambda self: decided.append(self) or decide(self))
    build = start((2 * pairs, 1, 1))
    sums = layer(build, np.repeat(row(*[1, -1] * pairs), channels, axis=0), 0.1)
    with pytest.raises(CompileError, match="at the integer sum 0 the model's float32 rounding decides"):
        fold(finish(build, binary(build, "ge", sums, 0.0, "y")))
    assert len(decided) == times


def test_nearest_decides_as_written_and_says_so() -> None:
    folded = NEAREST.run(tie(), CHIP)
    assert isinstance(folded, Graph)
    assert only_layer(folded).threshold.tolist() == [[[0]]]
    assert folded.approximations == (
        "Conv_0 + ge_y: at some sums the model's own float32 rounding decides (channel 0, sum 0)",
    )


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25])
def test_a_tie_of_exact_products_is_accepted(scale: float) -> None:
    build = start((6, 1, 1))
    y = binary(build, "ge", layer(build, row(1, 1, 1, -1, -1, -1), scale), 0.0, "y")
    assert fold(finish(build, y)).approximations == ()


def all_results(terms: list[np.float32]) -> set[np.float32]:
    """Every float32 value that adding the terms in any order and any tree can give."""
    if len(terms) == 1:
        return {terms[0]}
    found = set()
    for mask in range(1, 1 << (len(terms) - 1)):
        left = [t for i, t in enumerate(terms) if not mask >> i & 1]
        right = [t for i, t in enumerate(terms) if mask >> i & 1]
        found |= {np.float32(a + b) for a in all_results(left) for b in all_results(right)}
    return found


@pytest.mark.parametrize(
    ("scale", "biases"), [(0.1, []), (0.1, [0.0]), (0.3, [-0.7]), (0.37, [123.4]), (0.3, [5.1, -4.9])]
)
def test_summation_extremes_are_those_of_all_trees(scale: float, biases: list[float]) -> None:
    plus, minus = 3, 2 - len(biases) // 2  # the trees of more than six terms take long to list
    constants = np.array(biases, np.float32)
    bottom, top = summation_extremes(np.float32(scale), constants, plus, minus)
    for n in range(-minus, plus + 1):
        found: set[np.float32] = set()
        for a in range(plus + 1):
            b = a - n
            if 0 <= b <= minus:
                terms = [*constants, *[np.float32(scale)] * a, *[np.float32(-scale)] * b]
                found |= all_results(terms or [np.float32(0)])
        assert (min(found), max(found)) == (bottom[n + minus], top[n + minus])


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from([0.1, 0.3, 0.7, 1.1]), st.booleans())
def test_accepted_thresholds_hold_for_any_order_of_summation(seed: int, scale: float, close: bool) -> None:
    """Levels drawn close to a multiple of the scale: what is accepted must agree with every order tried."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-1, 2, int(rng.integers(2, 30)))
    build = start((weights.size, 1, 1))
    bias = np.float32(rng.standard_normal())
    near = scale * rng.integers(-3, 4) + bias
    level = np.float32(near + rng.choice([1e-6, 1e-7, -1e-6, 1e-5]) if close else rng.standard_normal())
    biased = binary(build, "add", layer(build, row(*weights), scale), bias, "biased")
    graph = finish(build, binary(build, "ge", biased, level, "y"))
    try:
        found = only_layer(fold(graph))
    except CompileError as error:
        assert close and "rounding decides" in str(error)
        return
    for _ in range(20):
        active = rng.permutation(weights[rng.random(weights.size) < 0.6])
        total = np.float32(0)
        place = rng.integers(0, active.size + 1)
        for i, weight in enumerate(active):
            total += bias if i == place else np.float32(0)
            total += np.float32(scale) * np.float32(weight)
        total += bias if place == active.size else np.float32(0)
        assert (total >= level) == (active.sum() >= found.threshold.item())


# --- refusals -----------------------------------------------------------------------------------------------------


def refused(graph: Graph) -> str:
    with pytest.raises(CompileError) as caught:
        FoldThresholds().run(graph, CHIP)
    return str(caught.value)


def test_neither_rising_nor_falling() -> None:
    build = start((5, 1, 1))
    sums = layer(build, row(1, 1, 1, -1, -1), 1.0)
    band = binary(build, "and", binary(build, "ge", sums, 0.0, "low"), binary(build, "le", sums, 1.0, "high"), "y")
    assert refused(finish(build, band)) == (
        "Conv_0 + ge_low + le_high + and_y: output channel 0 fires at the integer sums 0..1 of -2..3: neither all "
        "above nor all below one threshold\n"
        "  hint: use one comparison a neuron; two layers can combine two comparisons"
    )


def straight_through(weights: list[int], scale: float) -> Graph:
    """sums + (hard - sums) with hard = sums <= -1."""
    build = start((len(weights), 1, 1))
    sums = layer(build, row(*weights), scale)
    hard = binary(build, "le", sums, -1.0, "hard")
    total = binary(build, "add", sums, binary(build, "sub", hard, sums, "difference"), "y")
    return infer_domains(finish(build, total))


def test_a_straight_through_form_that_misses_its_spike() -> None:
    assert refused(straight_through([-1, -1], 0.7)) == (
        "Conv_0 + le_hard + sub_difference + add_y: output channel 0: the result is 1.0000001192092896 where the "
        "integer sum is -2; a spike is 0 or 1"
    )


def test_a_straight_through_form_that_some_orders_miss() -> None:
    text = refused(straight_through([-1] * 7, 0.17))
    assert "output channel 0: at the integer sum -7 the model's float32 rounding decides" in text
    assert fold(straight_through([-1] * 8, 0.11))


def test_two_sums_compared() -> None:
    build = start((3, 1, 1))
    sums = layer(build, row(1, 1, 1), 1.0)
    window: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}
    other = build.add(
        ops.TrinaryConv2d, ("x",), "b", at("Conv_1"), weight=row(1, -1, 1), scale=np.ones(1, np.float32), **window
    )
    assert refused(finish(build, binary(build, "ge", sums, other, "y"))) == (
        "ge_y: the spikes 'y' are computed from Conv_0 and Conv_1; a neuron computes them from one weighted sum\n"
        "  hint: add the sums up in one layer (concatenate the inputs and the weights), or compare each on its own"
    )


def test_an_unknown_option() -> None:
    with pytest.raises(CompileError) as caught:
        FoldThresholds(rounding="up").run(tie(), CHIP)
    assert str(caught.value) == "fold-thresholds: rounding=up is unknown; there are exact, nearest"


def test_the_netlist_says_that_it_is_not_exact() -> None:
    netlist = run_pipeline(
        tie(), CHIP, "fold-thresholds{rounding=nearest}, split-filter-groups, partition-cores"
    ).module
    assert netlist.approximations == (
        "Conv_0 + ge_y: at some sums the model's own float32 rounding decides (channel 0, sum 0)",
    )
