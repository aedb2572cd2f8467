"""A sign that only the host reads runs on the chip where no sum can be 0, else on the host."""

from __future__ import annotations

import numpy as np
import pytest

import tncc
from bench.zoo import differing_values, frames
from bench.zoo.net import Net, f32


@pytest.mark.parametrize("head", ["none", "sum", "linear"])
@pytest.mark.parametrize(("level", "layers"), [(0.5, 2), (1.0, 1)])
def test_last_sign(head: str, level: float, layers: int) -> None:
    net = Net(np.random.default_rng(4))
    x = net.step(net.conv(net.first(), net.trinary(4, 4, 3, 3)))
    x = net.add("Sign", net.add("Sub", net.conv(x, net.trinary(3, 4, 3, 3)), f32(level)))
    if head == "sum":
        x = net.add("ReduceSum", x, np.array([2, 3]))
    if head == "linear":
        x = net.add("Gemm", net.add("Flatten", x), net.real(48, 5))
    model = net.model(x)
    program = tncc.compile(model, effort="low")
    assert len(program.report()["cores_by_layer"]) == layers
    assert differing_values(model, program, frames(model, 100, net.rng)) == 0


def test_only_a_sign_that_may_be_zero() -> None:
    net = Net(np.random.default_rng(0))
    model = net.model(net.add("Sign", net.conv(net.first(), net.trinary(3, 4, 3, 3))))
    with pytest.raises(tncc.Error, match="or no sum can be 0"):
        tncc.compile(model)
