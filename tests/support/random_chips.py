"""Random chips that use everything: loops, all modes, all delays, random seeds, shared tables, unused neurons."""

from __future__ import annotations

import numpy as np

from tncc.runtime.config import DELAY_SLOTS, OUTPUT, ChipConfig
from tncc.runtime.engine import Events


def random_chip(
    seed: int, *, cores: int, axons: int, neurons: int, stochastic: bool = True, ibm: bool = False
) -> ChipConfig:
    """A checked chip. ibm: keep to what a model file can hold (reset potentials +-(2^n - 1))."""
    rng = np.random.default_rng(seed)
    types = int(rng.integers(1, 12))
    flip = (lambda shape: rng.integers(0, 2, shape)) if stochastic else (lambda shape: np.zeros(shape, int))
    small = rng.random() < 0.5  # small weights and thresholds keep activity going
    top = 20 if small else 255
    wide = 60 if small else (1 << 18) - 1
    reset = rng.choice([-1, 1], types) * ((1 << rng.integers(0, 6 if small else 20, types)) - 1)
    if not ibm:
        reset = np.where(rng.random(types) < 0.5, reset, rng.integers(-(1 << 19), 1 << 19, types))
    neuron_types = {
        "weights": rng.integers(-top, top + 1, (types, 4)).astype(np.int16),
        "stochastic_weights": flip((types, 4)).astype(np.uint8),
        "leak": rng.integers(-top, top + 1, types).astype(np.int16),
        "stochastic_leak": flip(types).astype(np.uint8),
        "leak_reversal": rng.integers(0, 2, types).astype(np.uint8),
        "threshold": rng.integers(0, wide + 1, types).astype(np.int32),
        "negative_threshold": rng.integers(0, wide + 1, types).astype(np.int32),
        "threshold_random_bits": (flip(types) * rng.integers(0, 8 if small else 19, types)).astype(np.uint8),
        "reset_mode": rng.integers(0, 3, types).astype(np.uint8),
        "negative_saturate": rng.integers(0, 2, types).astype(np.uint8),
        "reset_potential": reset.astype(np.int32),
        "initial_potential": rng.integers(-(1 << 19), 1 << 19, types).astype(np.int32)
        if not small
        else rng.integers(-30, 30, types).astype(np.int32),
    }
    shape = (cores, neurons)
    pins = int(rng.integers(1, 40))
    target_core = rng.integers(OUTPUT, cores, shape).astype(np.int32)
    routed, output = target_core >= 0, target_core == OUTPUT
    axon, pin = rng.integers(0, axons, shape), rng.integers(0, pins, shape)
    delays = rng.integers(1, DELAY_SLOTS, shape)
    tables, inputs = int(rng.integers(1, cores + 1)), int(rng.integers(0, 20))
    input_pins = int(rng.integers(1, 9))
    density = rng.random()
    crossbars = np.packbits(rng.random((tables, axons, neurons)) < density, axis=2, bitorder="little")
    placed = rng.random() < 0.5
    places = rng.permutation(64 * 64)[:cores] if placed else None
    config = ChipConfig(
        axons=axons,
        neurons=neurons,
        mesh=(64, 64, 1, 1),
        crossbars=crossbars,
        crossbar_index=rng.integers(0, tables, cores).astype(np.int32),
        axon_types=rng.integers(0, 4, (tables, axons)).astype(np.uint8),
        axon_types_index=rng.integers(0, tables, cores).astype(np.int32),
        neuron_types=neuron_types,
        neuron_type=rng.integers(-1, types, shape).astype(np.int32),
        target_core=target_core,
        target_axon=np.where(routed, axon, np.where(output, pin, 0)).astype(np.int32),
        target_delay=np.where(routed, delays, 0).astype(np.uint8),
        seed=rng.integers(1, 1 << 32, cores).astype(np.uint32),
        core_x=(places % 64 if places is not None else np.full(cores, -1)).astype(np.int32),
        core_y=(places // 64 if places is not None else np.full(cores, -1)).astype(np.int32),
        layer=np.zeros(cores, np.int32),
        input_pin=np.sort(rng.integers(0, input_pins, inputs)).astype(np.int32),
        input_core=rng.integers(0, cores, inputs).astype(np.int32),
        input_axon=rng.integers(0, axons, inputs).astype(np.int32),
        input_delay=rng.integers(1, DELAY_SLOTS, inputs).astype(np.uint8),
        output_latency=np.zeros(pins, np.int32),
        input_pins=input_pins,
        output_pins=pins,
    )
    config.check()
    return config


def random_events(seed: int, config: ChipConfig, ticks: int, count: int) -> Events:
    rng = np.random.default_rng(seed)
    return Events(
        rng.integers(0, ticks, count),
        rng.integers(0, config.n_cores, count).astype(np.int32),
        rng.integers(0, config.axons, count).astype(np.int32),
        rng.integers(1, DELAY_SLOTS, count).astype(np.uint8),
    )
