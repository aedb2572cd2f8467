"""split-partial-sums: filters that no core holds, in stages, decide as before."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.passes.test_mapping import conv, spikes
from tncc.errors import FilterTooLarge
from tncc.ir.chip import Chip
from tncc.ir.core_interpreter import run_frames
from tncc.ir.graph import Graph, Value
from tncc.ir.interpreter import run
from tncc.ir.invariants import filter_axons
from tncc.ir.netlist import Netlist
from tncc.ir.ops import SpikingConv2d
from tncc.ir.verify import verify
from tncc.passes.manager import run_pipeline
from tncc.passes.partial_sums.costs import plan_of
from tncc.passes.partial_sums.plan import Plan
from tncc.passes.split_partial_sums import SplitPartialSums

Array = npt.NDArray[Any]
PIPELINE = (
    "split-partial-sums{allow-partial-sums=true}, split-filter-groups, partition-cores{input-fanout=%s}, "
    "place-cores{effort=low}, route-spikes"
)


def chip(axons: int, neurons: int = 16, **sizes: int) -> Chip:
    return Chip(mesh_x=60, mesh_y=60, axons=axons, neurons=neurons, **sizes)


def random_layer(rng: np.random.Generator) -> tuple[SpikingConv2d, tuple[int, int, int]]:
    """A layer of any window, groups and density, its thresholds anywhere, also differing by position, out of reach."""
    groups = int(rng.choice([1, 1, 2, 3]))
    shape = (groups * int(rng.integers(1, 8)), int(rng.integers(3, 6)), int(rng.integers(3, 6)))
    kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    layer = conv(
        rng,
        "x",
        shape,
        "y",
        groups * int(rng.integers(1, 5)),
        kernel=kernel,
        stride=int(rng.integers(1, 3)),
        pad=int(rng.integers(0, min(kernel))),
        groups=groups,
        density=float(rng.random()),
        max_inputs=10_000,
    )
    count = np.abs(layer.weight).sum(axis=(1, 2, 3)).reshape(-1, 1, 1)
    threshold = rng.integers(-count - 1, count + 2) if rng.random() < 0.5 else rng.integers(-2, 4, count.shape)
    if rng.random() < 0.3:
        threshold = threshold + rng.integers(-2, 3, layer.type.shape)
        threshold[rng.random(threshold.shape) < 0.2] = rng.choice([np.iinfo(np.int32).min, np.iinfo(np.int32).max])
    return replace(layer, threshold=threshold.astype(np.int32)), shape


def frames(rng: np.random.Generator, shape: tuple[int, ...], count: int = 48) -> Array:
    """Random frames of all densities, so that sums come near thresholds of all sizes."""
    density = np.linspace(0, 1, count).reshape(-1, *(1,) * len(shape))
    return (rng.random((count, *shape)) < density).astype(np.uint8)


def linear(weight: Array, threshold: Any, name: str = "y") -> Graph:
    """A graph of one fully connected layer."""
    weight = np.asarray(weight, np.int8)
    out, inputs = weight.shape
    layer = replace(
        conv(np.random.default_rng(0), "x", (inputs, 1, 1), name, out),
        weight=weight.reshape(out, inputs, 1, 1),
        threshold=np.broadcast_to(np.asarray(threshold, np.int32), (out,)).reshape(out, 1, 1),
    )
    return Graph("linear", (Value("x", spikes(inputs, 1, 1)),), (layer,), (name,))


def plan(graph: Graph, target: Chip) -> Plan:
    found = plan_of(graph.ops[0], graph.inputs[0].type.shape, target)
    assert isinstance(found, Plan)
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_digits_decide_like_the_sum(seed: int) -> None:
    """For all combinations of what the parts can add up to."""
    rng = np.random.default_rng(seed)
    weight = rng.choice([-1, 0, 1], (1, int(rng.integers(9, 22))), p=[0.4, 0.1, 0.5])
    weight[0, 0] = 1
    positive, negative = int((weight > 0).sum()), int((weight < 0).sum())
    threshold = int(rng.integers(-negative, positive + 1))
    found = plan_of(
        (graph := linear(weight, threshold)).ops[0],
        graph.inputs[0].type.shape,
        replace(chip(int(rng.integers(8, 16))), max_weight=int(rng.choice([9, 15, 255]))),
    )
    assume(isinstance(found, Plan))
    assert isinstance(found, Plan)
    part = found.part[0]
    ranges = []
    for i in range(found.parts):
        own = weight[0, part == i]
        ranges.append(range(int(own[own < 0].sum()), int(own[own > 0].sum()) + 1))
    for sums in product(*ranges):
        told = 0
        for i, p in enumerate(sums):
            sign, low = int(found.sign[0, i]), int(found.low[0, i])
            coarse = sum(sign * p >= low + found.step * k for k in range(1, int(found.coarse[0, i]) + 1))
            left = sign * p - found.step * coarse
            fine = sum(left >= low + j for j in range(1, int(found.fine[0, i]) + 1))
            told += sign * (low + found.step * coarse + fine)
        assert (told >= threshold) == (sum(sums) >= threshold), sums


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_stages_compute_the_layer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer, shape = random_layer(rng)
    graph = Graph("net", (Value("x", spikes(*shape)),), (layer,), ("y",))
    found = SplitPartialSums(allow_partial_sums=True).run(graph, chip(int(rng.integers(6, 20))))
    assume(found.ops != graph.ops)
    verify(found)
    x = {"x": frames(rng, shape)}
    np.testing.assert_array_equal(run(found, x)["y"], run(graph, x)["y"])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from(["host", "splitters"]))
def test_cores_compute_the_layer(seed: int, fanout: str) -> None:
    rng = np.random.default_rng(seed)
    layer, shape = random_layer(rng)
    second = conv(rng, "y", layer.type.shape, "z", 3, density=0.8, max_inputs=6)
    graph = Graph("net", (Value("x", spikes(*shape)),), (layer, second), ("z", "y"))
    try:
        netlist = run_pipeline(graph, chip(int(rng.integers(8, 20))), PIPELINE % fanout, check_semantics=True).module
    except FilterTooLarge as error:
        assume("does not reach that far" not in error.hint)
        raise
    assert isinstance(netlist, Netlist)
    x = {"x": frames(rng, shape, 12)}
    expected, got = run(graph, x), run_frames(netlist, x)
    for name in graph.outputs:
        np.testing.assert_array_equal(got[name], expected[name])


def test_a_wide_or_takes_one_digit_a_part() -> None:
    """Of a threshold of 1 on weights of 1, a part only says whether any of its inputs spikes."""
    found = plan(linear(np.ones((1, 1000)), 1), Chip())
    assert found.coarse.tolist() == [[1] * 4] and not found.fine.any() and found.stages == 2


def test_digits_reach_beyond_one_thermometer() -> None:
    """A neuron for each step of the sum would take 1,200 axons."""
    rng = np.random.default_rng(0)
    found = plan(linear(rng.choice([-1, 1], (4, 1200)), 0), Chip())
    assert found.stages == 3 and found.axons <= 256 and found.step > 4


def test_parts_are_turned_over_where_leaks_would_be_out_of_range() -> None:
    """All weights are 1 and the threshold is 700: its digits add up to 700, which no leak holds."""
    graph = linear(np.ones((1, 1200)), 700)
    found = plan(graph, Chip())
    assert (found.sign < 0).any() and (found.sign > 0).any()
    split = SplitPartialSums(allow_partial_sums=True).run(graph, Chip())
    limits = [op.threshold for op in split.ops if isinstance(op, SpikingConv2d)]
    assert all(np.abs(1 - limit).max() <= 255 for limit in limits)


@pytest.mark.parametrize("threshold", [-255, -254, 256])
def test_a_core_of_one_sign_fits_or_is_split(threshold: int) -> None:
    """256 weights of one sign: a leak holds all thresholds but the lowest, which needs 256."""
    graph = linear(np.full((1, 256), np.sign(threshold)), threshold)
    found = plan_of(graph.ops[0], (256, 1, 1), Chip())
    assert (found is None) == (threshold != -255)
    split = SplitPartialSums(allow_partial_sums=True).run(graph, Chip())
    x = {"x": np.stack([np.r_[np.ones(n), np.zeros(256 - n)] for n in (0, 254, 255, 256)]).reshape(-1, 256, 1, 1)}
    np.testing.assert_array_equal(run(split, x)["y"], run(graph, x)["y"])


def test_filters_that_fit_stay_in_one_stage() -> None:
    rng = np.random.default_rng(1)
    weight = rng.choice([-1, 1], (6, 300))
    weight[::2, 100:] = 0
    graph = linear(weight, 0)
    split = SplitPartialSums(allow_partial_sums=True).run(graph, Chip())
    (small,) = [op for op in split.ops if op.output == "y/small"]
    assert isinstance(small, SpikingConv2d)
    np.testing.assert_array_equal(small.weight[::2], graph.ops[0].weight[::2])
    assert not small.weight[1::2].any()
    x = {"x": frames(rng, (300, 1, 1))}
    np.testing.assert_array_equal(run(split, x)["y"], run(graph, x)["y"])


def test_without_the_option_the_cost_is_foretold() -> None:
    graph = linear(np.random.default_rng(2).choice([-1, 1], (10, 288)), 0)
    with pytest.raises(FilterTooLarge) as error:
        run_pipeline(graph, Chip(), "split-partial-sums, split-filter-groups")
    assert error.value.message == "filter support 1x1x288 = 288 inputs exceeds the 256 axons of a core"
    assert error.value.hint == (
        "groups >= 2 would fit (2 divides the 288 input and 10 output channels), or at most 256 nonzero weights a "
        "filter; --allow-partial-sums computes it exactly in stages: 3 ticks in place of 1, about 8 cores"
    )


def test_filters_out_of_reach_are_refused_with_the_numbers() -> None:
    graph = linear(np.random.default_rng(3).choice([-1, 1], (2, 4000)), 0)
    with pytest.raises(FilterTooLarge) as error:
        run_pipeline(graph, Chip(), "split-partial-sums{allow-partial-sums=true}, split-filter-groups")
    assert error.value.hint.endswith(
        "--allow-partial-sums does not reach that far: the best cut, 16 parts in steps of 14, needs 480 axons of one "
        "core, which has 256"
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from(["host", "splitters"]))
def test_weights_of_several_bits(seed: int, fanout: str) -> None:
    """Up to 4 bits; cores of 60 to 100 % of the axons that the largest filter needs."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(4, 9)), 4, 4)
    window: dict[str, Any] = {"kernel": (3, 3), "pad": int(rng.integers(0, 2)), "stride": int(rng.integers(1, 3))}
    layer = conv(rng, "x", shape, "y", int(rng.integers(1, 5)), density=0.9, max_inputs=10_000, **window)
    below = int(rng.integers(1, 8))
    weight = rng.integers(-below, int(rng.integers(1, 8)) + 1, layer.weight.shape)
    weight[:, 0, 0, 0] = -below
    reach = np.abs(weight).sum(axis=(1, 2, 3)).reshape(-1, 1, 1)
    spread = reach if rng.random() < 0.5 else np.minimum(reach, 20)
    threshold = np.broadcast_to(rng.integers(-spread, spread + 2), layer.threshold.shape).astype(np.int32)
    layer = replace(layer, weight=weight.astype(np.int8), threshold=threshold)
    graph = Graph("several", (Value("x", spikes(*shape)),), (layer,), ("y",))
    axons = int(filter_axons(layer, chip(256)).sum(axis=1).max() * rng.uniform(0.6, 1)) - 1
    target = chip(axons, 64)
    assume(isinstance(plan_of(layer, shape, target), Plan))
    pipeline = (PIPELINE % fanout).replace("split-filter", "bias-inputs, split-filter")
    netlist = run_pipeline(graph, target, pipeline, check_semantics=True).module
    assert isinstance(netlist, Netlist)
    x = {"x": frames(rng, shape)}
    np.testing.assert_array_equal(run_frames(netlist, x)["y"], run(graph, x)["y"])


def test_filters_that_fill_cores_are_cut_where_that_saves_cores() -> None:
    """48 filters of 200 nonzero weights: no two share a core."""
    rng = np.random.default_rng(3)
    graph = linear(rng.choice([-1, 1], (48, 200)), rng.integers(-4, 5, 48))
    target = chip(256, 256)
    assert plan(graph, target).features.size == 48
    few = linear(rng.choice([-1, 1], (3, 200)), 0)
    assert plan_of(few.ops[0], (200, 1, 1), target) is None
    cut, whole = (
        run_pipeline(graph, target, text % "host").module
        for text in (PIPELINE, PIPELINE.replace("allow-partial-sums=true", "allow-partial-sums=false"))
    )
    assert isinstance(cut, Netlist)
    assert isinstance(whole, Netlist)
    assert cut.n_cores < 0.75 * whole.n_cores
    x = {"x": frames(rng, (200, 1, 1))}
    np.testing.assert_array_equal(run_frames(cut, x)["y"], run(graph, x)["y"])
