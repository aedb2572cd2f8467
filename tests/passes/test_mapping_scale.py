"""The mapper's search counts and cuts in bulk: the same as one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tncc.passes.mapping.intervals import Axis, partitions
from tncc.passes.mapping.packing import count_cores, pack


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
