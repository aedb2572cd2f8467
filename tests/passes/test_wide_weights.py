"""Weights of several bits: codes make up every weight, and networks with them keep their meaning on the chip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.passes.test_mapping import PIPELINE, check_equal, conv, spikes
from tncc.errors import ChipLimit, CompileError
from tncc.ir.axon_code import MAX_DIGITS, axon_code
from tncc.ir.chip import Chip
from tncc.ir.core_interpreter import run_frames
from tncc.ir.graph import Graph, Value
from tncc.ir.interpreter import run
from tncc.ir.location import Location
from tncc.ir.netlist import Netlist
from tncc.ir.ops import Gather, Op, SpikingConv2d
from tncc.passes.manager import run_pipeline

SMALL = Chip(mesh_x=40, mesh_y=40, axons=32, neurons=16)


def filters(*rows: list[int]) -> SpikingConv2d:
    """A linear layer with these filters."""
    weight = np.array(rows, np.int16)[:, :, None, None]
    out, inputs = weight.shape[:2]
    op = conv(np.random.default_rng(0), "x", (inputs, 1, 1), "y", out)
    return replace(op, weight=weight, threshold=np.full((out, 1, 1), 2, np.int32))


def made_up(op: SpikingConv2d, chip: Chip) -> np.ndarray:
    """The weights that the layer's code stands for."""
    code = axon_code(op, chip)
    strength = code.strengths[code.kind][:, list(code.types)]
    bits = code.bits(op.weight)[..., None] >> np.arange(code.digits) & 1
    return (bits * strength[:, None, None, None, :]).sum(axis=-1)


@pytest.mark.parametrize(
    ("rows", "strengths"),
    [
        ([[0, 1, 1]], [(1,)]),
        ([[0, -1, -3]], [(-3, -1)]),
        ([[0, -7, 0]], [(-7,)]),
        ([[1, 0, 0], [0, -1, 0]], [(-1,), (1,)]),
        ([[1, -1, 0]], [(-1, 1)]),
        ([[3, -3, 0], [1, 0, -1]], [(-3, 3), (-1, 1)]),
        ([[1, -2, 0]], [(1, -2)]),
        ([[2, -1, 0]], [(-1, 2)]),
        ([[2, -2, 1]], [(-2, 1, 2)]),
        ([[3, -4, 1, 2, -1]], [(1, 2, -4)]),
        ([[4, -3, 1, 2, -1]], [(-1, -2, 4)]),
        ([[-4, 3, 1], [-3, 4, 1]], [(-1, -2, 4), (1, 2, -4)]),
        ([[7, -8, 1, 2, 3]], [(1, 2, 4, -8)]),
        ([[8, -7, 1, 2, 3]], [(-1, -2, -4, 8)]),
        ([[15, 0, 1]], [(1, 15)]),
        ([[15, 1, 2, 3, 4]], [(1, 2, 4, 8)]),
        ([[16, -14, 2], [1, 1, -1]], [(-2, -4, -8, 16), (-1, 1)]),
    ],
)
def test_fewest_axons(rows: list[list[int]], strengths: list[tuple[int, ...]]) -> None:
    op = filters(*rows)
    code = axon_code(op, Chip())
    assert code.types == tuple(range(max(map(len, strengths))))
    found = sorted(tuple(int(s) for s in row if s) for row in code.strengths)
    assert found == sorted(strengths)
    np.testing.assert_array_equal(made_up(op, Chip()), op.weight)


