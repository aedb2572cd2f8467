"""The mapper's search counts and cuts in bulk: the same as one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.compiler import growth, model_of, seconds_by_pass
from bench.reference_network import LayerSpec, spiking_graph
from tests.passes.test_mapping import TINY, check_equal, conv, spikes
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph, Value
from tncc.ir.location import Location
from tncc.ir.ops import Concat, Op
from tncc.passes import filter_groups
from tncc.passes.mapping import search
from tncc.passes.mapping.intervals import Axis, partitions
from tncc.passes.mapping.model import LayerModel
from tncc.passes.mapping.packing import count_cores, pack
from tncc.passes.mapping.tilings import Tiling
from tncc.passes.mapping.wiring import resolve


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    kernel, dilation, pad = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(0, 5))
    inputs, stride = draw(st.integers(1, 24)), draw(st.integers(1, 5))
    outputs = (inputs + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
    return Axis(max(1, outputs), inputs, kernel, stride, dilation, pad)


def rows_under(axis: Axis, start: int, stop: int) -> int:
    """The input rows under an interval, listed."""
    rows = np.arange(start, stop)[:, None] * axis.stride + np.arange(axis.kernel) * axis.dilation - axis.pad
    return int(np.unique(rows[(rows >= 0) & (rows < axis.inputs)]).size)


@settings(max_examples=80, deadline=None)
@given(axes())
def test_extents_count_the_rows_under_an_interval(axis: Axis) -> None:
    for start in range(axis.outputs):
        extents = [rows_under(axis, start, stop) for stop in range(start, axis.outputs + 1)]
        assert [axis.extent(start, stop) for stop in range(start, axis.outputs + 1)] == extents
        for limit in range(extents[-1] + 2):
            fitting = [stop for stop, extent in enumerate(extents, start) if extent <= limit]
            assert axis.reach(start, limit) == fitting[-1]


@settings(max_examples=80, deadline=None)
@given(axes(), st.integers(1, 30))
def test_partitions_cover_an_axis_and_tell_their_extents(axis: Axis, longest: int) -> None:
    found = partitions(axis, longest)
    assert len(set(found.sizes)) == len(found.sizes)
    for k, sizes in enumerate(found.sizes):
        assert sum(sizes) == axis.outputs and min(sizes) > 0
        assert found.count[k] == len(sizes) and found.longest[k] == max(sizes) <= longest
        stops = np.cumsum(sizes).tolist()
        assert found.extent[k] == max(rows_under(axis, a, b) for a, b in zip([0, *stops], stops, strict=False))


def test_partitions_of_a_wide_axis_are_as_many_as_a_core_can_tell_apart() -> None:
    """The widest tile bounds the partitions, not the map."""
    few, many = (len(partitions(Axis(n, n, 5, 1, 1, 2), 64).sizes) for n in (512, 4096))
    assert few <= many <= 3 * 64 + 1


def first_fit(axons: list[int], neurons: list[int], limit: tuple[int, int]) -> int:
    """Cores by first fit of decreasing size, kind by kind, unit by unit."""
    kinds = sorted(set(zip(axons, neurons, strict=True)), key=lambda kind: size(kind, limit), reverse=True)
    left = {kind: list(zip(axons, neurons, strict=True)).count(kind) for kind in kinds}
    cores = 0
    while any(left.values()):
        free = limit
        for kind in kinds:
            while left[kind] and kind[0] <= free[0] and kind[1] <= free[1]:
                free = free[0] - kind[0], free[1] - kind[1]
                left[kind] -= 1
        cores += 1
    return cores


def size(kind: tuple[int, int], limit: tuple[int, int]) -> tuple[float, int, int]:
    parts = kind[0] / limit[0], kind[1] / limit[1]
    return max(parts) + 1e-3 * sum(parts), -kind[0], -kind[1]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_packing_is_first_fit_of_decreasing_size(data: st.DataObject) -> None:
    limit = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    units = data.draw(st.lists(st.tuples(st.integers(0, limit[0]), st.integers(1, limit[1])), max_size=60))
    axons, neurons = [a for a, _ in units], [n for _, n in units]
    arrays = np.array(axons, np.int64), np.array(neurons, np.int64)
    expected = first_fit(axons, neurons, limit)
    core, cores = pack(*arrays, *limit)
    assert cores == expected == count_cores(*arrays, *limit)
    assert (np.bincount(core, arrays[0]) <= limit[0]).all() and (np.bincount(core, arrays[1]) <= limit[1]).all()
    for most in (0, expected - 1, expected, expected + 1):
        counted = count_cores(*arrays, *limit, most)
        assert counted == expected if expected <= most else counted > most


def test_packing_refuses_a_unit_that_exceeds_the_core() -> None:
    with pytest.raises(ValueError, match="exceeds the core"):
        pack(np.array([3, 9]), np.array([1, 1]), 8, 8)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_axons_and_demand_are_those_of_every_unit_listed(data: st.DataObject) -> None:
    """Kernels of up to 81 taps, more than a machine word has bits; random tiles of any shape."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    side = data.draw(st.sampled_from([1, 2, 3, 9]))
    graph = Graph(
        "one",
        (Value("x", spikes(2, 6, 6)),),
        (conv(rng, "x", (2, 6, 6), "y", 4, (side, side), data.draw(st.integers(1, 2)), side // 2, density=0.3),),
        ("y",),
    )
    network = resolve(graph, TINY)
    (layer,) = network.layers
    model = LayerModel(layer)
    subsets = model.subsets(data.draw(st.integers(1, 4)))
    tile = np.unique(rng.integers(0, 5, layer.positions), return_inverse=True)[1].reshape(-1)
    tiling = Tiling.of("random", tile)
    axons = np.zeros((subsets.count, tiling.tiles), np.int64)
    demand = np.zeros((2, 36), np.int64)
    bits = layer.code.bits(layer.op.weight).reshape(4, 2, -1)
    for subset in range(subsets.count):
        for k in range(tiling.tiles):
            needed = set()
            for feature in np.flatnonzero(subsets.subset == subset):
                for position in np.flatnonzero(tile == k):
                    for tap, under in enumerate(layer.input_positions[position]):
                        for channel in range(2):
                            word = int(bits[feature, channel, tap]) if under >= 0 else 0
                            needed |= {(channel, under, d) for d in range(layer.code.digits) if word >> d & 1}
            axons[subset, k] = len(needed)
            for channel, under, _ in needed:
                demand[channel, under] += 1
    np.testing.assert_array_equal(model.axons(tiling, subsets), axons)
    np.testing.assert_array_equal(model.demand(tiling, subsets), demand.reshape(-1))


def test_layers_that_share_a_source_are_packed_once_for_all_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a layer's units need hangs on the copies asked of it, which are the same in all states."""
    rng = np.random.default_rng(0)
    shape = (8, 8, 8)
    stem = conv(rng, "x", shape, "stem", 8, (1, 1), max_inputs=8)
    ops = [conv(rng, "stem", shape, f"k{k}", 16, (k, k), max_inputs=8 * k * k) for k in (1, 2, 3)]
    graph = Graph("kernels", (Value("x", spikes(*shape)),), (stem, *ops), tuple(op.output for op in ops))
    counted: list[int] = []

    def counting(*arguments: Any) -> int:
        counted.append(count_cores(*arguments))
        return counted[-1]

    monkeypatch.setattr(search, "count_cores", counting)
    check_equal(graph, Chip(), frames=2)
    assert 0 < len(counted) < 3000


def test_many_sparse_filters_are_grouped_as_when_all_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window as large as the layer changes nothing; a smaller one still fills parts that fit."""
    rng = np.random.default_rng(1)
    used = rng.random((60, 40)) < 0.15
    groups = np.zeros(60, np.int64)
    whole = filter_groups.split_groups(used, groups, 16)
    monkeypatch.setattr(filter_groups, "WINDOW", 60)
    np.testing.assert_array_equal(filter_groups.split_groups(used, groups, 16), whole)
    monkeypatch.setattr(filter_groups, "WINDOW", 7)
    labels = filter_groups.split_groups(used, groups, 16)
    assert set(labels) == set(range(labels.max() + 1))
    for label in range(labels.max() + 1):
        assert used[labels == label].any(axis=0).sum() <= 16


def test_a_deep_network_asks_each_source_for_what_its_readers_need() -> None:
    """Layers that read the input, the layer before and one far back: every source in demand is priced."""
    rng = np.random.default_rng(2)
    ops: list[Op] = [conv(rng, "x", (2, 2, 2), "y0", 2)]
    for k in range(1, 12):
        far = f"y{max(0, k - 7)}"
        where = Location.of(f"Concat_{k}")
        names = ("x", f"y{k - 1}", far)
        ops.append(Concat(inputs=names, output=f"c{k}", type=spikes(6, 2, 2), location=where, axis=0))
        ops.append(conv(rng, f"c{k}", (6, 2, 2), f"y{k}", 2))
    graph = Graph("deep", (Value("x", spikes(2, 2, 2)),), tuple(ops), ("y11", "y3"))
    for options in ("", "input-fanout=splitters", "beam=1"):
        check_equal(graph, options=options)


def test_the_scaling_benchmark_times_every_pass() -> None:
    graph = spiking_graph((LayerSpec("A", 3, 1, 1, 4, 8, 1), LayerSpec("B", 1, 1, 0, 8, 8, 1)), image=4)
    cores, seconds = seconds_by_pass(model_of(graph), "splitters")
    assert cores > 2
    assert {"load", "fold-thresholds", "partition-cores", "place-cores", "route-spikes", "write"} <= seconds.keys()
    assert growth([10, 20, 40, 80], [9.0, 2.0, 8.0, 32.0]) == pytest.approx(2)
