"""Energies and speeds of the chip's parts, taken or derived from published measurements; energies scale with V^2.

Sources: Merolla et al. 2014 (Science 345, 668, with supplement), Akopyan et al. 2015 (IEEE TCAD 34, 1537).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import InputError

Array = npt.NDArray[Any]

CHIP_CORES = 4096
NEURONS_PER_CORE = 256
LEAST_VOLTAGE, MOST_VOLTAGE = 0.70, 1.05  # the supply range in which the chip works (Akopyan et al. 2015)
NOMINAL_VOLTAGE = 1.0  # of the published networks
NOMINAL_TICK_RATE_HZ = 1000.0  # real time

# All ~428 Mbit of core memory are read once a tick: ~20 mW at 1 kHz and 0.775 V (Merolla et al. 2014, S5).
SWEEP_CHIP_MW, SWEEP_VOLTAGE = 20.0, 0.775
# One 32-bit packet over one hop: 2.3 pJ at 0.775 V (Merolla et al. 2014, fig. S4).
HOP_PJ, HOP_VOLTAGE = 2.3, 0.775
# One bit from chip to chip: 26 pJ at the pads' own 1.8 V (Merolla et al. 2014, S5); a packet has 32.
CHIP_EDGE_PACKET_PJ = 26.0 * 32
# Mean hops of a spike in the random networks of chip_power.csv: 21.3 along each axis (Merolla et al. 2014, S7).
BENCHMARK_HOPS = 2 * 21.3
# All ports of a chip, in and out, carry 160 million spikes/s (Merolla et al. 2014, S6): four sides, two directions.
PORT_PACKETS_PER_S = 160e6 / 8
INPUT_PACKETS_PER_S = 160e6 / 2  # a host that uses all four sides
# The most synaptic events per second of a full chip, at 0.75 V (Akopyan et al. 2015, section VII).
MOST_EVENTS_PER_S = 58e9
# The fastest tick seen is 21 times the nominal 1 kHz (Akopyan et al. 2015, section VII).
MOST_TICK_RATE_HZ = 21e3
# ASSUMED: no figure for the on-chip router's throughput is published; 20 ns a packet suits such a router.
LINK_PACKETS_PER_S = 50e6
# ASSUMED: speed follows the alpha-power law (Sakurai & Newton 1990) with these values for a 28 nm low-power process.
THRESHOLD_VOLTAGE, ALPHA = 0.45, 1.3
# ASSUMED: the random networks that the event's energy is measured on are not layered trinary networks.
EVENT_ERROR = 0.25


@dataclass(frozen=True)
class Energies:
    """Cost of the chip's parts at one supply voltage.

    Attributes:
        leakage_uw: power of one core, whatever it does.
        sweep_nj: one core reading its memory and updating its neurons once, in every tick.
        event_pj: one synaptic event, with its share of the spikes that neurons send.
        hop_pj: one packet over one hop of the mesh.
        leakage_error, event_error: relative standard deviations; see `energies`.
    """

    leakage_uw: float
    sweep_nj: float
    event_pj: float
    hop_pj: float
    leakage_error: float
    event_error: float


@dataclass(frozen=True)
class ChipPoint:
    """One published total power of a full chip at 1 kHz."""

    voltage: float
    rate_hz: float
    synapses: float
    power_mw: float

    @property
    def events_per_s(self) -> float:
        return CHIP_CORES * NEURONS_PER_CORE * self.rate_hz * self.synapses

    @property
    def hops_per_s(self) -> float:
        return CHIP_CORES * NEURONS_PER_CORE * self.rate_hz * BENCHMARK_HOPS


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a table in tncc/cost/data."""
    text = resources.files("tncc.cost").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def chip_points() -> tuple[ChipPoint, ...]:
    """The published powers of a full chip."""
    return tuple(
        ChipPoint(float(r["voltage_v"]), float(r["rate_hz"]), float(r["synapses_per_neuron"]), float(r["power_mw"]))
        for r in rows("chip_power.csv")
    )


def check_voltage(voltage: float) -> None:
    """Raises InputError where the chip does not work at that supply."""
    if not LEAST_VOLTAGE <= voltage <= MOST_VOLTAGE:
        raise InputError(f"supply of {voltage:g} V; the chip works from {LEAST_VOLTAGE:.2f} to {MOST_VOLTAGE:.2f} V")


def speed(voltage: float) -> float:
    """Speed of the logic relative to its speed at 1.0 V."""

    def drive(v: float) -> float:
        return float((v - THRESHOLD_VOLTAGE) ** ALPHA / v)

    return drive(voltage) / drive(NOMINAL_VOLTAGE)


@cache
def energies(voltage: float = NOMINAL_VOLTAGE) -> Energies:
    """The energies at a supply voltage.

    A synaptic event's energy is the slope of power over firing rate at 0.8 V, where three rates were measured on one
    chip, less the hops. Leakage is what remains of every published power after sweeps, events and hops, as a
    log-linear function of the voltage; its error is the standard error of that line.

    Raises InputError outside 0.70 to 1.05 V.
    """
    check_voltage(voltage)
    sweep_mw = SWEEP_CHIP_MW / SWEEP_VOLTAGE**2  # at 1 kHz and 1 V
    hop_pj = HOP_PJ / HOP_VOLTAGE**2
    event_pj = _event_pj(hop_pj)
    points = chip_points()
    v = np.array([p.voltage for p in points])
    rest = np.array(
        [
            p.power_mw - p.voltage**2 * (sweep_mw + 1e-9 * (event_pj * p.events_per_s + hop_pj * p.hops_per_s))
            for p in points
        ]
    )
    design = np.stack([np.ones_like(v), v - voltage], axis=1)
    solution, *_ = np.linalg.lstsq(design, np.log(rest), rcond=None)
    residual = np.log(rest) - design @ solution
    covariance = np.linalg.inv(design.T @ design) * float(residual @ residual) / (len(points) - 2)
    return Energies(
        leakage_uw=float(np.exp(solution[0])) / CHIP_CORES * 1e3,
        sweep_nj=sweep_mw * voltage**2 / CHIP_CORES * 1e3,
        event_pj=event_pj * voltage**2,
        hop_pj=hop_pj * voltage**2,
        leakage_error=float(np.sqrt(covariance[0, 0])),
        event_error=EVENT_ERROR,
    )


def _event_pj(hop_pj: float) -> float:
    """Energy of a synaptic event at 1 V from the three rates measured at 0.8 V; hop_pj at 1 V."""
    points = [p for p in chip_points() if p.voltage == 0.80]
    power = np.array([p.power_mw - p.voltage**2 * 1e-9 * hop_pj * p.hops_per_s for p in points])
    slope = np.polyfit([p.events_per_s for p in points], power, 1)[0]
    return float(slope) * 1e9 / 0.80**2
