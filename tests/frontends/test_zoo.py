"""Random members of every family of the zoo: the chip gives what ONNX Runtime gives, on 100 random frames."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import tncc
from bench.zoo import ZOO, differing_values, frames


@pytest.mark.parametrize("name", ZOO)
def test_member(name: str) -> None:
    rng = np.random.default_rng([1, zlib.crc32(name.encode())])
    model = ZOO[name](rng)
    program = tncc.compile(model, effort="low", allow_partial_sums=True)
    assert differing_values(model, program, frames(model, 100, rng)) == 0
    assert program.report()["exact"]
