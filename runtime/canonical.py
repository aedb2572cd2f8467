"""One spelling for every chip: shared tables in the order in which cores first use them, without spares.

Two chips whose arrays differ only in how tables are ordered, repeated or padded have the same canonical form.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.runtime.config import NEURON_FIELDS, ChipConfig

Array = npt.NDArray[Any]


def canonical(config: ChipConfig) -> ChipConfig:
    """The same chip with its tables of crossbars, axon types and neuron types deduplicated and in order of first use.

    Crossbar padding bits are cleared; an unused neuron's fields stay as they are.
    """
    padding = np.packbits(np.arange(-(-config.neurons // 8) * 8) < config.neurons, bitorder="little")
    crossbars, crossbar_index = _first_use(config.crossbars & padding, config.crossbar_index)
    axon_types, axon_types_index = _first_use(config.axon_types, config.axon_types_index)
    kept, neuron_type = neuron_types_in_use(config)
    return replace(
        config,
        crossbars=crossbars,
        crossbar_index=crossbar_index,
        axon_types=axon_types,
        axon_types_index=axon_types_index,
        neuron_types={name: np.ascontiguousarray(config.neuron_types[name][kept]) for name in NEURON_FIELDS},
        neuron_type=neuron_type,
    )


def neuron_types_in_use(config: ChipConfig) -> tuple[Array, Array]:
    """int64 [kept]: the rows of neuron_types that canonical() keeps, in order; int32 [N, M]: the new neuron_type."""
    types = len(config.neuron_types["leak"])
    rows = [
        np.ascontiguousarray(config.neuron_types[name]).reshape(types, _width(shape))
        for name, (_, shape, _, _) in NEURON_FIELDS.items()
    ]
    table = np.concatenate([row.astype(np.int32) for row in rows], axis=1)
    kept, index = _order_of_first_use(table, config.neuron_type)
    return kept, index


def same_chip(a: ChipConfig, b: ChipConfig) -> str:
    """ "" where both are the same chip in every array, else the name of the first array or number that differs."""
    a, b = canonical(a), canonical(b)
    for name in ("axons", "neurons", "mesh", "input_pins", "output_pins"):
        if getattr(a, name) != getattr(b, name):
            return name
    others = b.arrays()
    for name, array in a.arrays().items():
        if array.dtype != others[name].dtype or not np.array_equal(array, others[name]):
            return name
    return ""


def _width(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _first_use(table: Array, index: Array) -> tuple[Array, Array]:
    kept, renumbered = _order_of_first_use(table.reshape(len(table), _width(table.shape[1:])), index)
    return np.ascontiguousarray(table[kept]), renumbered


def _order_of_first_use(table: Array, index: Array) -> tuple[Array, Array]:
    """Rows of `table` to keep, and `index` in terms of them; -1 in `index` stays."""
    if not len(table):
        return np.zeros(0, np.int64), index.copy()
    rows = np.ascontiguousarray(table)
    opaque = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
    _, first_equal, inverse = np.unique(opaque, return_index=True, return_inverse=True)
    same = first_equal[inverse.reshape(-1)]  # every row's first equal row
    flat = index.reshape(-1)
    used = flat >= 0
    rows_used, first_seen = np.unique(same[flat[used]], return_index=True)
    kept = rows_used[np.argsort(first_seen)]
    number = np.full(len(table), -1, np.int32)
    number[kept] = np.arange(len(kept), dtype=np.int32)
    renumbered = np.where(used, number[same[np.maximum(flat, 0)]], -1).astype(np.int32)
    return kept, np.ascontiguousarray(renumbered.reshape(index.shape))
