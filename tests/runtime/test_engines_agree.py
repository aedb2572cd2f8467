"""Every engine, variant and thread count gives the same spikes, potentials and totals on random chips."""

from __future__ import annotations

import os
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_chips import all_probes, random_chip, random_input

from tncc.runtime import _native
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import Engine, Events, RunResult
from tncc.runtime.engine_batch import BatchEngine
from tncc.runtime.engine_numpy import NumpyEngine
from tncc.runtime.engine_tick import TickEngine

EXAMPLES = int(os.environ.get("TNCC_EXAMPLES", 25))  # fewer under the sanitizers
SIZES = st.sampled_from([(1, 1, 1), (2, 8, 8), (5, 40, 33), (4, 13, 100), (3, 256, 256), (70, 20, 70)])


def assert_same_result(a: RunResult, b: RunResult, what: str) -> None:
    np.testing.assert_array_equal(a.outputs, b.outputs, err_msg=what)
    assert a.spikes is not None and b.spikes is not None
    for field in ("tick", "core", "neuron"):
        np.testing.assert_array_equal(getattr(a.spikes, field), getattr(b.spikes, field), err_msg=what)
    if a.potentials is not None:
        np.testing.assert_array_equal(a.potentials, b.potentials, err_msg=what)


def assert_same_stats(a: Engine, b: Engine, what: str) -> None:
    first, second = a.stats, b.stats
    for field in fields(first):
        found, expected = getattr(first, field.name), getattr(second, field.name)
        np.testing.assert_array_equal(found, expected, err_msg=f"{what}, {field.name}")
    assert first.ticks < 32 or first.sampled_ticks > 0


def assert_agree(
    config: ChipConfig, reference: Engine, others: dict[str, Engine], seed: int, pieces: list[int]
) -> None:
    """Runs the same input, cut into the same pieces, through all engines."""
    rng = np.random.default_rng(seed)
    record = rng.random(config.neuron_type.shape) < 0.7
    probes = rng.permutation(all_probes(config))[:300]
    for ticks in pieces:
        pins, events = random_input(rng, config, reference.tick, ticks, rate=float(rng.choice([0.02, 0.5])))
        expected = reference.run(ticks, pins, events, record, probes)
        for what, engine in others.items():
            full = np.full_like(expected.outputs, 255)  # what was there before does not show
            found = engine.run(ticks, pins, events, record, probes, out=full)
            assert found.outputs is full
            assert_same_result(found, expected, what)
    for what, engine in others.items():
        assert_same_stats(engine, reference, what)


