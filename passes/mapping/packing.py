"""Packs units (a tile of positions x a subset of features) into cores: bin packing over axons and neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def _classes(axons: Array, neurons: Array) -> tuple[Array, Array, Array, Array]:
    """(axons, neurons, count) of every kind of unit, largest first, and the kind of each unit."""
    wide = int(neurons.max(initial=0)) + 1
    keys, kind, counts = np.unique(axons.astype(np.int64) * wide + neurons, return_inverse=True, return_counts=True)
    kind_axons, kind_neurons = keys // wide, keys % wide
    return kind_axons, kind_neurons, counts, kind.reshape(-1)


def _patterns(
    axons: Array, neurons: Array, counts: Array, max_axons: int, max_neurons: int
) -> list[tuple[int, list[tuple[int, int]]]]:
    """(how many cores, [(kind, units of it in each of these cores)]): first fit by decreasing size, by kind.

    Every pattern takes the largest remaining kinds greedily and repeats while it lasts, so that the work depends on
    the number of kinds and not of units.
    """
    weight = np.maximum(axons / max_axons, neurons / max_neurons) + 1e-3 * (axons / max_axons + neurons / max_neurons)
    order = np.argsort(-weight, kind="stable")
    size_axons, size_neurons, left = axons[order], neurons[order], counts[order].astype(np.int64)
    found: list[tuple[int, list[tuple[int, int]]]] = []
    while left.size:
        free_axons, free_neurons = max_axons, max_neurons
        pattern: list[tuple[int, int]] = []
        k = 0
        while k < left.size:
            fitting = (size_axons[k:] <= free_axons) & (size_neurons[k:] <= free_neurons)
            step = int(fitting.argmax())
            if not fitting[step]:
                break
            k += step
            fits = int(left[k])
            if size_axons[k]:
                fits = min(fits, int(free_axons // size_axons[k]))
            if size_neurons[k]:
                fits = min(fits, int(free_neurons // size_neurons[k]))
            pattern.append((k, fits))
            free_axons -= fits * int(size_axons[k])
            free_neurons -= fits * int(size_neurons[k])
            k += 1
        if not pattern:
            raise ValueError("a unit exceeds the core")
        repeats = min(int(left[kind]) // fits for kind, fits in pattern)
        for kind, fits in pattern:
            left[kind] -= repeats * fits
        found.append((repeats, [(int(order[kind]), fits) for kind, fits in pattern]))
        if not left.all():
            some = left > 0
            order, size_axons, size_neurons, left = order[some], size_axons[some], size_neurons[some], left[some]
    return found


def count_cores(axons: Array, neurons: Array, max_axons: int, max_neurons: int) -> int:
    """Cores that `pack` uses. axons, neurons: int [units], each unit within a core's limits; empty units are free."""
    live = neurons > 0
    axons, neurons = axons[live], neurons[live]
    if axons.size < 2:
        return int(axons.size)
    if 2 * int(axons.min()) > max_axons or 2 * int(neurons.min()) > max_neurons:
        return int(axons.size)
    kind_axons, kind_neurons, counts, _ = _classes(axons, neurons)
    return sum(repeats for repeats, _ in _patterns(kind_axons, kind_neurons, counts, max_axons, max_neurons))


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
