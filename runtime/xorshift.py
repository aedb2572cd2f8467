"""Marsaglia's xorshift32, many generators at once, with jumps.

One step is linear over GF(2), so any number of steps is a 32 x 32 bit matrix. A matrix is held as four tables, one a
byte of the state: applying it is four look-ups. Doubling then gives n draws in log2(n) vectorised rounds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def step(state: Array) -> Array:
    """The uint32 states that follow `state` (any shape)."""
    state = state ^ (state << np.uint32(13))
    state = state ^ (state >> np.uint32(17))
    state = state ^ (state << np.uint32(5))
    return state


@lru_cache(maxsize=32)
def _jump_tables(log2_steps: int) -> Array:
    """uint32 [4, 256]: where 2^log2_steps steps take a state whose only nonzero byte is byte b."""
    if log2_steps == 0:
        byte = np.arange(256, dtype=np.uint32)
        return step(np.stack([byte << np.uint32(8 * b) for b in range(4)]))
    half = _jump_tables(log2_steps - 1)
    return _apply(half, half)


def _apply(tables: Array, state: Array) -> Array:
    found: Array = tables[0][state & np.uint32(255)]
    for b in range(1, 4):
        found = found ^ tables[b][(state >> np.uint32(8 * b)) & np.uint32(255)]
    return found


def sequence(state: Array, count: int) -> Array:
    """uint32 [n, count]: each of the n generators' next `count` states, the present one first."""
    found = np.empty((len(state), count), np.uint32)
    if count:
        found[:, 0] = state
    done, log2_done = 1, 0
    while done < count:
        more = min(done, count - done)
        found[:, done : done + more] = _apply(_jump_tables(log2_done), found[:, :more])
        done, log2_done = done + more, log2_done + 1
    return found
