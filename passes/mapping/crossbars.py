"""Crossbars of convolution and splitter cores; equal cores get theirs computed once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.passes.mapping.wiring import SpikingLayer

Array = npt.NDArray[Any]

CHUNK = 1 << 22  # crossbar bits computed at a time


def unique_rows(rows: Array) -> tuple[Array, Array]:
    """(index of one representative of every different row, in order of appearance; int64 class of every row)."""
    flat = np.ascontiguousarray(rows)
    view = flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).reshape(-1)
    _, first, inverse = np.unique(view, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    return first[order], rank[inverse.reshape(-1)]


def conv_crossbars(layer: SpikingLayer, axons: Array, neurons: Array) -> tuple[Array, Array]:
    """(crossbars uint8 [different, axons, bytes], index int64 [cores]) of a layer's cores.

    axons: int64 [cores, axons], operand element * digits + digit, -1 unused. neurons: int64 [cores, neurons], output
    element, -1 unused. Cores that differ only by where on the feature map they are share a crossbar.
    """
    op = layer.op
    _, in_height, in_width = layer.in_shape
    features, height, width = op.type.shape
    in_positions, positions = in_height * in_width, height * width
    used_axon, used_neuron = axons >= 0, neurons >= 0
    feature, output = np.divmod(np.maximum(neurons, 0), positions)
    out_y, out_x = np.divmod(output, width)
    element, digit = np.divmod(np.maximum(axons, 0), layer.code.digits)
    channel, position = np.divmod(element, in_positions)
    in_y, in_x = np.divmod(position, in_width)
    # coordinates relative to the input position under the first tap of the core's first neuron
    base_y = out_y[:, :1] * op.strides[0] - op.pads[0]
    base_x = out_x[:, :1] * op.strides[1] - op.pads[1]
    tap_y = out_y * op.strides[0] - op.pads[0] - base_y
    tap_x = out_x * op.strides[1] - op.pads[1] - base_x
    in_y, in_x = in_y - base_y, in_x - base_x
    unused = np.iinfo(np.int32).min
    signature = np.concatenate(
        [np.where(used_axon, part, unused) for part in (channel * layer.code.digits + digit, in_y, in_x)]
        + [np.where(used_neuron, part, unused) for part in (feature, tap_y, tap_x)],
        axis=1,
    ).astype(np.int32)
    representatives, index = unique_rows(signature)

    per_group, kernel_height, kernel_width = op.weight.shape[1:]
    first_channel = feature * op.groups // features * per_group
    weights = np.concatenate((layer.code.bits(op.weight).reshape(-1), np.zeros(1, np.uint16)))
    # an input has several axons and an output several neurons: weights are looked up once for each pair of those
    inputs, input_of_axon = _distinct(np.where(used_axon, element, -1)[representatives])
    outputs, output_of_neuron = _distinct(neurons[representatives])
    axon_bit = np.where(used_axon, 1 << digit, 0)[representatives].astype(np.uint16)
    chunk = max(1, CHUNK // (axons.shape[1] * neurons.shape[1]))
    found = np.zeros((representatives.size, axons.shape[1], (neurons.shape[1] + 7) // 8), np.uint8)
    for start in range(0, representatives.size, chunk):
        part = slice(start, start + chunk)
        r = representatives[part][:, None]
        a, n = inputs[part], outputs[part]
        c = (channel[r, a][:, :, None] - first_channel[r, n][:, None, :]).astype(np.int32)
        inside = (c >= 0) & (c < per_group)
        tap = np.zeros_like(c)
        for here, there, kernel, dilation in (
            (in_y, tap_y, kernel_height, op.dilations[0]),
            (in_x, tap_x, kernel_width, op.dilations[1]),
        ):
            offset = (here[r, a][:, :, None] - there[r, n][:, None, :]).astype(np.int32)
            if dilation > 1:
                offset, remainder = np.divmod(offset, dilation)
                inside &= remainder == 0
            inside &= (offset >= 0) & (offset < kernel)
            tap = tap * kernel + offset
        flat = (feature[r, n][:, None, :] * per_group + c) * (kernel_height * kernel_width) + tap
        weight = weights[np.where(inside, flat, weights.size - 1)]
        by_axon = np.take_along_axis(weight, input_of_axon[part][:, :, None], axis=1)
        bits = np.take_along_axis(by_axon, output_of_neuron[part][:, None, :], axis=2) & axon_bit[part][:, :, None] != 0
        bits &= used_neuron[r[:, 0]][:, None, :]
        found[part] = np.packbits(bits, axis=2, bitorder="little")
    return found, index


def _distinct(rows: Array) -> tuple[Array, Array]:
    """(columns int64 [rows, most], which int64 [rows, length]): in every row, one column for each different value,
    and for every element which of those has its value. Rows with fewer values repeat a column."""
    order = np.argsort(rows, axis=1, kind="stable")
    values = np.take_along_axis(rows, order, axis=1)
    new = np.ones(rows.shape, bool)
    new[:, 1:] = values[:, 1:] != values[:, :-1]
    rank = np.cumsum(new, axis=1) - 1
    which = np.empty(rows.shape, np.int64)
    np.put_along_axis(which, order, rank, axis=1)
    columns = np.zeros((rows.shape[0], int(rank.max(initial=0)) + 1), np.int64)
    row, column = np.nonzero(new)
    columns[row, rank[row, column]] = order[row, column]
    return columns, which


def splitter_crossbars(sizes: Array, neurons: int) -> tuple[Array, Array]:
    """Crossbars of cores whose axon a drives sizes[core, a] neurons of its own, in axon order.

    sizes: int64 [cores, axons]. Returns (crossbars uint8 [different, axons, bytes], index int64 [cores]).
    """
    representatives, index = unique_rows(sizes)
    found = np.zeros((representatives.size, sizes.shape[1], (neurons + 7) // 8), np.uint8)
    ends = np.cumsum(sizes, axis=1)
    column = np.arange(neurons)
    for u, r in enumerate(representatives):
        bits = (column >= (ends[r] - sizes[r])[:, None]) & (column < ends[r][:, None])
        found[u] = np.packbits(bits, axis=1, bitorder="little")
    return found, index
