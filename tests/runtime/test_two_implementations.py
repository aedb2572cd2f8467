"""The NumPy and the C engine, written apart, on random chips for 200 ticks: spikes, potentials, pins and totals."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engines import ENGINES
from support.random_chips import random_events, seeded_chip

TICKS = 200


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    cores=st.integers(1, 6),
    axons=st.sampled_from([1, 7, 64, 65, 256]),
    neurons=st.sampled_from([1, 9, 33]),
    stochastic=st.booleans(),
)
def test_200_ticks(seed, cores, axons, neurons, stochastic):
    config = seeded_chip(seed, cores=cores, axons=axons, neurons=neurons, stochastic=stochastic)
    events = random_events(seed, config, TICKS, 30 * cores * axons // 4)
    pins = np.random.default_rng(seed).integers(0, 2, (TICKS, config.input_pins)).astype(np.uint8)
    record = np.ones(config.neuron_type.shape, bool)
    probes = np.argwhere(record).astype(np.int32)
    found = {}
    for name, engine in ENGINES.items():
        chip = engine(config)
        result = chip.run(TICKS, pins, events, record, probes)
        stats = chip.stats
        found[name] = (
            *(result.outputs, result.potentials, result.spikes.tick, result.spikes.core, result.spikes.neuron),
            *(stats.core_spikes, stats.core_synaptic_events),
            np.array([stats.ticks, stats.spikes, stats.synaptic_events, stats.hops]),
        )
    for name, arrays in found.items():
        for a, b in zip(arrays, found["numpy"], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
