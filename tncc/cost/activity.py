"""Counts what a program does on real frames: per core, per neuron and per link, in the steady state of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.cost.workload import Workload
from tncc.errors import InputError
from tncc.ir.routing import Routes, routes
from tncc.program import Program
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import Spikes

Array = npt.NDArray[Any]

MOST_FRAMES = 32
CHUNK_TICKS = 4  # bounds the memory of recorded spikes: a full chip fires up to a million a tick


@dataclass(frozen=True)
class Activity:
    """Means over `ticks` ticks in which every layer works on some frame.

    Attributes:
        workload: the totals, as the cost model takes them.
        ticks: how many ticks were counted.
        neuron_spikes: int32 [cores, neurons]: spikes in all of them.
        core_spikes, core_synaptic_events: float64 [cores], a tick.
        core_incoming_hops: float64 [cores], a tick: hops of the packets that arrive there.
        routes: loads of the links, in packets over all ticks; None where the chip is not placed.
        raster: spikes of one frame that enters an empty chip at tick 0, with nothing after it.
        raster_at_rest: the same ticks without the frame: neurons that fire without input.
    """

    workload: Workload
    ticks: int
    neuron_spikes: Array
    core_spikes: Array
    core_synaptic_events: Array
    core_incoming_hops: Array
    routes: Routes | None
    raster: Spikes
    raster_at_rest: Spikes


def measure(program: Program, x: Any, *, engine: str = "auto", threads: int = 1, frames: int = MOST_FRAMES) -> Activity:
    """Runs the first `frames` frames of x through the chip, over and over until the pipeline is full, and counts.

    Raises InputError where x does not fit the model or holds no frame.
    """
    from tncc.session import Session

    session = Session(program, threads=threads, engine=engine)
    pins = session.encode(x, frames)
    if not len(pins):
        raise InputError("holds no frames: at least one is needed to measure activity")
    config = program.config
    chip = session.chip
    everyone = np.ones(config.neuron_type.shape, np.bool_)

    first = np.concatenate([pins[:1], np.zeros((config.latency_ticks + 1, config.input_pins), np.uint8)])
    raster = chip.run(len(first), first, record=everyone).spikes
    chip.reset()
    at_rest = chip.run(len(first), np.zeros_like(first), record=everyone).spikes

    chip.reset()
    warm = config.latency_ticks
    order = np.arange(warm + len(pins)) % len(pins)
    chip.run(warm, pins[order[:warm]])
    before = (chip.stats.spikes, chip.stats.synaptic_events, chip.stats.hops)
    spikes_before, events_before = chip.stats.core_spikes.copy(), chip.stats.core_synaptic_events.copy()
    fired = np.zeros(config.neuron_type.size, np.int64)
    steady = order[warm:]
    for start in range(0, len(steady), CHUNK_TICKS):
        rows = pins[steady[start : start + CHUNK_TICKS]]
        spikes = chip.run(len(rows), rows, record=everyone).spikes
        assert spikes is not None  # recording was asked for
        at = spikes.core.astype(np.int64) * config.neurons + spikes.neuron
        fired += np.bincount(at, minlength=fired.size)
    assert raster is not None and at_rest is not None
    ticks = len(steady)
    counts = fired.reshape(config.neuron_type.shape)
    events = (chip.stats.core_synaptic_events - events_before) / ticks
    loads = None
    if config.n_cores and config.core_x.min() >= 0:
        loads = routes(config.core_x, config.core_y, config.used_targets(), config.mesh, counts)
    fan = np.bincount(config.input_pin, minlength=config.input_pins)
    workload = Workload(
        synaptic_events=(chip.stats.synaptic_events - before[1]) / ticks,
        hops=(chip.stats.hops - before[2]) / ticks,
        spikes=(chip.stats.spikes - before[0]) / ticks,
        busiest_core_events=float(events.max(initial=0)),
        busiest_link_packets=loads.max_link_load / ticks if loads else None,
        busiest_edge_packets=loads.port_load / ticks if loads else None,
        input_packets=float((pins[steady].sum(axis=0, dtype=np.int64) * fan).sum()) / ticks,
        edge_packets=loads.crossings / ticks if loads else None,
    )
    return Activity(
        workload=workload,
        ticks=ticks,
        neuron_spikes=counts.astype(np.int32),
        core_spikes=(chip.stats.core_spikes - spikes_before) / ticks,
        core_synaptic_events=events,
        core_incoming_hops=incoming_hops(config, counts) / ticks,
        routes=loads,
        raster=raster,
        raster_at_rest=at_rest,
    )


def incoming_hops(config: ChipConfig, weight: Array) -> Array:
    """float64 [cores]: hops of all that arrives at each core; weight: int [cores, neurons], what each neuron sends."""
    if not config.n_cores or config.core_x.min() < 0:
        return np.zeros(config.n_cores)
    targets = config.used_targets()
    routed = targets >= 0
    source, _ = np.nonzero(routed)
    target = targets[routed]
    hops = np.abs(config.core_x[source] - config.core_x[target]) + np.abs(config.core_y[source] - config.core_y[target])
    return np.bincount(target, weights=hops * weight[routed], minlength=config.n_cores)
