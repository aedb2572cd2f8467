"""Running-error evaluation: which float32 results an elementwise op can have, whatever a runtime's order and fusing.

Beside the value that the ops yield as written, an interval holds every value that any permitted evaluation may
yield: weighted sums in any order, products and sums fused or not, batch normalisation in either of its two forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir import ops
from tncc.ir.interpreter import BINARY, UNARY, aligned, batch_norm_terms, evaluate, rewire
from tncc.ir.ops import Op
from tncc.ir.types import Domain, TensorType
from tncc.ir.value_sets import COMPARISONS, LOGIC

Array = npt.NDArray[Any]

UNIT = 2.0**-24  # relative error of one float32 rounding
TINY = 2.0**-149
FUNCTION_ERROR = 1e-6  # absolute error granted to a runtime's sigmoid and tanh; ONNX Runtime's stay below 3e-7


@dataclass(frozen=True)
class Interval:
    """A tensor [batch or 1, *frame] as written (float32, or uint8 for truth values), and its float64 bounds.

    `sum_of` is set while the value is still the bare weighted sum: a bias added to it may be added first or last.
    """

    value: Array
    low: Array
    high: Array
    sum_of: WeightedSum | None = None

    @property
    def exact(self) -> Array:
        """Where only one result is possible."""
        return np.equal(self.low, self.high)


@dataclass(frozen=True)
class WeightedSum:
    """Sums scale * n of +-scale terms. All arrays broadcast against the value's frame.

    Attributes:
        scale: float64, the magnitude of every term.
        terms: float64, how many terms there are at most.
    """

    scale: Array
    terms: Array

    def error(self, bias: Array) -> Array:
        """Largest deviation of scale * n + bias from its exact value over all orders; 0 where none can round."""
        largest = self.scale * self.terms + np.abs(bias)
        quantum = np.minimum(_quantum(self.scale), _quantum(bias))
        return np.where(largest < quantum * 2.0**24, 0.0, (self.terms + 9) * UNIT * largest)


def _quantum(x: Array) -> Array:
    """The largest power of two that divides x (float32 values in float64); infinity for 0."""
    mantissa, exponent = np.frexp(x)
    digits = np.abs(mantissa * 2.0**53).astype(np.int64)
    lowest = (digits & -digits).astype(np.float64)
    return np.where(x == 0, np.inf, np.ldexp(lowest, exponent - 53))


def weighted_sum(n: Array, scale: Array, terms: Array) -> Interval:
    """The sums scale * n as an interval; n, scale, terms broadcast, terms counts the nonzero weights."""
    scale64 = scale.astype(np.float64)
    source = WeightedSum(scale64, terms.astype(np.float64))
    exact = n * scale64
    error = source.error(np.zeros(()))
    value = n.astype(np.float32) * scale.astype(np.float32)
    return Interval(value, exact - error, exact + error, source)


def constant(op: ops.Constant) -> Interval:
    value = evaluate(op, ())
    return Interval(value, value.astype(np.float64), value.astype(np.float64))


def _rounded(low: Array, high: Array, exactly: Array | bool = True) -> tuple[Array, Array]:
    """Bounds widened by one rounding, but where the result is one float32 and `exactly` computed."""
    kept = (low == high) & (low == low.astype(np.float32)) & exactly
    return (
        np.where(kept, low, low - np.abs(low) * 2 * UNIT - TINY),
        np.where(kept, high, high + np.abs(high) * 2 * UNIT + TINY),
    )


def step(op: Op, operands: Sequence[Interval]) -> Interval:
    """The result of one elementwise or wiring op."""
    real = op
    if getattr(op, "kind", "") not in (*COMPARISONS, *LOGIC, "not"):
        # all arithmetic is float32 in the source model, whatever domain its results are known to stay in
        real = replace(op, type=TensorType(Domain.REAL, op.type.shape))
    value = evaluate(real, [operand.value for operand in operands])
    with np.errstate(all="ignore"):
        if isinstance(op, ops.WIRING):
            low = rewire(op, [operand.low for operand in operands])
            high = rewire(op, [operand.high for operand in operands])
            return Interval(value, low, high, _moved(op, operands))
        lows = aligned([operand.low for operand in operands])
        highs = aligned([operand.high for operand in operands])
        return Interval(value, *_BOUNDS[type(op)](op, lows, highs, operands))


def _moved(op: Op, operands: Sequence[Interval]) -> WeightedSum | None:
    """The bare sum's terms after a wiring op, where it still is one."""
    source = operands[0].sum_of
    if source is None or len(operands) > 1:
        return None
    frame = operands[0].low.shape[1:]
    moved = [rewire(op, [np.broadcast_to(a, (1, *frame))]) for a in (source.scale, source.terms)]
    return WeightedSum(*moved)


# --- bounds of each op ---------------------------------------------------------------------------------------------

Bounds = tuple[Array, Array]
Rule = Callable[[Any, Sequence[Array], Sequence[Array], Sequence[Interval]], Bounds]


