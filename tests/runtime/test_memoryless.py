"""The memoryless rule: against the neuron itself, and its two implementations against each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_chips import DTYPES, random_chip, typed

from tncc.runtime.config import NEURON_FIELDS, UNCONNECTED, ChipConfig
from tncc.runtime.engine import Events, target_hops
from tncc.runtime.engine_numpy import NumpyEngine
from tncc.runtime.memoryless import memoryless_neurons, memoryless_types
from tncc.runtime.stages import core_stages

TYPES = 400


def near_types(seed: int) -> dict[str, np.ndarray]:
    """Types one or two fields away from memoryless."""
    rng = np.random.default_rng(seed)
    types = {
        name: np.zeros((TYPES, *shape), DTYPES.get(name, np.uint8)) for name, (_, shape, _, _) in NEURON_FIELDS.items()
    }
    types["weights"][:] = rng.integers(-3, 4, (TYPES, 4))
    for name, values in types.items():
        if name != "weights":
            low, high = max(NEURON_FIELDS[name][2], -1), min(NEURON_FIELDS[name][3], 2)
            drawn = rng.integers(low, high + 1, values.shape)
            values[:] = drawn * (rng.random(values.shape) < 0.35)
    return typed(types)


def one_core_a_type(types: dict[str, np.ndarray]) -> ChipConfig:
    base = random_chip(np.random.default_rng(0), 1, 4, 1)
    n = len(types["leak"])
    return replace(
        base,
        mesh=(n, 1, 1, 1),
        crossbars=np.ones((1, 4, 1), np.uint8),
        crossbar_index=np.zeros(n, np.int32),
        axon_types=np.arange(4, dtype=np.uint8)[None],
        axon_types_index=np.zeros(n, np.int32),
        neuron_types=types,
        neuron_type=np.arange(n, dtype=np.int32)[:, None],
        target_core=np.full((n, 1), UNCONNECTED, np.int32),
        target_axon=np.zeros((n, 1), np.int32),
        target_delay=np.zeros((n, 1), np.uint8),
        seed=np.ones(n, np.uint32),
        core_x=np.arange(n, dtype=np.int32),
        core_y=np.zeros(n, np.int32),
        layer=np.zeros(n, np.int32),
        input_pin=np.zeros(0, np.int32),
        input_core=np.zeros(0, np.int32),
        input_axon=np.zeros(0, np.int32),
        input_delay=np.zeros(0, np.uint8),
    )


@given(seed=st.integers(0, 1 << 20))
@settings(max_examples=10, deadline=None)
def test_memoryless_neurons_rest_at_zero_and_c_agrees(seed: int) -> None:
    config = one_core_a_type(near_types(seed))
    config.check()
    expected = memoryless_types(config.neuron_types)
    assert expected.any() and not expected.all()
    assert np.array_equal(memoryless_neurons(config)[:, 0], expected)
    assert np.array_equal(core_stages(config, target_hops(config)) % 2 == 0, expected)
    rng = np.random.default_rng(seed)
    ticks, count = 60, 20000
    events = Events(
        rng.integers(0, ticks, count),
        rng.integers(0, TYPES, count).astype(np.int32),
        rng.integers(0, 4, count).astype(np.int32),
        np.ones(count, np.uint8),
    )
    probes = np.stack([np.arange(TYPES), np.zeros(TYPES, np.int64)], axis=1).astype(np.int32)
    potentials = NumpyEngine(config).run(ticks, None, events, probes=probes).potentials
    assert potentials is not None
    assert not potentials[:, expected].any()


def test_a_pipeline_is_one_stage_and_a_loop_is_not() -> None:
    rng = np.random.default_rng(0)
    forward = random_chip(rng, 6, 40, 40, memoryless=1.0, forward_only=True)
    assert np.array_equal(core_stages(forward, target_hops(forward)), np.zeros(6))
    looped = random_chip(rng, 6, 40, 40, memoryless=1.0)
    assert np.array_equal(core_stages(looped, target_hops(looped)), np.ones(6))
