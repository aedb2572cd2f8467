"""How near a trinary model is to the float one that it was made of: what --trinarize twn reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.labels import count_hits

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LayerFidelity:
    """One layer's spikes against the float model's activation, over all neurons and calibration frames.

    Attributes:
        layer: name of the weighted ONNX node.
        zeros: share of the weights that are 0; None for the first layer, whose weights stay as they are.
        spike_agreement: share of spikes that equal the bit which stands best for the float activation itself.
        correlation: Pearson's, of the activation and of what the spikes stand for (a height a channel); None where one
            of them is constant.
    """

    layer: str
    zeros: float | None
    spike_agreement: float
    correlation: float | None


@dataclass(frozen=True)
class OutputFidelity:
    """The trinary model's first output against the float model's, and both against labels.

    Attributes:
        frames: how many.
        agreement: share of frames in which both have their largest number in the same place.
        correlation: Pearson's, over all numbers; None where one of them is constant or not finite.
        accuracy, float_accuracy: shares of frames in which that place is the label's; None without labels.
    """

    frames: int
    agreement: float
    correlation: float | None
    accuracy: float | None
    float_accuracy: float | None


@dataclass(frozen=True)
class Fidelity:
    """What was measured on the frames that the model was fitted to, and on the frames behind them, if there are any."""

    layers: tuple[LayerFidelity, ...]
    calibration: OutputFidelity
    held_out: OutputFidelity | None

    def as_json(self) -> dict[str, Any]:
        """The entry `trinarization` of reports and chip files."""
        return asdict(self)

    def sentences(self) -> tuple[str, ...]:
        """For the chip's list of approximations."""
        found = []
        for layer in self.layers:
            weights = "its own weights" if layer.zeros is None else f"trinary weights, {layer.zeros:.0%} of them 0"
            close = "" if layer.correlation is None else f", and correlate with it by {layer.correlation:.3f}"
            found.append(
                f"{layer.layer}: {weights}; its spikes equal the float activation's own bits in "
                f"{layer.spike_agreement:.1%} of all cases on the calibration data{close}"
            )
        for outputs, what in ((self.calibration, "calibration frames"), (self.held_out, "frames behind these")):
            if outputs is None:
                continue
            hits = ""
            if outputs.accuracy is not None and outputs.float_accuracy is not None:
                hits = f"; accuracy {outputs.accuracy:.1%}, of the float model {outputs.float_accuracy:.1%}"
            found.append(
                f"the float model and the trinary one have the same largest output in {outputs.agreement:.1%} of "
                f"{outputs.frames:,} {what}{hits}"
            )
        return tuple(found)


def compare_outputs(before: Array, after: Array, labels: Array | None) -> OutputFidelity:
    """The float model's output and the trinary one's, [frames, ...] each; labels: integers [frames], or None."""
    flat, flat_after = before.reshape(len(before), -1), after.reshape(len(after), -1)
    accuracy, float_accuracy = (
        None if labels is None else count_hits(scores, labels) / len(labels) for scores in (after, before)
    )
    return OutputFidelity(
        frames=len(before),
        agreement=float(np.mean(flat.argmax(axis=1) == flat_after.argmax(axis=1))),
        correlation=correlation(before, after),
        accuracy=accuracy,
        float_accuracy=float_accuracy,
    )


def correlation(a: Array, b: Array) -> float | None:
    """Pearson's correlation of two arrays of one shape; None where one of them is constant or not finite."""
    if not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
        return None
    x, y = (part.astype(np.float64).reshape(-1) - part.mean(dtype=np.float64) for part in (a, b))
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else None
