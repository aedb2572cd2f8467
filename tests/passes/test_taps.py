"""Windows brought onto one operand, or composed, read what they read before."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tncc.passes.taps import Taps, Window, common_window, composed

Array = npt.NDArray[Any]


@st.composite
def taps(draw: st.DrawFn, outputs: int, size: int | None = None) -> Taps:
    """A window with any padding; all of its outputs begin before the operand's end."""
    kernel, dilation, stride, pad = (draw(st.integers(low, 3)) for low in (1, 1, 1, 0))
    offsets = np.arange(kernel) * dilation - pad
    least = max(1, (outputs - 1) * stride + 1 - pad)
    return Taps(offsets, stride, draw(st.integers(least, least + 6)) if size is None else size, outputs)


def read(part: Taps, x: Array) -> Array:
    """[outputs, taps]: what a window reads of x [size]."""
    at = np.arange(part.outputs)[:, None] * part.stride + part.offsets
    return np.where((at >= 0) & (at < x.size), x[np.clip(at, 0, x.size - 1)], 0)


def as_taps(window: Window, i: int, size: int, outputs: int) -> Taps:
    return Taps(window.places[i] * window.dilation - window.before, window.stride, size, outputs)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_common_window(data: st.DataObject) -> None:
    outputs = data.draw(st.integers(1, 5))
    parts = [data.draw(taps(outputs)) for _ in range(data.draw(st.integers(1, 3)))]
    window = common_window(parts)
    if window is None:
        parts = [part.with_zeros()[0] for part in parts]
        window = common_window(parts)
    assert window is not None
    sizes = set()
    for i, part in enumerate(parts):
        x = np.arange(1, part.size + 1)
        indices = window.indices[i]
        moved = x if indices is None else x[indices]
        sizes.add(moved.size)
        np.testing.assert_array_equal(read(as_taps(window, i, moved.size, outputs), moved), read(part, x))
        assert np.all(window.places[i] < window.kernel)
    (size,) = sizes
    reach = window.dilation * (window.kernel - 1) + 1
    assert (size + window.before + window.after - reach) // window.stride + 1 == outputs


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_composed(data: st.DataObject) -> None:
    inner = data.draw(taps(data.draw(st.integers(1, 7))))
    outer = data.draw(taps(data.draw(st.integers(1, 4)), inner.outputs))
    found = composed(outer, inner)
    x = np.arange(1, inner.size + 1)
    both = read(outer, np.arange(inner.outputs) + 1)[:, :, None]
    expected = np.where(both > 0, read(inner, x)[both[:, :, 0] - 1], 0)
    plain = outer.offsets.min() >= 0 and outer.last < outer.size
    assert found is not None or not plain
    assume(found is not None)
    assert found is not None
    result = read(found, x[: found.size])
    np.testing.assert_array_equal(result, expected.reshape(outer.outputs, -1))
