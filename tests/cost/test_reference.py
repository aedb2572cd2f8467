"""The reference network with its measured activity is predicted where its published siblings are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tncc.cost.calibration import REFERENCE_CORES, networks, reference_activity
from tncc.cost.model import predict
from tncc.cost.workload import Workload

DOCS = Path(__file__).parents[2] / "docs" / "cost.md"


def reference() -> tuple[int, Workload]:
    """Cores and measured activity."""
    row = reference_activity()
    work = Workload(
        row["synaptic_events"],
        row["hops"],
        row["spikes"],
        row["busiest_core_events"],
        input_packets=row["input_packets"],
    )
    return int(row["cores"]), work


@pytest.mark.parametrize(
    ("voltage", "rate"), [(1.0, None), (1.0, 1000), (0.9, None), (0.8, None), (0.75, None), (0.75, 500)]
)
def test_the_table_in_the_documentation(voltage: float, rate: float | None) -> None:
    cores, work = reference()
    p = predict(cores, work, voltage=voltage, tick_rate_hz=rate)
    power, efficiency = p.power_mw, p.frames_per_second_per_watt
    line = (
        f"| {voltage:.2f} V, {'highest rate' if rate is None else f'{rate:,} ticks/s'} | "
        f"{p.frames_per_second.value:,.0f} | {power.value:.0f} ({power.low:.0f} to {power.high:.0f}) | "
        f"{efficiency.value:,.0f} ({efficiency.low:,.0f} to {efficiency.high:,.0f}) | "
        f"{p.energy_per_frame_uj.value:.0f} |"
    )
    assert line in DOCS.read_text()


def test_the_reference_network_is_predicted_inside_its_siblings_range() -> None:
    """The tick rate is calibrated on these four; power and efficiency follow from counts and physics alone."""
    cores, work = reference()
    siblings = [network for network in networks() if network.cores == REFERENCE_CORES]
    assert len(siblings) == 4
    found = predict(cores, work)
    for estimate, published in (
        (found.frames_per_second, [s.frames_per_second for s in siblings]),
        (found.power_mw, [s.power_mw for s in siblings]),
        (found.frames_per_second_per_watt, [s.frames_per_second_per_watt for s in siblings]),
    ):
        assert min(published) <= estimate.value <= max(published)
        assert estimate.low < estimate.value < estimate.high
