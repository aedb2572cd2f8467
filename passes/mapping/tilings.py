"""Candidate tilings of a layer's output positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.passes.mapping.carving import carve
from tncc.passes.mapping.intervals import Axis, Partition, Partitions, partitions
from tncc.passes.mapping.wiring import SpikingLayer

Array = npt.NDArray[Any]
CARVED = 8  # pairs of partitions tried for carving


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


def _axis(layer: SpikingLayer, axis: int) -> Axis:
    op = layer.op
    return Axis(
        outputs=op.type.shape[1 + axis],
        inputs=layer.in_shape[1 + axis],
        kernel=op.weight.shape[2 + axis],
        stride=op.strides[axis],
        dilation=op.dilations[axis],
        pad=op.pads[axis],
    )


def _interval_index(partition: Partition) -> Array:
    return np.repeat(np.arange(len(partition)), partition)


def _show(partition: Partition) -> str:
    if len(set(partition)) == 1:
        return str(partition[0])
    return ",".join(map(str, partition)) if len(partition) <= 6 else f"{partition[0]},{partition[1]}..{partition[-1]}"


def candidates(
    layer: SpikingLayer,
    longest: int,
    axon_floor: int,
    axons: int,
    max_outputs: int,
    copies: int,
    too_large: list[tuple[int, int]],
) -> Iterator[Tiling]:
    """Tilings whose tiles can fit one core at all, coarse ones first.

    longest: rows or columns of any tile, at most. axon_floor: axons that some core needs for every input position of
    its tile. max_outputs: output positions that one core can hold at most, with one copy of each. Besides rectangles,
    rectangles with a few positions carved off where their neurons do not fit with `copies` copies of each. The caller
    puts into too_large the extents of tilings that did not fit: no larger one will.
    """
    held = max(1, max_outputs // copies)
    rows, columns = (partitions(_axis(layer, axis), longest) for axis in (0, 1))
    # carving takes less than half of a tile
    row, column = _pairs(rows, columns, max(max_outputs, 2 * held - 1), axons // axon_floor if axon_floor else None)
    count, outputs = rows.count[row] * columns.count[column], rows.longest[row] * columns.longest[column]
    fewest = int(count[outputs <= held].min(initial=layer.positions))
    shapes = [(int(k), False) for k in np.flatnonzero(outputs <= max_outputs)]
    if axon_floor:
        large = np.flatnonzero((count < fewest) & (outputs > held) & (outputs < 2 * held))
        shapes += [(int(k), True) for k in large[-CARVED:]]
    for k, to_carve in sorted(shapes):
        height, width = rows.sizes[row[k]], columns.sizes[column[k]]
        if not to_carve:
            extents = int(rows.extent[row[k]]), int(columns.extent[column[k]])
            if any(high <= extents[0] and wide <= extents[1] for high, wide in too_large):
                continue
            yield Tiling.of(_label(height, width), _tiles(height, width), extents)
            continue
        carved = carve(layer, _tiles(height, width), axons // axon_floor, held)
        if carved is not None:
            yield Tiling.of(f"{_label(height, width)}, carved", carved)


def _pairs(rows: Partitions, columns: Partitions, most_outputs: int, most_inputs: int | None) -> tuple[Array, Array]:
    """Indices of the partitions of rows and of columns whose largest tile has at most so many outputs and inputs, by
    the number of tiles."""
    by_width = np.argsort(columns.longest, kind="stable")
    partners = np.searchsorted(columns.longest[by_width], most_outputs // rows.longest, side="right")
    row = np.repeat(np.arange(partners.size), partners)
    column = by_width[np.arange(row.size) - np.repeat(np.cumsum(partners) - partners, partners)]
    if most_inputs is not None:
        few = rows.extent[row] * columns.extent[column] <= most_inputs
        row, column = row[few], column[few]
    order = np.lexsort((column, row, rows.count[row] * columns.count[column]))
    return row[order], column[order]


def single_positions(layer: SpikingLayer) -> Tiling:
    """Every output position a tile of its own."""
    return Tiling.of("1 x 1", np.arange(layer.positions))


def _label(rows: Partition, columns: Partition) -> str:
    return f"{_show(rows)} x {_show(columns)}"


def _tiles(rows: Partition, columns: Partition) -> Array:
    return (_interval_index(rows)[:, None] * len(columns) + _interval_index(columns)[None, :]).reshape(-1)
