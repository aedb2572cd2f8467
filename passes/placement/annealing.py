"""Simulated annealing of cores on the mesh. The inner loop is C (csrc/place.c); this is the schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.chip import Chip
from tncc.passes.placement.wires import Edges
from tncc.runtime import _native

Array = npt.NDArray[Any]

STEPS = 200  # temperatures
COLDEST = 0.12  # last temperature, as a part of a core's mean total weight
HOTTEST = 0.1  # first temperature, as a part of that weight times the mesh's side
ACCEPTANCE = 0.44  # the window of moves shrinks while a smaller part of the moves is accepted (Lam and Delosme 1988)
QUENCH = 0.05  # part of the moves that end the search at temperature 0
MANY_CORES = 8192  # beyond so many, moves grow with the square root of the cores only
FREE, BLOCKED = -1, -2


def anneal(edges: Edges, chip: Chip, moves_per_core: int, seed: int, crossing_hops: int) -> tuple[Array, Array]:
    """(core_x, core_y), int32 [cores]: the places found; every core on one of its own, none on a defect.

    The cost is the total weighted length in hops, where stepping to another chip counts crossing_hops more.
    """
    grid = _start(chip, edges.cores)
    place = np.flatnonzero(grid >= 0).astype(np.int32)
    if edges.neighbor.size:
        _search(edges, chip, grid, place, moves_per_core, seed, crossing_hops)
    return place % np.int32(chip.width), place // np.int32(chip.width)


def _start(chip: Chip, cores: int) -> Array:
    """int32 [height * width]: cores row by row on the free places."""
    grid = np.full(chip.height * chip.width, FREE, np.int32)
    for x, y in chip.defects:
        grid[y * chip.width + x] = BLOCKED
    grid[np.flatnonzero(grid == FREE)[:cores]] = np.arange(cores, dtype=np.int32)
    return grid


def _search(
    edges: Edges, chip: Chip, grid: Array, place: Array, moves_per_core: int, seed: int, crossing_hops: int
) -> None:
    """Moves the cores; grid and place change together."""
    column_at = _stretched(chip.width, chip.mesh_x, crossing_hops)
    row_at = _stretched(chip.height, chip.mesh_y, crossing_hops)
    scratch = np.zeros(2 * edges.cores, np.int16)
    random = np.array([seed & 0x7FFFFFFFFFFFFFFF], np.int64)
    mean_weight = float(edges.weight.sum(dtype=np.int64)) / edges.cores
    hottest = HOTTEST * mean_weight * max(np.sqrt(edges.cores), 2.0)
    coldest = COLDEST * mean_weight
    window = float(max(chip.width, chip.height))
    moves = max(1, int(moves_per_core * edges.cores * min(1.0, np.sqrt(MANY_CORES / edges.cores))) // STEPS)

    def step(count: int, temperature: float, reach: int) -> float:
        accepted, _ = _native.place_anneal(
            edges.first,
            edges.neighbor,
            edges.weight,
            column_at,
            row_at,
            grid,
            place,
            scratch,
            random,
            count,
            temperature,
            reach,
        )
        return accepted / count

    for k in range(STEPS):
        rate = step(moves, hottest * (coldest / hottest) ** (k / (STEPS - 1)), int(window))
        window = float(np.clip(window * (1 - ACCEPTANCE + rate), 1, max(chip.width, chip.height)))
    step(max(1, int(QUENCH * STEPS * moves)), 0.0, 1)


def _stretched(size: int, per_chip: int, crossing_hops: int) -> Array:
    """int32 [size]: coordinates along one axis, crossing_hops further apart at every chip's edge."""
    at = np.arange(size)
    return (at + at // per_chip * crossing_hops).astype(np.int32)
