"""Resolves a graph of spiking layers and wiring into layers whose operands are flat lists of source elements."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import PassMisplaced
from tncc.ir.axon_code import AxonCode, axon_code
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph, Value
from tncc.ir.ops import Concat, Gather, Op, Reshape, SpikingConv2d, Transpose
from tncc.ir.types import Domain

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Source:
    """Where spikes come from: a graph input (layer is None) or a layer. Elements are first .. first + size - 1."""

    name: str
    first: int
    size: int
    layer: int | None


@dataclass(frozen=True)
class SpikingLayer:
    """One SpikingConv2d with its operand resolved.

    Attributes:
        index: position among the network's layers (topological order).
        op: the operation.
        in_shape: (channels, height, width) of the operand.
        operand: int64 [channels * height * width], the source element behind each operand element.
        owner: int64, the index into Network.sources of each of those.
        sources: indices into Network.sources that the operand touches.
        code: how the weights sit on axons.
    """

    index: int
    op: SpikingConv2d
    in_shape: tuple[int, int, int]
    operand: Array = field(repr=False)
    owner: Array = field(repr=False)
    sources: tuple[int, ...]
    code: AxonCode = field(repr=False)

    @cached_property
    def positions(self) -> int:
        return self.op.type.shape[1] * self.op.type.shape[2]

    @cached_property
    def input_positions(self) -> Array:
        """int64 [output positions, taps]: the flat input position under each tap of the kernel, -1 in the padding."""
        _, in_height, in_width = self.in_shape
        _, height, width = self.op.type.shape
        kernel_height, kernel_width = self.op.weight.shape[2:]
        y = _taps(height, kernel_height, self.op.strides[0], self.op.dilations[0], self.op.pads[0])
        x = _taps(width, kernel_width, self.op.strides[1], self.op.dilations[1], self.op.pads[1])
        yy, xx = y[:, None, :, None], x[None, :, None, :]
        inside = (yy >= 0) & (yy < in_height) & (xx >= 0) & (xx < in_width)
        found: Array = np.where(inside, yy * in_width + xx, -1).reshape(height * width, kernel_height * kernel_width)
        return found


def _taps(outputs: int, kernel: int, stride: int, dilation: int, pad: int) -> Array:
    found: Array = np.arange(outputs)[:, None] * stride + np.arange(kernel)[None, :] * dilation - pad
    return found


@dataclass(frozen=True)
class OutputPort:
    """A graph output: int64 elements [size], the source element behind each pin."""

    value: Value
    elements: Array


@dataclass(frozen=True)
class Network:
    """Layers in topological order. Source k < len(inputs) is input k; source len(inputs) + l is layer l."""

    name: str
    inputs: tuple[Value, ...]
    sources: tuple[Source, ...]
    layers: tuple[SpikingLayer, ...]
    outputs: tuple[OutputPort, ...]

    @property
    def size(self) -> int:
        """Number of source elements."""
        return sum(source.size for source in self.sources)

    def asked_of(self, k: int, layer: SpikingLayer, asked: Array) -> Array:
        """int64 [elements of source k]: sums of int `asked`, [operand elements of the layer], by source element."""
        mine = layer.owner == k
        source = self.sources[k]
        sums = np.bincount(layer.operand[mine] - source.first, weights=asked[mine], minlength=source.size)
        return sums.astype(np.int64)

    def source_of(self, layer: int) -> Source:
        return self.sources[len(self.inputs) + layer]

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each source, the layers that read it."""
        return tuple(
            tuple(layer.index for layer in self.layers if k in layer.sources) for k in range(len(self.sources))
        )


def resolve(graph: Graph, chip: Chip) -> Network:
    """The network behind `graph`; CompileError where an op is neither a spiking layer nor wiring."""
    for value in graph.inputs:
        if value.type.domain is not Domain.SPIKES:
            raise PassMisplaced(f"input {value.name} is {value.type}; only spikes enter the chip", value.name)
    elements: dict[str, Array] = {}
    sources: list[Source] = []
    first = 0
    for value in graph.inputs:
        elements[value.name] = np.arange(first, first + value.type.size).reshape(value.type.shape)
        sources.append(Source(value.name, first, value.type.size, None))
        first += value.type.size
    layers: list[SpikingLayer] = []
    for op in graph.ops:
        operands = [elements[name] for name in op.inputs]
        if isinstance(op, SpikingConv2d):
            starts = np.array([source.first for source in sources])
            flat = operands[0].reshape(-1)
            owner = np.searchsorted(starts, flat, side="right") - 1
            touched = np.unique(owner).tolist()
            shape = operands[0].shape
            in_shape = (shape[0], shape[1], shape[2])
            code = axon_code(op, chip)
            layers.append(SpikingLayer(len(layers), op, in_shape, flat, owner, tuple(touched), code))
            elements[op.output] = np.arange(first, first + op.type.size).reshape(op.type.shape)
            sources.append(Source(op.output, first, op.type.size, len(layers) - 1))
            first += op.type.size
        else:
            elements[op.output] = _wire(op, operands)
    outputs = tuple(
        OutputPort(Value(name, graph.types[name]), np.ascontiguousarray(elements[name]).reshape(-1))
        for name in graph.outputs
    )
    return Network(graph.name, graph.inputs, tuple(sources), tuple(layers), outputs)


def _wire(op: Op, operands: list[Array]) -> Array:
    if isinstance(op, Reshape):
        return operands[0].reshape(op.type.shape)
    if isinstance(op, Transpose):
        return np.transpose(operands[0], op.permutation)
    if isinstance(op, Gather):
        return np.take(operands[0], op.indices, axis=op.axis)
    if isinstance(op, Concat):
        return np.concatenate(operands, axis=op.axis)
    raise PassMisplaced(
        f"{op.mnemonic()} cannot be placed on cores; partition-cores takes spiking_conv2d and wiring only",
        op.location,
        "run fold-thresholds before partition-cores",
    )
