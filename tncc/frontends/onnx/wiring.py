"""Importers of operators that only move elements: reshapes, transposes, gathers, slices, joins."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tncc.frontends.onnx.importer import Importer, Node, NotModelled, Padded, Tensor, as_float, imports
from tncc.frontends.onnx.probes import PROBES
from tncc.ir import ops
from tncc.ir.types import Domain, TensorType
from tncc.ir.verify import check_size


def _frame_axis(node: Node, x: Tensor, axis: int) -> int:
    """An ONNX axis as an axis of the frame."""
    rank = len(x.shape) + 1
    if not -rank <= axis < rank or axis % rank == 0:
        raise NotModelled("along the batch")
    return axis % rank - 1


def _axes(node: Node, i: int) -> list[int] | None:
    """The axes of a node: an attribute before operator set 13, then input i; None where absent."""
    given = node.get("axes")
    if given is not None:
        return [int(axis) for axis in given]
    value = node.optional_constant(i)
    return None if value is None else [int(axis) for axis in value.reshape(-1)]


def _reshape_to(importer: Importer, node: Node, x: Tensor, shape: tuple[int, ...]) -> None:
    if shape == x.shape:
        importer.alias(node, x)
    else:
        importer.result(node, ops.Reshape, (x.name,), x.element_type, shape=shape)


@imports("Flatten")
def flatten(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    if int(node.get("axis", 1)) % (len(x.shape) + 1) != 1:
        raise NotModelled("the batch is flattened too")
    _reshape_to(importer, node, x, (math.prod(x.shape),))


@imports("Reshape")
def reshape(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    pair = importer.shape_pair(node.input_names[1])
    targets = pair or (node.constant(1), node.constant(1))
    first, second = (
        _target(x, batch, target.reshape(-1).tolist(), bool(node.get("allowzero", 0)))
        for batch, target in zip(PROBES, targets, strict=True)
    )
    if first[:1] + second[:1] != PROBES or first[1:] != second[1:] or math.prod(first[1:]) != math.prod(x.shape):
        raise NotModelled("the batch does not stay in front")
    _reshape_to(importer, node, x, first[1:])


def _target(x: Tensor, batch: int, target: list[int], allow_zero: bool) -> tuple[int, ...]:
    """The result's full shape at a batch size."""
    full = (batch, *x.shape)
    sizes = [full[i] if size == 0 and not allow_zero and i < len(full) else size for i, size in enumerate(target)]
    if -1 in sizes:
        rest = -math.prod(sizes)
        sizes[sizes.index(-1)] = math.prod(full) // rest if rest else 0
    return tuple(sizes)


@imports("Squeeze")
def squeeze(importer: Importer, node: Node) -> None:
    x, given = node.tensor(0), _axes(node, 1)
    if given is None:
        raise NotModelled("squeezes the batch too where it is 1")
    axes = {_frame_axis(node, x, axis) for axis in given}
    if any(x.shape[axis] != 1 for axis in axes):
        raise NotModelled("squeezes a dimension that is not 1")
    _reshape_to(importer, node, x, tuple(size for axis, size in enumerate(x.shape) if axis not in axes))


@imports("Unsqueeze")
def unsqueeze(importer: Importer, node: Node) -> None:
    x, given = node.tensor(0), _axes(node, 1)
    if given is None:
        raise NotModelled("without axes")
    rank = len(x.shape) + 1 + len(given)
    axes = {axis % rank for axis in given}
    if 0 in axes:
        raise NotModelled("a dimension before the batch")
    sizes = iter(x.shape)
    _reshape_to(importer, node, x, tuple(1 if axis in axes else next(sizes) for axis in range(1, rank)))


