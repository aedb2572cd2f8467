"""The energy counters of the processor, as the kernel's files show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tncc.cost.rapl import EnergyMeter


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    for name, energy in (("intel-rapl:0", 1000), ("intel-rapl:0:0", 7), ("intel-rapl:1", 5000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{energy}\n")
        (tmp_path / name / "max_energy_range_uj").write_text("6000\n")
    return tmp_path


def test_packages_are_summed_and_their_parts_are_not(powercap: Path) -> None:
    with EnergyMeter(powercap) as meter:
        (powercap / "intel-rapl:0" / "energy_uj").write_text("1250")
        (powercap / "intel-rapl:0:0" / "energy_uj").write_text("9000")
    assert meter.energy_uj == 250


def test_a_counter_that_wraps(powercap: Path) -> None:
    with EnergyMeter(powercap) as meter:
        (powercap / "intel-rapl:1" / "energy_uj").write_text("100")
    assert meter.energy_uj == 6000 - 5000 + 100


def test_no_counters(tmp_path: Path) -> None:
    meter = EnergyMeter(tmp_path)
    assert not meter.readable
    with meter:
        pass
    assert meter.energy_uj is None


def test_an_unreadable_counter(powercap: Path) -> None:
    (powercap / "intel-rapl:0" / "energy_uj").write_text("not a number")
    with EnergyMeter(powercap) as meter:
        pass
    assert meter.energy_uj is None