@given(
    seed=st.integers(0, 2**32 - 1),
    size=SIZES,
    large=st.booleans(),
    draws=st.booleans(),
    stochastic=st.booleans(),
    density=st.sampled_from([0.05, 0.5, 1.0]),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_tick_engine_equals_numpy(
    seed: int, size: tuple[int, int, int], large: bool, draws: bool, stochastic: bool, density: float
) -> None:
    config = random_chip(
        np.random.default_rng(seed),
        *size,
        large=large,
        draws=draws,
        stochastic=stochastic,
        memoryless=0.3,
        density=density,
    )
    engines: dict[str, Engine] = {
        f"{variant}, {threads} threads": TickEngine(config, threads=threads, variant=variant)
        for threads, variant in zip((1, 2, 3), _native.variants(), strict=False)
    }
    assert_agree(config, NumpyEngine(config), engines, seed, [1, 23, 0, 16])


@pytest.mark.parametrize("variant", list(_native.variants()))
def test_every_variant_on_long_runs_of_full_cores(variant: str) -> None:
    for seed in range(4):
        config = random_chip(np.random.default_rng(seed), 6, 256, 256, large=seed % 2 == 1, density=0.5)
        assert_agree(config, NumpyEngine(config), {variant: TickEngine(config, variant=variant)}, seed, [120])


@pytest.mark.parametrize("variant", list(_native.variants()))
def test_all_axons_of_one_type_active(variant: str) -> None:
    """256 active axons of one type: one more than a byte counts."""
    for large in (False, True):
        config = random_chip(np.random.default_rng(5), 2, 256, 256, large=large, density=1.0)
        config.axon_types[:] = 2
        config.neuron_types["weights"][:] = 1
        config.neuron_types["threshold"][:] = np.maximum(256 - 2 * config.neuron_types["leak"], 1)
        config.neuron_types["reset_mode"][:] = 0
        config.neuron_types["negative_saturate"][:] = 1
        config.check()
        engines: list[Engine] = [NumpyEngine(config), TickEngine(config, variant=variant)]
        core, axon = (x.ravel().astype(np.int32) for x in np.indices((2, 256)))
        events = Events(np.zeros(512, np.int64), core, axon, np.ones(512, np.uint8))
        probes = all_probes(config)
        record = np.ones(config.neuron_type.shape, np.bool_)
        expected, found = (engine.run(5, None, events, record, probes) for engine in engines)
        assert_same_result(found, expected, variant)


def test_reset_starts_over() -> None:
    config = random_chip(np.random.default_rng(3), 5, 40, 40)
    engine = TickEngine(config, threads=2)
    rng = np.random.default_rng(4)
    pins, events = random_input(rng, config, 0, 30)
    record = np.ones(config.neuron_type.shape, np.bool_)
    first = engine.run(30, pins, events, record, all_probes(config))
    stats = engine.stats
    engine.run(7)
    engine.reset()
    assert engine.tick == 0 and engine.stats.spikes == 0
    assert_same_result(engine.run(30, pins, events, record, all_probes(config)), first, "after reset")
    assert engine.stats.hops == stats.hops and engine.stats.spikes == stats.spikes


@given(
    seed=st.integers(0, 2**32 - 1),
    size=SIZES,
    memoryless=st.sampled_from([0.3, 0.9, 1.0]),
    forward_only=st.booleans(),
    copies=st.booleans(),
    density=st.sampled_from([0.05, 0.5, 1.0]),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_batch_engine_equals_tick(
    seed: int, size: tuple[int, int, int], memoryless: float, forward_only: bool, copies: bool, density: float
) -> None:
    config = random_chip(
        np.random.default_rng(seed),
        *size,
        memoryless=memoryless,
        forward_only=forward_only,
        copies=copies,
        density=density,
    )
    engines: dict[str, Engine] = {
        f"{variant}, {threads} threads": BatchEngine(config, threads=threads, variant=variant)
        for threads, variant in zip((1, 2, 3), _native.variants(), strict=False)
    }
    assert_agree(config, TickEngine(config), engines, seed, [1, 23, 0, 16, 15, 70])


@pytest.mark.parametrize("variant", list(_native.variants()))
def test_batch_engine_over_many_blocks(variant: str) -> None:
    for seed in range(3):
        config = random_chip(
            np.random.default_rng(seed), 6, 256, 256, memoryless=1.0, forward_only=True, copies=seed == 1, density=0.5
        )
        engine = BatchEngine(config, threads=2, variant=variant)
        assert_agree(config, TickEngine(config), {variant: engine}, seed, [1500, 1024, 700])


@pytest.mark.parametrize("variant", list(_native.variants()))
def test_many_cores_many_spikes(variant: str) -> None:
    config = random_chip(np.random.default_rng(11), 520, 12, 64, draws=False, density=0.5)
    engines: dict[str, Engine] = {str(n): TickEngine(config, threads=n, variant=variant) for n in (1, 3)}
    assert_agree(config, NumpyEngine(config), engines, 1, [1, 30, 17])


@pytest.mark.parametrize("variant", list(_native.variants()))
@pytest.mark.parametrize("weight", [1, 3, 40, 127, 128])
def test_plain_neurons_with_weights_up_to(weight: int, variant: str) -> None:
    """Weights that add up within a byte take a path of their own, in groups of axons as large as the weights allow."""
    rng = np.random.default_rng(weight)
    config = random_chip(rng, 40, 256, 256, draws=False, density=0.3)
    types = config.neuron_types
    types["weights"][:] = rng.integers(-weight, weight + 1, types["weights"].shape)
    types["weights"][0] = weight, -weight, weight, -weight
    types["leak"][:] = rng.integers(0, min(8 * weight, 255), len(types["leak"]))
    types["threshold"][:] = rng.integers(1, 20 * weight, len(types["threshold"]))
    types["negative_threshold"][:] = rng.integers(0, 20 * weight, len(types["threshold"]))
    for name, value in (("leak_reversal", 0), ("reset_mode", 0), ("negative_saturate", 1)):
        types[name][:] = value
    config.check()
    engines: dict[str, Engine] = {str(n): TickEngine(config, threads=n, variant=variant) for n in (1, 2)}
    assert_agree(config, NumpyEngine(config), engines, weight, [5, 30])
    assert 0.05 < engines["1"].stats.spikes / 35 / config.neuron_type.size < 0.95


def test_more_than_one_region_of_cores() -> None:
    """Spikes in flight are kept by regions of 2^14 cores."""
    config = random_chip(np.random.default_rng(8), 17000, 3, 4, draws=False, density=0.8)
    config.crossbar_index[:] %= 4
    config.neuron_type[:] = config.neuron_type[:1]
    config.check()
    engines: dict[str, Engine] = {str(n): TickEngine(config, threads=n) for n in (1, 2)}
    assert_agree(config, NumpyEngine(config), engines, 1, [2, 20])
    far = (config.target_core > 16384) & (config.neuron_type >= 0)
    assert far.any() and engines["1"].stats.spikes > config.n_cores


def test_more_external_spikes_than_neurons() -> None:
    config = random_chip(np.random.default_rng(2), 3, 20, 10)
    rng = np.random.default_rng(3)
    record = np.ones(config.neuron_type.shape, np.bool_)
    tick, reference = TickEngine(config), NumpyEngine(config)
    for count in (5000, 0, 100, 20000):
        begin = reference.tick
        events = Events(
            begin + np.sort(rng.integers(0, 4, count)),
            *(rng.integers(0, n, count).astype(np.int32) for n in (3, 20)),
            rng.integers(1, 16, count).astype(np.uint8),
        )
        expected = reference.run(4, None, events, record, all_probes(config))
        assert_same_result(tick.run(4, None, events, record, all_probes(config)), expected, str(count))


def test_the_most_of_a_tick_is_that_of_the_sampled_ticks() -> None:
    """Against the recorded spikes, for every engine; the runs are cut between and at the sampled ticks 31, 95, 159."""
    config = random_chip(np.random.default_rng(8), 9, 40, 40, memoryless=0.7, density=0.5)
    record = np.ones(config.neuron_type.shape, np.bool_)
    for engine in (NumpyEngine(config), TickEngine(config, threads=2), BatchEngine(config, threads=2)):
        rng = np.random.default_rng(9)
        fired = np.zeros((160, config.n_cores), np.int64)
        for ticks in (31, 1, 50, 78):
            pins, events = random_input(rng, config, engine.tick, ticks, rate=0.5)
            found = engine.run(ticks, pins, events, record).spikes
            assert found is not None
            np.add.at(fired, (found.tick, found.core), 1)
        sampled, stats = fired[[31, 95, 159]], engine.stats
        assert stats.sampled_ticks == 3 and sampled.sum(axis=1).max() < fired.sum(axis=1).max()
        assert stats.max_spikes == sampled.sum(axis=1).max()
        np.testing.assert_array_equal(stats.core_max_spikes, sampled.max(axis=0))
        assert 0 < stats.core_max_synaptic_events.max() < stats.max_synaptic_events < stats.synaptic_events
        assert 0 < stats.max_hops < stats.hops
        engine.reset()
        assert list(engine.stats.per_tick_max().values()) == [0] * 6
