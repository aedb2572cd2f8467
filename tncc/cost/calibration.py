"""The calibration of the cost model on published networks: `python -m tncc.cost.calibration` prints it.

At its highest tick rate a network's busiest core has no time left: it integrates synaptic events at the speed of the
logic. Energy per event times that rate is a power per core that no longer depends on the tick rate. So

    power = cores * (leakage + sweep * tick rate + activity power at full rate),

where leakage and sweep (reading the core memory once a tick) come from measurements of the bare chip (physics.py), and
the activity power is fitted: one number for networks on images, one for networks on speech. Two parameters, eight rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.cost import physics

Array = npt.NDArray[Any]

VISION, SPEECH = "vision", "speech"
SPEECH_DATASETS = ("VAD", "TIMIT")
REFERENCE_CORES = 4042  # of the reference network as its authors compiled it


@dataclass(frozen=True)
class Network:
    """A published measurement. cores is None where it is not published; power over all chips."""

    dataset: str
    system: str
    chips: int
    cores: int | None
    frames_per_second: float
    power_mw: float
    source: str

    @property
    def kind(self) -> str:
        return SPEECH if self.dataset.startswith(SPEECH_DATASETS) else VISION

    @property
    def frames_per_second_per_watt(self) -> float:
        return self.frames_per_second / self.power_mw * 1e3


@dataclass(frozen=True)
class Calibration:
    """Fitted constants at 1.0 V.

    Attributes:
        activity_uw: fitted power per core of events, spikes and hops at the highest tick rate, by kind of network.
        power_error: relative root-mean-square error of the predictions of rows left out.
        frames_per_second: geometric mean of the published rates, by kind.
        frames_per_second_spread: standard deviation of the logarithm of the published rates.
        core_events_per_s: synaptic events per second of the busiest core at the highest tick rate. ASSUMED: the four
            published networks of the reference network's structure were, on average, as active as the reference
            network with calibrated random thresholds is in this simulator (data/reference_activity.csv).
        core_events_spread: its error: standard deviation of the logarithm of those four networks' rates.
    """

    activity_uw: dict[str, float]
    power_error: float
    frames_per_second: dict[str, float]
    frames_per_second_spread: float
    core_events_per_s: float
    core_events_spread: float


def networks(system: str = "NS1e") -> list[Network]:
    """The published rows of one system: NS1e (one chip) or NS16e (up to sixteen)."""
    return [
        Network(
            r["dataset"],
            r["system"],
            int(r["chips"]),
            int(r["cores"]) if r["cores"] else None,
            float(r["frames_per_second"]),
            float(r["power_mw"]),
            r["source"],
        )
        for r in physics.rows("networks.csv")
        if r["system"] == system
    ]


def _table(rows: list[Network]) -> tuple[Array, Array, Array]:
    """Cores, ticks per second and power in mW of one-chip rows: float64 [rows] each."""
    return (
        np.array([float(r.cores or 0) for r in rows]),
        np.array([r.frames_per_second for r in rows]),
        np.array([r.power_mw for r in rows]),
    )


def _base_uw(rate: Array) -> Array:
    """Power per core without any activity."""
    at = physics.energies()
    base: Array = at.leakage_uw + at.sweep_nj * rate * 1e-3
    return base


def _fit(cores: Array, rate: Array, power: Array) -> float:
    """The activity power per core in uW that makes the least relative squared error."""
    share = cores * 1e-3 / power
    return float((share * (1 - share * _base_uw(rate))).sum() / (share**2).sum())


def leave_one_out(rows: list[Network], groups: Array | None = None) -> Array:
    """Relative error of every row's power, predicted from the other rows of its group: float64 [rows].

    groups: int [rows]; by default the rows' kinds.
    """
    cores, rate, power = _table(rows)
    member = np.array([r.kind == SPEECH for r in rows]) if groups is None else groups
    errors = np.zeros(len(rows))
    for i in range(len(rows)):
        others = (member == member[i]) & (np.arange(len(rows)) != i)
        activity = _fit(cores[others], rate[others], power[others])
        errors[i] = cores[i] * 1e-3 * (_base_uw(rate[i]) + activity) / power[i] - 1
    return errors


def leave_one_out_linear(rows: list[Network]) -> Array:
    """As leave_one_out, for the plain fit power = a * cores + b * cores * tick rate: what the model has to beat."""
    cores, rate, power = _table(rows)
    design = np.stack([cores, cores * rate], axis=1) / power[:, None]
    errors = np.zeros(len(rows))
    for i in range(len(rows)):
        others = np.arange(len(rows)) != i
        solution, *_ = np.linalg.lstsq(design[others], np.ones(len(rows) - 1), rcond=None)
        errors[i] = design[i] @ solution - 1
    return errors


def splits_that_do_as_well(rows: list[Network], limit: float = 0.10) -> tuple[int, int]:
    """(splits of the rows into two groups whose leave-one-out errors all stay within limit, splits tried).

    Whether the rows are split by kind of network or at random must matter, else the second parameter is luck.
    """
    good = tried = 0
    n = len(rows)
    for size in range(2, n // 2 + 1):
        for chosen in combinations(range(n), size):
            if 2 * size == n and 0 not in chosen:
                continue
            tried += 1
            group = np.isin(np.arange(n), chosen)
            good += bool(np.abs(leave_one_out(rows, group)).max() <= limit)
    return good, tried


def activity_uw(rows: list[Network]) -> Array:
    """Each row's own activity power per core: what is left of its power. float64 [rows]."""
    cores, rate, power = _table(rows)
    left: Array = power / cores * 1e3 - _base_uw(rate)
    return left


