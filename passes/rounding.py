"""Running-error evaluation: which float32 results an elementwise op can have, whatever a runtime's order and fusing.

Beside the value that the ops yield as written, an interval holds every value that any permitted evaluation may
yield: weighted sums in any order, products and sums fused or not, batch normalisation in either of its two forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir import ops
from tncc.ir.infer import cancels
from tncc.ir.interpreter import BINARY, UNARY, aligned, batch_norm_terms, evaluate, rewire
from tncc.ir.ops import Op
from tncc.ir.types import Domain, TensorType
from tncc.ir.value_sets import COMPARISONS, LOGIC
from tncc.passes.weighted_sum import LARGEST, UNIT, Biases, WeightedSum, quantum

Array = npt.NDArray[Any]

TINY = 2.0**-149
FUNCTION_ERROR = 1e-6  # absolute error granted to a runtime's sigmoid and tanh; ONNX Runtime's stay below 3e-7


@dataclass(frozen=True)
class Interval:
    """A tensor [batch or 1, *frame] as written (float32, or uint8 for truth values), and its float64 bounds.

    Bounds beyond float32 are infinite. Where both are NaN the value is NaN in every evaluation; where it may be one, in
    some order of arithmetic, `unknown` is set, and the bounds say nothing.

    `sum_of` is set while a runtime may still fuse the value into the weights: as weighted sum `sum_of` plus `biases`
    (float64, broadcasting against it), all of which may be added in any order.
    """

    value: Array
    low: Array
    high: Array
    sum_of: WeightedSum | None = None
    biases: Biases = field(default_factory=lambda: Biases())
    unknown: Array = field(default_factory=lambda: np.zeros((), bool))


def bounded_sum(source: WeightedSum) -> Interval:
    """The bare sums scale * n, as written and bounded."""
    with np.errstate(over="ignore", invalid="ignore"):
        value = source.n.astype(np.float32) * source.scale
        return _in_range(Interval(value, *source.bounds(Biases()), source))


def constant(op: ops.Constant) -> Interval:
    value = evaluate(op, ())
    return Interval(value, value.astype(np.float64), value.astype(np.float64))


def _in_range(result: Interval) -> Interval:
    """The result with infinite bounds beyond float32, and unknown where a bound is NaN."""
    undefined = np.isnan(result.low) | np.isnan(result.high)
    low = np.where(undefined | (result.low < -LARGEST), -np.inf, result.low)
    low = np.where(low > LARGEST, np.inf, low)
    high = np.where(undefined | (result.high > LARGEST), np.inf, result.high)
    high = np.where(high < -LARGEST, -np.inf, high)
    return replace(result, low=low, high=high, unknown=result.unknown | undefined)


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
    if cancels(op):
        return Interval(value, np.zeros(value.shape), np.zeros(value.shape))
    with np.errstate(all="ignore"):
        if isinstance(op, ops.WIRING):
            low, high, unknown = (
                rewire(
                    op,
                    [np.broadcast_to(part, operand.low.shape) for part, operand in zip(parts, operands, strict=True)],
                )
                for parts in zip(*((operand.low, operand.high, operand.unknown) for operand in operands), strict=True)
            )
            return Interval(value, low, high, _moved(op, operands), unknown=unknown)
        lows = aligned([operand.low for operand in operands])
        highs = aligned([operand.high for operand in operands])
        low, high = _BOUNDS[type(op)](op, lows, highs)
        unknown = np.zeros((), bool)
        for part in aligned([np.broadcast_to(operand.unknown, operand.low.shape) for operand in operands]):
            unknown = unknown | part
        if isinstance(op, ops.Binary) and op.kind in COMPARISONS:
            return Interval(value, np.where(unknown, 0.0, low), np.where(unknown, 1.0, high))
        fused = _fused(op, operands, rank=lows[0].ndim)
        if fused is None:
            return _in_range(Interval(value, low, high, unknown=unknown))
        total, biases, slack = fused
        fused_low, fused_high = total.bounds(biases)
        low, high = np.minimum(low, fused_low - slack), np.maximum(high, fused_high + slack)
        return _in_range(Interval(value, low, high, total, biases, unknown))


def carried(result: Interval, b: Interval, carrier: Interval) -> Interval:
    """The result of c + (b - c), known to be b where it is b as written and no rounding of c can make it miss b.

    For b = 0 it is c - c. For b = 1 and c in [0, 2^24] both roundings together give 1 again: above 1/2, 1 - c is a
    multiple of c's last digit and no larger than c, so exact, and below, its error of at most 2^-25 is half a step at
    1, which rounds to even.
    """
    safe = (b.low == b.high) & ((b.low == 0) | ((b.low == 1) & (carrier.low >= 0) & (carrier.high <= 2.0**24)))
    kept = (result.value == b.value) & (safe | (carrier.low == carrier.high))
    return replace(result, low=np.where(kept, b.low, result.low), high=np.where(kept, b.high, result.high))


def _moved(op: Op, operands: Sequence[Interval]) -> WeightedSum | None:
    """The bare sum's terms after a wiring op, where it still is one."""
    source = operands[0].sum_of
    if source is None or len(operands) > 1 or operands[0].biases.count:
        return None
    frame = operands[0].low.shape[1:]
    parts = {field.name: getattr(source, field.name) for field in fields(WeightedSum)}
    return WeightedSum(
        **{name: rewire(op, [np.broadcast_to(part, (part.shape[0], *frame))]) for name, part in parts.items()}
    )


