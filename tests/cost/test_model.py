"""Predictions: consistent with the published rows, monotone where physics is, and clear about what is out of range."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tncc.cost import physics
from tncc.cost.calibration import Network, calibration, networks
from tncc.cost.model import Prediction, predict
from tncc.cost.workload import Workload
from tncc.errors import InputError

WORKLOAD = Workload(
    synaptic_events=12e6,
    hops=2e6,
    spikes=3e5,
    busiest_core_events=9e3,
    busiest_link_packets=2000.0,
    busiest_edge_packets=0.0,
    input_packets=9e3,
    edge_packets=0.0,
)


def consistent(p: Prediction) -> None:
    assert sum(p.parts_mw.values()) == pytest.approx(p.power_mw.value)
    assert p.frames_per_second.value / p.power_mw.value * 1e3 == pytest.approx(p.frames_per_second_per_watt.value)
    assert p.frames_per_second_per_watt.value * p.energy_per_frame_uj.value == pytest.approx(1e6)
    for estimate in (p.power_mw, p.frames_per_second_per_watt, p.energy_per_frame_uj):
        assert 0 < estimate.low < estimate.value < estimate.high


@pytest.mark.parametrize("row", networks(), ids=lambda row: row.dataset)
def test_published_rows_from_their_size_alone(row: Network) -> None:
    """Nothing but cores and kind: the published rate lies within two standard deviations, the power within 30 %."""
    p = predict(row.cores or 0, kind=row.kind)
    consistent(p)
    deviation = math.log(p.frames_per_second.high / p.frames_per_second.value)
    assert abs(math.log(row.frames_per_second / p.frames_per_second.value)) < 2 * deviation
    assert p.power_mw.value == pytest.approx(row.power_mw, rel=0.30)


@settings(max_examples=50, deadline=None)
@given(
    cores=st.integers(1, 65536),
    events=st.floats(1, 1e9),
    busiest=st.floats(1, 65536),
    hops=st.floats(0, 1e8),
    voltage=st.floats(0.70, 1.05),
    rate=st.none() | st.floats(1, 21000),
)
def test_predictions_are_consistent(
    cores: int, events: float, busiest: float, hops: float, voltage: float, rate: float | None
) -> None:
    p = predict(cores, Workload(events, hops, 1.0, busiest), tick_rate_hz=rate, voltage=voltage)
    consistent(p)
    assert math.isfinite(p.power_mw.high)
    if rate is None:
        assert p.frames_per_second.value <= physics.MOST_TICK_RATE_HZ


def test_energy_is_linear_in_the_counts() -> None:
    at = physics.energies()
    more = Workload(WORKLOAD.synaptic_events + 1e6, WORKLOAD.hops, WORKLOAD.spikes, WORKLOAD.busiest_core_events)
    base = predict(1000, WORKLOAD, tick_rate_hz=1000).energy_per_frame_uj.value
    assert predict(1000, more, tick_rate_hz=1000).energy_per_frame_uj.value - base == pytest.approx(at.event_pj)


def test_lower_voltage_is_slower_and_takes_less_energy() -> None:
    low, high = predict(4042, WORKLOAD, voltage=0.75), predict(4042, WORKLOAD, voltage=1.0)
    assert low.frames_per_second.value < high.frames_per_second.value
    assert low.power_mw.value < high.power_mw.value
    assert predict(4042, WORKLOAD, voltage=0.75, tick_rate_hz=500).power_mw.value < low.power_mw.value


def test_the_busiest_part_limits_the_tick_rate() -> None:
    assert predict(4042, WORKLOAD).limited_by == "busiest core"
    crowded = Workload(12e6, 2e6, 3e5, 9e3, busiest_link_packets=1e6)
    p = predict(4042, crowded)
    assert p.limited_by == "busiest link"
    assert p.frames_per_second.value == pytest.approx(physics.LINK_PACKETS_PER_S / 1e6)


def test_a_tick_rate_above_the_limit_is_said() -> None:
    p = predict(4042, WORKLOAD, tick_rate_hz=20000)
    assert p.frames_per_second.low == p.frames_per_second.high == 20000
    assert any("above the predicted limit" in note for note in p.notes)


def test_without_activity_the_published_kind_is_assumed_and_said() -> None:
    p = predict(4042)
    assert p.to_json()["activity"] == "assumed: published vision networks"
    assert p.frames_per_second.value == pytest.approx(calibration().frames_per_second["vision"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"voltage": 0.5}, "supply of 0.5 V; the chip works from 0.70 to 1.05 V"),
        ({"voltage": 1.2}, "supply of 1.2 V; the chip works from 0.70 to 1.05 V"),
        ({"tick_rate_hz": 0.0}, "tick rate of 0 Hz; it must be above 0 and at most 21,000"),
        ({"kind": "touch"}, "no published networks are of the kind 'touch'\n  hint: vision or speech"),
        ({"tick_rate_hz": 1e6}, "tick rate of 1e+06 Hz; it must be above 0 and at most 21,000"),
        ({"cores": 0}, "the chip uses no cores: there is nothing to predict"),
    ],
)
def test_errors(arguments: dict[str, Any], message: str) -> None:
    cores = int(arguments.pop("cores", 100))
    with pytest.raises(InputError) as caught:
        predict(cores, **arguments)
    assert str(caught.value) == message