@cache
def calibration() -> Calibration:
    """The fit to the published one-chip rows."""
    rows = networks()
    by_kind = {kind: [r for r in rows if r.kind == kind] for kind in (VISION, SPEECH)}
    activity = {kind: _fit(*_table(part)) for kind, part in by_kind.items()}
    rate = {kind: float(np.exp(np.mean([np.log(r.frames_per_second) for r in part]))) for kind, part in by_kind.items()}
    siblings = [np.log(r.frames_per_second) for r in _siblings()]
    return Calibration(
        activity_uw=activity,
        power_error=float(np.sqrt(np.mean(leave_one_out(rows) ** 2))),
        frames_per_second=rate,
        frames_per_second_spread=float(np.std([np.log(r.frames_per_second) for r in rows], ddof=1)),
        core_events_per_s=float(np.exp(np.mean(siblings))) * reference_activity()["busiest_core_events"],
        core_events_spread=float(np.std(siblings, ddof=1)),
    )


def reference_activity() -> dict[str, float]:
    """Activity of the reference network in this simulator: see data/README.md."""
    (row,) = physics.rows("reference_activity.csv")
    return {name: float(value) for name, value in row.items()}


def _siblings() -> list[Network]:
    """The published networks of the reference network's structure: all of its size."""
    return [row for row in networks() if row.cores == REFERENCE_CORES]


def report() -> str:
    """The calibration as text: physics, fit, leave-one-out errors, multi-chip rows."""
    rows = networks()
    fit, at = calibration(), physics.energies()
    errors, linear, left = leave_one_out(rows), leave_one_out_linear(rows), activity_uw(rows)
    good, tried = splits_that_do_as_well(rows)
    lines = [
        "From measurements of the bare chip, at 1.0 V:",
        f"  leakage            {at.leakage_uw:6.1f} uW a core (+-{at.leakage_error:.0%})",
        f"  sweep              {at.sweep_nj:6.2f} nJ a core and tick",
        f"  synaptic event     {at.event_pj:6.2f} pJ",
        f"  hop                {at.hop_pj:6.2f} pJ",
        "Fitted to the eight one-chip networks (2 parameters):",
        *(f"  activity, {kind:8} {value:6.1f} uW a core at full rate" for kind, value in fit.activity_uw.items()),
        f"Busiest core at full rate: {fit.core_events_per_s / 1e6:.1f} million synaptic events/s (from the rates of the"
        f" four networks of {REFERENCE_CORES:,} cores; a full chip is known to do"
        f" {physics.MOST_EVENTS_PER_S / physics.CHIP_CORES / 1e6:.1f} million a core at 0.75 V)",
        "",
        f"{'network':12}{'cores':>6}{'ticks/s':>9}{'measured':>10}{'left out':>10}{'error':>8}{'linear':>8}"
        f"{'activity':>10}",
    ]
    for row, error, plain, own in zip(rows, errors, linear, left, strict=True):
        lines.append(
            f"{row.dataset:12}{row.cores:>6}{row.frames_per_second:>9.0f}{row.power_mw:>7.1f} mW"
            f"{row.power_mw * (1 + error):>7.1f} mW{error:>+8.1%}{plain:>+8.1%}{own:>7.1f} uW"
        )
    lines += [
        f"leave-one-out: root mean square {fit.power_error:.1%}, largest {np.abs(errors).max():.1%};"
        f" cores and cores x rate alone {np.abs(linear).max():.1%}",
        f"of {tried} splits of the rows into two groups, {good} stay within 10 % (vision against speech is one)",
        "",
        "NS16e, not used in the fit; cores are not published, every chip taken as full:",
    ]
    for row, predicted in multi_chip():
        lines.append(
            f"  {row.dataset:9} {row.chips} chips {row.frames_per_second:5.0f} ticks/s: "
            f"measured {row.power_mw:5.0f} mW, predicted {predicted:5.0f} mW ({predicted / row.power_mw - 1:+.0%})"
        )
    return "\n".join(lines)


def multi_chip() -> list[tuple[Network, float]]:
    """The NS16e rows with their predicted powers in mW, every chip taken as full and at full rate."""
    activity = calibration().activity_uw[VISION]
    return [
        (row, row.chips * physics.CHIP_CORES * 1e-3 * float(_base_uw(np.array(row.frames_per_second)) + activity))
        for row in networks("NS16e")
    ]


if __name__ == "__main__":
    print(report())
