"""Synthetic chips for the benchmarks, built directly as configurations."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.runtime.config import ChipConfig

Array = npt.NDArray[Any]

AXONS = NEURONS = 256


def recurrent_chip(
    mesh_x: int = 64, mesh_y: int = 64, *, seed: int = 0, neuron_types: int = 32, unique: int | None = None
) -> ChipConfig:
    """A full recurrent random chip: 50 % crossbar density, every axon driven by one neuron somewhere on the chip, every
    neuron stateful, about 16 % of all axons active in every tick without any input.

    Each core has its own crossbar (one of `unique`, where given) and axon types, each neuron a type of its own out of
    `neuron_types`: integration of balanced weights, a leak that drives it to its threshold every six ticks or so, a
    floor, reset to zero.
    """
    rng = np.random.default_rng(seed)
    cores = mesh_x * mesh_y
    unique = min(unique or cores, cores)
    leak = rng.integers(15, 26, neuron_types)
    weights = rng.integers(1, 4, (neuron_types, 4)) * np.array([1, -1, 1, -1])
    zero = np.zeros(neuron_types, np.uint8)
    threshold = (leak * 5.75).astype(np.int32)
    target = rng.permutation(cores * AXONS).reshape(cores, NEURONS)
    return ChipConfig(
        axons=AXONS,
        neurons=NEURONS,
        mesh=(mesh_x, mesh_y, 1, 1),
        crossbars=rng.integers(0, 256, (unique, AXONS, NEURONS // 8), dtype=np.uint8),
        crossbar_index=np.arange(cores, dtype=np.int32) % unique,
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


def layered_chip(
    layers: int, cores_a_layer: int, *, density: float = 0.6, seed: int = 0, unique: int | None = None
) -> ChipConfig:
    """A pipeline of memoryless layers with trinary weights: 128 inputs on two axons each and 128 neurons with two
    copies each in every core, which has its own crossbar and neuron types (or one of `unique`); random permutations
    between layers."""
    rng = np.random.default_rng(seed)
    cores, half = layers * cores_a_layer, AXONS // 2
    unique = min(unique or cores, cores)
    which = np.arange(cores, dtype=np.int32) % unique
    weight = rng.choice(3, (unique, half, half), p=[density / 2, density / 2, 1 - density])
    bits = np.zeros((unique, half, 2, half, 2), np.bool_)  # input, its two axons, neuron, its two copies
    bits[:, :, 0], bits[:, :, 1] = (weight == 0)[..., None], (weight == 1)[..., None]
    target_core = np.full((cores, half, 2), -3, np.int32)
    target_axon = np.zeros((cores, half, 2), np.int32)
    for layer in range(layers - 1):
        here = slice(layer * cores_a_layer, (layer + 1) * cores_a_layer)
        place = rng.permutation(cores_a_layer * half).reshape(cores_a_layer, half, 1)
        target_core[here] = (layer + 1) * cores_a_layer + place // half
        target_axon[here] = 2 * (place % half) + np.arange(2)
    outputs = cores_a_layer * half
    target_axon[-cores_a_layer:] = np.arange(outputs).reshape(cores_a_layer, half, 1)
    target_core[-cores_a_layer:, :, 1] = -1
    target_axon[-cores_a_layer:, :, 1] = 0
    ones = np.ones(cores, np.int32)
    config_types = 16
    leak = rng.integers(-3, 4, config_types)
    return ChipConfig(
        axons=AXONS,
        neurons=NEURONS,
        mesh=(64, -(-cores // 64), 1, 1),
        crossbars=np.packbits(bits.reshape(unique, AXONS, NEURONS), axis=2, bitorder="little"),
        crossbar_index=which,
        axon_types=np.tile(np.arange(2, dtype=np.uint8), (1, half)),
        axon_types_index=0 * ones,
        neuron_types={
            "weights": np.tile(np.array([-1, 1, 0, 0], np.int16), (config_types, 1)),
            "stochastic_weights": np.zeros((config_types, 4), np.uint8),
            "leak": leak.astype(np.int16),
            **{
                name: np.full(config_types, value, np.uint8)
                for name, value in (
                    ("stochastic_leak", 0),
                    ("leak_reversal", 0),
                    ("threshold_random_bits", 0),
                    ("reset_mode", 0),
                    ("negative_saturate", 1),
                )
            },
            **{
                name: np.full(config_types, value, np.int32)
                for name, value in (
                    ("threshold", 1),
                    ("negative_threshold", 0),
                    ("reset_potential", 0),
                    ("initial_potential", 0),
                )
            },
        },
        neuron_type=np.repeat(rng.integers(0, config_types, (unique, half)), 2, axis=1).astype(np.int32)[which],
        target_core=target_core.reshape(cores, NEURONS),
        target_axon=target_axon.reshape(cores, NEURONS),
        target_delay=(target_core.reshape(cores, NEURONS) >= 0).astype(np.uint8),
        seed=np.ones(cores, np.uint32),
        core_x=(np.arange(cores) % 64).astype(np.int32),
        core_y=(np.arange(cores) // 64).astype(np.int32),
        layer=np.repeat(np.arange(layers), cores_a_layer).astype(np.int32),
        input_pin=np.repeat(np.arange(outputs), 2).astype(np.int32),
        input_core=np.repeat(np.arange(outputs) // half, 2).astype(np.int32),
        input_axon=np.arange(2 * outputs, dtype=np.int32) % AXONS,
        input_delay=np.ones(2 * outputs, np.uint8),
        output_latency=np.full(outputs, layers, np.int32),
        input_pins=outputs,
        output_pins=outputs,
    )
