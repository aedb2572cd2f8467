"""The batch engine: memoryless neurons for 1,024 ticks at once, in C (csrc/batch.h); the rest in the tick engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.runtime import _native
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import (
    CORE_STATS,
    Engine,
    Events,
    RunResult,
    SampledTicks,
    Stats,
    samples_before,
    target_hops,
)
from tncc.runtime.engine_tick import Pace, TickEngine, choose_variant, read_stats, sorted_spikes, take_recorded
from tncc.runtime.stages import Stage, split

Array = npt.NDArray[Any]

_BLOCK_TICKS = 1024  # csrc/batch_internal.h: TN_ROW_TICKS
_LINK_BYTES = 1 << 26  # between stages at once


class BatchEngine(Engine):
    """Every chip; fast for cores of memoryless neurons without loops. `threads` share the cores.

    A chip of only such cores is one stage; others are cut into stages, evaluated one after the other for a stretch of
    ticks, the stateful ones by the tick engine.

    Attributes:
        variant: the instruction set in use.
    """

    name = "batch"

    def __init__(self, config: ChipConfig, *, threads: int = 1, variant: str | None = None) -> None:
        super().__init__(config, threads=threads)
        self.variant, _ = choose_variant(variant)
        stages, self._links = split(config, target_hops(config))
        self._parts: list[tuple[Stage, _MemorylessPart | TickEngine]] = [
            (
                stage,
                TickEngine(stage.config, threads=threads, variant=self.variant, hops=stage.hops)
                if stage.stateful
                else _MemorylessPart(stage.config, stage.hops, threads, self.variant),
            )
            for stage in stages
        ]
        self._pace = Pace(_BLOCK_TICKS, _LINK_BYTES // max(1, self._links))
        self._most = np.zeros(3, np.int64)  # spikes, synaptic events, hops of one sampled tick

    @property
    def stats(self) -> Stats:
        """Exact totals since reset."""
        total = Stats.zeros(self.config.n_cores)
        total.ticks, total.sampled_ticks = self.tick, samples_before(self.tick)
        total.max_spikes, total.max_synaptic_events, total.max_hops = map(int, self._most)
        for stage, part in self._parts:
            found = part.stats
            total.spikes += found.spikes
            total.synaptic_events += found.synaptic_events
            total.hops += found.hops
            for name in CORE_STATS:
                getattr(total, name)[stage.cores] = getattr(found, name)
        return total

    @stats.setter
    def stats(self, value: Stats) -> None:
        """The base class starts every engine with empty totals; here C keeps them."""

    def reset(self) -> None:
        super().reset()
        self._most = np.zeros(3, np.int64)
        for _, part in self._parts:
            part.reset()

    def _run(
        self, pins: Array | None, events: Events | None, record: Array | None, probes: Array | None, outputs: Array
    ) -> RunResult:
        ticks = len(outputs)
        record = None if record is None else np.ascontiguousarray(record)
        sampled = SampledTicks(self.tick, ticks)
        if len(self._parts) == 1:
            result = self._parts[0][1].advance(sampled, outputs, pins, events, record, probes)
            self._end_piece(sampled.totals, ticks)
            return result
        outputs[:] = 0
        potentials = None if probes is None else np.zeros((ticks, len(probes)), np.int32)
        recorded: list[tuple[Array, Array, Array]] = []
        for i, end in self._pace.pieces(ticks):
            piece = _Piece(
                None if pins is None else pins[i:end],
                None
                if events is None
                else _select(events, (events.tick >= self.tick) & (events.tick < self.tick + end - i)),
                record,
                probes,
                RunResult(outputs[i:end], None, None if potentials is None else potentials[i:end]),
                np.zeros((self._links, end - i), np.uint8),
                recorded,
            )
            for stage, part in self._parts:
                self._run_stage(stage, part, piece, sampled)
            self._end_piece(sampled.between(self.tick, self.tick + end - i), end - i)
        return RunResult(outputs, None if record is None else sorted_spikes(recorded), potentials)

    def _end_piece(self, sampled: Array, ticks: int) -> None:
        self._most = np.maximum(self._most, sampled.max(axis=0, initial=0))
        self.tick += ticks

    def _run_stage(
        self, stage: Stage, part: _MemorylessPart | TickEngine, piece: _Piece, sampled: SampledTicks
    ) -> None:
        here = None if piece.probes is None else np.flatnonzero(np.isin(piece.probes[:, 0], stage.cores))
        probes = None
        if piece.probes is not None:
            probes = piece.probes[here]
            probes[:, 0] = np.searchsorted(stage.cores, probes[:, 0])
        found = part.advance(
            sampled,
            np.empty((len(piece.into.outputs), stage.config.output_pins), np.uint8),
            _stage_pins(stage, piece.pins, piece.links),
            None if piece.events is None else _local_events(stage, piece.events, self.config.n_cores),
            None if piece.record is None else np.ascontiguousarray(piece.record[stage.cores]),
            probes,
        )
        kept = len(stage.output_pins)
        piece.into.outputs[:, stage.output_pins] |= found.outputs[:, :kept]
        piece.links[stage.links_out] = found.outputs[:, kept:].T
        if piece.into.potentials is not None and found.potentials is not None:
            piece.into.potentials[:, here] = found.potentials
        if found.spikes is not None:
            spikes = found.spikes
            piece.recorded.append((spikes.tick, stage.cores[spikes.core].astype(np.int32), spikes.neuron))


@dataclass(frozen=True)
class _Piece:
    """A stretch of ticks on its way through the stages."""

    pins: Array | None
    events: Events | None
    record: Array | None
    probes: Array | None
    into: RunResult
    links: Array  # uint8 [links, ticks]
    recorded: list[tuple[Array, Array, Array]]


class _MemorylessPart:
    """One even stage in the C batch engine.

    Spikes straight to axons enter by pins made for them: the engine is compiled anew when an event addresses an axon
    with a delay for the first time, and takes the spikes in flight over.
    """

    def __init__(self, config: ChipConfig, hops: Array, threads: int, variant: str) -> None:
        self._config, self._hops, self._threads = config, hops, threads
        self._variant = choose_variant(variant)[1]
        self._event_keys = np.zeros(0, np.int64)  # in the order of their pins, which follow the config's
        self._handle = _native.batch_new(config, hops, threads, self._variant)
        self._before = Stats.zeros(config.n_cores)  # totals of the engines compiled before this one
        self._pace = Pace(_BLOCK_TICKS)
        self.tick = 0

    @property
    def stats(self) -> Stats:
        """Those of this part's cores; the whole chip's greatest are for the engine to know."""
        before, found = self._before, read_stats(self._handle, self._config.n_cores, self.tick, np.zeros(3, np.int64))
        found.spikes += before.spikes
        found.synaptic_events += before.synaptic_events
        found.hops += before.hops
        found.core_spikes += before.core_spikes
        found.core_synaptic_events += before.core_synaptic_events
        found.core_max_spikes = np.maximum(found.core_max_spikes, before.core_max_spikes)
        found.core_max_synaptic_events = np.maximum(found.core_max_synaptic_events, before.core_max_synaptic_events)
        return found

    def reset(self) -> None:
        self.tick = 0
        self._before = Stats.zeros(self._config.n_cores)
        _native.reset(self._handle)

    def advance(
        self,
        sampled: SampledTicks,
        outputs: Array,
        pins: Array | None,
        events: Events | None,
        record: Array | None,
        probes: Array | None,
    ) -> RunResult:
        """As TickEngine.advance."""
        ticks = len(outputs)
        if events is not None and len(events.tick):
            self._make_event_pins(events)
        if len(self._event_keys):
            pins = self._with_events(ticks, pins, events)
        recorded: list[tuple[Array, Array, Array]] = []
        for i, end in self._pace.pieces(ticks):
            now = sampled.between(self.tick + i, self.tick + end)
            piece = None if pins is None else pins[i:end]
            _native.batch_run(self._handle, end - i, piece, outputs[i:end], record, now)
            if record is not None:
                recorded.append(take_recorded(self._handle))
        self.tick += ticks
        # a memoryless neuron's potential is 0 after every tick
        potentials = None if probes is None else np.zeros((ticks, len(probes)), np.int32)
        return RunResult(outputs, None if record is None else sorted_spikes(recorded), potentials)

    def _make_event_pins(self, events: Events) -> None:
        new = np.setdiff1d(_event_keys(events), self._event_keys)
        if not len(new):
            return
        config, old = self._config, self._handle
        keys, known = np.concatenate([self._event_keys, new]), config.input_pins
        extended = replace(
            config,
            input_pins=known + len(keys),
            input_pin=np.concatenate([config.input_pin, known + np.arange(len(keys))]).astype(np.int32),
            input_core=np.concatenate([config.input_core, keys >> 12]).astype(np.int32),
            input_axon=np.concatenate([config.input_axon, keys >> 4 & 255]).astype(np.int32),
            input_delay=np.concatenate([config.input_delay, keys & 15]).astype(np.uint8),
        )
        handle = _native.batch_new(extended, self._hops, self._threads, self._variant)
        count, of_pins = _native.batch_flight_count(old)
        before = np.empty(count, np.uint16)
        _native.batch_get_flight(old, before)
        made = np.zeros(len(new), np.uint16)
        _native.batch_set_flight(handle, np.concatenate([before[:of_pins], made, before[of_pins:]]), self.tick)
        # last and together: an engine without pins for its keys could not even be reset
        self._before, self._handle, self._event_keys = self.stats, handle, keys

    def _with_events(self, ticks: int, pins: Array | None, events: Events | None) -> Array:
        """The config's pins, then those made for events: uint8 [ticks, both]."""
        known = self._config.input_pins
        found = np.zeros((ticks, known + len(self._event_keys)), np.uint8)
        if pins is not None:
            found[:, :known] = pins
        if events is not None:
            order = np.argsort(self._event_keys)
            at = order[np.searchsorted(self._event_keys, _event_keys(events), sorter=order)]
            found[events.tick - self.tick, known + at] = 1
        return found


def _event_keys(events: Events) -> Array:
    """int64: core, axon and delay in one number."""
    return events.core.astype(np.int64) << 12 | events.axon.astype(np.int64) << 4 | events.delay.astype(np.int64)


def _select(events: Events, which: Array) -> Events:
    return Events(events.tick[which], events.core[which], events.axon[which], events.delay[which])


def _local_events(stage: Stage, events: Events, core_count: int) -> Events:
    local = np.full(core_count, -1, np.int32)
    local[stage.cores] = np.arange(len(stage.cores))
    mine = _select(events, local[events.core] >= 0)
    return Events(mine.tick, local[mine.core], mine.axon, mine.delay)


def _stage_pins(stage: Stage, pins: Array | None, links: Array) -> Array:
    """uint8 [ticks, the stage's input pins]: those of the whole chip that it uses, then the links it reads."""
    found = np.zeros((links.shape[1], stage.config.input_pins), np.uint8)
    kept = len(stage.input_pins)
    if pins is not None:
        found[:, :kept] = pins[:, stage.input_pins]
    found[:, kept:] = links[stage.links_in].T
    return found
