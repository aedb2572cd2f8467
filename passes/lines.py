"""Values that are a layer's sums times a factor plus an offset, a channel at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.cone import Cone
from tncc.ir.graph import Graph
from tncc.ir.ops import BatchNorm, Binary, Constant, Op, Reshape, Unary

Array = npt.NDArray[Any]


def as_map(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """A frame's shape with a height and a width."""
    if not 1 <= len(shape) <= 3:
        return None
    channels, *grid = shape
    height, width = (1,) * (2 - len(grid)) + tuple(grid)
    return channels, height, width


def keeps_map(op: Op, operand: tuple[int, ...]) -> bool:
    """Whether a reshape only adds or drops a height or width of 1. operand: its operand's frame shape."""
    return isinstance(op, Reshape) and as_map(op.type.shape) is not None and as_map(op.type.shape) == as_map(operand)


def per_channel(value: Array, shape: tuple[int, ...]) -> Array | None:
    """A constant that broadcasts against frames of `shape`, as a scalar or as [channels]; None where it differs within
    a channel."""
    if value.size == 1:
        return value.reshape(())
    channels = shape[0] if shape else 0
    if value.size == channels and value.ndim == len(shape) and value.shape[0] == channels:
        return value.reshape(-1)
    return None


def line(graph: Graph, cone: Cone, channels: int) -> tuple[Array, Array] | None:
    """Factor and offset, float64 [channels], with cone.output = factor * source + offset; None where it is no such
    function of its one source."""
    if len(cone.sources) != 1:
        return None
    lines: dict[str, tuple[Array, Array]] = {cone.sources[0]: (np.ones(channels), np.zeros(channels))}
    for op in cone.ops:
        if isinstance(op, Constant):
            continue
        found = _step(graph, op, lines)
        if found is None:
            return None
        lines[op.output] = found
    return lines[cone.output]


def _step(graph: Graph, op: Op, lines: Mapping[str, tuple[Array, Array]]) -> tuple[Array, Array] | None:
    varying = [name for name in op.inputs if name in lines]
    if len(varying) != 1:
        return None
    factor, offset = lines[varying[0]]
    shape = graph.types[varying[0]].shape
    if isinstance(op, Reshape):
        return (factor, offset) if keeps_map(op, shape) else None
    if op.type.shape != shape:
        return None
    if isinstance(op, BatchNorm):
        gain = op.gamma.astype(np.float64) / np.sqrt(op.variance.astype(np.float64) + float(np.float32(op.epsilon)))
        return factor * gain, (offset - op.mean) * gain + op.beta
    if isinstance(op, Unary) and op.kind == "neg":
        return -factor, -offset
    if not isinstance(op, Binary):
        return None
    other = graph.producer.get(op.inputs[1 - op.inputs.index(varying[0])])
    constant = per_channel(other.value, shape) if isinstance(other, Constant) else None
    if constant is None:
        return None
    number, first = constant.astype(np.float64), op.inputs[0] == varying[0]
    if op.kind == "add":
        return factor, offset + number
    if op.kind == "sub":
        return (factor, offset - number) if first else (-factor, number - offset)
    if op.kind == "mul":
        return factor * number, offset * number
    if op.kind == "div" and first and np.all(number != 0):
        return factor / number, offset / number
    return None
