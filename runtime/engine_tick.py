"""The tick engine: any chip, the full neuron model, one tick after another, in C (csrc/tick.h)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import InputError
from tncc.runtime import _native
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import (
    Engine,
    Events,
    RunResult,
    SampledTicks,
    Spikes,
    Stats,
    samples_before,
    target_hops,
)

Array = npt.NDArray[Any]

_SECONDS_A_CALL = 0.1  # between two looks at Ctrl-C


class TickEngine(Engine):
    """Every chip, every neuron; `threads` share the cores.

    Attributes:
        variant: the instruction set in use, one of `_native.variants()`; the fastest unless asked otherwise.
    """

    name = "tick"

    def __init__(
        self, config: ChipConfig, *, threads: int = 1, variant: str | None = None, hops: Array | None = None
    ) -> None:
        """`hops` (int32 [cores, neurons]) replaces the mesh hops of each neuron's spikes: for parts of a chip."""
        super().__init__(config, threads=threads)
        self.variant, number = choose_variant(variant)
        self._handle = _native.tick_new(config, target_hops(config) if hops is None else hops, threads, number)
        self._pace = Pace()
        self._most = np.zeros(3, np.int64)

    @property
    def stats(self) -> Stats:
        """Exact totals since reset."""
        return read_stats(self._handle, self.config.n_cores, self.tick, self._most)

    @stats.setter
    def stats(self, value: Stats) -> None:
        """The base class starts every engine with empty totals; here C keeps them."""

    def reset(self) -> None:
        super().reset()
        self._most = np.zeros(3, np.int64)
        _native.reset(self._handle)

    def _run(
        self, pins: Array | None, events: Events | None, record: Array | None, probes: Array | None, outputs: Array
    ) -> RunResult:
        return self.advance(SampledTicks(self.tick, len(outputs)), outputs, pins, events, record, probes)

    def advance(
        self,
        sampled: SampledTicks,
        outputs: Array,
        pins: Array | None,
        events: Events | None,
        record: Array | None,
        probes: Array | None,
    ) -> RunResult:
        """`run` with arguments known to be good: overwrites `outputs`; adds to `sampled`, which parts share."""
        ticks = len(outputs)
        outputs[:] = 0
        record = None if record is None else np.ascontiguousarray(record)
        columns, bounds = _by_tick(events, self.tick, ticks)
        order = potentials = sorted_probes = None
        if probes is not None:
            order = np.argsort(probes[:, 0], kind="stable")
            sorted_probes = np.ascontiguousarray(probes[order], np.int32)
            potentials = np.zeros((ticks, len(probes)), np.int32)
        recorded: list[tuple[Array, Array, Array]] = []
        for i, end in self._pace.pieces(ticks):
            piece = None
            if columns is not None:
                first, last = np.searchsorted(bounds, [self.tick, self.tick + end - i])
                piece = tuple(column[first:last] for column in columns)
            now = sampled.between(self.tick, self.tick + end - i)
            _native.tick_run(
                self._handle,
                end - i,
                None if pins is None else pins[i:end],
                piece,  # type: ignore[arg-type]  # a tuple of four
                outputs[i:end],
                record,
                now,
                sorted_probes,
                None if potentials is None else potentials[i:end],
            )
            self.tick += end - i
            self._most = np.maximum(self._most, now.max(axis=0, initial=0))
            if record is not None:
                recorded.append(take_recorded(self._handle))
        if potentials is not None and order is not None:
            unsorted = np.empty_like(potentials)
            unsorted[:, order] = potentials
            potentials = unsorted
        return RunResult(outputs, None if record is None else sorted_spikes(recorded), potentials)


class Pace:
    """Cuts a run into pieces that take about a tenth of a second, so that Ctrl-C is heard between them."""

    def __init__(self, ticks: int = 1, most: int = 1 << 20) -> None:
        """Pieces of `ticks` doubled any number of times, up to `most`."""
        self._least, self._most = ticks, max(ticks, most)
        self._ticks = min(16 * ticks, self._most)

    def pieces(self, ticks: int) -> Iterator[tuple[int, int]]:
        """(begin, end) of each piece in turn; measures how long the caller takes with each."""
        begin = 0
        while begin < ticks:
            end = min(ticks, begin + self._ticks)
            started = time.perf_counter()
            yield begin, end
            seconds = time.perf_counter() - started
            if end - begin == self._ticks <= self._most // 2 and seconds < _SECONDS_A_CALL / 2:
                self._ticks *= 2
            elif seconds > 2 * _SECONDS_A_CALL and self._ticks >= 2 * self._least:
                self._ticks //= 2
            begin = end


def read_stats(handle: _native.EngineHandle, cores: int, tick: int, most: Array) -> Stats:
    """The Stats of a C engine of so many cores; `most` is int64 [3], the most spikes, events and hops of one tick."""
    spikes, events = np.zeros((2, cores), np.int64)
    peaks = np.zeros((cores, 2), np.int64)
    hops = _native.stats(handle, spikes, events, peaks)
    return Stats(
        ticks=tick,
        spikes=int(spikes.sum()),
        synaptic_events=int(events.sum()),
        hops=hops,
        core_spikes=spikes,
        core_synaptic_events=events,
        sampled_ticks=samples_before(tick),
        max_spikes=int(most[0]),
        max_synaptic_events=int(most[1]),
        max_hops=int(most[2]),
        core_max_spikes=peaks[:, 0].copy(),
        core_max_synaptic_events=peaks[:, 1].copy(),
    )


def take_recorded(handle: _native.EngineHandle) -> tuple[Array, Array, Array]:
    """int64 tick, int32 core, int32 neuron of the spikes that a C engine recorded in its last run."""
    count = _native.recorded_count(handle)
    found = np.empty(count, np.int64), np.empty(count, np.int32), np.empty(count, np.int32)
    _native.recorded(handle, *found)
    return found


def choose_variant(name: str | None) -> tuple[str, int]:
    """The instruction set to use and its number: the fastest, or the one asked for; InputError where there is none."""
    known = _native.variants()
    if name is None:
        name = list(known)[-1]
    if name not in known:
        raise InputError(f"this processor does not run the engine variant {name!r}; it runs {', '.join(known)}")
    return name, known[name]


def sorted_spikes(parts: list[tuple[Array, Array, Array]]) -> Spikes:
    """(tick, core, neuron) arrays joined and sorted."""
    if not parts:
        return Spikes(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32))
    tick, core, neuron = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((neuron, core, tick))
    return Spikes(tick[order], core[order], neuron[order])


def _by_tick(events: Events | None, tick: int, ticks: int) -> tuple[tuple[Array, ...] | None, Array]:
    """The events' columns sorted by tick, in the types that C takes, and the tick column."""
    if events is None:
        return None, np.zeros(0, np.int64)
    order = np.argsort(events.tick, kind="stable")
    columns = tuple(
        np.ascontiguousarray(column[order], dtype)
        for column, dtype in (
            (events.tick, np.int64),
            (events.core, np.int32),
            (events.axon, np.int32),
            (events.delay, np.uint8),
        )
    )
    return columns, columns[0]
