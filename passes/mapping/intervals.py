"""One axis of a feature map cut into intervals of output rows (or columns), and the input rows under each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Partition = tuple[int, ...]  # sizes of consecutive intervals along one axis


@dataclass(frozen=True)
class Axis:
    """A kernel that slides along one axis: output row i reads input rows i * stride + tap * dilation - pad."""

    outputs: int
    inputs: int
    kernel: int
    stride: int
    dilation: int
    pad: int

    @property
    def _lag(self) -> int:
        """What output row i reads with tap t, row i - lag reads with tap t + stride / gcd(stride, dilation)."""
        return self.dilation // gcd(self.stride, self.dilation)

    @cached_property
    def _sums(self) -> tuple[Array, Array]:
        """int64 [outputs + 1]: of all output rows before each, how many input rows they read one by one, and how many
        of those no row before the reading one reads."""
        tap = np.arange(self.kernel)
        rows = np.arange(self.outputs)[:, None] * self.stride + tap * self.dilation - self.pad
        inside = (rows >= 0) & (rows < self.inputs)
        new = inside & (tap + self.stride // gcd(self.stride, self.dilation) >= self.kernel)
        return np.cumsum([0, *inside.sum(axis=1)]), np.cumsum([0, *new.sum(axis=1)])

    @cached_property
    def _read(self) -> tuple[list[int], list[int]]:
        return self._sums[0].tolist(), self._sums[1].tolist()

    def extent(self, start: int, stop: int) -> int:
        """Input rows under output rows start .. stop - 1: all that the first `lag` rows read, new ones of the rest."""
        read, first = self._read
        middle = min(start + self._lag, stop)
        return read[middle] - read[start] + first[stop] - first[middle]

    def widest(self, partition: Partition) -> int:
        """The most input rows under one interval."""
        read, first = self._sums
        stop = np.cumsum(partition)
        start = stop - partition
        middle = np.minimum(start + self._lag, stop)
        return int((read[middle] - read[start] + first[stop] - first[middle]).max())

    def reach(self, start: int, limit: int) -> int:
        """The last `stop` with extent(start, stop) <= limit."""
        read, first = self._read
        middle = min(start + self._lag, self.outputs)
        left = limit - (read[middle] - read[start])
        if left < 0:
            return bisect_right(read, read[start] + limit, start, middle + 1) - 1
        return bisect_right(first, first[middle] + left, middle, self.outputs + 1) - 1


@dataclass(frozen=True)
class Partitions:
    """Ways to cut one axis.

    Attributes:
        sizes: of the intervals, in lexicographic order.
        count, longest, extent: int64 [partitions]: intervals, rows in the longest, input rows under the one with most.
    """

    sizes: tuple[Partition, ...]
    count: Array
    longest: Array
    extent: Array


@lru_cache(maxsize=64)
def partitions(axis: Axis, longest: int) -> Partitions:
    """Sensible partitions into intervals of at most `longest` rows.

    For every number of intervals, equal ones, balanced ones, and those whose greatest input extent is least (intervals
    at the edge, where padding takes no axon, come out longer).
    """
    outputs, longest = axis.outputs, min(axis.outputs, longest)
    found: set[Partition] = set()
    for size in range(1, longest + 1):
        count = -(-outputs // size)
        found.add((size,) * (count - 1) + (outputs - size * (count - 1),))
        small, longer = divmod(outputs, count)
        found.add((small + 1,) * longer + (small,) * (count - longer))
    extents = {axis.extent(0, k) for k in range(1, longest + 1)}
    extents |= {axis.extent(1, k) for k in range(2, min(longest + 1, outputs) + 1)}
    found.update(_within(axis, extents, longest))
    sizes = tuple(sorted(found))
    return Partitions(sizes, *(np.array([measure(p) for p in sizes], np.int64) for measure in (len, max, axis.widest)))


def _within(axis: Axis, extents: Iterable[int], longest: int) -> Iterable[Partition]:
    """For every extent, the fewest intervals with input extents of at most that, evened out, where there are any."""
    for limit in sorted(extents):
        sizes: list[int] = []
        start = 0
        while start < axis.outputs and (stop := axis.reach(start, limit)) > start:
            sizes.append(stop - start)
            start = stop
        if start < axis.outputs:
            continue  # a single row needs more
        partition = _evened(axis, tuple(sizes), limit)
        if max(partition) <= longest:
            yield partition


def _evened(axis: Axis, sizes: Partition, limit: int) -> Partition:
    """A short last interval gets rows from the middle, so that both edges are long."""
    inner = len(sizes) - 2
    middle = axis.outputs - 2 * sizes[0]
    if inner < 1 or middle < inner:
        return sizes
    small, longer = divmod(middle, inner)
    even = (sizes[0], *(small + 1,) * longer, *(small,) * (inner - longer), sizes[0])
    return even if axis.widest(even) <= limit else sizes
