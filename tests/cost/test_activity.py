"""Counts are exact: every engine's equal a recount in NumPy from the recorded spikes, core by core and link by link."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import tncc
from tncc.cost.activity import Activity, incoming_hops, measure
from tncc.cost.workload import from_stats
from tncc.errors import InputError
from tncc.runtime.config import DELAY_SLOTS, ChipConfig
from tncc.runtime.engine import Spikes, Stats
from tncc.runtime.engines import make_engine


def recount(config: ChipConfig, pins: np.ndarray, spikes: Spikes) -> Stats:
    """Spikes, synaptic events and hops from the spikes alone, without any engine."""
    due = np.zeros((len(pins) + DELAY_SLOTS, config.n_cores, config.axons), np.bool_)
    for tick, pin in np.argwhere(pins):
        on = config.input_pin == pin
        due[tick + config.input_delay[on], config.input_core[on], config.input_axon[on]] = True
    target = config.target_core[spikes.core, spikes.neuron]
    routed = target >= 0
    core, neuron = spikes.core[routed], spikes.neuron[routed]
    due[
        spikes.tick[routed] + config.target_delay[core, neuron],
        config.target_core[core, neuron],
        config.target_axon[core, neuron],
    ] = True
    bits = np.unpackbits(config.crossbars, axis=2, bitorder="little", count=config.neurons)[config.crossbar_index]
    fan = (bits * (config.neuron_type >= 0)[:, None, :]).sum(axis=2)
    events = (due[: len(pins)] * fan).sum(axis=(0, 2))
    hops = np.abs(config.core_x[core] - config.core_x[target[routed]])
    hops = hops + np.abs(config.core_y[core] - config.core_y[target[routed]])
    return Stats(
        ticks=len(pins),
        spikes=len(spikes.tick),
        synaptic_events=int(events.sum()),
        hops=int(hops.sum()),
        core_spikes=np.bincount(spikes.core, minlength=config.n_cores),
        core_synaptic_events=events,
    )


@pytest.mark.parametrize("engine", ["batch", "tick", "numpy"])
def test_every_engine_counts_what_a_recount_finds(engine: str, program: tncc.Program, frames: np.ndarray) -> None:
    config = program.config
    pins = tncc.Session(program).encode(frames)
    pins = np.concatenate([pins, np.zeros((config.latency_ticks, config.input_pins), np.uint8)])
    chip = make_engine(engine, config)
    spikes = chip.run(len(pins), pins, record=np.ones(config.neuron_type.shape, np.bool_)).spikes
    assert spikes is not None
    expected = recount(config, pins, spikes)
    assert expected.synaptic_events > 10_000
    found = chip.stats
    assert (found.ticks, found.spikes, found.synaptic_events, found.hops) == (
        expected.ticks,
        expected.spikes,
        expected.synaptic_events,
        expected.hops,
    )
    np.testing.assert_array_equal(found.core_spikes, expected.core_spikes)
    np.testing.assert_array_equal(found.core_synaptic_events, expected.core_synaptic_events)
    work = from_stats(found)
    assert work.synaptic_events * len(pins) == pytest.approx(expected.synaptic_events)
    assert work.busiest_core_events * len(pins) == pytest.approx(expected.core_synaptic_events.max())


@pytest.fixture(scope="module")
def activity(program: tncc.Program, frames: np.ndarray) -> Activity:
    return measure(program, frames)


def test_activity_agrees_with_itself(program: tncc.Program, activity: Activity, frames: np.ndarray) -> None:
    config, work = program.config, activity.workload
    assert activity.ticks == len(frames)
    assert activity.neuron_spikes.sum() == round(work.spikes * activity.ticks)
    np.testing.assert_allclose(activity.neuron_spikes.sum(axis=1), activity.core_spikes * activity.ticks)
    assert activity.core_synaptic_events.sum() == pytest.approx(work.synaptic_events)
    assert activity.core_incoming_hops.sum() == pytest.approx(work.hops)
    assert activity.routes is not None
    links = (activity.routes.east, activity.routes.west, activity.routes.north, activity.routes.south)
    assert sum(link.sum() for link in links) == pytest.approx(work.hops * activity.ticks)
    assert incoming_hops(config, activity.neuron_spikes).sum() == pytest.approx(work.hops * activity.ticks)


def test_activity_is_that_of_a_full_pipeline(program: tncc.Program, activity: Activity, frames: np.ndarray) -> None:
    """The digits network has no memory, so a frame costs the same wherever in the stream it stands."""
    again = measure(program, np.concatenate([frames[3:], frames[:3]]))
    np.testing.assert_array_equal(again.neuron_spikes, activity.neuron_spikes)
    assert again.workload == activity.workload


def test_engines_measure_the_same_activity(program: tncc.Program, activity: Activity, frames: np.ndarray) -> None:
    for engine in ("tick", "numpy"):
        assert measure(program, frames, engine=engine).workload == activity.workload


def test_busiest_link_is_found_by_walking_every_packet(program: tncc.Program, activity: Activity) -> None:
    config = program.config
    load: Counter[tuple[int, int, int, int]] = Counter()
    for core, neuron in np.argwhere((activity.neuron_spikes > 0) & (config.target_core >= 0)):
        target = config.target_core[core, neuron]
        x, y = int(config.core_x[core]), int(config.core_y[core])
        end_x, end_y = int(config.core_x[target]), int(config.core_y[target])
        count = int(activity.neuron_spikes[core, neuron])
        while (x, y) != (end_x, end_y):
            step = (int(np.sign(end_x - x)), 0) if x != end_x else (0, int(np.sign(end_y - y)))
            load[x, y, *step] += count
            x, y = x + step[0], y + step[1]
    assert activity.workload.busiest_link_packets == pytest.approx(max(load.values()) / activity.ticks)


def test_no_frames(program: tncc.Program) -> None:
    with pytest.raises(InputError, match="holds no frames"):
        measure(program, np.zeros((0, 1, 8, 8), np.float32))


def test_wrong_shape(program: tncc.Program) -> None:
    with pytest.raises(InputError, match="shape"):
        measure(program, np.zeros((2, 3, 8, 8), np.float32))
