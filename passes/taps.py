"""Windows along one axis as lists of taps: composed, and brought onto one operand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Taps:
    """Output o reads the elements o * stride + offsets of an operand of that size; outside of it there are zeros.

    Attributes:
        offsets: int64 [taps].
    """

    offsets: Array = field(repr=False)
    stride: int
    size: int
    outputs: int

    @staticmethod
    def of(window: Any, kernel: Sequence[int], operand: Sequence[int], result: Sequence[int], axis: int) -> Taps:
        """Of a convolution or a pool along axis 0 or 1 of the map; operand, result: frame shapes."""
        dilation = getattr(window, "dilations", (1, 1))[axis]
        offsets = np.arange(kernel[axis]) * dilation - window.pads[axis]
        return Taps(offsets, window.strides[axis], operand[1 + axis], result[1 + axis])

    def picked(self, window: Window, operand: int) -> Array | None:
        """The elements of the operand, of that size, that one is left of when these taps alone become the window."""
        indices = np.arange(self.size) if window.indices[0] is None else window.indices[0]
        return None if indices.size == operand else indices

    @property
    def last(self) -> int:
        """The largest element read, in the padding or not."""
        return (self.outputs - 1) * self.stride + int(self.offsets.max())

    def with_zeros(self) -> tuple[Taps, int, int]:
        """The taps on an operand with zeros for the padding that is read, and how many stand before and after it."""
        before, after = max(0, -int(self.offsets.min())), max(0, self.last + 1 - self.size)
        return Taps(self.offsets + before, self.stride, self.size + before + after, self.outputs), before, after


def composed(outer: Taps, inner: Taps) -> Taps | None:
    """The taps of a window over the results of windows: offsets [outer taps * inner taps], the outer's first.

    None where the outer one reads padding, that is zeros, where the inner one would compute something else.
    """
    assert outer.size == inner.outputs
    reads = np.arange(outer.outputs)[:, None] * outer.stride + outer.offsets
    inside = reads[(reads >= 0) & (reads < outer.size)]
    below, above = reads[reads < 0], reads[reads >= outer.size]
    if below.size and int(below.max()) * inner.stride + int(inner.offsets.max()) >= 0:
        return None
    size = inner.size
    if above.size:
        first = int(above.min()) * inner.stride + int(inner.offsets.min())
        needed = min(
            inner.size, (int(inside.max()) * inner.stride + int(inner.offsets.max()) + 1) if inside.size else 0
        )
        if first < needed:
            return None
        size = min(size, first)  # a remainder that no window of the inner one needs
    offsets = (outer.offsets[:, None] * inner.stride + inner.offsets).reshape(-1)
    return Taps(offsets, outer.stride * inner.stride, size, outer.outputs) if size > 0 else None


@dataclass(frozen=True)
class Window:
    """One window for several lists of taps, on operands brought to one size.

    Attributes:
        places: for each list the place in the kernel of every tap.
        indices: for each list the element of its operand that is each element of the common one; None: it is the same.
    """

    kernel: int
    dilation: int
    stride: int
    before: int
    after: int
    places: tuple[Array, ...] = field(repr=False)
    indices: tuple[Array | None, ...] = field(repr=False)


def common_window(parts: Sequence[Taps]) -> Window | None:
    """The window that has all taps; None where one's padding would lie over another's elements.

    Where strides differ, operands with the smaller stride are spread out: element i is at shift + step * i, and no tap
    of theirs reads what is between.
    """
    outputs = parts[0].outputs
    stride = math.lcm(*(part.stride for part in parts))
    steps = [stride // part.stride for part in parts]
    pairs = list(zip(parts, steps, strict=True))
    # the sizes at which all that a part reads within its operand is there, and nothing else
    least = max(step * min(part.last, part.size - 1) + 1 for part, step in pairs)
    spread = max(step * (part.size - 1) + 1 for part, step in pairs)
    bounded = [step * part.size + step - 1 for part, step in pairs if part.offsets.min() < 0 and part.last >= part.size]
    size = min([max(least, spread), *bounded])
    if size < max(1, least):
        return None
    shifts = [max(0, size - step * part.size) if part.last >= part.size else 0 for part, step in pairs]
    taps = [part.offsets * step + shift for (part, step), shift in zip(pairs, shifts, strict=True)]
    every = np.concatenate(taps)
    common = math.gcd(stride, *every.tolist())  # elements between are read by none
    taps, every, stride, size = [tap // common for tap in taps], every // common, stride // common, -(-size // common)
    first = min(0, int(every.min()))
    dilation = math.gcd(*(every - first).tolist()) or 1
    kernel = (int(every.max()) - first) // dilation + 1
    reach = (outputs - 1) * stride + first + dilation * (kernel - 1) + 1  # of the elements that the last output reads
    after = max(0, reach - size)
    if size - reach >= stride:
        size = reach
    if size < 1:
        return None
    indices = []
    for (part, step), shift in zip(pairs, shifts, strict=True):
        found = np.clip((np.arange(size) * common - shift) // step, 0, part.size - 1)
        indices.append(None if np.array_equal(found, np.arange(part.size)) else found)
    places = tuple((tap - first) // dilation for tap in taps)
    return Window(kernel, dilation, stride, -first, after, places, tuple(indices))


def composed_window(outer: Taps, inner: Taps) -> tuple[Window, Array | None] | None:
    """The window of windows over the results of others, and the elements of the operand that it is left of (None: all);
    None where there is no such window."""
    taps = composed(outer, inner)
    window = None if taps is None else common_window([taps])
    return None if taps is None or window is None else (window, taps.picked(window, inner.size))


def composed_weight(outer: Array, inner: Array, rows: Window, columns: Window) -> Array:
    """The weight [out, in, kernel] of composed windows: of every place, of all outer taps that reach it.

    outer, inner: [out, in, kernel], broadcasting against each other in the first two; of one dtype.
    """
    channels = np.broadcast_shapes(outer.shape[:2], inner.shape[:2])
    found = np.zeros((*channels, rows.kernel, columns.kernel), outer.dtype)
    down, across = rows.places[0].reshape(outer.shape[2], -1), columns.places[0].reshape(outer.shape[3], -1)
    for i, y in enumerate(down):
        for j, x in enumerate(across):
            found[:, :, y[:, None], x] += outer[:, :, i, j, None, None] * inner
    return found
