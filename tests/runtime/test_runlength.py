"""IBM's run-length strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tncc.runtime.runlength import compress, expand


def test_examples():
    assert expand(["7x3"], 9) == [7, 7, 7]
    assert expand(["3:9"], 9) == [3, 4, 5, 6, 7, 8, 9]
    assert expand(["18:2:22"], 9) == [18, 20, 22]
    assert expand(["22:-2:18", "5", -1, "-2x2", "0x0"], 9) == [22, 20, 18, 5, -1, -2, -2]


def test_written_as_ibm_does():
    assert compress([5, 5, 5, 5, 1, 2, 1, 1, 3, 4, 5, 5, -1, 0, 1, 7]) == ["5x4", 1, 2, 1, 1, "3:5", 5, "-1:1", 7]


@given(st.lists(st.integers(-5, 5) | st.integers(-(1 << 31), 1 << 32), max_size=60))
def test_round_trip(values):
    assert expand(compress(values), len(values)) == values


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("1:3", "expected a list"),
        (None, "expected a list"),
        ([1.0], "1.0 is neither an integer nor a run"),
        ([True], "True is neither an integer nor a run"),
        ([[1]], "neither an integer nor a run"),
        (["1:0:3"], "neither an integer nor a run"),
        (["1x-1"], "neither an integer nor a run"),
        ([" 1"], "neither an integer nor a run"),
        (["1x11"], "'1x11' stands for 11 values; at most 10 fit"),
        (["0:9999999999"], "stands for 10000000000 values"),
        (["0:10", 1], "stands for 11 values"),
        (["9:3"], "'9:3' stands for nothing: steps of 1 lead from 9 away from 3"),
        (["3:-2:9"], "'3:-2:9' stands for nothing: steps of -2 lead from 3 away from 9"),
        (["0x6", "0x6"], "the list holds more than 10 values"),
    ],
)
def test_errors(items, message):
    with pytest.raises(ValueError) as caught:
        expand(items, 10)
    assert message in str(caught.value)
