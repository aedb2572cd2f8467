"""Candidate tilings of a layer's output positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.passes.mapping.carving import carve
from tncc.passes.mapping.wiring import SpikingLayer

Array = npt.NDArray[Any]
CARVED = 8  # pairs of partitions tried for carving
Partition = tuple[int, ...]  # sizes of consecutive intervals along one axis


@dataclass(frozen=True)
class Tiling:
    """A partition of output positions.

    tile: int32 [positions], 0 .. tiles - 1; order sorts positions by tile. extents: the most input rows and input
    columns under one tile; (0, 0) where not known.
    """

    label: str
    tile: Array = field(repr=False)
    order: Array = field(repr=False)
    starts: Array = field(repr=False)
    extents: tuple[int, int] = (0, 0)

    @property
    def tiles(self) -> int:
        return int(self.starts.size)

    @property
    def largest(self) -> int:
        """Positions of the largest tile."""
        return int(np.diff(self.starts, append=self.tile.size).max())

    @staticmethod
    def of(label: str, tile: Array, extents: tuple[int, int] = (0, 0)) -> Tiling:
        order = np.argsort(tile, kind="stable")
        counts = np.bincount(tile)
        return Tiling(label, tile.astype(np.int32), order, np.concatenate(([0], np.cumsum(counts)[:-1])), extents)


def partitions(outputs: int, extent: Callable[[int, int], int]) -> list[Partition]:
    """Sensible partitions of one axis: for every number of intervals, equal ones, balanced ones, and those whose
    greatest input extent is least (intervals at the edge, where padding takes no axon, come out longer).

    extent(start, stop) is the number of input rows under the output rows start .. stop - 1.
    """
    found: dict[Partition, None] = {}
    for size in range(1, outputs + 1):
        count = -(-outputs // size)
        last = outputs - size * (count - 1)
        found[(size,) * (count - 1) + (last,)] = None
        small, longer = divmod(outputs, count)
        found[(small + 1,) * longer + (small,) * (count - longer)] = None
    extents = sorted({extent(0, k) for k in range(1, outputs + 1)} | {extent(1, k) for k in range(2, outputs + 1)})
    for limit in extents:
        if (greedy := _greedy(outputs, extent, limit)) is not None:
            found[greedy] = None
    return list(found)


def _greedy(outputs: int, extent: Callable[[int, int], int], limit: int) -> Partition | None:
    """Fewest intervals with input extents of at most `limit`, evened out; None where a single row needs more."""
    stops = []
    start = 0
    while start < outputs:
        stop = start
        while stop < outputs and extent(start, stop + 1) <= limit:
            stop += 1
        if stop == start:
            return None
        stops.append(stop - start)
        start = stop
    if len(stops) > 2:  # a short last interval: give it rows from the middle, so that both edges are long
        middle = outputs - 2 * stops[0]
        inner = len(stops) - 2
        if middle >= inner:
            small, longer = divmod(middle, inner)
            even = (stops[0], *(small + 1,) * longer, *(small,) * (inner - longer), stops[0])
            bounds = np.concatenate(([0], np.cumsum(even)))
            if all(extent(int(a), int(b)) <= limit for a, b in pairwise(bounds)):
                return even
    return tuple(stops)


def _axis_extent(layer: SpikingLayer, axis: int) -> Callable[[int, int], int]:
    """Input rows (axis 0) or columns (axis 1) under an interval of output rows or columns."""
    outputs = layer.op.type.shape[1 + axis]
    size = layer.in_shape[1 + axis]
    kernel, stride = layer.op.weight.shape[2 + axis], layer.op.strides[axis]
    dilation, pad = layer.op.dilations[axis], layer.op.pads[axis]
    taps = np.arange(outputs)[:, None] * stride + np.arange(kernel) * dilation - pad
    known: dict[tuple[int, int], int] = {}

    def extent(start: int, stop: int) -> int:
        if (start, stop) not in known:
            rows = taps[start:stop].ravel()
            known[start, stop] = int(np.unique(rows[(rows >= 0) & (rows < size)]).size)
        return known[start, stop]

    return extent


def _interval_index(partition: Partition) -> Array:
    return np.repeat(np.arange(len(partition)), partition)


def _show(partition: Partition) -> str:
    if len(set(partition)) == 1:
        return str(partition[0])
    return ",".join(map(str, partition)) if len(partition) <= 6 else f"{partition[0]},{partition[1]}..{partition[-1]}"


def candidates(layer: SpikingLayer, axon_floor: int, axons: int, max_outputs: int, copies: int) -> Iterator[Tiling]:
    """Tilings whose tiles can fit one core at all, coarse ones first.

    axon_floor: axons that some core needs for every input position of its tile. max_outputs: output positions that
    one core can hold at most, with one copy of each. Besides rectangles, rectangles with a few positions carved off
    where their neurons do not fit with `copies` copies of each.
    """
    _, height, width = layer.op.type.shape
    extents = [_axis_extent(layer, axis) for axis in (0, 1)]
    choices: list[list[tuple[int, int, Partition]]] = []
    for axis, outputs in enumerate((height, width)):
        options = []
        for partition in partitions(outputs, extents[axis]):
            bounds = np.concatenate(([0], np.cumsum(partition)))
            widest = max(extents[axis](int(a), int(b)) for a, b in pairwise(bounds))
            options.append((len(partition), widest, partition))
        choices.append(sorted(options))
    pairs = sorted(
        (rows[0] * columns[0], rows[2], columns[2], (rows[1], columns[1]))
        for rows in choices[0]
        for columns in choices[1]
        if rows[1] * columns[1] * axon_floor <= axons
    )
    held = max(1, max_outputs // copies)
    fewest = next((pair[0] for pair in pairs if max(pair[1]) * max(pair[2]) <= held), layer.positions)
    shapes = [(*pair, False) for pair in pairs if max(pair[1]) * max(pair[2]) <= max_outputs]
    if axon_floor:
        large = [pair for pair in pairs if pair[0] < fewest and max(pair[1]) * max(pair[2]) > held]
        shapes += [(*pair, True) for pair in large[-CARVED:]]
    for _, rows, columns, extent, to_carve in sorted(shapes):
        if not to_carve:
            yield Tiling.of(_label(rows, columns), _tiles(rows, columns), extent)
            continue
        carved = carve(layer, _tiles(rows, columns), axons // axon_floor, held)
        if carved is not None:
            yield Tiling.of(f"{_label(rows, columns)}, carved", carved)


def single_positions(layer: SpikingLayer) -> Tiling:
    """Every output position a tile of its own."""
    return Tiling.of("1 x 1", np.arange(layer.positions))


def _label(rows: Partition, columns: Partition) -> str:
    return f"{_show(rows)} x {_show(columns)}"


def _tiles(rows: Partition, columns: Partition) -> Array:
    return (_interval_index(rows)[:, None] * len(columns) + _interval_index(columns)[None, :]).reshape(-1)
