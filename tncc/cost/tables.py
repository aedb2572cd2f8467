"""The cost table that the command line and the HTML report share."""

from __future__ import annotations

from dataclasses import dataclass

from tncc.cost.calibration import Network, networks
from tncc.cost.model import Estimate, Prediction


@dataclass(frozen=True)
class CostTable:
    """head: column titles; rows: cells as text; notes: what to read below the table."""

    head: list[str]
    rows: list[list[str]]
    notes: list[str]


def published_of_size(cores: int) -> list[Network]:
    """The published one-chip rows whose number of cores is nearest (in ratio) to `cores`."""

    def distance(row: Network) -> float:
        own = max(row.cores or 1, 1)
        return max(own, cores) / max(min(own, cores), 1)

    least = min(distance(row) for row in networks())
    return [row for row in networks() if distance(row) == least]


def cost_table(prediction: Prediction, cores: int, cpu_energy_per_frame_uj: float | None = None) -> CostTable:
    """Prediction, its range of one standard deviation, and the published networks of the nearest size side by side.

    cpu_energy_per_frame_uj: of the run on this computer's processor, where it could be measured.
    """
    siblings = published_of_size(cores)

    def row(name: str, estimate: Estimate, published: list[float]) -> list[str]:
        span = "set" if estimate.low == estimate.high else f"{rounded(estimate.low)} to {rounded(estimate.high)}"
        return [name, rounded(estimate.value), span, *map(rounded, published)]

    rows = [
        ["cores", f"{cores:,}", "", *(f"{r.cores:,}" for r in siblings)],
        row("frames/s", prediction.frames_per_second, [r.frames_per_second for r in siblings]),
        row("power, mW", prediction.power_mw, [r.power_mw for r in siblings]),
        row(
            "frames/s per W",
            prediction.frames_per_second_per_watt,
            [r.frames_per_second_per_watt for r in siblings],
        ),
        row(
            "energy per frame, uJ",
            prediction.energy_per_frame_uj,
            [r.power_mw / r.frames_per_second * 1e3 for r in siblings],
        ),
    ]
    blank = [""] * (len(siblings) + 1)
    if cpu_energy_per_frame_uj is not None:
        rows.append(["this computer, energy per frame, uJ", rounded(cpu_energy_per_frame_uj), *blank])
    rows += [[f"power: {name}, mW", rounded(value), *blank] for name, value in prediction.parts_mw.items()]
    rows += [[f"tick rate limit by the {name}, Hz", rounded(hz), *blank] for name, hz in prediction.limits_hz.items()]
    notes = [
        f"Supply {prediction.voltage:g} V. The range is one standard deviation. One frame a tick.",
        f"Activity: {'measured on the frames given' if prediction.kind is None else 'assumed'}.",
        *(note[0].upper() + note[1:] + "." for note in prediction.notes),
    ]
    return CostTable(["", "predicted", "range", *(f"{r.dataset} ({r.source})" for r in siblings)], rows, notes)


def rounded(value: float) -> str:
    """A figure as tables show it: three to four digits."""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"
