"""Random residual sums: ONNX Runtime, both interpreters and all engines give the same bits."""

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


class Sums:
    """One model: a stem of spikes, then branches onto one grid that are added up, then a binary activation."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.net = rng, Net(rng)
        self.size, self.channels = int(rng.integers(5, 10)), int(rng.choice([2, 4]))
        self.stem = self.net.first(self.channels, self.size)
        self.stride = int(rng.integers(1, 3))
        self.out = int(rng.choice([self.channels, 6]))

    def bias(self) -> list[np.ndarray]:
        kind = self.rng.integers(3)
        return (
            []
            if kind == 0
            else [(self.rng.integers(-2, 3, self.out) / 2).astype(f32) if kind == 1 else self.net.real(self.out)]
        )

    def conv(self, x: str, stride: int, scale: float, kernel: int | None = None) -> str:
        """Onto the grid of ceil(size / stride) positions: padding keeps the size."""
        kernel = int(self.rng.choice([1, 3, 5])) if kernel is None else kernel
        dilation = int(self.rng.integers(1, 3)) if kernel == 3 else 1
        groups = int(self.rng.choice([g for g in (1, 2) if self.channels % g == 0 and self.out % g == 0]))
        weight = self.net.trinary(self.out, self.channels // groups, kernel, kernel) * f32(scale)
        pads = [dilation * (kernel // 2)] * 4
        window = {"strides": [stride] * 2, "pads": pads, "dilations": [dilation] * 2, "group": groups}
        return str(self.net.add("Conv", x, weight, *self.bias(), **window))

    def branch(self, scale: float) -> str:
        net, kind = self.net, self.rng.integers(5)
        if kind == 0:  # through a layer that changes the grid
            weight = net.trinary(self.channels, self.channels, 3, 3)
            return self.conv(net.step(net.conv(self.stem, weight, 1, strides=[self.stride] * 2)), 1, scale)
        if kind == 1 and self.out == self.channels:
            return self.picked()
        if kind == 2 and self.out == self.channels and self.stride == 2 and self.size % 2 == 0:
            return str(net.add("AveragePool", self.stem, kernel_shape=[2, 2], strides=[2, 2]))
        return self.conv(self.stem, self.stride, scale)

    def picked(self) -> str:
        """The stem's spikes at every stride-th position."""
        steps = np.array([self.stride] * 2)
        ends = np.array([self.size] * 2)
        return str(self.net.add("Slice", self.stem, np.array([0, 0]), ends, np.array([2, 3]), steps))

    def model(self) -> onnx.ModelProto:
        net, rng = self.net, self.rng
        scale = float(rng.choice([1, 0.5, 0.25, 0.37]))
        multiples = (1, 1, 2, 3, 0.5) if scale != 0.37 else (1, 1, 2)
        first = self.conv(self.stem, self.stride, scale)
        for _ in range(int(rng.integers(1, 3))):
            first = net.add(str(rng.choice(["Add", "Sub"])), first, self.branch(scale * float(rng.choice(multiples))))
        x = net.norm(first, self.out) if rng.random() < 0.5 else first
        return net.model(net.step(x, rng.normal() + 0.0137))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 32))
def test_residual_sums(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums = Sums(rng)
    model = sums.model()
    x = rng.standard_normal((FRAMES, 1, sums.size, sums.size)).astype(f32)
    try:
        compiled = compile_model(model, Options(effort="low"))
    except (RoundingDecides, FilterTooLarge):
        assume(False)
    assert_all_agree(model, compiled, x, 64)
