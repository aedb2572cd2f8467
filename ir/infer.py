"""Types of results: one shape rule and one value rule per op. Frontends, passes and the verifier all ask here.

Shapes follow from operand shapes and attributes; only `Reshape` and `HostOp` are told theirs. Domains follow from a
finite-value-set analysis: a comparison yields {0, 1}, `where(c, 1, -1)` yields {-1, 1}, and so on through every
elementwise op, wiring and pooling; sets that grow past a limit become "integers" or "reals".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import CompileError
from tncc.ir import ops
from tncc.ir.graph import Graph
from tncc.ir.ops import Op
from tncc.ir.types import Domain, TensorType

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

MAX_SET = 16  # a larger value set is forgotten
COMPARISONS = ("ge", "gt", "le", "lt", "eq")
LOGIC = ("and", "or", "xor")
ARITHMETIC = ("add", "sub", "mul", "div", "min", "max")
UNARY = ("neg", "abs", "sign", "round", "floor", "ceil", "relu", "sigmoid", "tanh", "not")


@dataclass(frozen=True, slots=True)
class Values:
    """The numbers a tensor may hold: a finite set where one is known, else whether all are integers."""

    finite: frozenset[float] | None
    integer: bool = False

    @staticmethod
    def of(numbers: Array) -> Values:
        """The set of all elements; forgotten where it is large or holds an infinity or a NaN."""
        unique = np.unique(np.asarray(numbers, dtype=np.float64))
        if not np.all(np.isfinite(unique)):
            return REAL
        integer = bool(np.all(unique == np.rint(unique)))
        return Values(frozenset(unique.tolist()), integer) if unique.size <= MAX_SET else Values(None, integer)

    @staticmethod
    def of_domain(domain: Domain) -> Values:
        """All numbers of a domain."""
        return _DOMAIN_VALUES[domain]

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
            return Values(None, self.integer and other.integer)
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


def result_type(
    op_class: type[Op],
    operands: Sequence[TensorType],
    attributes: Mapping[str, Any],
    *,
    shape: Shape | None = None,
    location: object = "",
) -> TensorType:
    """Type of the result of an op that is about to be built.

    Args:
        op_class: which op.
        operands: types of its operands, in order.
        attributes: its own fields by name, all of them.
        shape: the result's shape where nothing else says it: `Reshape` and `HostOp`; otherwise not needed.
        location: named in errors.

    Raises:
        CompileError: operands and attributes do not fit together.
    """
    found = infer_shape(op_class, [t.shape for t in operands], attributes, shape=shape, location=location)
    values = infer_values(op_class, [Values.of_domain(t.domain) for t in operands], attributes, location=location)
    return TensorType(values.domain, found)


def infer_domains(graph: Graph) -> Graph:
    """The graph with the type of every op's result recomputed, from value sets rather than from domains.

    Knows more than `result_type`: constants' values, and that the straight-through form c + (b - c) stands for b.
    A `HostOp` keeps the type it declares, a graph input too.
    """
    values = infer_graph_values(graph)
    shapes = {value.name: value.type.shape for value in graph.inputs}
    rewritten: list[Op] = []
    for op in graph.ops:
        given = [shapes[name] for name in op.inputs]
        attributes = dict(op.attributes())
        shape = infer_shape(type(op), given, attributes, shape=op.type.shape, location=op.location)
        shapes[op.output] = shape
        found = TensorType(values[op.output].domain, shape)
        rewritten.append(op if found == op.type else replace(op, type=found))
    return graph.with_ops(rewritten)


def infer_graph_values(graph: Graph) -> dict[str, Values]:
    """The value set of every value of the graph, by name; ops must be in topological order."""
    values = {value.name: Values.of_domain(value.type.domain) for value in graph.inputs}
    for op in graph.ops:
        through = straight_through(op, graph.producer)
        if isinstance(op, ops.HostOp):
            values[op.output] = Values.of_domain(op.type.domain)
        elif through is not None:
            values[op.output] = values[through]
        else:
            operands = [values[name] for name in op.inputs]
            values[op.output] = infer_values(type(op), operands, dict(op.attributes()), location=op.location)
    return values


def straight_through(op: Op, producer: Mapping[str, Op]) -> str | None:
    """The name of b where `op` is c + (b - c) or (b - c) + c, as a straight-through estimator leaves it; else None."""
    if not (isinstance(op, ops.Binary) and op.kind == "add"):
        return None
    for carrier, difference in (op.inputs, op.inputs[::-1]):
        source = producer.get(difference)
        if isinstance(source, ops.Binary) and source.kind == "sub" and source.inputs[1] == carrier:
            return source.inputs[0]
    return None


# --- shapes --------------------------------------------------------------------------------------------------------

ShapeRule = Callable[[Sequence[Shape], Mapping[str, Any], Shape | None], Shape]
_SHAPE_RULES: dict[type[Op], ShapeRule] = {}


def _shape_rule(*classes: type[Op]) -> Callable[[ShapeRule], ShapeRule]:
    def register(rule: ShapeRule) -> ShapeRule:
        _SHAPE_RULES.update(dict.fromkeys(classes, rule))
        return rule

    return register


def infer_shape(
    op_class: type[Op],
    operands: Sequence[Shape],
    attributes: Mapping[str, Any],
    *,
    shape: Shape | None = None,
    location: object = "",
) -> Shape:
    """Shape of an op's result; arguments as for `result_type`. Checks operand count, shapes and attributes."""
    name = op_class.mnemonic()
    if op_class.arity is not None and len(operands) != op_class.arity:
        raise CompileError(f"{name} takes {op_class.arity} operand(s), not {len(operands)}", location)
    rule = _SHAPE_RULES.get(op_class)
    if rule is None:
        raise CompileError(f"{name} has no shape rule", location, "add one to ir/infer.py")
    try:
        return tuple(int(n) for n in rule(operands, attributes, shape))
    except _Misfit as misfit:
        raise CompileError(f"{name}: {misfit}", location) from None


