"""Means of a layer's sums: the layer that adds up whole windows, and what rounding may do to their means.

An average pool of a layer's sums, perhaps scaled, normalised and biased a channel at a time, is a function of the sum
over its window, up to rounding. That sum is a layer of its own: the kernel is as large as the window with all kernels
in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import ChipLimit, CompileError, FilterTooLarge, RealValueOnChip
from tncc.ir.chip import Chip
from tncc.ir.cone import Cone, trace
from tncc.ir.graph import Graph
from tncc.ir.interpreter import pool_counts, windows
from tncc.ir.ops import AveragePool2d, Binary, Constant, Reshape, SignConv2d, TrinaryConv2d, integer_weight
from tncc.ir.types import Domain, TensorType
from tncc.passes.lines import line
from tncc.passes.rounding import Interval, bounded_sum, constant, step
from tncc.passes.taps import Taps, composed_weight, composed_window
from tncc.passes.weighted_sum import LARGEST, UNIT, WeightedSum, quantum

Array = npt.NDArray[Any]
ELEMENTS = 1 << 22  # array elements evaluated at once
EXACT = 2.0**-50  # relative error granted to the line, which is computed in float64


@dataclass(frozen=True)
class PooledSums:
    """An average pool of the sums of a layer, perhaps times a factor and plus an offset in every channel."""

    pool: AveragePool2d
    inner: TrinaryConv2d
    before: Cone = field(repr=False)  # from the inner layer's sums to the pool's operand
    factor: Array = field(repr=False)  # float64 [channels], with the layer's scale
    offset: Array = field(repr=False)  # float64 [channels]
    layer: TrinaryConv2d = field(repr=False)  # the sums over whole windows, under the name of the pool's result
    picked: tuple[Array | None, Array | None] = field(repr=False)  # rows and columns of the operand; None: all
    _known: dict[bytes, tuple[Array, Array, Array]] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(graph: Graph, pool: AveragePool2d, chip: Chip) -> PooledSums:
        """Raises CompileError where the pool is not a function of one weighted sum."""
        before = trace(graph, pool.inputs[0])
        inner = graph.producer.get(before.sources[0]) if len(before.sources) == 1 else None
        if not isinstance(inner, TrinaryConv2d):
            raise _refusal(pool, "its operand is not made of one layer's sums alone")
        found = line(graph, before, inner.weight.shape[0])
        if found is None:
            raise _refusal(pool, f"between it and {inner.location} there is more than factors and offsets of channels")
        factor, offset = found
        layer, picked = _over_windows(graph, pool, inner, before, chip)
        return PooledSums(pool, inner, before, factor * inner.scale, offset, layer, picked)

    def operand_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of what the layer reads, where the inner one reads a frame of `shape`."""
        grid = (size if rows is None else rows.size for size, rows in zip(shape[1:], self.picked, strict=True))
        return shape[0], *grid

    @cached_property
    def counts(self) -> tuple[Array, Array]:
        """Of every window: what its sum is divided by, and how many sums it covers; float64 [out height, out width], or
        a scalar where all are alike."""
        shape = self.inner.type.shape
        inside = windows(np.ones((1, 1, *shape[1:]), np.float32), self.pool.kernel, self.pool, 0).sum(axis=(4, 5))[0, 0]
        divisors = pool_counts(self.pool, shape)
        found = [array.astype(np.float64) for array in (divisors, inside)]
        if all(np.all(array == array.flat[0]) for array in found):
            found = [array[0, 0] for array in found]
        return found[0], found[1]

    @property
    def alike_everywhere(self) -> bool:
        return self.counts[0].ndim == 0

    def means(self, sums: Array, refine: Array) -> Interval:
        """The means of windows with these sums of the model's integers [n, *frame or (channels, 1, 1)].

        refine: bool [channels], where the tightest bounds of the layer's own sums shall be computed.
        """
        error, largest, exact = (each.reshape(-1, 1, 1) for each in self._bounds(refine))
        factor, offset = self.factor.reshape(-1, 1, 1), self.offset.reshape(-1, 1, 1)
        divisors, inside = self.counts
        with np.errstate(all="ignore"):
            total = factor * sums + inside * offset
            sum_exact = exact & (inside * largest < np.minimum(quantum(factor), quantum(offset)) * 2.0**24)
            # any order of adding up; the operands are off by `error`
            off = inside * error + 1.01 * UNIT * np.maximum(inside - 1, 0) * inside * (largest + error)
            off = np.where(sum_exact, 0.0, off + EXACT * inside * (largest + np.abs(offset)))
            unknown = ~(np.abs(total) + inside * largest + off < LARGEST)
            low, high = np.where(unknown, -np.inf, total - off), np.where(unknown, np.inf, total + off)
            added = Interval(total.astype(np.float32), low, high, unknown=np.broadcast_to(unknown, low.shape))
        divisor = np.broadcast_to(divisors, (1, 1, *divisors.shape) if divisors.ndim else (1, 1, 1, 1))
        by = Interval(divisor.astype(np.float32), divisor, divisor)
        quotient = Binary(inputs=("", ""), output="", type=self.pool.type, location=self.pool.location, kind="div")
        return step(quotient, (added, by))

    def _bounds(self, refine: Array) -> tuple[Array, Array, Array]:
        key = refine.tobytes()
        if key not in self._known:
            with np.errstate(all="ignore"):
                self._known[key] = self._operand(refine)
        return self._known[key]

    def _operand(self, refine: Array) -> tuple[Array, Array, Array]:
        """Of the pool's operand, [channels]: how far it may be off the line, its largest magnitude, and whether it is
        on the line everywhere, as a float32."""
        channels = self.inner.weight.shape[0]
        error, largest, exact = np.zeros(channels), np.zeros(channels), np.ones(channels, bool)
        for sums, inside, result in self._evaluations(refine):
            low, high = (np.broadcast_to(a, inside.shape)[..., 0, 0] for a in (result.low, result.high))
            on_line = self.factor * sums[:, None] + self.offset
            reached = inside[..., 0, 0]
            off = np.where(reached, np.maximum(high - on_line, on_line - low), 0)
            error = np.maximum(error, off.max(axis=0, initial=0))
            largest = np.maximum(largest, np.where(reached, np.maximum(np.abs(low), np.abs(high)), 0).max(axis=0))
            exact &= np.all((low == high) & (low == on_line) | ~reached, axis=0)
        return error, largest, exact

    def _evaluations(self, refine: Array) -> Iterator[tuple[Array, Array, Interval]]:
        """(sums [n], bool [n, channels, 1, 1] which of them occur, the pool's operand) for all sums of the layer."""
        weight = self.inner.weight.reshape(self.inner.weight.shape[0], -1).astype(np.int64)
        column = (1, weight.shape[0], 1, 1)
        plus, minus = np.maximum(weight, 0).sum(axis=1), -np.minimum(weight, 0).sum(axis=1)
        if isinstance(self.inner, SignConv2d):
            plus = minus = plus + minus  # every input adds its weight or takes it away
        everything = np.arange(-int(minus.max(initial=0)), int(plus.max(initial=0)) + 1)
        chunk = max(1, ELEMENTS // weight.shape[0])
        for start in range(0, everything.size, chunk):
            sums = everything[start : start + chunk]
            n = np.broadcast_to(sums.reshape(-1, 1, 1, 1), (sums.size, *column[1:]))
            source = WeightedSum.of(self.inner, n, plus.reshape(column), minus.reshape(column), refine)
            values = {self.inner.output: bounded_sum(source)}
            for op in self.before.ops:
                if isinstance(op, Constant):
                    values[op.output] = constant(op)
                    continue
                if isinstance(op, Reshape):
                    one = (column[1], *(1,) * (len(op.type.shape) - 1))
                    op = replace(op, type=TensorType(Domain.REAL, one))
                values[op.output] = step(op, [values[name] for name in op.inputs])
            result = values[self.pool.inputs[0]]
            yield sums, (n >= -minus.reshape(column)) & (n <= plus.reshape(column)), result


def _over_windows(
    graph: Graph, pool: AveragePool2d, inner: TrinaryConv2d, before: Cone, chip: Chip
) -> tuple[TrinaryConv2d, tuple[Array | None, Array | None]]:
    """The layer of the sums over whole windows, and the rows and columns of its operand that it reads."""
    operand = graph.types[inner.inputs[0]].shape
    found = []
    for axis in (0, 1):
        outer = Taps.of(pool, pool.kernel, inner.type.shape, pool.type.shape, axis)
        window = composed_window(outer, Taps.of(inner, inner.weight.shape[2:], operand, inner.type.shape, axis))
        if window is None:
            raise _refusal(pool, f"where its windows reach into padding, they cover fewer sums of {inner.location}")
        found.append(window)
    (rows, picked_rows), (columns, picked_columns) = found
    support = inner.weight.shape[1] * rows.kernel * columns.kernel
    nonzero = 0
    if support <= chip.axons**2 * 16:
        windows_of_ones = np.ones((1, 1, *pool.kernel), np.int64)
        weight = composed_weight(windows_of_ones, inner.weight.astype(np.int64), rows, columns)
        nonzero = int(np.count_nonzero(weight.reshape(len(weight), -1), axis=1).max())
    location = before.location(inner.location) + pool.location
    if support > chip.axons**2 * 16 or nonzero > chip.axons**2:
        raise FilterTooLarge(
            f"a mean of {pool.kernel[0]}x{pool.kernel[1]} sums of {inner.location} reads up to {support:,} spikes, far "
            f"more than the {chip.axons} axons of a core",
            location,
            "put the binary activation before the pool",
        )
    largest = int(np.abs(weight).max(initial=0))
    if largest > np.iinfo(np.int16).max:
        raise ChipLimit(f"weights of the mean's windows add up to {largest:,}; no axons make that up", location)
    layer = replace(
        inner,
        output=pool.output,
        type=pool.type,
        location=location,
        weight=integer_weight(weight),
        strides=(rows.stride, columns.stride),
        pads=(rows.before, columns.before, rows.after, columns.after),
        dilations=(rows.dilation, columns.dilation),
    )
    return layer, (picked_rows, picked_columns)


def _refusal(pool: AveragePool2d, why: str) -> CompileError:
    return RealValueOnChip(
        f"this mean of sums is not one weighted sum: {why}", pool.location, "pool after the binary activation instead"
    )