@pytest.mark.parametrize(
    ("low", "high", "digits"), [(-16, 15, 6), (-18, 17, 6), (-32, 31, 8), (-125, 124, 13), (-128, 127, 14)]
)
def test_more_digits_than_types(low: int, high: int, digits: int) -> None:
    op = filters(list(range(low, high + 1)), [1, -1] + [0] * (high - low - 1))
    code = axon_code(op, Chip())
    assert code.digits == digits <= MAX_DIGITS
    np.testing.assert_array_equal(made_up(op, Chip()), op.weight)
    np.testing.assert_array_equal(code.axons_per_input(), [digits, 2])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.integers(-255, 255), min_size=4, max_size=4), min_size=1, max_size=5),
    st.integers(0, 8),
    st.integers(1, 4),
)
def test_every_weight_is_made_up(rows: list[list[int]], bits: int, types: int) -> None:
    op = filters(*[[w % (1 << bits) * (1 if w > 0 else -1) for w in row] for row in rows])
    chip = Chip(axon_types=types)
    try:
        found = made_up(op, chip)
    except CompileError as error:
        assert "make up all of them" in str(error) and (types < 4 or bits == 8)
        return
    np.testing.assert_array_equal(found, op.weight)


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Two or three layers with weights of one to six bits, some of them shared by several layers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    ops: list[Op] = []
    name = "x"
    names = ["x"]
    for index in range(draw(st.integers(2, 3))):
        if draw(st.booleans()):
            where, shuffled = Location.of(f"Gather_{index}"), f"g{index}"
            order = rng.permutation(shape[0])
            type = spikes(*shape)
            ops.append(Gather(inputs=(name,), output=shuffled, type=type, location=where, indices=order, axis=0))
            name = shuffled
        groups = draw(st.sampled_from([g for g in (1, 2) if shape[0] % g == 0]))
        kernel = (draw(st.integers(1, min(2, shape[1]))), draw(st.integers(1, min(2, shape[2]))))
        op = conv(rng, name, shape, f"y{index}", groups * draw(st.integers(1, 4)), kernel, groups=groups, density=1.0)
        low, high = draw(st.sampled_from([(0, 1), (-1, 1), (-1, 2), (0, 3), (-4, 3), (-3, 4), (-8, 7), (-20, 10)]))
        weight = rng.integers(low, high + 1, op.weight.shape) * np.abs(op.weight)
        flipped = rng.choice([1, -1], (op.weight.shape[0], 1, 1, 1)) if draw(st.booleans()) else 1
        threshold = rng.integers(low, high + 1, op.threshold.shape).astype(np.int32)
        ops.append(replace(op, weight=(weight * flipped).astype(np.int16), threshold=threshold))
        name, shape = op.output, (op.type.shape[0], op.type.shape[1], op.type.shape[2])
        names.append(name)
    outputs = {name} | {draw(st.sampled_from(names[1:]))}
    return Graph("wide", (Value("x", spikes(*_first(ops))),), tuple(ops), tuple(sorted(outputs)))


def _first(ops: list[Op]) -> tuple[int, ...]:
    op = next(op for op in ops if isinstance(op, SpikingConv2d))
    height, width = (n + k - 1 for n, k in zip(op.type.shape[1:], op.weight.shape[2:], strict=True))
    return op.weight.shape[1] * op.groups, height, width


@settings(max_examples=60, deadline=None)
@given(networks(), st.sampled_from(["", "input-fanout=splitters"]))
def test_networks_keep_their_meaning(graph: Graph, options: str) -> None:
    try:
        check_equal(graph, SMALL, options, frames=16)
    except CompileError as error:
        assume("axons of a core" not in str(error))
        raise


@pytest.mark.parametrize(("bits", "inputs"), [(1, 256), (2, 128), (3, 85), (4, 64), (6, 32), (8, 18)])
def test_inputs_a_core(bits: int, inputs: int) -> None:
    """As many inputs as fit with all their axons make one core; with one more, features part."""
    rng = np.random.default_rng(bits)
    low, high = (0, 1) if bits == 1 else (-(1 << bits - 1), (1 << bits - 1) - 1)

    def layer(count: int) -> Graph:
        op = filters(*rng.integers(low, high + 1, (64, count)).tolist())
        weight = op.weight.copy()
        weight[:, 0], weight[0], weight[0, -1], weight[1] = low, high, low, high
        op = replace(op, weight=weight, threshold=rng.integers(-9, 9, (64, 1, 1)).astype(np.int32))
        return Graph("layer", (Value("x", spikes(count, 1, 1)),), (op,), ("y",))

    assert check_equal(layer(inputs), Chip(), frames=32).n_cores == 1
    if bits > 1:
        assert check_equal(layer(inputs + 1), Chip(), frames=32).n_cores > 1


