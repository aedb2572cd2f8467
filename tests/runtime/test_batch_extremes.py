"""The batch engine's counters and buffers at their borders, against the neuron's own formula and the tick engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.random_chips import DTYPES, random_chip, typed

from tncc.runtime import _native
from tncc.runtime.config import NEURON_FIELDS, OUTPUT, UNCONNECTED, ChipConfig
from tncc.runtime.engine_batch import BatchEngine
from tncc.runtime.engine_tick import TickEngine

Array = npt.NDArray[Any]

AXONS = NEURONS = 256
POWERS = 1 << np.arange(17)


def chip(crossbars: Array, weights: Array, least: Array, pin_of_axon: Array, outputs: bool = True) -> ChipConfig:
    """Cores of one layer: pins to axons, neuron j of core c to output pin c * neurons + j.

    crossbars: bool [cores, axons, neurons]; axon i is of type i % 4. weights: [cores, neurons, 4]; least:
    [cores, neurons], the least sum that fires, -255..256; pin_of_axon: [cores, axons], -1: none.
    """
    cores, axons, neurons = crossbars.shape
    types = {
        name: np.zeros((cores * neurons, *shape), DTYPES.get(name, np.uint8))
        for name, (_, shape, _, _) in NEURON_FIELDS.items()
    }
    types["weights"][:] = weights.reshape(-1, 4)
    types["threshold"][:] = least.ravel() > 0
    types["leak"][:] = types["threshold"] - least.ravel()
    core, axon = np.nonzero(pin_of_axon >= 0)
    order = np.argsort(pin_of_axon[core, axon], kind="stable")
    pins = int(pin_of_axon.max(initial=-1)) + 1
    here = np.arange(cores)
    config = ChipConfig(
        axons=axons,
        neurons=neurons,
        mesh=(max(cores, 1), 1, 1, 1),
        crossbars=np.ascontiguousarray(np.packbits(crossbars, axis=2, bitorder="little")),
        crossbar_index=here.astype(np.int32),
        axon_types=(np.arange(axons) % 4).astype(np.uint8)[None],
        axon_types_index=np.zeros(cores, np.int32),
        neuron_types=typed(types),
        neuron_type=np.arange(cores * neurons, dtype=np.int32).reshape(cores, neurons),
        target_core=np.full((cores, neurons), OUTPUT if outputs else UNCONNECTED, np.int32),
        target_axon=np.arange(cores * neurons, dtype=np.int32).reshape(cores, neurons) * outputs,
        target_delay=np.zeros((cores, neurons), np.uint8),
        seed=np.ones(cores, np.uint32),
        core_x=here.astype(np.int32),
        core_y=np.zeros(cores, np.int32),
        layer=np.zeros(cores, np.int32),
        input_pin=pin_of_axon[core, axon][order].astype(np.int32),
        input_core=core[order].astype(np.int32),
        input_axon=axon[order].astype(np.int32),
        input_delay=np.ones(len(core), np.uint8),
        output_latency=np.ones(cores * neurons if outputs else 0, np.int32),
        input_pins=pins,
        output_pins=cores * neurons if outputs else 0,
    )
    config.check()
    return config


def borders(total: int) -> Array:
    """Numbers of literals needed, of `total`, where a counter's shape or answer changes."""
    found = np.concatenate(
        [[0, 1, total // 2, total, total + 1], POWERS, POWERS + 1, total + 1 - POWERS, total - POWERS]
    )
    return np.unique(found[(found >= 0) & (found <= total + 1)])


def check_formula(crossbars: Array, weights: Array, pin_of_axon: Array, ticks: int, seed: int) -> None:
    """Every neuron with a border of its own; sums anywhere between the least and the greatest in every tick."""
    rng = np.random.default_rng(seed)
    cores, axons, neurons = crossbars.shape
    synapses = crossbars * weights[:, :, np.arange(axons) % 4].transpose(0, 2, 1) * (pin_of_axon >= 0)[:, :, None]
    by_pin = np.zeros((cores, pin_of_axon.max() + 1, neurons), np.int64)
    for core in range(cores):
        connected = pin_of_axon[core] >= 0
        np.add.at(by_pin[core], pin_of_axon[core, connected], synapses[core, connected])
    total, negative = np.abs(by_pin).sum(axis=1), -np.minimum(by_pin, 0).sum(axis=1)
    least = np.zeros((cores, neurons), np.int64)
    for at in np.ndindex(cores, neurons):
        choice = borders(int(total[at])) - negative[at]
        choice = choice[(choice >= -255) & (choice <= 256)]
        least[at] = rng.choice(choice) if len(choice) else rng.integers(-255, 257)
    inhibits = by_pin.sum(axis=(0, 2)) < 0
    pins = (rng.random((ticks, len(inhibits))) < rng.random((ticks, 1))) ^ inhibits
    expected = np.zeros((ticks, cores, neurons), np.uint8)
    before = np.concatenate([np.zeros_like(pins[:1]), pins[:-1]]).astype(np.float64)  # exact, and quick to multiply
    for core in range(cores):
        expected[:, core] = before @ by_pin[core].astype(np.float64) >= least[core]
    config = chip(crossbars, weights, least, pin_of_axon)
    for variant in _native.variants():
        found = BatchEngine(config, variant=variant).run(ticks, pins).outputs.reshape(ticks, cores, neurons)
        wrong = np.argwhere(found != expected)
        assert not len(wrong), f"{variant}: tick, core, neuron {wrong[0]}, of {len(wrong)}"
    assert 0.2 < expected.mean() < 0.8


def some_synapses(rng: np.random.Generator, cores: int) -> Array:
    """bool [cores, axons, neurons]: neuron j has j + 1 synapses, or none in one neuron of the first core."""
    found = rng.permuted(np.broadcast_to(np.tri(AXONS, dtype=np.bool_).T, (cores, AXONS, NEURONS)), axis=1)
    found[0, :, 17] = False
    return found


@pytest.mark.parametrize("sign", [1, -1, 0])
def test_every_number_of_unit_weights_at_every_border(sign: int) -> None:
    rng = np.random.default_rng(sign + 1)
    cores = 8
    signs = rng.choice([-1, 1], (cores, 1, 4)) if sign == 0 else np.full((cores, 1, 4), sign)
    weights = np.broadcast_to(signs, (cores, NEURONS, 4))
    pins = np.broadcast_to(np.arange(AXONS), (cores, AXONS))
    check_formula(some_synapses(rng, cores), weights, pins, 1024 + 517, sign + 1)


@pytest.mark.parametrize("kind", ["any", "powers of two", "greatest"])
def test_weights_of_every_size_at_every_border(kind: str) -> None:
    rng = np.random.default_rng(len(kind))
    cores = 6
    shape = (cores, NEURONS, 4)
    sizes = {
        "any": rng.integers(0, 256, shape),
        "powers of two": POWERS[rng.integers(0, 8, shape)],
        "greatest": np.full(shape, 255),
    }
    weights = sizes[kind] * rng.choice([-1, 1], (cores, 1, 4))
    pins = np.broadcast_to(np.arange(AXONS), (cores, AXONS)).copy()
    pins[1] = pins[1] % 16  # rows of up to 16 axons together
    pins[2] = 0  # one row of them all: weights of up to 16 bits
    pins[3] = np.where(pins[3] % 3 == 0, pins[3], -1)
    check_formula(some_synapses(rng, cores), weights, pins, 700, len(kind))


@pytest.mark.parametrize("inputs", [9, 20, 33, 64, 100, 128])
@pytest.mark.parametrize("unlike", [0.0, 0.1, 0.5, 1.0])
def test_neurons_that_share_their_count(inputs: int, unlike: float) -> None:
    """Weights 1, 0 and -1, each input on two axons; neurons are variations of a few and of their opposites."""
    rng = np.random.default_rng(int(10 * inputs + 10 * unlike))
    cores, density = 4, np.array([1.0, 0.6, 0.9, 0.3]).reshape(-1, 1, 1)
    few = rng.choice([-1, 1], (cores, inputs, 5)) * (rng.random((cores, inputs, 5)) < density)
    trinary = few[:, :, rng.integers(0, 5, NEURONS)] * rng.choice([-1, 1], NEURONS)
    other = rng.choice([-1, 1], trinary.shape) * (rng.random(trinary.shape) < density)
    trinary = np.where(rng.random(trinary.shape) < unlike, other, trinary)
    crossbars = np.stack([trinary > 0, trinary < 0], axis=2).reshape(cores, 2 * inputs, NEURONS)
    crossbars = np.pad(crossbars, ((0, 0), (0, AXONS - 2 * inputs), (0, 0)))
    pins = np.where(np.arange(AXONS) < 2 * inputs, np.arange(AXONS) // 2, -1)
    weights = np.broadcast_to([1, -1, 1, -1], (cores, NEURONS, 4))
    check_formula(crossbars, weights, np.broadcast_to(pins, (cores, AXONS)), 1024 + 130, inputs)


@pytest.mark.parametrize("variant", list(_native.variants()))
def test_blocks_cut_anywhere_into_memory_at_any_address(variant: str) -> None:
    """Spikes, outputs and statistics are those of the ticks asked for, and nothing beside `out` is written."""
    for seed, threads in ((0, 1), (1, 2), (2, 3)):
        rng = np.random.default_rng(seed)
        config = random_chip(rng, 5, 200, 70, memoryless=1.0, forward_only=True, density=0.5)
        record = np.ones(config.neuron_type.shape, np.bool_)
        batch, tick = BatchEngine(config, threads=threads, variant=variant), TickEngine(config)
        for ticks in (1, 63, 64, 65, 15, 16, 17, 127, 1008, 1023, 1025, 513, 2049):
            pins = rng.random((ticks, config.input_pins)) < rng.random((ticks, 1))
            size, at = ticks * config.output_pins, int(rng.integers(1, 130))
            memory = np.full(size + 300, 0xA5, np.uint8)
            out = memory[at : at + size].reshape(ticks, config.output_pins)
            found, expected = batch.run(ticks, pins, record=record, out=out), tick.run(ticks, pins, record=record)
            assert np.array_equal(out, expected.outputs)
            assert (memory[:at] == 0xA5).all() and (memory[at + size :] == 0xA5).all()
            assert found.spikes is not None and expected.spikes is not None
            assert np.array_equal(found.spikes.tick, expected.spikes.tick)
            assert np.array_equal(found.spikes.neuron, expected.spikes.neuron)
            a, b = batch.stats, tick.stats
            assert (a.synaptic_events, a.hops, a.per_tick_max()) == (b.synaptic_events, b.hops, b.per_tick_max())
            assert np.array_equal(a.core_spikes, b.core_spikes)


@pytest.mark.parametrize("pins", [0, 1, 63, 65, 1023, 1024, 1025, 2049])
@pytest.mark.parametrize("variant", list(_native.variants()))
def test_any_number_of_pins(pins: int, variant: str) -> None:
    """Each pin to a neuron of its own and out again, `pins` of them; those of no pins fire always."""
    cores = -(-max(pins, 1) // NEURONS)
    crossbars = np.broadcast_to(np.eye(AXONS, dtype=np.bool_), (cores, AXONS, NEURONS))
    place = np.arange(cores * AXONS).reshape(cores, AXONS)
    least = np.where(place < pins, 1, 0)
    config = chip(crossbars, np.ones((cores, NEURONS, 4)), least, np.where(place < pins, place, -1))
    for ticks in (3, 64, 1030):
        x = np.random.default_rng(pins).random((ticks, pins)) < 0.5
        found = BatchEngine(config, threads=2, variant=variant).run(ticks, x).outputs
        assert np.array_equal(found[1:, :pins], x[:-1]) and not found[0, :pins].any()
        assert found[:, pins:].all()


def test_the_look_ahead_stays_in_its_table() -> None:
    """One class reads ahead for all signals of the next core; the sanitizers see it where the table's memory ends."""
    for rows in range(256):
        crossbars = np.ones((2, AXONS, 1), np.bool_)
        pins = np.full((2, AXONS), -1)
        pins[0, 0] = 0
        pins[1, :rows] = 1 + np.arange(rows)
        config = chip(crossbars, np.ones((2, 1, 4)), np.full((2, 1), max(rows, 1)), pins, outputs=False)
        engine = BatchEngine(config, variant="scalar")
        engine.run(3, np.ones((3, config.input_pins), np.bool_))
        assert engine.stats.core_synaptic_events.tolist() == [2, 2 * rows]
        assert engine.stats.core_spikes.tolist() == [2 if rows <= 1 else 0, 2 if rows else 0]


@pytest.mark.parametrize("variant", list(_native.variants()))
def test_an_empty_chip(variant: str) -> None:
    config = chip(
        np.zeros((0, 3, 2), np.bool_), np.zeros((0, 2, 4)), np.zeros((0, 2), np.int64), np.zeros((0, 3), np.int64)
    )
    engine = BatchEngine(config, threads=2, variant=variant)
    assert engine.run(1100).outputs.shape == (1100, 0)
    assert engine.tick == 1100 and engine.stats.spikes == 0


@pytest.mark.parametrize("variant", list(_native.variants()))
def test_cores_without_neurons(variant: str) -> None:
    crossbars, pins = np.ones((2, 3, 2), np.bool_), np.arange(6).reshape(2, 3)
    config = chip(crossbars, np.ones((2, 2, 4)), np.ones((2, 2)), pins)
    config.neuron_type[0] = -1
    for unused in (config, replace(config, neuron_type=np.full((2, 2), -1, np.int32))):
        engine = BatchEngine(unused, variant=variant)
        outputs = engine.run(70, np.ones((70, 6), np.bool_)).outputs
        fires = unused.neuron_type.ravel() >= 0
        assert np.array_equal(outputs[1:], np.broadcast_to(fires, (69, 4))) and not outputs[0].any()
        assert engine.stats.core_synaptic_events.tolist() == [0, 69 * 6 * bool(fires.any())]
