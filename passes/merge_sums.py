"""merge-sums: the sum of two layers' sums is one layer on both inputs; residual connections become synapses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.ir.builder import Builder, side_by_side
from tncc.ir.chip import Chip
from tncc.ir.cone import live
from tncc.ir.graph import Graph
from tncc.ir.location import Location
from tncc.ir.ops import Binary, Op, TrinaryConv2d, integer_weight
from tncc.ir.types import Domain
from tncc.passes.base import Module, Pass
from tncc.passes.trinarize_weights import integer_form

Array = npt.NDArray[Any]
LARGEST = 255  # weight of a merged layer


@dataclass(frozen=True)
class MergeSums(Pass):
    """add and sub of two TrinaryConv2d, or of one and spikes, become one TrinaryConv2d.

    Their scales must be small multiples of one in every channel, their inputs of one size and their strides equal. What
    does not fit is left alone.
    """

    name: ClassVar[str] = "merge-sums"
    takes: ClassVar[type[Graph]] = Graph

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        build = Builder(module)
        made: dict[str, Op] = {}
        for op in module.ops:
            merged = _merge(build, made, op) if isinstance(op, Binary) and op.kind in ("add", "sub") else None
            if merged is None:
                build.append(op)
                made[op.output] = op
            else:
                made[op.output] = merged
        return live(module.with_ops(build.ops))


def _merge(build: Builder, made: dict[str, Op], op: Binary) -> Op | None:
    """Adds the one layer for a sum of two and returns it; None where `op` is no such sum or they do not fit."""
    layers = [_layer(build, made, name, op) for name in op.inputs]
    a, b = layers
    if a is None or b is None or type(a) is not type(b) or a.type.shape != b.type.shape:
        return None
    if all(name not in made or not isinstance(made[name], TrinaryConv2d) for name in op.inputs):
        return None  # spikes and spikes: lower-logic's
    alike = _common_scale(a, b)
    window = _common_window(build, a, b)
    return None if alike is None or window is None else _emit(build, op, *alike, window)


def _layer(build: Builder, made: dict[str, Op], name: str, op: Op) -> TrinaryConv2d | None:
    """The layer whose sums a value is; for spikes the identity."""
    found, type = made.get(name), build.types[name]
    if isinstance(found, TrinaryConv2d):
        return found
    if type.domain is not Domain.SPIKES or len(type.shape) != 3 or type.shape != op.type.shape:
        return None
    channels = type.shape[0]
    return TrinaryConv2d(
        inputs=(name,),
        output=name,
        type=type,
        location=Location.of(name),
        weight=np.ones((channels, 1, 1, 1), np.int8),
        scale=np.ones(channels, np.float32),
        strides=(1, 1),
        pads=(0, 0, 0, 0),
        dilations=(1, 1),
        groups=channels,
    )


def _common_scale(a: TrinaryConv2d, b: TrinaryConv2d) -> tuple[TrinaryConv2d, TrinaryConv2d] | None:
    """Both with the same scales; None where those are no small multiples of one.

    All-zero channels take the other's scale.
    """
    empty_a, empty_b = (~np.any(layer.weight, axis=(1, 2, 3)) for layer in (a, b))
    scales = np.stack([np.where(empty_a, b.scale, a.scale), np.where(empty_b, a.scale, b.scale)], axis=1)
    form = integer_form(scales, LARGEST)
    if isinstance(form, int):
        return None
    weights = [layer.weight * form.weight[:, i].astype(np.int64)[:, None, None, None] for i, layer in enumerate((a, b))]
    if max(int(np.abs(weight).max(initial=0)) for weight in weights) > LARGEST:
        return None
    one, other = (
        replace(layer, weight=integer_weight(weight), scale=form.scale, tolerance=layer.tolerance + form.tolerance)
        for layer, weight in zip((a, b), weights, strict=True)
    )
    return one, other


@dataclass(frozen=True)
class _Window:
    """A window that covers both: kernel, dilations and pads, and where each layer's own kernel starts in it."""

    kernel: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    starts: tuple[tuple[int, int], tuple[int, int]]  # of a, of b


