"""Cuts a chip into stages for the two engines: every spike stays in its stage or goes to a later one.

Even stages hold cores of memoryless neurons that form no loop, odd ones the others (csrc/schedule.h). A stage is a
chip of its own: a neuron whose target lies in a later stage drives an output pin of its own, which the later stage
reads as an input pin with the neuron's delay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.runtime import _native
from tncc.runtime.config import OUTPUT, UNCONNECTED, ChipConfig

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Stage:
    """Part of a chip, as a chip.

    Attributes:
        config: its cores, renumbered; its pins are first those of the whole chip that it uses, then links.
        stateful: whether it needs the tick engine.
        cores: int64 [its cores]: their numbers on the whole chip.
        hops: int32 [its cores, neurons]: mesh hops on the whole chip.
        input_pins, output_pins: the whole chip's pins that its first pins stand for.
        links_in: links that its further input pins read; links_out: links that its further output pins drive.
    """

    config: ChipConfig
    stateful: bool
    cores: Array
    hops: Array
    input_pins: Array
    output_pins: Array
    links_in: Array
    links_out: Array


def core_stages(config: ChipConfig, hops: Array) -> Array:
    """int32 [cores]: the stage of every core, even for the batch engine, odd for the tick engine."""
    stage = np.zeros(config.n_cores, np.int32)
    _native.stages(config, hops, stage)
    return stage


def split(config: ChipConfig, hops: Array) -> tuple[list[Stage], int]:
    """The stages in order, and the number of links between them."""
    stage = core_stages(config, hops)
    if not np.any(stage != (stage[0] if len(stage) else 0)):
        pins = np.arange(config.input_pins), np.arange(config.output_pins)
        none = np.zeros(0, np.int64)
        stateful = bool(len(stage) and stage[0] % 2)
        return [Stage(config, stateful, np.arange(config.n_cores), hops, *pins, none, none)], 0
    here = np.repeat(stage, config.neurons).reshape(config.target_core.shape)
    active = (config.neuron_type >= 0) & (config.target_core >= 0)
    crosses = active & (stage[np.maximum(config.target_core, 0)] != here) if config.n_cores else active
    link = np.cumsum(crosses.ravel()).reshape(crosses.shape) - 1
    found = [
        _cut(config, hops, stage == number, bool(number % 2), crosses, link) for number in np.unique(stage).tolist()
    ]
    return found, int(crosses.sum())


def _cut(config: ChipConfig, hops: Array, inside: Array, stateful: bool, crosses: Array, link: Array) -> Stage:
    cores = np.flatnonzero(inside)
    local = np.cumsum(inside) - 1
    target_core, target_axon = config.target_core[cores].copy(), config.target_axon[cores].copy()
    target_delay = config.target_delay[cores].copy()
    unused = config.neuron_type[cores] < 0
    target_core[unused], target_axon[unused], target_delay[unused] = UNCONNECTED, 0, 0
    out, cross = target_core == OUTPUT, crosses[cores]
    output_pins, out_index = np.unique(target_axon[out], return_inverse=True)
    links_out = link[cores][cross]
    routed = (target_core >= 0) & ~cross
    target_core[routed] = local[target_core[routed]]
    target_axon[out] = out_index
    target_axon[cross] = len(output_pins) + np.arange(len(links_out))
    target_core[cross], target_delay[cross] = OUTPUT, 0

    mine = inside[config.input_core]
    input_pins, in_index = np.unique(config.input_pin[mine], return_inverse=True)
    enters = crosses & inside[np.maximum(config.target_core, 0)]
    links_in = link[enters]
    return Stage(
        config=replace(
            config,
            **{name: getattr(config, name)[cores] for name in ("crossbar_index", "axon_types_index", "neuron_type")},
            **{name: getattr(config, name)[cores] for name in ("seed", "core_x", "core_y", "layer")},
            target_core=target_core,
            target_axon=target_axon,
            target_delay=target_delay,
            input_pin=np.concatenate([in_index, len(input_pins) + np.arange(len(links_in))]).astype(np.int32),
            input_core=local[np.concatenate([config.input_core[mine], config.target_core[enters]])].astype(np.int32),
            input_axon=np.concatenate([config.input_axon[mine], config.target_axon[enters]]),
            input_delay=np.concatenate([config.input_delay[mine], config.target_delay[enters]]),
            output_latency=np.zeros(len(output_pins) + len(links_out), np.int32),
            input_pins=len(input_pins) + len(links_in),
            output_pins=len(output_pins) + len(links_out),
        ),
        stateful=stateful,
        cores=cores,
        hops=np.ascontiguousarray(hops[cores]),
        input_pins=input_pins,
        output_pins=output_pins,
        links_in=links_in,
        links_out=links_out,
    )
