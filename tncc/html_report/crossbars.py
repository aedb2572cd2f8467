"""Crossbar pictures for the report: exact where they are few, else the share of set synapses in small squares."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.runtime.config import ChipConfig

Array = npt.NDArray[Any]

MOST_EXACT_BYTES = 1_500_000  # compressed; the page as a whole stays below 5 MB
MOST_EXACT_CROSSBARS = 1024
BLOCKS = 32  # squares along a crossbar's longer side


def packed_crossbars(config: ChipConfig) -> tuple[Array, dict[str, Any]]:
    """uint8 bytes of all unique crossbars, and how to read them: axons, neurons, block, exact.

    Exact: the configuration's own bits. Else: block x block synapses a square, shares of 0..15, two a byte, the low
    half first.
    """
    size = {"axons": config.axons, "neurons": config.neurons}
    if len(config.crossbars) <= MOST_EXACT_CROSSBARS:
        raw = config.crossbars.tobytes()
        if len(zlib.compress(raw, 6)) <= MOST_EXACT_BYTES:
            return config.crossbars.ravel(), size | {"block": 1, "exact": True}
    longest = max(config.axons, config.neurons)
    block = -(-longest // BLOCKS)
    if len(config.crossbars) > 8192:  # arrays of chips
        block *= 2
    shares = np.concatenate([_shares(config, start, block) for start in range(0, len(config.crossbars), 256)])
    flat = shares.ravel()
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    return (flat[0::2] | flat[1::2] << 4).astype(np.uint8), size | {"block": block, "exact": False}


def _shares(config: ChipConfig, start: int, block: int) -> Array:
    """uint8 [crossbars, rows, columns] in 0..15; a square with any synapse is at least 1."""
    bits = np.unpackbits(config.crossbars[start : start + 256], axis=2, bitorder="little", count=config.neurons)
    rows, columns = -(-config.axons // block), -(-config.neurons // block)
    padded = np.zeros((len(bits), rows * block, columns * block), np.uint8)
    padded[:, : config.axons, : config.neurons] = bits
    sums = padded.reshape(len(bits), rows, block, columns, block).sum(axis=(2, 4), dtype=np.uint32)
    full = block * block
    shares: Array = ((sums * 15 + full - 1) // full).astype(np.uint8)
    return shares
