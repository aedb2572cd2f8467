"""Chip against ONNX Runtime: are all outputs equal, bit for bit?"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import InputError
from tncc.host import HostModel
from tncc.program import Program
from tncc.session import BATCH_FRAMES, Data, Session

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Verification:
    """The outcome. expected and got are the first differing value, as ONNX Runtime and the chip gave it."""

    equal: bool
    frames: int
    values: int
    different_frames: int
    first_frame: int | None = None
    first_output: str | None = None
    expected: float | None = None
    got: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def verify(
    model: str | os.PathLike[str] | bytes,
    program: Program,
    x: Data,
    *,
    engine: str = "auto",
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Runs x through ONNX Runtime on the source model and through the chip, batch by batch, and compares.

    Raises:
        InputError: the model cannot be read, is not the one the program was compiled from, or x does not fit it, or
            holds no frame.
        FormatError: ONNX Runtime does not take the model.
    """
    reference = HostModel(model if isinstance(model, bytes) else _readable(Path(model)), "model", threads)
    session = Session(program, threads, engine)
    if session.inputs and set(reference.inputs) != {port.name for port in session.inputs}:
        raise InputError(
            f"the model's inputs are {', '.join(reference.inputs)}; the chip was compiled from a model with "
            f"{', '.join(port.name for port in session.inputs)}"
        )
    if session.inputs and reference.outputs != session.outputs:
        raise InputError(
            f"the model's outputs are {', '.join(reference.outputs)}; the chip was compiled from a model with "
            f"{', '.join(session.outputs)}"
        )
    feeds = session.feeds(x)
    if not len(next(iter(feeds.values()))):
        raise InputError("holds no frames: at least one is needed to compare")
    done = values = different = 0
    first: tuple[int, str, float, float] | None = None
    for got in session.stream(feeds, BATCH_FRAMES, progress):
        count = len(next(iter(got.values())))
        expected = _reference(reference, feeds, done, count)
        frame_differs = np.zeros(count, bool)
        for name in session.outputs:
            a, b = expected[name].reshape(count, -1), got[name].reshape(count, -1)
            unequal = a != b if a.shape == b.shape else np.ones_like(a, bool)
            unequal &= ~(np.isnan(a) & np.isnan(b)) if a.dtype.kind == "f" and a.shape == b.shape else True
            values += a.size
            frame_differs |= unequal.any(axis=1)
            if first is None and unequal.any():
                frame, element = np.argwhere(unequal)[0]
                first = (
                    done + int(frame),
                    name,
                    float(a[frame, element]),
                    float(b.ravel()[0] if a.shape != b.shape else b[frame, element]),
                )
        different += int(frame_differs.sum())
        done += count
    return Verification(different == 0, done, values, different, *(first or ()))


def _reference(model: HostModel, feeds: Any, start: int, count: int) -> dict[str, Array]:
    """ONNX Runtime's outputs; one frame at a time where the model fixes its batch to 1."""
    parts = {name: np.asarray(array[start : start + count]) for name, array in feeds.items()}
    if all(shape and shape[0] == 1 for _, shape in model.inputs.values()):
        rows = [model.run({name: part[i : i + 1] for name, part in parts.items()}) for i in range(count)]
        return {name: np.concatenate([row[name] for row in rows]) for name in model.outputs}
    return model.run(parts)


def _readable(path: Path) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}", path) from error
