"""Packs units (a tile of positions x a subset of features) into cores: bin packing over axons and neurons.

First fit by decreasing size, by kind of unit: a core takes the largest remaining kinds greedily, and repeats while
they last, so that the work depends on the number of kinds and not of units.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NEAR = 32  # kinds in which the next that fits is looked for first


def _classes(axons: Array, neurons: Array) -> tuple[Array, Array, Array, Array]:
    """(axons, neurons, count) of every kind of unit, and the kind of each unit."""
    wide = int(neurons.max(initial=0)) + 1
    keys, kind, counts = np.unique(axons.astype(np.int64) * wide + neurons, return_inverse=True, return_counts=True)
    return keys // wide, keys % wide, counts, kind.reshape(-1)


class _Kinds:
    """Kinds of units that are left, largest first."""

    def __init__(self, name: Array, axons: Array, neurons: Array, left: Array, limits: tuple[int, int]) -> None:
        """name: what each kind is called; left: units of each; limits: axons and neurons of a core."""
        self._limits = limits
        size = self._size(axons, neurons)
        order = np.argsort(-size, kind="stable")
        self.name, self._axons, self._neurons, self._left = name[order], axons[order], neurons[order], left[order]
        self._falling: list[float] = (-size[order]).tolist()
        self._least_axons = np.minimum.accumulate(self._axons[::-1])[::-1].tolist()  # of a kind and all behind it
        self._least_neurons = np.minimum.accumulate(self._neurons[::-1])[::-1].tolist()
        self._gone = 0

    def _size(self, axons: Any, neurons: Any) -> Any:
        """Grows with either: what fits is no larger than the room it fits in."""
        part_axons, part_neurons = axons / self._limits[0], neurons / self._limits[1]
        return np.maximum(part_axons, part_neurons) + 1e-3 * (part_axons + part_neurons)

    def __bool__(self) -> bool:
        return self._gone < self.name.size

    def core(self) -> list[tuple[int, int]]:
        """[(index of a kind, units of it)] that one core takes."""
        free_axons, free_neurons = self._limits
        found: list[tuple[int, int]] = []
        k = self._next_fit(0, free_axons, free_neurons)
        while k >= 0:
            axons, neurons, fits = int(self._axons[k]), int(self._neurons[k]), int(self._left[k])
            fits = min(fits, free_axons // axons if axons else fits, free_neurons // neurons if neurons else fits)
            found.append((k, fits))
            free_axons -= fits * axons
            free_neurons -= fits * neurons
            k = self._next_fit(k + 1, free_axons, free_neurons)
        return found

    def _next_fit(self, k: int, free_axons: int, free_neurons: int) -> int:
        """The first kind from k on that fits; -1: none."""
        k = max(k, bisect_left(self._falling, -float(self._size(free_axons, free_neurons))))
        kinds = self.name.size
        for stop in (k + NEAR, kinds):
            if k >= kinds or free_axons < self._least_axons[k] or free_neurons < self._least_neurons[k]:
                return -1
            fitting = (self._axons[k:stop] <= free_axons) & (self._neurons[k:stop] <= free_neurons)
            step = int(fitting.argmax())
            if fitting[step]:
                return k + step
            k = stop
        return -1

    def take(self, core: list[tuple[int, int]]) -> tuple[int, list[tuple[int, int]]]:
        """Fills as many cores alike as kinds last. Returns how many, and (kind's name, units of it) in each."""
        repeats = min(int(self._left[k]) // fits for k, fits in core)
        filled = [(int(self.name[k]), fits) for k, fits in core]
        for k, fits in core:
            self._left[k] -= repeats * fits
            if not self._left[k]:
                self._axons[k] = self._limits[0] + 1  # fits nowhere
                self._gone += 1
        return repeats, filled

    def rest(self) -> _Kinds:
        """The same without kinds that are gone, once those are the most."""
        if 2 * self._gone <= self.name.size:
            return self
        some = self._left > 0
        return _Kinds(self.name[some], self._axons[some], self._neurons[some], self._left[some], self._limits)


def _alone(axons: Array, neurons: Array, max_axons: int, max_neurons: int) -> Array:
    """bool: units, or kinds of them, that share a core with none of the others."""
    found: Array = (axons + axons.min() > max_axons) | (neurons + neurons.min() > max_neurons)
    return found


def _patterns(
    axons: Array, neurons: Array, counts: Array, max_axons: int, max_neurons: int
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """(how many cores, [(kind, units of it in each of these cores)])."""
    if int(axons.max()) > max_axons or int(neurons.max()) > max_neurons:
        raise ValueError("a unit exceeds the core")
    alone = _alone(axons, neurons, max_axons, max_neurons)
    for k in np.flatnonzero(alone).tolist():
        yield int(counts[k]), [(k, 1)]
    others = np.flatnonzero(~alone)
    kinds = _Kinds(others, axons[others], neurons[others], counts[others], (max_axons, max_neurons))
    while kinds:
        yield kinds.take(kinds.core())
        kinds = kinds.rest()


def count_cores(axons: Array, neurons: Array, max_axons: int, max_neurons: int, most: int | None = None) -> int:
    """Cores that `pack` uses; where those are more than `most`, some number that is, too.

    axons, neurons: int [units], each unit within a core's limits; empty units are free.
    """
    live = neurons > 0
    axons, neurons = axons[live], neurons[live]
    if axons.size < 2:
        return int(axons.size)
    others = ~_alone(axons, neurons, max_axons, max_neurons)
    cores = int(others.size - np.count_nonzero(others))
    axons, neurons = axons[others], neurons[others]
    if not axons.size:
        return cores
    least = max(-(-int(axons.sum()) // max_axons), -(-int(neurons.sum()) // max_neurons))
    if most is not None and cores + least > most:
        return cores + least
    kind_axons, kind_neurons, counts, _ = _classes(axons, neurons)
    for repeats, _ in _patterns(kind_axons, kind_neurons, counts, max_axons, max_neurons):
        cores += repeats
        if most is not None and cores > most:
            break
    return cores


def pack(axons: Array, neurons: Array, max_axons: int, max_neurons: int) -> tuple[Array, int]:
    """(int64 [units] core of each unit, number of cores). Units without neurons get core -1.

    Units of one kind go to cores in their own order, so that neighbours share a core; cores are numbered by their
    first unit.
    """
    core = np.full(axons.size, -1, np.int64)
    live = np.flatnonzero(neurons > 0)
    if not live.size:
        return core, 0
    kind_axons, kind_neurons, counts, kind = _classes(axons[live], neurons[live])
    by_kind = np.argsort(kind, kind="stable")
    first = np.concatenate(([0], np.cumsum(counts)[:-1]))
    taken = np.zeros(counts.size, np.int64)
    used = 0
    found = np.empty(live.size, np.int64)
    for repeats, pattern in _patterns(kind_axons, kind_neurons, counts, max_axons, max_neurons):
        for k, each in pattern:
            start = first[k] + taken[k]
            found[by_kind[start : start + repeats * each]] = used + np.arange(repeats * each) // each
            taken[k] += repeats * each
        used += repeats
    firsts = np.full(used, live.size, np.int64)
    np.minimum.at(firsts, found, np.arange(live.size))
    rank = np.empty(used, np.int64)
    rank[np.argsort(firsts, kind="stable")] = np.arange(used)
    core[live] = rank[found]
    return core, used