def _fused(op: Op, operands: Sequence[Interval], *, rank: int) -> tuple[WeightedSum, Biases, Array] | None:
    """The op fused into the weights and the bias of the layer before it, as ONNX Runtime does with a bias, a batch
    normalisation or a constant factor: the new sum, its biases, and how far rounding may have moved them.

    Constants that are added one after the other stay apart: in some order of addition they are one.
    """
    carrier = next((i for i, operand in enumerate(operands) if operand.sum_of is not None), None)
    if carrier is None:
        return None
    source, biases = operands[carrier].sum_of, operands[carrier].biases
    assert source is not None
    others = [operand for i, operand in enumerate(operands) if i != carrier]
    if any(other.sum_of is not None or not np.array_equal(other.low, other.high) for other in others):
        return None
    factor, offset, error = np.ones((1,) * rank), np.zeros((1,) * rank), np.zeros((1,) * rank)
    if isinstance(op, ops.BatchNorm):
        factor, offset, error = _batch_norm_line(op, rank)
    elif isinstance(op, ops.Binary) and op.kind == "mul":
        factor = aligned([others[0].low, error])[0]
    elif isinstance(op, ops.Binary) and (op.kind == "add" or (op.kind == "sub" and carrier == 0)):
        offset = aligned([others[0].low if op.kind == "add" else -others[0].low, error])[0]
    else:
        return None
    names = [field.name for field in fields(WeightedSum)]
    parts = [getattr(source, name) for name in names]
    parts = aligned([*parts, biases.total, biases.magnitude, biases.finest, *biases.apart, error])[:-1]
    total = WeightedSum(**dict(zip(names, parts[: len(names)], strict=True)))
    old, magnitude, finest, *apart = parts[len(names) :]
    if isinstance(op, ops.Binary) and op.kind != "mul":
        return total, Biases(old, magnitude, finest, biases.count, tuple(apart)).and_one(offset), np.zeros(())
    bias = old * factor + offset
    real_scale = total.scale * np.abs(factor)
    scale = real_scale.astype(np.float32)
    falling = factor < 0
    inexact = (scale != real_scale) | (error > 0)
    # weights k * s of one magnitude round alike; of several, each on its own: once with the factor, once with the scale
    several = (total.largest > 1) | (total.tolerance > 0)
    rounds = inexact | (total.largest * scale.astype(np.float64) >= quantum(scale.astype(np.float64)) * 2.0**24)
    total = WeightedSum(
        n=np.where(falling, -total.n, total.n),
        scale=scale,
        plus=np.where(falling, total.minus, total.plus),
        minus=np.where(falling, total.plus, total.minus),
        terms=total.terms,
        largest=total.largest,
        tolerance=total.tolerance + np.where(several & rounds, 6 * UNIT, 0.0),
        refine=total.refine,
    )
    slack = error * (np.abs(old * factor) + np.abs(offset))
    rounded = bias.astype(np.float32).astype(np.float64)
    slack = (
        slack + np.abs(rounded - bias) + np.where(inexact, np.abs(total.n * scale.astype(np.float64)) * 4 * UNIT, 0.0)
    )
    return total, Biases().and_one(rounded), slack


