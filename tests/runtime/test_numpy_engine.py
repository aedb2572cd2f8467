"""The NumPy engine against the specification written out one synapse at a time, and its run interface."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_chips import random_events, seeded_chip
from support.scalar_chip import ScalarChip, output_pins, xorshift

from tncc.errors import InputError
from tncc.runtime.engine import Events
from tncc.runtime.engine_numpy import NumpyEngine
from tncc.runtime.xorshift import sequence


def everything(config):
    """All neurons as record and as probes."""
    probes = np.argwhere(np.ones(config.neuron_type.shape, bool)).astype(np.int32)
    return np.ones(config.neuron_type.shape, bool), probes


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 30), cores=st.integers(1, 4), axons=st.integers(1, 12), neurons=st.integers(1, 12))
def test_equals_the_scalar_specification(seed, cores, axons, neurons):
    config = seeded_chip(seed, cores=cores, axons=axons, neurons=neurons)
    ticks = 40
    events = random_events(seed, config, ticks, 60)
    expected_spikes, expected_potentials = ScalarChip(config).run(ticks, events)
    engine = NumpyEngine(config)
    record, probes = everything(config)
    result = engine.run(ticks, events=events, record=record, probes=probes)
    spikes = result.spikes
    assert list(zip(spikes.tick.tolist(), spikes.core.tolist(), spikes.neuron.tolist(), strict=True)) == expected_spikes
    for tick in range(ticks):
        found = dict(zip(map(tuple, probes.tolist()), result.potentials[tick].tolist(), strict=True))
        assert found == expected_potentials[tick]
    assert set(map(tuple, np.argwhere(result.outputs).tolist())) == output_pins(config, expected_spikes)
    assert engine.stats.spikes == len(expected_spikes) == engine.stats.core_spikes.sum()
    assert engine.stats.ticks == ticks


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 30), split=st.integers(0, 30))
def test_state_persists_between_runs_and_reset_restores_it(seed, split):
    config = seeded_chip(seed, cores=3, axons=9, neurons=10)
    ticks, rng = 30, np.random.default_rng(seed)
    pins = rng.integers(0, 2, (ticks, config.input_pins)).astype(np.uint8)
    record, probes = everything(config)
    engine = NumpyEngine(config)
    whole = engine.run(ticks, pins, record=record, probes=probes)
    total = engine.stats
    engine.reset()
    parts = [engine.run(split, pins[:split], record=record, probes=probes)]
    parts.append(engine.run(ticks - split, pins[split:], record=record, probes=probes))
    assert engine.tick == ticks
    np.testing.assert_array_equal(np.concatenate([p.outputs for p in parts]), whole.outputs)
    np.testing.assert_array_equal(np.concatenate([p.potentials for p in parts]), whole.potentials)
    np.testing.assert_array_equal(np.concatenate([p.spikes.tick for p in parts]), whole.spikes.tick)
    assert (engine.stats.spikes, engine.stats.synaptic_events, engine.stats.hops) == (
        total.spikes,
        total.synaptic_events,
        total.hops,
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_pins_are_events_on_their_axons(seed):
    config = seeded_chip(seed, cores=2, axons=6, neurons=7)
    pins = np.random.default_rng(seed).integers(0, 2, (20, config.input_pins)).astype(np.uint8)
    tick, connection = np.nonzero(pins[:, config.input_pin])
    events = Events(tick, config.input_core[connection], config.input_axon[connection], config.input_delay[connection])
    record, _ = everything(config)
    a = NumpyEngine(config).run(20, pins, record=record)
    b = NumpyEngine(config).run(20, events=events, record=record)
    np.testing.assert_array_equal(a.outputs, b.outputs)
    np.testing.assert_array_equal(a.spikes.neuron, b.spikes.neuron)


def test_xorshift_jumps_equal_single_steps():
    seeds = np.array([1, 0xFFFFFFFF, 0x12345678], np.uint32)
    for n in (0, 1, 2, 3, 1000):
        found = sequence(seeds, n)
        for row, x in zip(found, seeds.tolist(), strict=True):
            for value in row.tolist():
                assert value == x
                x = xorshift(x)


def test_known_states_from_seed_ffffffff():
    expected = "ffffffff 0003e01f fc07fdff 74bb9843 f1cc88da 7a28ee91 98a550ec 65a1ffb0"
    assert " ".join(f"{x:08x}" for x in sequence(np.array([0xFFFFFFFF], np.uint32), 8)[0]) == expected


CHIP = seeded_chip(1, cores=2, axons=5, neurons=6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pins": np.zeros((3, CHIP.input_pins), np.uint8)}, "expected uint8 or bool[4, "),
        ({"pins": np.zeros((4, CHIP.input_pins), np.int64)}, "expected uint8 or bool[4, "),
        ({"pins": np.full((4, CHIP.input_pins), 2, np.uint8)}, "tick 0, input pin 0: value 2; a spike is 0 or 1"),
        ({"record": np.zeros((2, 5), bool)}, "expected bool[2, 6] (cores, neurons)"),
        ({"probes": np.array([[0, 6]], np.int32)}, "probe of core 0, neuron 6; the chip has 2 cores of 6 neurons"),
        ({"probes": np.zeros(3, np.int32)}, "expected int32[n, 2] of (core, neuron)"),
    ],
)
def test_unfit_arguments_are_refused(arguments, message):
    with pytest.raises(InputError) as caught:
        NumpyEngine(CHIP).run(4, **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("tick", 4, "tick is out of range; allowed: 0..3"),
        ("tick", -1, "tick is out of range; allowed: 0..3"),
        ("core", 2, "core is out of range; allowed: 0..1"),
        ("axon", 5, "axon is out of range; allowed: 0..4"),
        ("delay", 0, "delay is out of range; allowed: 1..15"),
        ("delay", 16, "delay is out of range; allowed: 1..15"),
    ],
)
def test_unfit_events_are_refused(column, value, message):
    columns = {name: np.array([1]) for name in ("tick", "core", "axon", "delay")} | {column: np.array([value])}
    with pytest.raises(InputError) as caught:
        NumpyEngine(CHIP).run(4, events=Events(**columns))
    assert message in str(caught.value)
