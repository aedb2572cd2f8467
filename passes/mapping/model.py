"""What a layer costs: axons and neurons of every unit, and the copies it asks of its sources.

A unit is a tile of output positions x a subset of features; a core holds one or more units. The inputs of a unit are
(channel, position, digit) triples (ir/axon_code.py): an input takes an axon for every digit that some filter's weight
on it has. For a channel and a digit, which input positions a tile needs depends only on the mask of kernel taps where
any of the unit's filters has that digit; there are few different masks, so everything is counted by mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.passes.mapping.tilings import Tiling
from tncc.passes.mapping.wiring import SpikingLayer

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Subsets:
    """Features split into subsets, each within one feature group.

    Attributes:
        split: the number of subsets each feature group was split into (fewer where it has fewer features).
        subset: int64 [features].
        order, starts: features sorted by subset, and where each subset starts.
        masks: bool [masks, taps], the different tap masks.
        row_subset, row_channel, row_digit, row_mask: one row per (subset, channel, digit) with any synapse; row_mask
            indexes masks.
    """

    split: int
    subset: Array = field(repr=False)
    order: Array = field(repr=False)
    starts: Array = field(repr=False)
    masks: Array = field(repr=False)
    row_subset: Array = field(repr=False)
    row_channel: Array = field(repr=False)
    row_digit: Array = field(repr=False)
    row_mask: Array = field(repr=False)

    @property
    def count(self) -> int:
        return int(self.starts.size)

    @cached_property
    def words(self) -> Array:
        """The masks as _words."""
        return _words(self.masks)

    @cached_property
    def rows_by_subset(self) -> Array:
        """int64 [subsets, masks]: rows of each subset that have each mask."""
        key = self.row_subset * len(self.masks) + self.row_mask
        return np.bincount(key, minlength=self.count * len(self.masks)).reshape(self.count, len(self.masks))


def split_features(layer: SpikingLayer, split: int) -> Subsets:
    """Every feature group cut into `split` runs of features of about equal length."""
    groups = layer.op.feature_groups.astype(np.int64)
    features = groups.size
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    rank = np.empty(features, np.int64)
    rank[order] = np.arange(features) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    parts = np.minimum(split, sizes)[groups]
    _, subset = np.unique(groups * split + rank * parts // sizes[groups], return_inverse=True)
    subset = subset.reshape(-1).astype(np.int64)
    order = np.argsort(subset, kind="stable")
    counts = np.bincount(subset)

    weight = layer.op.weight
    per_group = weight.shape[1]
    taps = weight.shape[2] * weight.shape[3]
    channel = (np.arange(features) * layer.op.groups // features)[:, None] * per_group + np.arange(per_group)
    channels = per_group * layer.op.groups
    bits = layer.code.bits(weight).reshape(features, per_group, taps)[order]
    feature, inner = np.nonzero(bits.any(axis=2))  # a channel that a feature does not read has no row
    key = (subset[order][:, None] * channels + channel[order])[feature, inner]
    flat = bits[feature, inner]
    by_key = np.argsort(key, kind="stable")
    key, flat = key[by_key], flat[by_key]
    _, firsts = np.unique(key, return_index=True)
    digits = layer.code.digits
    rows = (np.bitwise_or.reduceat(flat, firsts)[:, None, :] >> np.arange(digits)[:, None] & 1).astype(bool)
    rows = rows.reshape(-1, taps)
    keys = (key[firsts][:, None] * digits + np.arange(digits)).reshape(-1)
    live = rows.any(axis=1)
    packed, row_mask = np.unique(np.packbits(rows[live], axis=1), axis=0, return_inverse=True)
    masks = np.unpackbits(packed, axis=1, count=taps).astype(bool)
    keys = keys[live]
    return Subsets(
        split,
        subset,
        order,
        np.concatenate(([0], np.cumsum(counts)[:-1])),
        masks,
        keys // digits // channels,
        keys // digits % channels,
        keys % digits,
        row_mask.reshape(-1).astype(np.int64),
    )


def _words(rows: Array) -> Array:
    """uint64 [rows, words]: bool rows, a bit an element."""
    packed = np.packbits(rows, axis=1)
    padded = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(padded).view(np.uint64)


def _row_kinds(words: Array) -> tuple[Array, Array]:
    """(index of the first row of each kind, kind of each row)."""
    different = words[:, 0] if words.shape[1] == 1 else words
    _, first, kind = np.unique(different, axis=0, return_index=True, return_inverse=True)
    return first, kind.reshape(-1)


def _meet(masks: Array, taps: Array) -> Array:
    """float32 [masks, kinds]: 1 where a mask has one of the taps of a kind; both as _words."""
    found = np.zeros((len(masks), len(taps)), bool)
    for word in range(masks.shape[1]):
        found |= masks[:, None, word] & taps[None, :, word] != 0
    return found.astype(np.float32)


class LayerModel:
    """Counts for one layer; remembers what it has computed."""

    def __init__(self, layer: SpikingLayer) -> None:
        self.layer = layer
        self._subsets: dict[int, Subsets] = {}
        self._windows: dict[bytes, tuple[Array, Array, Array, Array]] = {}

    def subsets(self, split: int) -> Subsets:
        if split not in self._subsets:
            self._subsets[split] = split_features(self.layer, split)
        return self._subsets[split]

    @cached_property
    def largest_group(self) -> int:
        """Features in the largest feature group."""
        return int(np.bincount(self.layer.op.feature_groups).max())

    @cached_property
    def in_positions(self) -> int:
        return self.layer.in_shape[1] * self.layer.in_shape[2]

    def windows(self, tiling: Tiling) -> tuple[Array, Array, Array]:
        """(tile int64 [pairs], input position int64 [pairs], taps bool [pairs, taps]): the input positions under each
        tile, sorted by tile, and the taps that connect them to some output position of the tile."""
        inputs = self.layer.input_positions
        keys = tiling.tile[:, None].astype(np.int64) * self.in_positions + inputs
        inside = inputs >= 0
        pairs, pair = np.unique(keys[inside], return_inverse=True)
        taps = np.zeros((pairs.size, inputs.shape[1]), bool)
        taps[pair.reshape(-1), np.nonzero(inside)[1]] = True
        return pairs // self.in_positions, pairs % self.in_positions, taps

    def _window_kinds(self, tiling: Tiling) -> tuple[Array, Array, Array, Array]:
        """(taps [kinds, words], by_tile float32 [tiles, kinds], position int32 [pairs], kind int32 [pairs]).

        A kind is a set of taps that connects some input position with some tile; there are few. by_tile counts the
        pairs of each kind for every tile; the other two name the input position and the kind of every pair.
        """
        key = tiling.tile.tobytes()
        if key not in self._windows:
            tile, position, taps = self.windows(tiling)
            words = _words(taps)
            first, kind = _row_kinds(words)
            count = first.size
            by_tile = np.bincount(tile * count + kind, minlength=tiling.tiles * count)
            self._windows[key] = (
                words[first],
                by_tile.reshape(tiling.tiles, count).astype(np.float32),
                position.astype(np.int32),
                kind.astype(np.int32),
            )
        return self._windows[key]

    def axons(self, tiling: Tiling, subsets: Subsets) -> Array:
        """int64 [subsets, tiles]: axons of every unit."""
        taps, by_tile, _, _ = self._window_kinds(tiling)
        # all counts are integers far below 2^24, so float32 products are exact
        rows = subsets.rows_by_subset.astype(np.float32) @ _meet(subsets.words, taps)
        return (rows @ by_tile.T).astype(np.int64)

    def demand(self, tiling: Tiling, subsets: Subsets) -> Array:
        """int32 [channels * input positions]: axons, over all units, that each operand element must drive."""
        taps, _, position, kind = self._window_kinds(tiling)
        pairs = np.bincount(position.astype(np.int64) * len(taps) + kind, minlength=self.in_positions * len(taps))
        by_position = pairs.reshape(self.in_positions, len(taps)).astype(np.float32)
        channels, masks = self.layer.in_shape[0], len(subsets.masks)
        rows = np.bincount(subsets.row_channel * masks + subsets.row_mask, minlength=channels * masks)
        by_kind = rows.reshape(channels, masks).astype(np.float32) @ _meet(subsets.words, taps)
        return (by_kind @ by_position.T).astype(np.int32).reshape(-1)

    def neurons(self, tiling: Tiling, subsets: Subsets, copies: Array) -> Array:
        """int64 [subsets, tiles]: neurons of every unit. copies: int [features * positions], 0 for a dead output."""
        by_subset = np.add.reduceat(copies.reshape(-1, self.layer.positions)[subsets.order], subsets.starts, axis=0)
        found: Array = np.add.reduceat(by_subset[:, tiling.order], tiling.starts, axis=1)
        return found
