"""What stands best for a float network's numbers: trinary weights, the height of a spike, thresholds on sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ZERO_BELOW = 0.7  # of the mean magnitude of a filter


def ternarize(weight: Array) -> Array:
    """-1, 0 or +1 for every weight of [out, ...]: 0 below 0.7 of the filter's mean magnitude."""
    magnitudes = np.abs(weight)
    level = ZERO_BELOW * magnitudes.reshape(weight.shape[0], -1).mean(axis=1)
    kept = magnitudes > level.reshape(-1, *(1,) * (weight.ndim - 1))
    return np.asarray(np.sign(weight) * kept)


def as_column(values: Array, like: Array) -> Array:
    """Per-channel numbers in a shape that broadcasts over [frames, channels, ...]."""
    return values.reshape(-1, *(1,) * (like.ndim - 2))


def _by_channel(x: Array) -> Array:
    """[channels, everything else] of [frames, channels, ...]."""
    return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1).astype(np.float64)


def heights(activation: Array) -> Array:
    """float64 [channels]: the height c with which {0, c} stands best for the activation; 0 where none does."""
    values = _by_channel(activation)
    height = np.maximum(values.max(axis=1), 0) / 2
    for _ in range(30):
        high = values > height[:, None] / 2
        count = high.sum(axis=1)
        height = np.where(count > 0, (values * high).sum(axis=1) / np.maximum(count, 1), 0)
    return np.asarray(height)


def heights_of_spikes(activation: Array, spikes: Array) -> Array:
    """float64 [channels]: what a spike of the channel stands for, on average."""
    real, bits = _by_channel(activation), _by_channel(spikes)
    return np.asarray((real * bits).sum(axis=1) / np.maximum(bits.sum(axis=1), 1))


def fit_thresholds(sums: Array, activation: Array) -> Array:
    """int64 [channels]: the threshold with which {0, height} on `sums` >= threshold is nearest to the activation."""
    integers, values = np.moveaxis(sums, 1, 0).reshape(sums.shape[1], -1), _by_channel(activation)
    height = heights(activation)[:, None]
    low = int(integers.min())
    levels = int(integers.max()) - low + 1
    # a spike changes the squared error by height^2 - 2 height activation
    gain = 2 * height * values - height**2
    place = np.arange(len(integers))[:, None] * levels + (integers - low)
    by_sum = np.bincount(place.reshape(-1), weights=gain.reshape(-1), minlength=len(integers) * levels)
    total = np.cumsum(by_sum.reshape(len(integers), levels)[:, ::-1], axis=1)[:, ::-1]
    never = np.zeros((len(integers), 1))
    return np.asarray(np.argmax(np.concatenate([total, never], axis=1), axis=1) + low)
