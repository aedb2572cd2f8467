"""What has to be driven, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Schedule:
    """Ticks after a frame's source tick. fires[k]: when source k fires (inputs: 0); levels[k]: its levels of splitters,
    a tick each; port[i]: when output port i's pins fire."""

    fires: tuple[int, ...]
    levels: tuple[int, ...]
    port: tuple[int, ...]


@dataclass(frozen=True)
class Connections:
    """What has to be driven. All int64 [n].

    element: the source element. core, axon: the target; with core OUTPUT, axon is the output pin. due: the tick in
    which the target core evaluates the spike, or for a pin the tick in which the spike has to fire.
    """

    element: Array
    core: Array
    axon: Array
    due: Array

    @staticmethod
    def of(element: Array, core: Array | int, axon: Array, due: Array | int) -> Connections:
        shape = element.shape
        return Connections(*(np.broadcast_to(np.asarray(a, np.int64), shape) for a in (element, core, axon, due)))

    @staticmethod
    def join(parts: Sequence[Connections]) -> Connections:
        if not parts:
            return Connections(*(np.zeros(0, np.int64) for _ in range(4)))
        return Connections(
            *(np.concatenate([getattr(p, name) for p in parts]) for name in ("element", "core", "axon", "due"))
        )

    @property
    def size(self) -> int:
        return int(self.element.size)

    def take(self, which: Array) -> Connections:
        return Connections(self.element[which], self.core[which], self.axon[which], self.due[which])

    def sorted(self) -> Connections:
        """By element, then target core, then axon."""
        return self.take(np.lexsort((self.axon, self.core, self.element)))
