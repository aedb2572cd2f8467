"""fold-averages: a layer that reads means of spikes reads the spikes; the mean goes into its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.ir.builder import Builder, pick, side_by_side
from tncc.ir.chip import Chip
from tncc.ir.cone import feeds_spikes, live
from tncc.ir.graph import Graph
from tncc.ir.infer import infer_domains
from tncc.ir.interpreter import pool_counts
from tncc.ir.ops import AveragePool2d, Conv2d, Linear, Reshape
from tncc.ir.types import Domain
from tncc.passes.base import Module, Pass
from tncc.passes.taps import Taps, Window, composed_weight, composed_window
from tncc.passes.weighted_sum import UNIT

Array = npt.NDArray[Any]
MULTIPLES = 1 << 20  # products checked for being float32 numbers


@dataclass(frozen=True)
class FoldAverages(Pass):
    """Conv2d on AveragePool2d of spikes is a Conv2d with a larger kernel and stride, on the spikes.

    Linear on a pool's whole map too. Left alone: windows that cover different numbers of elements, and padding of the
    convolution over spikes that no window covers. Where a mean times a weight is no float32 number, the layer's
    tolerance says so.
    """

    name: ClassVar[str] = "fold-averages"
    takes: ClassVar[type[Graph]] = Graph

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        build = Builder(module)
        for op in module.ops:
            layer = op if isinstance(op, Conv2d | Linear) and feeds_spikes(module, op.output) else None
            if layer is None or not _fold(module, build, layer):
                build.append(op)
        return infer_domains(live(module.with_ops(build.ops)))


def _fold(graph: Graph, build: Builder, op: Conv2d | Linear) -> bool:
    """Adds the layer on the spikes; False where it reads no mean of spikes, or one that does not fit."""
    pool = graph.producer.get(op.inputs[0])
    if isinstance(op, Linear) and isinstance(pool, Reshape):
        pool = graph.producer.get(pool.inputs[0])
    if not isinstance(pool, AveragePool2d):
        return False
    operand = graph.types[pool.inputs[0]]
    counts = pool_counts(pool, operand.shape)
    if operand.domain not in (Domain.SPIKES, Domain.SIGNS) or np.any(counts != counts.flat[0]):
        return False
    weight = op.weight if isinstance(op, Conv2d) else op.weight.reshape(-1, *pool.type.shape)
    grid = op.type.shape if isinstance(op, Conv2d) else (len(weight), 1, 1)
    plain = Conv2d(
        inputs=op.inputs,
        output=op.output,
        type=op.type,
        location=op.location,
        weight=weight,
        strides=(1, 1),
        pads=(0, 0, 0, 0),
        dilations=(1, 1),
        groups=1,
    )
    window = op if isinstance(op, Conv2d) else plain
    found = []
    for axis in (0, 1):
        outer = Taps.of(window, weight.shape[2:], pool.type.shape, grid, axis)
        composed = composed_window(outer, Taps.of(pool, pool.kernel, operand.shape, pool.type.shape, axis))
        if composed is None:
            return False
        found.append(composed)
    _emit(build, op, window, pool, found, float(counts.flat[0]))
    return True


def _emit(
    build: Builder,
    op: Conv2d | Linear,
    window: Conv2d,
    pool: AveragePool2d,
    found: list[tuple[Window, Array | None]],
    divisor: float,
) -> None:
    location = (pool.location + op.location).via(FoldAverages.name)
    (rows, picked_rows), (columns, picked_columns) = found  # where there is a remainder that no window covers
    name = pick(build, pool.inputs[0], (picked_rows, picked_columns), f"{op.output}/covered", location)
    weight, ones = window.weight.astype(np.float64), np.ones((1, 1, *pool.kernel))
    parts = [composed_weight(np.maximum(part, 0), ones, rows, columns) for part in (weight, -weight)]
    if np.any((parts[0] > 0) & (parts[1] > 0)):
        # the source model adds up both, so they are not to cancel before its thresholds are known
        name = side_by_side(build, (name, name), window.groups, op.output, location)
        weight = np.concatenate([parts[0], 0 - parts[1]], axis=1)
    else:
        weight = parts[0] - parts[1]
    rounded = (weight / divisor).astype(np.float32)
    exact = np.array_equal(rounded * divisor, weight) and _exact_multiples(window.weight, divisor)
    sums = build.add(
        Conv2d,
        (name,),
        op.output if op.type.shape == (len(weight), *_grid(op)) else build.fresh(f"{op.output}/map"),
        location,
        weight=rounded,
        strides=(rows.stride, columns.stride),
        pads=(rows.before, columns.before, rows.after, columns.after),
        dilations=(rows.dilation, columns.dilation),
        groups=window.groups,
        tolerance=op.tolerance + (0.0 if exact else 4 * UNIT),  # of the quotient, the product and the weight
    )
    if sums != op.output:
        build.reshape(sums, op.type.shape, op.output, location)


def _grid(op: Conv2d | Linear) -> tuple[int, ...]:
    return op.type.shape[1:] if isinstance(op, Conv2d) else (1, 1)


def _exact_multiples(weight: Array, divisor: float) -> bool:
    """Whether the weight times every mean of `divisor` spikes is a float32 number."""
    magnitudes = np.unique(np.abs(weight)).astype(np.float64)
    if magnitudes.size * divisor > MULTIPLES:
        return False
    products = magnitudes[:, None] * (np.arange(1, divisor + 1) / divisor)
    means = np.arange(1, divisor + 1) / divisor
    return np.array_equal(products, products.astype(np.float32)) and np.array_equal(means, means.astype(np.float32))