class _Misfit(Exception):
    """What does not fit; `infer_shape` adds the op and the place."""


def _fit(condition: bool, complaint: str) -> None:
    if not condition:
        raise _Misfit(complaint)


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) if shape else "scalar"


@_shape_rule(ops.Constant)
def _constant(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    return tuple(attributes["value"].shape)


@_shape_rule(ops.HostOp)
def _host_op(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    _fit(shape is not None, f"the shape of {attributes['op_type']}'s result must be given")
    assert shape is not None
    return shape


def _window_grid(
    operand: Shape, kernel: Sequence[int], attributes: Mapping[str, Any], dilations: Sequence[int]
) -> Shape:
    """(height, width) of the result of sliding a window over [channels, height, width]."""
    strides, (top, left, bottom, right) = attributes["strides"], _quad(attributes["pads"])
    _fit(min(*strides, *dilations, *kernel) >= 1, "kernel, strides and dilations must be at least 1")
    _fit(len(strides) == 2 and len(dilations) == 2, "strides and dilations are two numbers each: (height, width)")
    grid = []
    for size, k, stride, dilation, pad in zip(
        operand[1:], kernel, strides, dilations, (top + bottom, left + right), strict=True
    ):
        reach = dilation * (k - 1) + 1
        _fit(size + pad >= reach, f"a window of {reach} does not fit the padded input of {size + pad}")
        grid.append((size + pad - reach) // stride + 1)
    return tuple(grid)


def _quad(pads: Sequence[int]) -> tuple[int, int, int, int]:
    _fit(len(pads) == 4 and min(pads) >= 0, f"pads are four numbers >= 0: (top, left, bottom, right), not {pads}")
    top, left, bottom, right = pads
    return top, left, bottom, right


@_shape_rule(ops.Conv2d, ops.TrinaryConv2d, ops.SpikingConv2d)
def _conv(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    (operand,), weight, groups = operands, attributes["weight"], attributes["groups"]
    _fit(len(operand) == 3, f"the operand is {_text(operand)}; expected channels x height x width")
    _fit(weight.ndim == 4, f"the weight is {_text(weight.shape)}; expected out x in / groups x height x width")
    out, per_group, *kernel = weight.shape
    _fit(groups >= 1 and out % groups == 0, f"{out} output features do not divide into {groups} groups")
    _fit(
        operand[0] == per_group * groups,
        f"the operand has {operand[0]} channels, the weight expects {per_group} x {groups} groups",
    )
    grid = _window_grid(operand, kernel, attributes, attributes["dilations"])
    if "scale" in attributes:
        scale = attributes["scale"]
        _fit(scale.shape == (out,) and scale.dtype == np.float32, f"scale must be f32[{out}]")
        _fit(bool(np.all(scale > 0)), "every scale must be positive")
    if "threshold" in attributes:
        threshold, labels = attributes["threshold"], attributes["feature_groups"]
        _fit(
            threshold.dtype == np.int32 and threshold.shape in ((out, 1, 1), (out, *grid)),
            f"threshold is {threshold.dtype} {_text(threshold.shape)}; "
            f"expected int32 {_text((out, 1, 1))} or {_text((out, *grid))}",
        )
        _fit(labels.dtype == np.int32 and labels.shape == (out,), f"feature_groups must be i32[{out}]")
        _fit(labels.min(initial=0) >= 0, "feature_groups count from 0")
    if "scale" in attributes or "threshold" in attributes:
        _fit(weight.dtype == np.int8, f"the weight is {weight.dtype}; expected int8")
        _fit(weight.size == 0 or (weight.min() >= -1 and weight.max() <= 1), "weights must be -1, 0 or 1")
    return (out, *grid)


@_shape_rule(ops.Linear)
def _linear(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    (operand,), weight = operands, attributes["weight"]
    _fit(weight.ndim == 2, f"the weight is {_text(weight.shape)}; expected out x in")
    _fit(operand == weight.shape[1:], f"the operand is {_text(operand)}; the weight expects {weight.shape[1]} features")
    return (weight.shape[0],)


@_shape_rule(ops.BatchNorm)
def _batch_norm(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    (operand,) = operands
    _fit(len(operand) >= 1, "the operand is a scalar; expected channels on axis 0")
    for name in ("gamma", "beta", "mean", "variance"):
        given = attributes[name].shape
        _fit(given == operand[:1], f"{name} is {_text(given)}; the operand has {operand[0]} channels")
    return operand


@_shape_rule(ops.Clip)
def _clip(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    return operands[0]


@_shape_rule(ops.Unary)
def _unary(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    _fit(attributes["kind"] in UNARY, f"unknown kind {attributes['kind']!r}; there are {', '.join(UNARY)}")
    return operands[0]


@_shape_rule(ops.Binary, ops.Where)
def _broadcast(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    if "kind" in attributes:
        kinds = ARITHMETIC + COMPARISONS + LOGIC
        _fit(attributes["kind"] in kinds, f"unknown kind {attributes['kind']!r}; there are {', '.join(kinds)}")
    try:
        return np.broadcast_shapes(*operands)
    except ValueError:
        raise _Misfit(f"shapes {', '.join(map(_text, operands))} do not broadcast") from None


@_shape_rule(ops.MaxPool2d, ops.AveragePool2d)
def _pool(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    (operand,), kernel = operands, attributes["kernel"]
    _fit(len(operand) == 3, f"the operand is {_text(operand)}; expected channels x height x width")
    _fit(len(kernel) == 2, f"the kernel is {_text(kernel)}; expected height x width")
    dilations = attributes.get("dilations", (1, 1))
    grid = _window_grid(operand, kernel, attributes, dilations)
    for pad, k, dilation in zip(attributes["pads"], (*kernel, *kernel), (*dilations, *dilations), strict=True):
        _fit(pad < dilation * (k - 1) + 1, "a window would lie in the padding alone: pads must be below the kernel")
    return (operand[0], *grid)


@_shape_rule(ops.Reshape)
def _reshape(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    _fit(shape is not None, "the result's shape must be given")
    assert shape is not None
    _fit(
        math.prod(shape) == math.prod(operands[0]),
        f"{_text(operands[0])} has {math.prod(operands[0])} elements, {_text(shape)} has {math.prod(shape)}",
    )
    return shape


@_shape_rule(ops.Transpose)
def _transpose(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    (operand,), permutation = operands, attributes["permutation"]
    _fit(
        sorted(permutation) == list(range(len(operand))),
        f"{tuple(permutation)} is not a permutation of the {len(operand)} axes of {_text(operand)}",
    )
    return tuple(operand[axis] for axis in permutation)


@_shape_rule(ops.Gather)
def _gather(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    (operand,), axis, indices = operands, attributes["axis"], attributes["indices"]
    _fit(0 <= axis < len(operand), f"axis {axis} does not exist in {_text(operand)}")
    _fit(indices.dtype.kind in "iu", f"indices are {indices.dtype}; expected integers")
    inside = indices.size == 0 or (indices.min() >= 0 and indices.max() < operand[axis])
    _fit(bool(inside), f"an index lies outside 0..{operand[axis] - 1}")
    return (*operand[:axis], *indices.shape, *operand[axis + 1 :])


@_shape_rule(ops.Concat)
def _concat(operands: Sequence[Shape], attributes: Mapping[str, Any], shape: Shape | None) -> Shape:
    axis = attributes["axis"]
    _fit(len(operands) >= 1, "needs at least one operand")
    first = operands[0]
    _fit(0 <= axis < len(first), f"axis {axis} does not exist in {_text(first)}")
    rest = {(*s[:axis], *s[axis + 1 :]) if len(s) == len(first) else None for s in operands}
    _fit(len(rest) == 1, f"shapes {', '.join(map(_text, operands))} differ in more than axis {axis}")
    return (*first[:axis], sum(s[axis] for s in operands), *first[axis + 1 :])


# --- values --------------------------------------------------------------------------------------------------------

_UNARY_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
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
        if op_class in (ops.SpikingConv2d, ops.Where)
        else operands
        if kind == "not" or kind in LOGIC
        else ()
    )
    for operand in needs_spikes:
        if not operand.within(Domain.SPIKES):
            what = kind or op_class.mnemonic()
            raise CompileError(f"{what} takes spikes, its operand is {operand.domain}", location)
    if op_class is ops.SpikingConv2d or kind in COMPARISONS or kind in LOGIC or kind == "not":
        return ZERO_ONE
    if op_class is ops.Unary:
        return _unary_values(kind, operands[0])
    if op_class is ops.Binary:
        return _binary_values(kind, *operands)
    if op_class is ops.Clip:
        return _clip_values(operands[0], attributes["low"], attributes["high"])
    if op_class is ops.Where:
        return operands[1] | operands[2]
    if op_class is ops.MaxPool2d or op_class in ops.WIRING:
        found = operands[0]
        for operand in operands[1:]:
            found = found | operand
        return found
    if op_class in (ops.Conv2d, ops.Linear, ops.TrinaryConv2d):
        integer = operands[0].integer and Values.of(attributes["weight"]).integer
        return INT if integer and ("scale" not in attributes or Values.of(attributes["scale"]).integer) else REAL
    return REAL


def _unary_values(kind: str, operand: Values) -> Values:
    function = _UNARY_FUNCTIONS.get(kind)
    if function is None:
        return REAL
    if operand.finite is not None:
        return Values.of(function(np.array(sorted(operand.finite), np.float32)))
    if kind == "sign":
        return Values(frozenset({-1.0, 0.0, 1.0}), integer=True)
    # rounding an infinity leaves an infinity, so reals stay reals
    return INT if operand.integer else REAL


def _binary_values(kind: str, a: Values, b: Values) -> Values:
    if a.finite is None or b.finite is None:
        return INT if kind != "div" and a.integer and b.integer else REAL
    pairs = np.array(list(itertools.product(sorted(a.finite), sorted(b.finite))), np.float32).reshape(-1, 2)
    with np.errstate(all="ignore"):
        return Values.of(_BINARY_FUNCTIONS[kind](pairs[:, 0], pairs[:, 1]))


def _clip_values(operand: Values, low: float, high: float) -> Values:
    if operand.finite is not None:
        return Values.of(np.clip(np.array(sorted(operand.finite), np.float32), low, high))
    bounds_integer = all(math.isinf(bound) or bound == round(bound) for bound in (low, high))
    return INT if operand.integer and bounds_integer else REAL
