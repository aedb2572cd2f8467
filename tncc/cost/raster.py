"""Where a neuron's spikes stand in a raster, and which spikes are a frame's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.cost.activity import Activity
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import Spikes

Array = npt.NDArray[Any]


def layered_rows(config: ChipConfig, layers: int, most: int | None = None) -> tuple[Array, Array]:
    """Rows for the used neurons in order of (layer, core, neuron), evenly thinned to `most` rows.

    Returns:
        int32 [cores, neurons], the row or -1 where it has none; int64 [layers], the row after each layer's last.
    """
    core, neuron = np.nonzero(config.neuron_type >= 0)
    order = np.lexsort((neuron, core, config.layer[core]))
    if most is not None and len(order) > most:
        order = order[np.unique(np.linspace(0, len(order) - 1, most).astype(np.int64))]
    rows = np.full(config.neuron_type.shape, -1, np.int32)
    rows[core[order], neuron[order]] = np.arange(len(order))
    return rows, np.cumsum(np.bincount(config.layer[core[order]], minlength=layers))


def of_the_frame(activity: Activity, config: ChipConfig) -> Array:
    """bool [spikes of activity.raster]: those that would not be there without the frame."""

    def key(of: Spikes) -> Array:
        place: Array = (of.tick * config.n_cores + of.core) * config.neurons + of.neuron
        return place

    new: Array = ~np.isin(key(activity.raster), key(activity.raster_at_rest))
    return new
