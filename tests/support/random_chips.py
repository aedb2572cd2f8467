"""Random chips and input spikes from one seed."""

from __future__ import annotations

import dataclasses

import numpy as np

from tests.runtime.random_chips import random_chip as _random_chip
from tncc.runtime.config import DELAY_SLOTS, ChipConfig
from tncc.runtime.engine import Events


def random_chip(
    seed: int, *, cores: int, axons: int, neurons: int, stochastic: bool = True, ibm: bool = False
) -> ChipConfig:
    """A checked chip on a 64 x 64 mesh, of any size of weights and density of synapses, placed or not.

    ibm: keep to what a model file can hold, reset potentials of +-(2^n - 1).
    """
    rng = np.random.default_rng(seed)
    config = _random_chip(
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