def test_a_filter_too_large_for_a_single_weight() -> None:
    """One weight takes more axons than may be used: no number of inputs fits."""
    graph = Graph("layer", (Value("x", spikes(30, 1, 1)),), (filters(list(range(1, 31))),), ("y",))
    with pytest.raises(CompileError) as error:
        run_pipeline(graph, Chip(), "split-filter-groups{max-axons=1}")
    assert error.value.message.endswith("of 3.17 axons each on average exceeds the 1 axons of a core")
    assert error.value.hint == "quantise the weights to fewer bits"


def test_a_filter_too_large_says_how_many_axons_its_weights_take() -> None:
    op = filters([-1] * 70 + [7, -8, 1, 2])
    graph = Graph("layer", (Value("x", spikes(74, 1, 1)),), (op,), ("y",))
    with pytest.raises(CompileError, match=r"with weights -8..7 of 3.86 axons each on average exceeds the 256 axons"):
        run_pipeline(graph, Chip(), PIPELINE % "")


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1 << 32),
    st.sampled_from([(0, 7), (-7, 0), (-8, 7), (-1, 1), (3, 7), (0, 1), (-1, 0)]),
    st.booleans(),
)
def test_thresholds_beyond_a_leak(seed: int, weights: tuple[int, int], by_position: bool) -> None:
    """On a chip with leaks -15..15 only: what is left over comes from inputs that always spike."""
    rng = np.random.default_rng(seed)
    chip = replace(Chip(), axons=128, neurons=64, max_weight=15)
    op = conv(rng, "x", (4, 5, 4), "y", 4, (3, 3), 1, 1, groups=int(rng.choice([1, 2])), density=1.0, max_inputs=99)
    weight = rng.integers(weights[0], weights[1] + 1, op.weight.shape).astype(np.int8)
    reach = np.abs(weight.astype(int)).sum(axis=(1, 2, 3)).reshape(-1, 1, 1)
    middle = (rng.uniform(-0.6, 0.6, (4, 1, 1)) * reach).astype(np.int32)
    threshold = middle + rng.integers(-9, 10, op.type.shape if by_position else (4, 1, 1)).astype(np.int32)
    graph = Graph("far", (Value("x", spikes(4, 5, 4)),), (replace(op, weight=weight, threshold=threshold),), ("y",))
    netlist = run_pipeline(graph, chip, "bias-inputs, " + PIPELINE % "").module
    assert isinstance(netlist, Netlist)
    x = {"x": (rng.random((40, 4, 5, 4)) < rng.random((40, 1, 1, 1))).astype(np.uint8)}
    np.testing.assert_array_equal(run_frames(netlist, x)["y"], run(graph, x)["y"].astype(np.uint8))


def test_a_threshold_beyond_a_leak_is_named_where_padding_is_everywhere() -> None:
    """No tap of the kernel lies within the map at all positions, so that no input always spikes."""
    op = conv(np.random.default_rng(0), "x", (1, 1, 1), "y", 1, (3, 3), 1, 2, density=1.0, max_inputs=9)
    op = replace(op, weight=np.full((1, 1, 3, 3), 9, np.int8), threshold=np.full((1, 1, 1), 70, np.int32))
    graph = Graph("far", (Value("x", spikes(1, 1, 1)),), (op,), ("y",))
    with pytest.raises(ChipLimit, match=r"output feature 0 needs a leak of -69; the chip holds -15..15"):
        run_pipeline(graph, replace(Chip(), max_weight=15), "bias-inputs, " + PIPELINE % "")
