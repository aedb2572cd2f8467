"""The chip in NumPy: the readable second implementation of docs/chip-semantics.md, independent of the C engines.

Vectorised over all cores and neurons. Random draws never depend on a potential, only on which axons are active, so
every core's draws of a tick can be counted, numbered in neuron order and generated together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.runtime import xorshift
from tncc.runtime.config import DELAY_SLOTS, NEURON_FIELDS, OUTPUT, POTENTIAL_MAX, POTENTIAL_MIN, ChipConfig
from tncc.runtime.engine import (
    SAMPLE_AT,
    SAMPLE_EVERY,
    Engine,
    Events,
    RunResult,
    Spikes,
    Stats,
    target_hops,
)

Array = npt.NDArray[Any]

_SYNAPSES_A_BLOCK = 1 << 24  # bounds the memory that stochastic synapses take


class NumpyEngine(Engine):
    """All of the neuron model, all delays, any topology. `threads` is accepted and not used."""

    name = "numpy"

    def __init__(self, config: ChipConfig, *, threads: int = 1) -> None:
        super().__init__(config, threads=threads)
        self._used = config.neuron_type >= 0
        # Every parameter spread out: int32 [cores, neurons]; the weights and their flags [4, cores, neurons].
        self._neuron = {name: _spread(config.neuron_types[name], config.neuron_type) for name in NEURON_FIELDS}
        self._columns = _crossbar_columns(config)
        self._axon_type = config.axon_types[config.axon_types_index]
        self._routed = config.target_core >= 0
        self._output = config.target_core == OUTPUT
        self._hops = target_hops(config)
        self._random_threshold = self._neuron["threshold_random_bits"] > 0
        self._random_leak = self._neuron["stochastic_leak"] > 0
        self._random_synapse = self._neuron["stochastic_weights"] > 0
        draws = self._random_threshold | self._random_leak | self._random_synapse.any(axis=0)
        self._drawing_cores = np.flatnonzero(draws.any(axis=1))
        self.reset()

    def reset(self) -> None:
        super().reset()
        n, config = self.config.n_cores, self.config
        self.stats = Stats.zeros(n)
        self._potential = self._neuron["initial_potential"].copy()
        self._random = config.seed.copy()
        self._due = np.zeros((DELAY_SLOTS, n, config.axons), np.bool_)  # [tick % 16]: the axons a spike is due on

    def _run(
        self, pins: Array | None, events: Events | None, record: Array | None, probes: Array | None, outputs: Array
    ) -> RunResult:
        config, ticks = self.config, len(outputs)
        outputs[:] = 0
        recorded: list[Array] = []
        potentials = None if probes is None else np.zeros((ticks, len(probes)), np.int32)
        if events is not None:
            by_tick = np.argsort(events.tick, kind="stable")
            bounds = np.searchsorted(events.tick[by_tick], np.arange(self.tick, self.tick + ticks + 1))
        for i in range(ticks):
            if pins is not None:
                self._deliver_pins(pins[i])
            if events is not None:
                now = by_tick[bounds[i] : bounds[i + 1]]
                slot = (self.tick + events.delay[now].astype(np.int64)) % DELAY_SLOTS
                self._due[slot, events.core[now], events.axon[now]] = True
            before = self._totals() if self.tick % SAMPLE_EVERY == SAMPLE_AT else None
            fired = self._evaluate()
            if before is not None:
                self._sample(before)
            outputs[i, config.target_axon[fired & self._output]] = 1
            if record is not None:
                core, neuron = np.nonzero(fired & record)
                recorded.append(np.stack([np.full(len(core), self.tick), core, neuron]))
            if potentials is not None and probes is not None:
                potentials[i] = self._potential[probes[:, 0], probes[:, 1]]
            self.tick += 1
        spikes = None
        if record is not None:
            tick, core, neuron = np.concatenate([np.zeros((3, 0), np.int64), *recorded], axis=1)
            spikes = Spikes(tick, core.astype(np.int32), neuron.astype(np.int32))
        return RunResult(outputs, spikes, potentials)

    def _totals(self) -> tuple[Array, Array, int]:
        return self.stats.core_spikes.copy(), self.stats.core_synaptic_events.copy(), self.stats.hops

    def _sample(self, before: tuple[Array, Array, int]) -> None:
        """Takes note of one tick: what has changed since the totals `before` it."""
        stats = self.stats
        spikes, events = stats.core_spikes - before[0], stats.core_synaptic_events - before[1]
        stats.sampled_ticks += 1
        stats.max_spikes = max(stats.max_spikes, int(spikes.sum()))
        stats.max_synaptic_events = max(stats.max_synaptic_events, int(events.sum()))
        stats.max_hops = max(stats.max_hops, stats.hops - before[2])
        stats.core_max_spikes = np.maximum(stats.core_max_spikes, spikes)
        stats.core_max_synaptic_events = np.maximum(stats.core_max_synaptic_events, events)

    def _deliver_pins(self, pins: Array) -> None:
        config = self.config
        on = pins[config.input_pin] != 0
        slot = (self.tick + config.input_delay[on].astype(np.int64)) % DELAY_SLOTS
        self._due[slot, config.input_core[on], config.input_axon[on]] = True

    def _evaluate(self) -> Array:
        """One tick of all cores. Returns bool [cores, neurons]: the neurons that fired."""
        slot = self.tick % DELAY_SLOTS
        active = self._due[slot].copy()  # A_i(t)
        self._due[slot] = False
        draws = _Draws(self, active) if self._drawing_cores.size else None

        potential = self._potential + self._integrate(active)
        leak = self._neuron["leak"]
        if draws is not None:
            potential += draws.synapses
            leak = np.where(self._random_leak, np.sign(leak) * (np.abs(leak) >= draws.leak), leak)
        omega = np.where(self._neuron["leak_reversal"] == 1, np.sign(potential), 1)
        potential = np.clip(potential + omega * leak, POTENTIAL_MIN, POTENTIAL_MAX)

        eta = np.int32(0) if draws is None else draws.threshold
        potential, fired = self._fire_or_hold(potential, eta)
        self._potential = np.where(self._used, np.clip(potential, POTENTIAL_MIN, POTENTIAL_MAX), 0).astype(np.int32)
        fired &= self._used
        self._send(fired)
        return fired

    def _integrate(self, active: Array) -> Array:
        """int32 [cores, neurons]: the sum over active axons of W s[G], less the stochastic synapses. Counts events."""
        added = np.zeros(self._used.shape, np.int32)
        cores = np.flatnonzero(active.any(axis=1))
        if not cores.size:
            return added
        types = self._axon_type[cores]
        for g in range(4):
            words = _words(active[cores] & (types == g))
            if not words.any():
                continue
            hits = np.zeros((len(cores), self.config.neurons), np.int32)  # active synapses of type g
            for w, column in enumerate(self._columns):
                hits += np.bitwise_count(column[self.config.crossbar_index[cores]] & words[:, w, None])
            added[cores] += np.where(self._random_synapse[g, cores], 0, hits * self._neuron["weights"][g, cores])
            events = (hits * self._used[cores]).sum(axis=1, dtype=np.int64)
            self.stats.core_synaptic_events[cores] += events
            self.stats.synaptic_events += int(events.sum())
        return added

    def _fire_or_hold(self, potential: Array, eta: Array | np.int32) -> tuple[Array, Array]:
        """Compares with both thresholds and resets. Returns the new potentials and which neurons fired."""
        p = self._neuron
        mode, reset, beta, saturate = (
            p["reset_mode"],
            p["reset_potential"],
            p["negative_threshold"],
            p["negative_saturate"],
        )
        threshold = p["threshold"] + eta
        fired = potential >= threshold
        greatest = p["threshold"] + (np.int32(1) << p["threshold_random_bits"]) - 1
        after_spike = np.choose(mode, [reset, potential - threshold, np.minimum(potential, greatest)])
        floor = beta + np.where(saturate == 1, 0, eta)
        below = ~fired & (potential < -floor)
        after_floor = np.where(saturate == 1, -beta, np.choose(mode, [-reset, potential + floor, potential]))
        return np.where(fired, after_spike, np.where(below, after_floor, potential)), fired

    def _send(self, fired: Array) -> None:
        config = self.config
        core, neuron = np.nonzero(fired & self._routed)
        slot = (self.tick + config.target_delay[core, neuron].astype(np.int64)) % DELAY_SLOTS
        self._due[slot, config.target_core[core, neuron], config.target_axon[core, neuron]] = True
        spikes = fired.sum(axis=1, dtype=np.int64)
        self.stats.ticks += 1
        self.stats.spikes += int(spikes.sum())
        self.stats.core_spikes += spikes
        self.stats.hops += int(self._hops[core, neuron].sum())


class _Draws:
    """The random numbers of one tick. A core draws neuron by neuron: its stochastic synapses, leak, threshold.

    synapses: what the stochastic synapses add; leak: rho of the leak; threshold: eta. int32 [cores, neurons].
    """

    def __init__(self, engine: NumpyEngine, active: Array) -> None:
        cores, shape = engine._drawing_cores, engine._used.shape
        synapse_core, synapse_neuron, synapse_axon = _stochastic_synapses(engine, active)
        neurons = shape[1]
        per_neuron = np.bincount(synapse_core * neurons + synapse_neuron, minlength=shape[0] * neurons)
        on_leak, on_threshold = engine._random_leak, engine._random_threshold
        first = per_neuron.reshape(shape)[cores]
        counts = first + on_leak[cores] + on_threshold[cores]
        end = np.cumsum(counts, axis=1)
        total = end[:, -1]
        states = xorshift.sequence(engine._random[cores], int(total.max(initial=0)) + 1)
        engine._random[cores] = states[np.arange(len(cores)), total]

        rank = np.zeros(shape[0], np.int64)
        rank[cores] = np.arange(len(cores))
        start = end - counts

        self.synapses = np.zeros(shape, np.int32)
        if synapse_core.size:
            group = synapse_core * neurons + synapse_neuron
            number = np.arange(len(group)) - np.searchsorted(group, group)  # 0, 1, ... within one neuron
            state = states[rank[synapse_core], start[rank[synapse_core], synapse_neuron] + number]
            axon_type = engine._axon_type[synapse_core, synapse_axon]
            weight = engine._neuron["weights"][axon_type, synapse_core, synapse_neuron]
            add = np.sign(weight) * (np.abs(weight) >= (state & np.uint32(255)).astype(np.int32))
            np.add.at(self.synapses, (synapse_core, synapse_neuron), add)

        self.leak = np.zeros(shape, np.int32)
        at = np.take_along_axis(states, start + first, axis=1)
        self.leak[cores] = at & np.uint32(255)
        self.threshold = np.zeros(shape, np.int32)
        at = np.take_along_axis(states, np.minimum(start + first + on_leak[cores], total[:, None]), axis=1)
        bits = engine._neuron["threshold_random_bits"][cores].astype(np.uint32)
        self.threshold[cores] = np.where(on_threshold[cores], at & ((np.uint32(1) << bits) - np.uint32(1)), 0)


def _stochastic_synapses(engine: NumpyEngine, active: Array) -> tuple[Array, Array, Array]:
    """core, neuron, axon of every active synapse whose weight is stochastic, in the order in which they draw."""
    config = engine.config
    found = [np.zeros((3, 0), np.int64)]
    with_flag = np.flatnonzero(engine._random_synapse.any(axis=(0, 2)) & active.any(axis=1))
    block = max(1, _SYNAPSES_A_BLOCK // (config.neurons * config.axons))
    for begin in range(0, len(with_flag), block):
        cores = with_flag[begin : begin + block]
        bits = np.unpackbits(config.crossbars[config.crossbar_index[cores]], axis=2, bitorder="little")
        on = bits[:, :, : config.neurons].astype(np.bool_).transpose(0, 2, 1) & active[cores][:, None, :]
        flag = engine._random_synapse[:, cores].transpose(1, 0, 2)  # [cores, 4, neurons]
        on &= np.take_along_axis(flag, engine._axon_type[cores].astype(np.int64)[:, :, None], axis=1).transpose(0, 2, 1)
        core, neuron, axon = np.nonzero(on)
        found.append(np.stack([cores[core], neuron, axon]))
    core, neuron, axon = np.concatenate(found, axis=1)
    return core, neuron, axon


def _spread(values: Array, neuron_type: Array) -> Array:
    """One parameter of all neuron types, [T] or [T, 4], as int32 [N, M] or [4, N, M]; 0 for unused neurons."""
    unused = np.zeros((1, *values.shape[1:]), np.int32)
    found = np.concatenate([values, unused])[neuron_type]  # -1 is the last row
    return np.ascontiguousarray(np.moveaxis(found, 2, 0) if found.ndim == 3 else found, np.int32)


def _words(bits: Array) -> Array:
    """bool [..., axons] as uint64 [..., ceil(axons / 64)]."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    padded = np.zeros((*packed.shape[:-1], -(-packed.shape[-1] // 8) * 8), np.uint8)
    padded[..., : packed.shape[-1]] = packed
    return padded.view(np.uint64)


def _crossbar_columns(config: ChipConfig) -> Array:
    """uint64 [words, unique crossbars, neurons]: for each neuron the axons it has synapses with."""
    columns = np.zeros((-(-config.axons // 64), len(config.crossbars), config.neurons), np.uint64)
    for begin in range(0, len(config.crossbars), 64):
        rows = np.unpackbits(config.crossbars[begin : begin + 64], axis=2, bitorder="little", count=config.neurons)
        columns[:, begin : begin + 64] = np.moveaxis(_words(rows.transpose(0, 2, 1).astype(np.bool_)), -1, 0)
    return columns
