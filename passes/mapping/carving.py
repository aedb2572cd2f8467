"""Tiles that are not rectangles: large rectangles with a few output positions cut off, which form tiles of their own.

A rectangle at the corner of a padded map reads few inputs for its size, so that its neurons, not its axons, are what
does not fit. The positions nearest the border need the fewest inputs: they are cut off, and the small tiles that they
form go several to a core, of different feature groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.passes.mapping.wiring import SpikingLayer

Array = npt.NDArray[Any]

MAX_CUT = 256  # positions cut off at most: the search for tiles to serve them is greedy and not vectorised


def carve(layer: SpikingLayer, tile: Array, max_inputs: int, max_outputs: int) -> Array | None:
    """int32 [positions]: `tile` with at most max_outputs positions a tile, the rest moved to tiles beside them that
    have room, or to new ones.

    A tile reads at most max_inputs input positions. None where more than MAX_CUT positions would be cut off, or half
    of some tile.
    """
    sizes = np.bincount(tile)
    excess = np.maximum(sizes - max_outputs, 0)
    if not excess.any() or int(excess.sum()) > MAX_CUT or np.any(2 * excess >= sizes):
        return None
    inputs = layer.input_positions
    cheap_first = np.lexsort((np.arange(tile.size), (inputs >= 0).sum(axis=1), tile))
    rank = np.empty(tile.size, np.int64)
    rank[cheap_first] = np.arange(tile.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    cut = np.flatnonzero(rank < excess[tile])
    found = tile.astype(np.int32)
    found[cut] = -1
    held = (sizes - excess).tolist()
    ends = np.cumsum(sizes)
    read: dict[int, set[int]] = {}  # by tile, those asked for so far

    def read_by(k: int) -> set[int]:
        if k not in read:
            whole = cheap_first[ends[k] - sizes[k] + excess[k] : ends[k]]
            read[k] = set(_inside(inputs[whole]))
        return read[k]

    for position in cut.tolist():
        mine = set(_inside(inputs[position]))
        beside = {int(found[p]) for p in _neighbours(position, layer.op.type.shape[1], layer.op.type.shape[2])}
        grown = [
            (len(read_by(k) | mine) - len(read_by(k)), k)
            for k in sorted(beside - {-1})
            if held[k] < max_outputs and len(read_by(k) | mine) <= max_inputs
        ]
        chosen = min(grown)[1] if grown else len(held)
        if not grown:
            read[chosen] = set()
            held.append(0)
        found[position] = chosen
        read[chosen] |= mine
        held[chosen] += 1
    return found


def _inside(positions: Array) -> list[int]:
    return [int(p) for p in positions.reshape(-1) if p >= 0]


def _neighbours(position: int, height: int, width: int) -> list[int]:
    y, x = divmod(position, width)
    near = ((y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x))
    return [v * width + u for v, u in near if 0 <= v < height and 0 <= u < width]