def _batch_norm_line(op: ops.BatchNorm, rank: int) -> tuple[Array, Array, Array]:
    """Factor and offset, float64 [channels, 1, ...], of the line a batch normalisation is, and their relative error."""

    def column(a: Array) -> Array:
        return a.astype(np.float64).reshape(-1, *(1,) * (rank - 2))

    factor, offset = (column(term) for term in batch_norm_terms(op))
    true_factor = column(op.gamma.astype(np.float64) / np.sqrt(op.variance + np.float64(np.float32(op.epsilon))))
    exact = (factor == true_factor) & (offset == column(op.beta) - column(op.mean) * factor)
    reach = np.abs(column(op.mean) * factor) / np.maximum(np.abs(offset), TINY)
    return factor, offset, np.where(exact | (offset == 0), 0.0, 4 * UNIT * (1 + reach))


# --- bounds of each op ---------------------------------------------------------------------------------------------

Bounds = tuple[Array, Array]
Rule = Callable[[Any, Sequence[Array], Sequence[Array]], Bounds]


def _batch_norm(op: ops.BatchNorm, lows: Sequence[Array], highs: Sequence[Array]) -> Bounds:
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


def _clip(op: ops.Clip, lows: Sequence[Array], highs: Sequence[Array]) -> Bounds:
    low, high = np.float32(op.low), np.float32(op.high)
    return np.minimum(np.maximum(lows[0], low), high), np.minimum(np.maximum(highs[0], low), high)


def _hard_sigmoid(op: ops.HardSigmoid, lows: Sequence[Array], highs: Sequence[Array]) -> Bounds:
    alpha, beta = float(np.float32(op.alpha)), float(np.float32(op.beta))
    low, high = (lows[0] * alpha, highs[0] * alpha) if alpha >= 0 else (highs[0] * alpha, lows[0] * alpha)
    low, high = _rounded(low, high)  # a fused multiply-add does not round here, and lies between
    low, high = _rounded(low + beta, high + beta)
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def _unary(op: ops.Unary, lows: Sequence[Array], highs: Sequence[Array]) -> Bounds:
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
    monotone = UNARY[op.kind]  # sign, strict_sign, round, floor, ceil, relu
    return monotone(low), monotone(high)


def _corners(function: Callable[[Array, Array], Array], lows: Sequence[Array], highs: Sequence[Array]) -> Bounds:
    corners = np.stack(np.broadcast_arrays(*(function(a, b) for a in (lows[0], highs[0]) for b in (lows[1], highs[1]))))
    return corners.min(axis=0), corners.max(axis=0)


def _binary(op: ops.Binary, lows: Sequence[Array], highs: Sequence[Array]) -> Bounds:
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
    return _rounded(low, high)


def _where(op: ops.Where, lows: Sequence[Array], highs: Sequence[Array]) -> Bounds:
    surely, possibly = lows[0] != 0, highs[0] != 0
    low = np.where(surely, lows[1], np.where(possibly, np.minimum(lows[1], lows[2]), lows[2]))
    high = np.where(surely, highs[1], np.where(possibly, np.maximum(highs[1], highs[2]), highs[2]))
    return low, high


_BOUNDS: Mapping[type[Op], Rule] = {
    ops.BatchNorm: _batch_norm,
    ops.Clip: _clip,
    ops.HardSigmoid: _hard_sigmoid,
    ops.Unary: _unary,
    ops.Binary: _binary,
    ops.Where: _where,
}
