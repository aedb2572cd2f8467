"""Random chips and random input for property tests: every mode, loops, all delays, shared tables."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.runtime.config import DELAY_SLOTS, DISABLED, OUTPUT, UNCONNECTED, ChipConfig
from tncc.runtime.engine import Events

Array = npt.NDArray[Any]


def random_types(
    rng: np.random.Generator, count: int, *, large: bool, draws: bool, stochastic: bool
) -> dict[str, Array]:
    """Neuron types with every mode mixed; `large` weights and thresholds reach the 20-bit saturation."""
    weight, threshold = (255, 1 << 18) if large else (4, 20)
    flag = (lambda *shape: rng.integers(0, 2, shape)) if stochastic else (lambda *shape: np.zeros(shape, np.int64))
    reset = int(rng.choice([0, 5, (1 << 19) - 1]) if large else rng.choice([0, 5]))
    types = {
        "weights": rng.integers(-weight, weight + 1, (count, 4)),
        "stochastic_weights": flag(count, 4),
        "leak": rng.integers(-weight, weight + 1, count) * rng.integers(0, 2, count),
        "stochastic_leak": flag(count),
        "leak_reversal": rng.integers(0, 2, count),
        "threshold": rng.integers(0, rng.choice([2, threshold]), count),
        "negative_threshold": rng.integers(0, rng.choice([2, threshold]), count),
        "threshold_random_bits": rng.choice([0, 0, 1, 3, 8, 18] if large else [0, 0, 1, 3], count) * draws,
        "reset_mode": rng.integers(0, 3, count),
        "negative_saturate": rng.integers(0, 2, count),
        "reset_potential": rng.integers(-reset - 1, reset + 1, count),
        "initial_potential": rng.integers(-reset - 1, reset + 1, count),
    }
    if rng.integers(0, 2):  # cores of plain neurons take paths of their own
        types["leak_reversal"][:] = 0
        types["reset_mode"][:] = 0
        types["negative_saturate"][:] = 1
        types["threshold_random_bits"][:] = 0
    return types


def memoryless_types(rng: np.random.Generator, count: int) -> dict[str, Array]:
    """Neuron types whose output depends on this tick's input only."""
    weight = int(rng.choice([1, 1, 3, 255]))
    zero = np.zeros(count, np.int64)
    return {
        "weights": rng.integers(-weight, weight + 1, (count, 4)),
        "stochastic_weights": np.zeros((count, 4), np.int64),
        "leak": rng.integers(-3 * weight, 2 * weight + 1, count).clip(-255, 255),
        "stochastic_leak": zero,
        "leak_reversal": zero,
        "threshold": rng.integers(0, 2, count),
        "negative_threshold": zero,
        "threshold_random_bits": zero,
        "reset_mode": zero,
        "negative_saturate": rng.integers(0, 2, count),
        "reset_potential": zero,
        "initial_potential": zero,
    }


DTYPES = {
    "weights": np.int16,
    "leak": np.int16,
    "threshold": np.int32,
    "negative_threshold": np.int32,
    "reset_potential": np.int32,
    "initial_potential": np.int32,
}


def typed(types: dict[str, Array]) -> dict[str, Array]:
    return {name: np.ascontiguousarray(values, DTYPES.get(name, np.uint8)) for name, values in types.items()}


