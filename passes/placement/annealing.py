"""Simulated annealing of cores on the mesh. The inner loop is C (csrc/place.c); this is the schedule.

Which cores lie in whose neighbourhood is settled while it is hot, and does not change any more when it is cold: a
placement that is bad after its start stays bad, however long it cools. So several starts cool to a middling
temperature, each from its own seed, and only the best goes on.

On an array of chips a start first shares out the cores among the chips: it anneals the chip edges that connections
cross, and nothing else, before it looks at hops.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.chip import Chip
from tncc.passes.placement.wires import Edges
from tncc.runtime import _native

Array = npt.NDArray[Any]

STEPS = 200  # temperatures of one cooling
HOTTEST = 0.14  # first temperature, as a part of a core's mean total weight times the mesh's side
MIDDLING = 0.8  # temperature at which a start ends, as a part of a core's mean total weight
SHARING_HOTTEST = 0.75  # first temperature of sharing out, times the array's side; the cost is chip edges crossed
SHARING_COLDEST = 0.05  # and its last
SHARING_MOVES = 0.25  # as many moves as this part of the start's others
SHARED = 2.5  # temperature at which hops then come in, times the array's side
WARM = 1.2  # temperature at which the search goes on from the best start
COLDEST = 0.1  # last temperature
WARM_WINDOW = 6
ACCEPTANCE = 0.2  # the window of moves shrinks while a smaller part of the moves is accepted
QUENCH = 0.05  # part of the moves that end a cooling at temperature 0
MANY_CORES = 8192  # beyond so many, moves grow with the square root of the cores only, and there is one start
LONG_START = 8  # that one is as long as all starts, or as so many
MANY_EDGES = 48  # beyond so many a core, moves shrink as the edges grow
FARTHEST = (1 << 14) - 1  # hops between places that the C code takes
FREE, BLOCKED = -1, -2


@dataclass(frozen=True)
class Effort:
    """How long to search: starts of start_moves a core; the best `finalists` of them cool again with round_moves a
    core, the better half of them once more, and so on down to one."""

    starts: int
    start_moves: int
    finalists: int
    round_moves: int


def anneal(
    edges: Edges, chip: Chip, effort: Effort, seed: int, crossing_hops: int, threads: int = 1
) -> tuple[Array, Array]:
    """(core_x, core_y), int32 [cores]: the places found; every core on one of its own, none on a defect.

    The cost is the total weighted length in hops, where stepping to another chip counts crossing_hops more. threads
    only share out the searches: the result does not depend on them.
    """
    grid = _rows(chip, edges.cores)
    if edges.neighbor.size:
        many = edges.cores > MANY_CORES
        with ThreadPoolExecutor(threads) as pool:
            search = _Search(edges, chip, crossing_hops, seed, pool)
            starts, moves = effort.starts, effort.start_moves
            if many:
                starts, moves = 1, moves * min(starts, LONG_START)
            found = search.start(grid, starts, moves)
            left = min(1 if many else effort.finalists, len(found))
            while left:
                found = sorted(found[:left] + search.go_on(found[:left], effort.round_moves), key=_by_cost)
                left //= 2
        grid = found[0].grid
    place = _places(grid)
    return place % np.int32(chip.width), place // np.int32(chip.width)


def _rows(chip: Chip, cores: int) -> Array:
    """int32 [height * width]: cores row by row on the free places."""
    grid = np.full(chip.height * chip.width, FREE, np.int32)
    for x, y in chip.defects:
        grid[y * chip.width + x] = BLOCKED
    grid[np.flatnonzero(grid == FREE)[:cores]] = np.arange(cores, dtype=np.int32)
    return grid


def _places(grid: Array) -> Array:
    """int32 [cores]: where each core of a grid is."""
    taken = np.flatnonzero(grid >= 0)
    place = np.empty(taken.size, np.int32)
    place[grid[taken]] = taken
    return place


@dataclass(frozen=True)
class _Found:
    """One search's placement. number: of the search, in order of their beginning."""

    cost: int
    number: int
    grid: Array


def _by_cost(found: _Found) -> tuple[int, int]:
    return found.cost, found.number


