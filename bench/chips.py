"""Synthetic chips for the benchmarks, built directly as configurations."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.runtime.config import ChipConfig

Array = npt.NDArray[Any]

AXONS = NEURONS = 256


def recurrent_chip(mesh_x: int = 64, mesh_y: int = 64, *, seed: int = 0, neuron_types: int = 64) -> ChipConfig:
    """A full recurrent random chip: 50 % crossbar density, every axon driven by one neuron somewhere on the chip, every
    neuron stateful, about 16 % of all axons active in every tick without any input.

    Each core has its own crossbar and axon types, each neuron its own type out of `neuron_types`: integration of
    balanced weights, a leak that drives it to its threshold every six ticks or so, a floor, reset to zero.
    """
    rng = np.random.default_rng(seed)
    cores = mesh_x * mesh_y
    leak = rng.integers(15, 26, neuron_types)
    weights = rng.integers(1, 4, (neuron_types, 4)) * np.array([1, -1, 1, -1])
    zero = np.zeros(neuron_types, np.uint8)
    threshold = (leak * 5.75).astype(np.int32)
    target = rng.permutation(cores * AXONS).reshape(cores, NEURONS)
    return ChipConfig(
        axons=AXONS,
        neurons=NEURONS,
        mesh=(mesh_x, mesh_y, 1, 1),
        crossbars=rng.integers(0, 256, (cores, AXONS, NEURONS // 8), dtype=np.uint8),
        crossbar_index=np.arange(cores, dtype=np.int32),
        axon_types=rng.integers(0, 4, (cores, AXONS), dtype=np.uint8),
        axon_types_index=np.arange(cores, dtype=np.int32),
        neuron_types={
            "weights": weights.astype(np.int16),
            "stochastic_weights": np.zeros((neuron_types, 4), np.uint8),
            "leak": leak.astype(np.int16),
            "stochastic_leak": zero,
            "leak_reversal": zero,
            "threshold": threshold,
            "negative_threshold": threshold,
            "threshold_random_bits": zero,
            "reset_mode": zero,
            "negative_saturate": zero + 1,
            "reset_potential": np.zeros(neuron_types, np.int32),
            "initial_potential": rng.integers(0, threshold).astype(np.int32),
        },
        neuron_type=rng.integers(0, neuron_types, (cores, NEURONS)).astype(np.int32),
        target_core=(target // AXONS).astype(np.int32),
        target_axon=(target % AXONS).astype(np.int32),
        target_delay=rng.integers(1, 16, (cores, NEURONS)).astype(np.uint8),
        seed=np.ones(cores, np.uint32),
        core_x=(np.arange(cores) % mesh_x).astype(np.int32),
        core_y=(np.arange(cores) // mesh_x).astype(np.int32),
        layer=np.zeros(cores, np.int32),
        input_pin=np.zeros(0, np.int32),
        input_core=np.zeros(0, np.int32),
        input_axon=np.zeros(0, np.int32),
        input_delay=np.zeros(0, np.uint8),
        output_latency=np.zeros(0, np.int32),
        input_pins=0,
        output_pins=0,
    )
