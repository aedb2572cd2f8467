"""Which numbers a tensor may hold: a finite-value-set analysis, from which domains follow.

A comparison yields {0, 1}, `where(c, 1, -1)` yields {-1, 1}, and so on through every elementwise op, wiring and
pooling; sets that grow past a limit become "integers" or "reals". The sets speak of finite numbers below 2^24, where
float32 holds every integer: what an infinity or a NaN at run time leads to is not in them (the sign of a NaN, say).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import ModuleInvalid
from tncc.ir import ops
from tncc.ir.ops import Op
from tncc.ir.types import Domain

Array = npt.NDArray[Any]

MAX_SET = 16  # a larger value set is forgotten
CHUNK = 1 << 16  # numbers looked at together
MAX_INTEGER = 1 << 24  # what is larger counts as a real number: integers are computed with in int32
COMPARISONS = ("ge", "gt", "le", "lt", "eq")
LOGIC = ("and", "or", "xor")
ARITHMETIC = ("add", "sub", "mul", "div", "min", "max")
UNARY = ("neg", "abs", "sign", "strict_sign", "round", "floor", "ceil", "relu", "sigmoid", "tanh", "not")


@dataclass(frozen=True, slots=True)
class Values:
    """The numbers a tensor may hold: a finite set where one is known, else whether all are integers, and bounds."""

    finite: frozenset[float] | None
    integer: bool = False
    low: float = -math.inf  # of a finite set nothing is said here
    high: float = math.inf

    @staticmethod
    def of(numbers: Array) -> Values:
        """The set of all elements; forgotten where it is large or holds an infinity or a NaN."""
        flat = np.asarray(numbers).reshape(-1)
        finite: frozenset[float] | None = frozenset()
        integer = True
        for start in range(0, flat.size, CHUNK):
            part = flat[start : start + CHUNK].astype(np.float64)
            if not np.all(np.isfinite(part)):
                return REAL
            integer = integer and bool(np.all((part == np.rint(part)) & (np.abs(part) <= MAX_INTEGER)))
            if finite is not None:
                finite |= frozenset(np.unique(part).tolist())
                finite = finite if len(finite) <= MAX_SET else None
        return Values(finite, integer)

    @staticmethod
    def of_domain(domain: Domain) -> Values:
        """All numbers of a domain."""
        return _DOMAIN_VALUES[domain]

    @staticmethod
    def between(low: float, high: float, integer: bool) -> Values:
        """All numbers, or integers, from low to high; a finite set where they are few."""
        if integer and high - low < MAX_SET:
            return Values.of(np.arange(low, high + 1))
        return Values(None, integer, low, high)

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest of them."""
        return (min(self.finite), max(self.finite)) if self.finite else (self.low, self.high)

    @property
    def domain(self) -> Domain:
        """The narrowest domain that holds them all; {1} counts as spikes."""
        if self.finite is not None and self.finite <= {0.0, 1.0}:
            return Domain.SPIKES
        if self.finite is not None and self.finite <= {-1.0, 1.0}:
            return Domain.SIGNS
        return Domain.INT if self.integer else Domain.REAL

    def within(self, domain: Domain) -> bool:
        """Whether every one of them lies in `domain`."""
        allowed = _DOMAIN_VALUES[domain]
        if allowed.finite is not None:
            return self.finite is not None and self.finite <= allowed.finite
        return self.integer or not allowed.integer

    def __or__(self, other: Values) -> Values:
        if self.finite is None or other.finite is None:
            (low, high), (other_low, other_high) = self.bounds, other.bounds
            return Values.between(min(low, other_low), max(high, other_high), self.integer and other.integer)
        return Values.of(np.array(sorted(self.finite | other.finite)))


REAL = Values(None)
INT = Values(None, integer=True)
ZERO_ONE = Values(frozenset({0.0, 1.0}), integer=True)
_DOMAIN_VALUES = {
    Domain.REAL: REAL,
    Domain.INT: INT,
    Domain.SPIKES: ZERO_ONE,
    Domain.SIGNS: Values(frozenset({-1.0, 1.0}), integer=True),
}


_UNARY_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "strict_sign": np.sign,
    "round": np.rint,
    "floor": np.floor,
    "ceil": np.ceil,
    "relu": lambda x: np.maximum(x, np.float32(0)),
}
_BINARY_FUNCTIONS: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": np.minimum,
    "max": np.maximum,
}