@dataclass(frozen=True)
class _Cooling:
    """temperatures: first and last, in units of a core's mean total weight. window: of the first moves. crossings:
    whether nothing but chip edges crossed counts, and not hops."""

    moves_per_core: float
    temperatures: tuple[float, float]
    window: int
    crossings: bool = False


class _Search:
    """Searches, each with a random generator of its own."""

    def __init__(self, edges: Edges, chip: Chip, crossing_hops: int, seed: int, pool: ThreadPoolExecutor) -> None:
        self.edges = edges
        self.chip = chip
        self.crossing_hops = crossing_hops
        self.widest = max(chip.width, chip.height)
        self.weight = float(edges.weight.sum(dtype=np.int64)) / edges.cores
        self.scale = min(1.0, np.sqrt(MANY_CORES / edges.cores))
        self.scale *= min(1.0, MANY_EDGES * edges.cores / edges.neighbor.size)
        self._seed = seed
        self._pool = pool
        self._begun = 0

    def start(self, grid: Array, count: int, moves_per_core: int) -> list[_Found]:
        """`count` placements that began hot, best first."""
        if self.chip.chips > 1:
            side = max(self.chip.mesh_x, self.chip.mesh_y)
            array = max(self.chip.chips_x, self.chip.chips_y)
            temperatures = (SHARING_HOTTEST * array, SHARING_COLDEST)
            sharing = _Cooling(SHARING_MOVES * moves_per_core, temperatures, max(1, self.widest // 2), crossings=True)
            within = _Cooling(moves_per_core, (SHARED * array, MIDDLING), side)
            return self._run([grid] * count, (sharing, within))
        hot = max(HOTTEST * np.sqrt(self.edges.cores), WARM)
        return self._run([grid] * count, (_Cooling(moves_per_core, (hot, MIDDLING), self.widest),))

    def go_on(self, found: list[_Found], moves_per_core: int) -> list[_Found]:
        """Each of `found` warmed up and cooled again, best first."""
        return self._run([one.grid for one in found], (_Cooling(moves_per_core, (WARM, COLDEST), WARM_WINDOW),))

    def _run(self, grids: list[Array], coolings: tuple[_Cooling, ...]) -> list[_Found]:
        def one(number: int, grid: Array) -> _Found:
            mine = grid.copy()
            random = np.random.SeedSequence((self._seed, number)).generate_state(1, np.uint64).view(np.int64)
            cost = 0
            for cooling in coolings:
                cost = self._cool(mine, cooling, random)
            return _Found(cost, number, mine)

        numbers = range(self._begun, self._begun + len(grids))
        self._begun += len(grids)
        return sorted(self._pool.map(one, numbers, grids), key=_by_cost)

    def _cool(self, grid: Array, cooling: _Cooling, random: Array) -> int:
        """Anneals `grid` in place; returns the cost. random: int64 [1], the generator's state."""
        edges, chip, (first, last) = self.edges, self.chip, cooling.temperatures
        moves = max(1, int(cooling.moves_per_core * edges.cores * self.scale) // STEPS)
        column_at = _coordinates(chip.width, chip.mesh_x, self.crossing_hops, cooling.crossings)
        row_at = _coordinates(chip.height, chip.mesh_y, self.crossing_hops, cooling.crossings)
        place = _places(grid)
        scratch = np.zeros(2 * edges.cores, np.int16)

        def step(count: int, temperature: float, reach: int) -> tuple[int, int]:
            return _native.place_anneal(
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
                temperature * self.weight,
                reach,
            )

        window = float(cooling.window)
        for k in range(STEPS):
            accepted, _ = step(moves, first * (last / first) ** (k / (STEPS - 1)), int(window))
            if not cooling.crossings:  # moves within a chip would be accepted always: they say nothing
                window = float(np.clip(window * (1 - ACCEPTANCE + accepted / moves), 1, self.widest))
        return step(max(1, int(QUENCH * STEPS * moves)), 0.0, cooling.window if cooling.crossings else 1)[1]


def _coordinates(size: int, per_chip: int, crossing_hops: int, crossings: bool) -> Array:
    """int32 [size]: coordinates along one axis: hops, crossing_hops further apart at every chip's edge; or, where only
    crossings count, the chip's number."""
    at = np.arange(size)
    chip = at // per_chip
    return (chip if crossings else at + chip * crossing_hops).astype(np.int32)
