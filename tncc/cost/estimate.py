"""The cost of a program: from its activity on frames where there are some, else from published activity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tncc.cost import physics
from tncc.cost.activity import Activity, measure
from tncc.cost.calibration import SPEECH, VISION
from tncc.cost.model import Prediction, predict
from tncc.cost.rapl import EnergyMeter
from tncc.cost.tables import published_of_size
from tncc.program import Program


@dataclass(frozen=True)
class Cost:
    """A program's predicted cost, what it rests on, and the energy of a frame on this computer where readable."""

    cores: int
    prediction: Prediction
    activity: Activity | None
    cpu_energy_per_frame_uj: float | None

    def to_json(self) -> dict[str, Any]:
        """The fields that --cost adds to the report."""
        return {
            "predicted": self.prediction.to_json(),
            "published_of_nearest_size": [
                {
                    "dataset": row.dataset,
                    "cores": row.cores,
                    "frames_per_second": row.frames_per_second,
                    "power_mw": row.power_mw,
                    "frames_per_second_per_watt": row.frames_per_second_per_watt,
                    "source": row.source,
                }
                for row in published_of_size(self.cores)
            ],
            "cpu_energy_per_frame_uj": self.cpu_energy_per_frame_uj,
        }


def kind_of(program: Program) -> str:
    """Which published networks a program is like: vision where an input is an image [channels, height, width]."""
    shapes = [entry["shape"] for entry in program.metadata.get("model_inputs", [])]
    return VISION if any(len(s) == 3 and s[1] > 1 and s[2] > 1 for s in shapes) or not shapes else SPEECH


def estimate(
    program: Program,
    x: Any = None,
    *,
    kind: str | None = None,
    tick_rate_hz: float | None = None,
    voltage: float = physics.NOMINAL_VOLTAGE,
    engine: str = "auto",
    threads: int = 1,
) -> Cost:
    """Predicts a program's cost.

    Args:
        x: frames to measure the activity on; None takes that of the published networks of `kind`.
        kind: "vision" or "speech"; by default told from the shape of the input.
        tick_rate_hz: None for the highest.
        voltage: 0.70 to 1.05 V.

    Raises:
        InputError: x does not fit the model, or a value is out of range.
    """
    activity = energy = None
    if x is not None:
        activity = measure(program, x, engine=engine, threads=threads)
        energy = _cpu_energy_uj(program, x, engine, threads)
    prediction = predict(
        program.config.n_cores,
        activity.workload if activity else None,
        kind=kind or kind_of(program),
        tick_rate_hz=tick_rate_hz,
        voltage=voltage,
    )
    return Cost(program.config.n_cores, prediction, activity, energy)


def _cpu_energy_uj(program: Program, x: Any, engine: str, threads: int) -> float | None:
    """Energy per frame of simulating x on this computer; None where it cannot be read."""
    from tncc.session import Session

    meter = EnergyMeter()
    if not meter.readable:
        return None
    session = Session(program, threads=threads, engine=engine)
    frames = 0
    with meter:
        for part in session.stream(x):
            frames += len(next(iter(part.values())))
    return meter.energy_uj / frames if meter.energy_uj is not None and frames else None