def _common_window(build: Builder, a: TrinaryConv2d, b: TrinaryConv2d) -> _Window | None:
    size = build.types[a.inputs[0]].shape[1:]
    if build.types[b.inputs[0]].shape[1:] != size or a.strides != b.strides:
        return None
    axes = [_common_axis(a, b, axis, size[axis]) for axis in (0, 1)]
    if axes[0] is None or axes[1] is None:
        return None
    (kh, dh, top, bottom, ay, by), (kw, dw, left, right, ax, bx) = axes[0], axes[1]
    return _Window((kh, kw), (dh, dw), (top, left, bottom, right), ((ay, ax), (by, bx)))


def _common_axis(
    a: TrinaryConv2d, b: TrinaryConv2d, axis: int, size: int
) -> tuple[int, int, int, int, int, int] | None:
    """(kernel, dilation, pad before, pad after, start of a, start of b) along one axis; None where there is none."""
    kernels = [layer.weight.shape[2 + axis] for layer in (a, b)]
    pads = [layer.pads[axis] for layer in (a, b)]
    steps = {layer.dilations[axis] for layer, kernel in zip((a, b), kernels, strict=True) if kernel > 1} or {1}
    dilation = steps.pop()
    before = max(pads)
    if steps or any((before - pad) % dilation for pad in pads):
        return None
    starts = [(before - pad) // dilation for pad in pads]
    kernel = max(start + k for start, k in zip(starts, kernels, strict=True))
    reach, stride, out = dilation * (kernel - 1) + 1, a.strides[axis], a.type.shape[1 + axis]
    after = max(0, (out - 1) * stride + reach - size - before)
    if (size + before + after - reach) // stride + 1 != out:
        return None
    return kernel, dilation, before, after, starts[0], starts[1]


def _emit(build: Builder, op: Binary, a: TrinaryConv2d, b: TrinaryConv2d, window: _Window) -> Op:
    groups = math.gcd(a.groups, b.groups)
    sign = -1 if op.kind == "sub" else 1
    parts = [
        _placed(_in_groups(layer, groups), window.kernel, start)
        for layer, start in zip((a, b), window.starts, strict=True)
    ]
    location = (a.location + b.location + op.location).via(MergeSums.name)
    # of one input too: the source model adds up the terms of both, so they are not to cancel before its thresholds
    # are known; prune-constants joins them
    operand = side_by_side(build, (a.inputs[0], b.inputs[0]), groups, op.output, location)
    build.add(
        type(a),
        (operand,),
        op.output,
        location,
        weight=integer_weight(np.concatenate([parts[0], sign * parts[1]], axis=1)),
        scale=a.scale,
        strides=a.strides,
        pads=window.pads,
        dilations=window.dilations,
        groups=groups,
        tolerance=max(a.tolerance, b.tolerance),
    )
    return build.ops[-1]


def _in_groups(layer: TrinaryConv2d, groups: int) -> Array:
    """The weight for fewer groups, [out, in / groups, kernel]: zero where features do not read the channel."""
    out, per_group, *kernel = layer.weight.shape
    ratio = layer.groups // groups
    wide = np.zeros((groups, ratio, out // layer.groups, ratio, per_group, *kernel), np.int16)
    narrow = layer.weight.reshape(groups, ratio, out // layer.groups, per_group, *kernel)
    for i in range(ratio):
        wide[:, i, :, i] = narrow[:, i]
    return wide.reshape(out, ratio * per_group, *kernel)


def _placed(weight: Array, kernel: tuple[int, int], start: tuple[int, int]) -> Array:
    """The weight within a larger window."""
    after = [kernel[axis] - start[axis] - weight.shape[2 + axis] for axis in (0, 1)]
    return np.pad(weight, ((0, 0), (0, 0), (start[0], after[0]), (start[1], after[1])))
