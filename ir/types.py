"""Types of values at the nn level: a shape for one frame (the batch dimension is never written) and a domain."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Domain(enum.StrEnum):
    """Which numbers a tensor may hold."""

    REAL = "real"  # any float32
    INT = "int"  # integers
    SPIKES = "spikes"  # {0, 1}: what a neuron sends and an axon takes
    SIGNS = "signs"  # {-1, +1}


SPIKES_SUFFIX = "/spikes"  # behind the name of a value of signs, the name of the spikes that stand for them


@dataclass(frozen=True, slots=True)
class TensorType:
    """Domain and per-frame shape of a value; prints as `spikes[16x8x8]`, a scalar as `real[]`."""

    domain: Domain
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements in one frame."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        return f"{self.domain}[{'x'.join(map(str, self.shape))}]"
