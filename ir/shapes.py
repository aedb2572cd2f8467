"""Shape rules: the shape of an op's result from operand shapes and attributes, one rule per op class."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tncc.errors import ModuleInvalid
from tncc.ir import ops
from tncc.ir.ops import Op
from tncc.ir.value_sets import ARITHMETIC, COMPARISONS, LOGIC, UNARY

Shape = tuple[int, ...]
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
        raise ModuleInvalid(f"{name} takes {op_class.arity} operand(s), not {len(operands)}", location)
    rule = _SHAPE_RULES.get(op_class)
    if rule is None:
        raise ModuleInvalid(f"{name} has no shape rule", location, "add one to ir/infer.py")
    try:
        return tuple(int(n) for n in rule(operands, attributes, shape))
    except _Misfit as misfit:
        raise ModuleInvalid(f"{name}: {misfit}", location) from None


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


@_shape_rule(ops.Conv2d, ops.TrinaryConv2d, ops.SignConv2d, ops.SpikingConv2d)
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
        _fit(labels.min(initial=0) >= 0 and labels.max(initial=0) < out, f"feature_groups lie in 0..{out - 1}")
    if "scale" in attributes or "threshold" in attributes:
        _fit(weight.dtype in (np.int8, np.int16), f"the weight is {weight.dtype}; expected int8 or int16")
    return (out, *grid)


def inner_tap(op: ops.SpikingConv2d, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The first (row, column) of the kernel under which there is no padding at any position; None where there is none.

    shape: of the operand's frame.
    """
    found = []
    for axis in (0, 1):
        first = np.arange(op.weight.shape[2 + axis]) * op.dilations[axis] - op.pads[axis]
        last = first + (op.type.shape[1 + axis] - 1) * op.strides[axis]
        inside = np.flatnonzero((first >= 0) & (last < shape[1 + axis]))
        if not inside.size:
            return None
        found.append(int(inside[0]))
    return found[0], found[1]


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


@_shape_rule(ops.Clip, ops.HardSigmoid)
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