@imports("Transpose")
def transpose(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    rank = len(x.shape) + 1
    permutation = [int(axis) for axis in node.get("perm") or range(rank - 1, -1, -1)]
    if permutation[0] != 0:
        raise NotModelled("moves the batch")
    frame = tuple(axis - 1 for axis in permutation[1:])
    if frame == tuple(range(rank - 1)):
        importer.alias(node, x)
    else:
        importer.result(node, ops.Transpose, (x.name,), x.element_type, permutation=frame)
        zeros = importer.padded.get(x.name)
        if zeros is not None:  # in NHWC models a Transpose stands between Pad and Conv
            inner = zeros.tensor
            moved = importer.fresh(f"{node.outputs[0]}.bare")
            importer.emit(ops.Transpose, (inner.name,), moved, permutation=frame)
            importer.padded[node.outputs[0]] = Padded(
                replace(inner, name=moved, shape=importer.shapes[moved]),
                tuple(zeros.before[axis] for axis in frame),
                tuple(zeros.after[axis] for axis in frame),
            )


def _take(importer: Importer, node: Node, x: Tensor, indices: Any, axis: int) -> None:
    chosen = np.asarray(indices, np.int64)
    if chosen.ndim == 1 and np.array_equal(chosen, np.arange(x.shape[axis])):
        importer.alias(node, x)
        return
    importer.result(node, ops.Gather, (x.name,), x.element_type, indices=chosen, axis=axis)


@imports("Gather")
def gather(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    axis = _frame_axis(node, x, int(node.get("axis", 0)))
    indices = node.constant(1).astype(np.int64)
    if indices.size and not -x.shape[axis] <= indices.min() <= indices.max() < x.shape[axis]:
        raise NotModelled("an index out of range")
    _take(importer, node, x, np.where(indices < 0, indices + x.shape[axis], indices), axis)


@imports("Slice")
def slice_(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    starts, ends = (_vector(node, i) for i in (1, 2))
    if starts is None or ends is None:
        raise NotModelled("bounds are not constants")
    axes = _vector(node, 3) or list(range(len(starts)))
    steps = _vector(node, 4) or [1] * len(starts)
    rank = len(x.shape) + 1
    picks: list[tuple[int, range]] = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % rank == 0:
            if (start, step) != (0, 1) or end < 1 << 30:
                raise NotModelled("slices the batch")
            continue
        size = x.shape[axis % rank - 1]
        chosen = range(size)[slice(start, None if step < 0 and end < -size else end, step)]
        if chosen != range(size):
            picks.append((axis % rank - 1, chosen))
    value = x.name
    for i, (axis, chosen) in enumerate(picks, 1):
        name = node.outputs[0] if i == len(picks) else importer.fresh(f"{node.outputs[0]}.{i}")
        value = importer.emit(ops.Gather, (value,), name, indices=np.array(chosen, np.int64), axis=axis)
    importer.define(node.outputs[0], value, x.element_type)


def _vector(node: Node, i: int) -> list[int] | None:
    value = node.optional_constant(i)
    return None if value is None else [int(n) for n in value.reshape(-1)]


@imports("Split")
def split(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    axis = _frame_axis(node, x, int(node.get("axis", 0)))
    size, parts = x.shape[axis], len(node.outputs)
    given = node.get("split") or _vector(node, 1)
    if given is None:
        each = -(-size // parts)
        given = [min(each, size - each * i) for i in range(parts)]
    start = 0
    for output, length in zip(node.outputs, given, strict=True):
        if output:
            indices = np.arange(start, start + length)
            value = importer.emit(ops.Gather, (x.name,), output, indices=indices, axis=axis)
            importer.define(output, value, x.element_type)
        start += length


@imports("Concat")
def concat(importer: Importer, node: Node) -> None:
    tensors = [node.tensor(i) for i in range(len(node.inputs))]
    axis = _frame_axis(node, tensors[0], int(node.get("axis", 0)))
    if len(tensors) == 1:
        importer.alias(node, tensors[0])
        return
    names = tuple(tensor.name for tensor in tensors)
    importer.result(node, ops.Concat, names, tensors[0].element_type, axis=axis)


@imports("Expand")
def expand(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    expected = importer.probes[0].shapes.get(node.outputs[0])
    if expected is None or len(expected) != len(x.shape) + 1 or expected[0] != PROBES[0]:
        raise NotModelled("the result's shape is not known or adds dimensions")
    _repeat(importer, node, x, expected[1:], lambda size, new: np.zeros(new, np.int64))


@imports("Tile")
def tile(importer: Importer, node: Node) -> None:
    x, repeats = node.tensor(0), _vector(node, 1)
    if repeats is None or len(repeats) != len(x.shape) + 1 or repeats[0] != 1:
        raise NotModelled("repeats the batch")
    shape = tuple(size * n for size, n in zip(x.shape, repeats[1:], strict=True))
    _repeat(importer, node, x, shape, lambda size, new: np.tile(np.arange(size), new // max(size, 1)))


def _repeat(
    importer: Importer, node: Node, x: Tensor, shape: tuple[int, ...], indices: Callable[[int, int], Any]
) -> None:
    """Gathers along every axis that changes its size; `indices` (size, new size) says which elements."""
    check_size(node.outputs[0], TensorType(Domain.REAL, shape), importer.location)
    changed = [axis for axis, (size, new) in enumerate(zip(x.shape, shape, strict=True)) if size != new]
    value = x.name
    for i, axis in enumerate(changed, 1):
        name = node.outputs[0] if i == len(changed) else importer.fresh(f"{node.outputs[0]}.{i}")
        chosen = indices(x.shape[axis], shape[axis])
        value = importer.emit(ops.Gather, (value,), name, indices=chosen, axis=axis)
    importer.define(node.outputs[0], value, x.element_type)


@imports("Pad")
def pad(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    value = node.optional_constant(2)
    if node.get("mode", "constant") != "constant" or (value is not None and value.size != 1):
        raise NotModelled("padding with other than one number")
    filling = np.float32(0) if value is None else as_float(value, "the padding").reshape(())
    amounts = [int(n) for n in node.constant(1)]
    rank = len(x.shape) + 1
    axes = _vector(node, 3) or list(range(rank))
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis % rank], after[axis % rank] = amounts[i], amounts[i + len(axes)]
    if before[0] or after[0] or min(*before, *after) < 0:
        raise NotModelled("padding of the batch, or negative padding")
    sizes = [size + first + last for size, first, last in zip(x.shape, before[1:], after[1:], strict=True)]
    check_size(node.outputs[0], TensorType(Domain.REAL, tuple(sizes)), importer.location)
    steps = [axis for axis in range(1, rank) if before[axis] or after[axis]]
    current = x.name
    for i, axis in enumerate(steps, 1):
        parts = []
        for amount, side in ((before[axis], "before"), (0, ""), (after[axis], "after")):
            if not side:
                parts.append(current)
            elif amount:
                shape = list(importer.shapes[current])
                shape[axis - 1] = amount
                border = np.full(shape, filling, np.float32)
                parts.append(importer.constant(border, f"{node.outputs[0]}.{side}{axis}"))
        name = node.outputs[0] if i == len(steps) else importer.fresh(f"{node.outputs[0]}.{i}")
        current = importer.emit(ops.Concat, tuple(parts), name, axis=axis - 1)
    importer.define(node.outputs[0], current, x.element_type)
    if len(x.shape) in (2, 3) and not filling:
        importer.padded[node.outputs[0]] = Padded(x, tuple(before[1:]), tuple(after[1:]))


@imports("Resize", "Upsample")
def resize(importer: Importer, node: Node) -> None:
    """Nearest-neighbour enlargement by whole numbers repeats elements."""
    x = node.tensor(0)
    shape = importer.probes[0].shapes.get(node.outputs[0], ())
    if node.get("mode", "nearest") != "nearest" or len(shape) != len(x.shape) + 1 or shape[0] != PROBES[0]:
        raise NotModelled("interpolates")
    if any(new % old for old, new in zip(x.shape, shape[1:], strict=True)):
        raise NotModelled("not a whole factor")
    scales = node.optional_constant(2)
    if scales is not None and scales.size:
        axes = node.get("axes") or range(len(shape))
        given = dict(zip((axis % len(shape) for axis in axes), scales.reshape(-1).tolist(), strict=True))
        whole = {axis: new / old for axis, (old, new) in enumerate(zip(x.shape, shape[1:], strict=True), 1)} | {0: 1}
        if any(factor != whole[axis] for axis, factor in given.items()):
            raise NotModelled("not a whole factor")  # of which the result's shape keeps the whole part
    elif node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NotModelled("a factor that is rounded to sizes")
    how = node.get("coordinate_transformation_mode", "half_pixel"), node.get("nearest_mode", "round_prefer_floor")
    if how not in (("half_pixel", "round_prefer_floor"), ("asymmetric", "floor")):
        raise NotModelled("elements are not repeated equally often")
    _repeat(importer, node, x, shape[1:], lambda size, new: np.repeat(np.arange(size), new // size))


@imports("DepthToSpace", "SpaceToDepth")
def pixel_shuffle(importer: Importer, node: Node) -> None:
    x, block, output = node.tensor(0), int(node.get("blocksize")), node.outputs[0]
    channels, height, width = x.shape
    if node.op_type == "SpaceToDepth":
        split = (channels, height // block, block, width // block, block)
        permutation, joined = (2, 4, 0, 1, 3), (channels * block * block, height // block, width // block)
    else:
        kept = channels // (block * block)
        columns_first = node.get("mode", "DCR") == "CRD"
        split = (kept, block, block, height, width) if columns_first else (block, block, kept, height, width)
        permutation = (0, 3, 1, 4, 2) if columns_first else (2, 3, 0, 4, 1)
        joined = (kept, height * block, width * block)
    value = importer.emit(ops.Reshape, (x.name,), importer.fresh(f"{output}.split"), shape=split)
    value = importer.emit(ops.Transpose, (value,), importer.fresh(f"{output}.moved"), permutation=permutation)
    importer.result(node, ops.Reshape, (value,), x.element_type, shape=joined)
