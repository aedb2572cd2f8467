"""Predicted power and speed of a network on the chip. One frame enters per tick, so frames/s is the tick rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tncc.cost import physics
from tncc.cost.calibration import VISION, calibration
from tncc.cost.workload import Workload
from tncc.errors import InputError

MOST_LIMIT = "fastest tick seen on a chip"


@dataclass(frozen=True)
class Estimate:
    """A predicted value with the range of one standard deviation: low..high."""

    value: float
    low: float
    high: float

    @staticmethod
    def log_normal(value: float, error: float) -> Estimate:
        """value with a relative error (the standard deviation of its logarithm)."""
        return Estimate(value, value * math.exp(-error), value * math.exp(error))


@dataclass(frozen=True)
class Prediction:
    """What the chip would do.

    Attributes:
        frames_per_second: ticks per second; without an error where the caller set the tick rate.
        power_mw, frames_per_second_per_watt, energy_per_frame_uj: at that rate.
        parts_mw: the power's parts by name.
        limits_hz: the highest tick rate that each part allows, by name; empty without a workload.
        voltage: of the supply.
        kind: of network, vision or speech, whose published activity is assumed; None where a run's activity was given.
        notes: what is assumed, and warnings.
    """

    frames_per_second: Estimate
    power_mw: Estimate
    frames_per_second_per_watt: Estimate
    energy_per_frame_uj: Estimate
    parts_mw: dict[str, float]
    limits_hz: dict[str, float]
    voltage: float
    kind: str | None
    notes: tuple[str, ...] = ()

    @property
    def limited_by(self) -> str | None:
        """What keeps the tick rate from being higher."""
        return min(self.limits_hz, key=lambda name: self.limits_hz[name]) if self.limits_hz else None

    def to_json(self) -> dict[str, Any]:
        """The `predicted` dictionary of `tncc inspect --cost --json`; ranges are one standard deviation."""
        names = ("frames_per_second", "power_mw", "frames_per_second_per_watt", "energy_per_frame_uj")
        estimates = {name: getattr(self, name) for name in names}
        return {
            **{name: estimate.value for name, estimate in estimates.items()},
            "range": {name: [estimate.low, estimate.high] for name, estimate in estimates.items()},
            "parts_mw": self.parts_mw,
            "tick_rate_limits_hz": self.limits_hz,
            "limited_by": self.limited_by,
            "voltage": self.voltage,
            "activity": "measured" if self.kind is None else f"assumed: published {self.kind} networks",
            "notes": list(self.notes),
        }


def predict(
    cores: int,
    workload: Workload | None = None,
    *,
    kind: str = VISION,
    tick_rate_hz: float | None = None,
    voltage: float = physics.NOMINAL_VOLTAGE,
) -> Prediction:
    """The cost of a network at its highest tick rate, or at `tick_rate_hz`.

    Args:
        cores: used by the network; cores that are not used are not counted, as in the published measurements.
        workload: activity from a run. Without one, that of the published networks of `kind` at full rate is taken.
        kind: "vision" or "speech"; counts without a workload only.
        tick_rate_hz: ticks per second; None for the highest.
        voltage: of the supply, 0.70 to 1.05 V.

    Raises:
        InputError: a voltage or tick rate out of range, no cores.
    """
    physics.check_voltage(voltage)
    if cores < 1:
        raise InputError("the chip uses no cores: there is nothing to predict")
    if tick_rate_hz is not None and not 0 < tick_rate_hz <= physics.MOST_TICK_RATE_HZ:
        most = f"{physics.MOST_TICK_RATE_HZ:,.0f}"
        raise InputError(f"tick rate of {tick_rate_hz:g} Hz; it must be above 0 and at most {most}")
    fit = calibration()
    if kind not in fit.frames_per_second:
        raise InputError(f"no published networks are of the kind {kind!r}", hint=" or ".join(fit.frames_per_second))
    limits: dict[str, float] = {}
    if workload is None:
        highest = min(fit.frames_per_second[kind] * physics.speed(voltage), physics.MOST_TICK_RATE_HZ)
        rate_error = fit.frames_per_second_spread
    else:
        limits = tick_rate_limits(workload, voltage)
        highest = min(limits.values())
        rate_error = fit.core_events_spread
    rate = tick_rate_hz or highest
    parts = _parts_mw(cores, workload, kind, rate, highest, voltage)
    at = physics.energies(voltage)
    error = fit.power_error
    if workload is not None:
        leaks = parts["leakage"] * at.leakage_error
        events = parts["synaptic events"] * at.event_error
        error = math.hypot(error, leaks / sum(parts.values()), events / sum(parts.values()))
    notes = []
    if tick_rate_hz is not None and tick_rate_hz > highest:
        notes.append(f"the tick rate is above the predicted limit of {highest:,.0f} Hz")
    if workload is None:
        notes.append(f"activity and speed are those of the published {kind} networks: give --input to measure them")
    elif workload.busiest_link_packets is None:
        notes.append("links are not counted in this run: the tick rate is limited by the busiest core alone")
    return _prediction(rate, parts, 0.0 if tick_rate_hz else rate_error, error, limits, voltage, kind, workload, notes)


def _prediction(
    rate: float,
    parts: dict[str, float],
    rate_error: float,
    power_error: float,
    limits: dict[str, float],
    voltage: float,
    kind: str,
    workload: Workload | None,
    notes: list[str],
) -> Prediction:
    power = sum(parts.values())
    moving = 1 - parts["leakage"] / power  # the share of the power that follows the tick rate
    if workload is None:
        moving = parts["memory sweep"] / power  # at full rate the activity's power is the same whatever the rate
    spread = math.hypot(power_error, moving * rate_error)
    ratio = math.hypot(power_error, (1 - moving) * rate_error)
    return Prediction(
        frames_per_second=Estimate.log_normal(rate, rate_error),
        power_mw=Estimate.log_normal(power, spread),
        frames_per_second_per_watt=Estimate.log_normal(rate / power * 1e3, ratio),
        energy_per_frame_uj=Estimate.log_normal(power / rate * 1e3, ratio),
        parts_mw=parts,
        limits_hz=limits,
        voltage=voltage,
        kind=kind if workload is None else None,
        notes=tuple(notes),
    )


def tick_rate_limits(workload: Workload, voltage: float = physics.NOMINAL_VOLTAGE) -> dict[str, float]:
    """Highest tick rate in Hz that each part of the chip allows."""
    speed = physics.speed(voltage)
    loads = {
        "busiest core": (workload.busiest_core_events, calibration().core_events_per_s),
        "busiest link": (workload.busiest_link_packets, physics.LINK_PACKETS_PER_S),
        "input ports": (workload.input_packets, physics.INPUT_PACKETS_PER_S),
        "busiest chip border": (workload.busiest_edge_packets, physics.PORT_PACKETS_PER_S),
    }
    limits = {name: capacity * speed / load for name, (load, capacity) in loads.items() if load}
    return {name: min(hz, physics.MOST_TICK_RATE_HZ) for name, hz in limits.items()} or {
        MOST_LIMIT: physics.MOST_TICK_RATE_HZ
    }


def _parts_mw(
    cores: int, workload: Workload | None, kind: str, rate: float, highest: float, voltage: float
) -> dict[str, float]:
    at = physics.energies(voltage)
    parts = {"leakage": cores * at.leakage_uw * 1e-3, "memory sweep": cores * at.sweep_nj * rate * 1e-6}
    if workload is None:
        per_tick_nj = calibration().activity_uw[kind] / calibration().frames_per_second[kind] * 1e3 * voltage**2
        return parts | {"events, spikes and hops": cores * per_tick_nj * rate * 1e-6}
    parts["synaptic events"] = workload.synaptic_events * at.event_pj * rate * 1e-9
    parts["hops"] = workload.hops * at.hop_pj * rate * 1e-9
    if workload.edge_packets:
        parts["chip borders"] = workload.edge_packets * physics.CHIP_EDGE_PACKET_PJ * rate * 1e-9
    return parts
