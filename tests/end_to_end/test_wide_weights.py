"""Random networks with weights of several bits: ONNX Runtime, both interpreters and all engines give the same bits."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.zoo.net import Net
from tests.support.five_ways import assert_all_agree
from tncc.compiler import Options, compile_model
from tncc.errors import FilterTooLarge, RoundingDecides

FRAMES = 100
f32 = np.float32


def random_model(rng: np.random.Generator) -> onnx.ModelProto:
    """Convolutions with groups, strides and pads, and linear layers; weights of one to six bits, times any scale."""
    net = Net(rng)

    def weight(*shape: int) -> np.ndarray:
        bits = int(rng.integers(1, 7))
        below = int(rng.integers(0, 1 << bits))  # of 2^bits numbers in a row
        codes = rng.integers(-below, (1 << bits) - below, shape)
        scale = f32(rng.choice([1, 0.25, 0.3, 0.0371]))
        return codes.astype(f32) * scale

    size, channels = 6, int(rng.choice([1, 2, 4]))
    x = net.first(channels, size)
    for _ in range(int(rng.integers(1, 3))):
        groups = int(rng.choice([g for g in (1, 2, 4) if channels % g == 0]))
        out, kernel, stride = groups * int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
        x = net.conv(x, weight(out, channels // groups, kernel, kernel), 1, group=groups, strides=[stride] * 2)
        size, channels = (size + 2 - kernel) // stride + 1, out
        x = net.step(net.norm(x, out) if rng.random() < 0.5 else x, rng.normal())
    if rng.random() < 0.5:
        x = net.add("Flatten", x)
        x = net.step(net.add("Gemm", x, weight(channels * size * size, 5)), rng.normal())
    return net.model(x)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from(["host", "splitters"]))
def test_all_agree(seed: int, input_fanout: str) -> None:
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    x = rng.standard_normal((FRAMES, 1, *(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[2:])))
    x = x.astype(f32)
    try:
        compiled = compile_model(model, Options(input_fanout=input_fanout, effort="low"))
    except (RoundingDecides, FilterTooLarge):
        assume(False)
    assert_all_agree(model, compiled, x, 64)
