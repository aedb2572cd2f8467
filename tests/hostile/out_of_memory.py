"""Compiles with little memory, and with little of Python's stack: one line each of the error's code and message."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import tncc
from tests.hostile.models import after_spikes, f32, node, trinary


def layer(size: int) -> bytes:
    nodes = [node("Conv", "s w", "u", pads=[1] * 4), node("Add", "u bias", "t")]
    constants = {"w": trinary(8, 8, 3, 3), "bias": f32(range(8 * size * size)).reshape(8, size, size) / f32(99)}
    return after_spikes(nodes, (8, size, size), constants).SerializeToString()


def attempt(data: bytes) -> None:
    try:
        tncc.compile(data, effort="low")
        print("compiled")
    except tncc.CompileError as error:
        print(error.code, " ".join(str(error).split()))


attempt(layer(8))  # what is imported and kept once
limit = sys.getrecursionlimit()
sys.setrecursionlimit(20)
attempt(layer(8))
sys.setrecursionlimit(limit)
pages = int(Path("/proc/self/statm").read_text().split()[0])
room = pages * resource.getpagesize() + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (room, room))
attempt(layer(256))