def random_chip(
    rng: np.random.Generator,
    cores: int,
    axons: int,
    neurons: int,
    *,
    large: bool = False,
    draws: bool = True,
    stochastic: bool = False,
    memoryless: float = 0.0,
    forward_only: bool = False,
    density: float = 0.4,
    copies: bool = False,
) -> ChipConfig:
    """A checked chip. `memoryless`: the share of cores with only such neurons; `forward_only`: no loops; `copies`: some
    neurons of a core repeat others."""
    plain, other = memoryless_types(rng, 6), random_types(rng, 8, large=large, draws=draws, stochastic=stochastic)
    types = typed({name: np.concatenate([plain[name], other[name]]) for name in plain})
    unique = int(rng.integers(1, cores + 1))
    bits = rng.random((unique, axons, neurons)) < density
    is_plain = rng.random(cores) < memoryless
    neuron_type = np.where(
        is_plain[:, None], rng.integers(-1, 6, (cores, neurons)), rng.integers(5, 14, (cores, neurons))
    )
    neuron_type[neuron_type == 5] = -1
    if copies and neurons > 1:
        bits[:, :, 1::2] = bits[:, :, : 2 * (neurons // 2) : 2]
        neuron_type[:, 1::2] = neuron_type[:, : 2 * (neurons // 2) : 2]
    here = np.arange(cores)[:, None]
    low = np.minimum(here + 1, cores) if forward_only else np.zeros_like(here)
    target = low + np.floor(rng.random((cores, neurons)) * (cores - low)).astype(np.int64)
    kind = rng.choice([0, 0, 0, 1, 2, 3], (cores, neurons))
    target = np.where((kind == 0) & (target < cores), target, np.choose(kind, [OUTPUT, OUTPUT, UNCONNECTED, DISABLED]))
    routed = target >= 0
    pins, outputs, connections = int(rng.integers(1, 80)), int(rng.integers(1, 80)), int(rng.integers(0, 3 * axons))
    longest = int(rng.choice([1, 15]))
    width = max(1, int(np.ceil(np.sqrt(cores))))
    place = rng.permutation(width * width)[:cores]
    config = ChipConfig(
        axons=axons,
        neurons=neurons,
        mesh=(width, width, 1, 1),
        crossbars=np.packbits(bits, axis=2, bitorder="little"),
        crossbar_index=rng.integers(0, unique, cores).astype(np.int32),
        axon_types=rng.integers(0, 4, (2, axons)).astype(np.uint8),
        axon_types_index=rng.integers(0, 2, cores).astype(np.int32),
        neuron_types=types,
        neuron_type=neuron_type.astype(np.int32),
        target_core=target.astype(np.int32),
        target_axon=np.where(
            routed,
            rng.integers(0, axons, (cores, neurons)),
            np.where(target == OUTPUT, rng.integers(0, outputs, (cores, neurons)), 0),
        ).astype(np.int32),
        target_delay=np.where(routed, rng.integers(1, longest + 1, (cores, neurons)), 0).astype(np.uint8),
        seed=rng.integers(1, 1 << 32, cores, dtype=np.uint32),
        core_x=(place % width).astype(np.int32),
        core_y=(place // width).astype(np.int32),
        layer=np.zeros(cores, np.int32),
        input_pin=np.sort(rng.integers(0, pins, connections)).astype(np.int32),
        input_core=rng.integers(0, cores, connections).astype(np.int32),
        input_axon=rng.integers(0, axons, connections).astype(np.int32),
        input_delay=rng.integers(1, longest + 1, connections).astype(np.uint8),
        output_latency=np.zeros(outputs, np.int32),
        input_pins=pins,
        output_pins=outputs,
    )
    config.check()
    return config


def seeded_chip(
    seed: int, *, cores: int, axons: int, neurons: int, stochastic: bool = True, ibm: bool = False
) -> ChipConfig:
    """A checked chip on a 64 x 64 mesh, of any size of weights and density of synapses, placed or not.

    ibm: keep to what a model file can hold, reset potentials of +-(2^n - 1).
    """
    rng = np.random.default_rng(seed)
    config = random_chip(
        rng,
        cores,
        axons,
        neurons,
        large=bool(rng.integers(2)),
        draws=stochastic,
        stochastic=stochastic,
        memoryless=float(rng.choice([0.0, 0.5])),
        density=float(rng.random()),
    )
    reset = config.neuron_types["reset_potential"]
    if ibm:
        bits = np.minimum(np.ceil(np.log2(np.abs(reset.astype(np.int64)) + 1)), 19).astype(np.int64)
        reset = (np.sign(reset) * ((1 << bits) - 1)).astype(np.int32)
    unplaced = np.full(cores, -1, np.int32)
    placed = bool(rng.integers(2))
    config = dataclasses.replace(
        config,
        mesh=(64, 64, 1, 1),
        neuron_types=config.neuron_types | {"reset_potential": reset},
        core_x=config.core_x if placed else unplaced,
        core_y=config.core_y if placed else unplaced,
    )
    config.check()
    return config


def random_events(seed: int, config: ChipConfig, ticks: int, count: int) -> Events:
    """`count` input spikes with source ticks below `ticks`, anywhere on the chip, with any delay."""
    rng = np.random.default_rng(seed)
    return Events(
        rng.integers(0, ticks, count),
        rng.integers(0, config.n_cores, count).astype(np.int32),
        rng.integers(0, config.axons, count).astype(np.int32),
        rng.integers(1, DELAY_SLOTS, count).astype(np.uint8),
    )


def random_input(
    rng: np.random.Generator, config: ChipConfig, tick: int, ticks: int, rate: float = 0.3
) -> tuple[Array, Events]:
    """Pins and events for `ticks` ticks from `tick` on."""
    pins = (rng.random((ticks, config.input_pins)) < rate).astype(np.uint8)
    count = int(rng.integers(0, 4 * ticks + 1)) if ticks else 0
    events = Events(
        tick + rng.integers(0, max(ticks, 1), count),
        rng.integers(0, config.n_cores, count).astype(np.int32),
        rng.integers(0, config.axons, count).astype(np.int32),
        rng.integers(1, 16, count).astype(np.uint8),
    )
    return pins, events


def all_probes(config: ChipConfig) -> Array:
    core, neuron = np.indices(config.neuron_type.shape)
    return np.stack([core.ravel(), neuron.ravel()], axis=1).astype(np.int32)
