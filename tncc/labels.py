"""Class labels against a model's scores."""

from __future__ import annotations

import math
from typing import Any

import numpy.typing as npt

from tncc.errors import InputError

Array = npt.NDArray[Any]


def check_labels(labels: Array, frames: int) -> None:
    """Raises InputError unless there is one integer for each frame."""
    if labels.shape != (frames,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"holds {labels.dtype} {list(labels.shape)}; one integer label for each of {frames} frames is needed"
        )


def count_hits(scores: Array, labels: Array) -> int:
    """How many of the frames have their highest score (the first of equals) at their label.

    Args:
        scores: [frames, ...], one number a class.
        labels: integers [frames].

    Raises:
        InputError: no score per class, or labels that are no class.
    """
    if scores.ndim < 2:
        raise InputError("the model's output is not a score per class, which labels need")
    classes = math.prod(scores.shape[1:])
    if (wrong := labels[(labels < 0) | (labels >= classes)]).size:
        raise InputError(f"holds the label {wrong[0]}; classes are 0 to {classes - 1}")
    return int((scores.reshape(len(scores), classes).argmax(axis=1) == labels).sum())
