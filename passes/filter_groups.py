"""Which filters share cores: groups whose inputs at one position fit a core's axons."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.ops import SpikingConv2d

Array = npt.NDArray[Any]

WINDOW = 4096  # features among which the most similar one is sought: bounds the work for layers with more


def input_groups(op: SpikingConv2d) -> Array:
    """int64 [features]: a number for each (feature group, convolution group): its filters read the same channels."""
    features = op.weight.shape[0]
    convolution_group = np.arange(features) * op.groups // features
    both = op.feature_groups.astype(np.int64) * op.groups + convolution_group
    return np.unique(both, return_inverse=True)[1].reshape(-1)


def split_groups(used: Array, groups: Array, limit: int) -> Array:
    """int32 [features]: new labels, numbered by first feature; groups whose union of axons fits stay whole.

    used: bool [features, axons], at most `limit` a row. groups: int64 [features].
    """
    parts = np.zeros(groups.size, np.int64)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sizes = np.diff(starts, append=groups.size)
    unions = np.logical_or.reduceat(used[order], starts) if groups.size else used
    for group in np.flatnonzero(unions.sum(axis=1) > limit):
        members = order[starts[group] : starts[group] + sizes[group]]
        parts[members] = _by_similarity(used[members], limit)
    _, first, label = np.unique(groups * (parts.max() + 1) + parts, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(first.size, dtype=np.int32)
    return rank[label.reshape(-1)]


def _by_similarity(used: Array, limit: int) -> Array:
    """int64 [features]: each part starts with the first feature left and takes, while it fits, the feature that adds
    the fewest axons (the first of equals). Of those left the first WINDOW are looked at."""
    parts = np.empty(len(used), np.int64)
    sizes, by_axon = used.sum(axis=1), np.ascontiguousarray(used.T)
    window = np.arange(min(WINDOW, len(used)))
    following, part = window.size, 0
    while window.size:
        union = np.zeros(used.shape[1], bool)
        added = sizes[window]  # axons that each feature would add to the part
        taken = np.zeros(window.size, bool)
        held, best = 0, 0
        while not taken.all() and held + int(added[best]) <= limit:
            taken[best] = True
            held += int(added[best])
            new = np.flatnonzero(used[window[best]] & ~union)
            union[new] = True
            added = added - by_axon[new[:, None], window].sum(axis=0)
            best = int(np.argmin(np.where(taken, limit + 1, added)))
        parts[window[taken]] = part
        part += 1
        more = np.arange(following, min(following + int(taken.sum()), len(used)))
        window = np.concatenate((window[~taken], more))
        following += more.size
    return parts