def _batch_norm(op: ops.BatchNorm, lows: Sequence[Array], highs: Sequence[Array], _: Sequence[Interval]) -> Bounds:
    def column(a: Array) -> Array:
        return a.astype(np.float64).reshape(-1, *(1,) * (lows[0].ndim - 2))

    factor, offset = (column(term) for term in batch_norm_terms(op))
    true_factor = column(op.gamma.astype(np.float64) / np.sqrt(op.variance + np.float64(np.float32(op.epsilon))))
    shift = column(op.mean) * factor
    known = (factor == true_factor) | (factor == 0)
    slack = np.where(known, 0.0, 8 * UNIT)
    products = np.stack([lows[0] * factor, highs[0] * factor])
    low, high = _rounded(products.min(axis=0), products.max(axis=0))
    low, high = low - np.abs(low) * slack, high + np.abs(high) * slack
    plain = (shift == 0) | (known & (shift == shift.astype(np.float32)) & (offset == column(op.beta) - shift))
    error = np.where(plain, 0.0, np.abs(shift) * 12 * UNIT + np.abs(offset) * 2 * UNIT)
    return _rounded(low + (offset - error), high + (offset + error))


def _clip(op: ops.Clip, lows: Sequence[Array], highs: Sequence[Array], _: Sequence[Interval]) -> Bounds:
    low, high = np.float32(op.low), np.float32(op.high)
    return np.minimum(np.maximum(lows[0], low), high), np.minimum(np.maximum(highs[0], low), high)


def _unary(op: ops.Unary, lows: Sequence[Array], highs: Sequence[Array], _: Sequence[Interval]) -> Bounds:
    low, high = lows[0], highs[0]
    if op.kind == "neg":
        return -high, -low
    if op.kind == "not":
        return 1 - high, 1 - low
    if op.kind == "abs":
        inside = (low < 0) & (high > 0)
        a, b = np.abs(low), np.abs(high)
        return np.where(inside, 0.0, np.minimum(a, b)), np.maximum(a, b)
    if op.kind in ("sigmoid", "tanh"):
        function = (lambda x: 1 / (1 + np.exp(-x))) if op.kind == "sigmoid" else np.tanh
        error = np.where((low == 0) & (high == 0), 0.0, FUNCTION_ERROR)
        return function(low) - error, function(high) + error
    monotone = UNARY[op.kind]  # sign, round, floor, ceil, relu
    return monotone(low), monotone(high)


def _corners(function: Callable[[Array, Array], Array], lows: Sequence[Array], highs: Sequence[Array]) -> Bounds:
    corners = np.stack(np.broadcast_arrays(*(function(a, b) for a in (lows[0], highs[0]) for b in (lows[1], highs[1]))))
    return corners.min(axis=0), corners.max(axis=0)


def _binary(op: ops.Binary, lows: Sequence[Array], highs: Sequence[Array], operands: Sequence[Interval]) -> Bounds:
    kind, (a_low, b_low), (a_high, b_high) = op.kind, lows, highs
    if kind == "ge":
        return (a_low >= b_high) * 1.0, (a_high >= b_low) * 1.0
    if kind == "gt":
        return (a_low > b_high) * 1.0, (a_high > b_low) * 1.0
    if kind == "le":
        return (a_high <= b_low) * 1.0, (a_low <= b_high) * 1.0
    if kind == "lt":
        return (a_high < b_low) * 1.0, (a_low < b_high) * 1.0
    if kind == "eq":
        surely = (a_low == a_high) & (b_low == b_high) & (a_low == b_low)
        return surely * 1.0, ((a_low <= b_high) & (b_low <= a_high)) * 1.0
    if kind == "and":
        return a_low * b_low, a_high * b_high
    if kind == "or":
        return np.maximum(a_low, b_low), np.maximum(a_high, b_high)
    if kind == "xor":
        unsure = (a_low != a_high) | (b_low != b_high)
        return np.where(unsure, 0.0, a_low != b_low), np.where(unsure, 1.0, a_low != b_low)
    if kind in ("min", "max"):
        return BINARY[kind](a_low, b_low), BINARY[kind](a_high, b_high)
    if kind == "mul":
        return _rounded(*_corners(np.multiply, lows, highs))
    if kind == "div":
        low, high = _corners(np.divide, lows, highs)
        return _rounded(low, high, low * b_low == a_low)
    low, high = (a_low + b_low, a_high + b_high) if kind == "add" else (a_low - b_high, a_high - b_low)
    for source, bias in (operands, operands[::-1]):
        if source.sum_of is not None and bias.sum_of is None:
            scale, terms, amount = aligned([source.sum_of.scale, source.sum_of.terms, bias.high])
            error = WeightedSum(scale, terms).error(amount)
            # an interval of the bare sum holds that sum's own error already; the bias may only make it larger
            return _rounded(low - error, high + error)
    return _rounded(low, high)


def _where(op: ops.Where, lows: Sequence[Array], highs: Sequence[Array], _: Sequence[Interval]) -> Bounds:
    surely, possibly = lows[0] != 0, highs[0] != 0
    low = np.where(surely, lows[1], np.where(possibly, np.minimum(lows[1], lows[2]), lows[2]))
    high = np.where(surely, highs[1], np.where(possibly, np.maximum(highs[1], highs[2]), highs[2]))
    return low, high


_BOUNDS: Mapping[type[Op], Rule] = {
    ops.BatchNorm: _batch_norm,
    ops.Clip: _clip,
    ops.Unary: _unary,
    ops.Binary: _binary,
    ops.Where: _where,
}
