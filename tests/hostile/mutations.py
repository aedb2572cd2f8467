"""Mutated models and mutated bytes, drawn from a `random.Random`."""

from __future__ import annotations

import contextlib
from random import Random

import onnx

from tests.hostile import node_mutations, outer_mutations  # noqa: F401  (they fill MUTATIONS)
from tests.hostile.mutating import MUTATIONS


def mutated(model: onnx.ModelProto, random: Random, most: int = 2) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for _ in range(random.randint(1, most)):
        with contextlib.suppress(ValueError, TypeError, IndexError, KeyError, AttributeError):
            random.choice(MUTATIONS)(copy, random)
    return copy


def mutated_bytes(data: bytes, random: Random) -> bytes:
    content = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        at = random.randrange(len(content))
        way = random.randrange(6)
        if way == 0:
            content[at] = random.randrange(256)
        elif way == 1:
            content[at] ^= 1 << random.randrange(8)
        elif way == 2:
            del content[at : at + random.randint(1, 8)]
        elif way == 3:
            content[at:at] = random.randbytes(random.randint(1, 8))
        elif way == 4:
            content[at : at + 10] = b"\xff" * 9 + b"\x01"
        else:
            del content[max(at, 1) :]
        content = content or bytearray(b"x")
    return bytes(content)