def infer_values(
    op_class: type[Op], operands: Sequence[Values], attributes: Mapping[str, Any], *, location: object = ""
) -> Values:
    """The numbers an op's result may hold, given those of its operands; all arithmetic in float32.

    Raises:
        CompileError: an operand that must be spikes may hold something else.
    """
    kind = attributes.get("kind", "")
    if op_class is ops.Constant:
        return Values.of(attributes["value"])
    needs_spikes = (
        operands[:1]
        if op_class in (ops.SpikingConv2d, ops.SignConv2d, ops.Where)
        else operands
        if kind == "not" or kind in LOGIC
        else ()
    )
    for operand in needs_spikes:
        if not operand.within(Domain.SPIKES):
            what = kind or op_class.mnemonic()
            raise ModuleInvalid(f"{what} takes spikes, its operand is {operand.domain}", location)
    if op_class is ops.SpikingConv2d or kind in COMPARISONS or kind in LOGIC or kind == "not":
        return ZERO_ONE
    if op_class is ops.Unary:
        return _unary_values(kind, operands[0])
    if op_class is ops.Binary:
        return _binary_values(kind, *operands)
    if op_class is ops.Clip:
        return _clip_values(operands[0], attributes["low"], attributes["high"])
    if op_class is ops.HardSigmoid:
        return Values.between(0.0, 1.0, integer=False)
    if op_class is ops.Where:
        return operands[1] | operands[2]
    if op_class is ops.MaxPool2d or op_class in ops.WIRING:
        found = operands[0]
        for operand in operands[1:]:
            found = found | operand
        return found
    if op_class in (ops.Conv2d, ops.Linear, ops.TrinaryConv2d, ops.SignConv2d):
        integer = operands[0].integer and Values.of(attributes["weight"]).integer
        integer = integer and ("scale" not in attributes or Values.of(attributes["scale"]).integer)
        return INT if integer and _sums_stay_small(operands[0], attributes) else REAL
    return REAL


def _sums_stay_small(operand: Values, attributes: Mapping[str, Any]) -> bool:
    """Whether no sum of a layer passes MAX_INTEGER, where it is known what the layer reads."""
    if operand.finite is None:
        return True
    weight: Array = attributes["weight"]
    total = np.abs(weight.reshape(weight.shape[0], -1)).sum(axis=1, dtype=np.float64)
    reach = total * np.abs(attributes.get("scale", 1)) * max((abs(number) for number in operand.finite), default=0.0)
    return bool(np.all(reach <= MAX_INTEGER))


def _unary_values(kind: str, operand: Values) -> Values:
    if kind in ("sigmoid", "tanh"):
        return Values.between(0.0 if kind == "sigmoid" else -1.0, 1.0, integer=False)
    function = _UNARY_FUNCTIONS[kind]
    if operand.finite is not None:
        return Values.of(function(np.array(sorted(operand.finite), np.float32)))
    if kind == "strict_sign":
        return Values(frozenset({-1.0, 1.0}), integer=True)
    low, high = operand.bounds
    if kind in ("neg", "abs"):
        low, high = (-high, -low) if kind == "neg" else (max(low, -high, 0.0), max(-low, high))
    else:
        low, high = (float(bound) for bound in function(np.array([low, high])))
    # rounding an infinity leaves an infinity, so reals without bounds stay reals
    rounded = kind in ("round", "floor", "ceil") and math.isfinite(low) and math.isfinite(high)
    return Values.between(low, high, operand.integer or rounded or kind == "sign")


def _binary_values(kind: str, a: Values, b: Values) -> Values:
    if a.finite is None or b.finite is None:
        integer = kind != "div" and a.integer and b.integer
        (a_low, a_high), (b_low, b_high) = a.bounds, b.bounds
        # every operation rises or falls with each operand, rounded or not, so the extremes are at the corners
        corners = np.array(list(itertools.product((a_low, a_high), (b_low, b_high))), np.float32)
        with np.errstate(all="ignore"):
            found = _BINARY_FUNCTIONS[kind](corners[:, 0], corners[:, 1])
        if not np.all(np.isfinite([*corners.flat, *found])) or (kind == "div" and b_low <= 0 <= b_high):
            return INT if integer else REAL
        return Values.between(float(found.min()), float(found.max()), integer)
    pairs = np.array(list(itertools.product(sorted(a.finite), sorted(b.finite))), np.float32).reshape(-1, 2)
    with np.errstate(all="ignore"):
        return Values.of(_BINARY_FUNCTIONS[kind](pairs[:, 0], pairs[:, 1]))


def _clip_values(operand: Values, low: float, high: float) -> Values:
    if operand.finite is not None:
        return Values.of(np.clip(np.array(sorted(operand.finite), np.float32), low, high))
    bounds_integer = all(math.isinf(bound) or bound == round(bound) for bound in (low, high))
    lowest, highest = (float(bound) for bound in np.clip(operand.bounds, low, high))
    return Values.between(lowest, highest, operand.integer and bounds_integer)
