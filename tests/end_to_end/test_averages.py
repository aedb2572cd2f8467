"""Random average pools of sums, and layers on average pools of spikes: all implementations give ONNX Runtime's bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.zoo.net import Net
from tests.support.five_ways import assert_all_agree
from tncc.compiler import Options, compile_model
from tncc.errors import FilterTooLarge, ModuleInvalid, RealValueOnChip, RoundingDecides

FRAMES = 100
f32 = np.float32


class Averages:
    """Parts of models on a stem of spikes or signs [channels, size, size]."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.net = rng, Net(rng)
        self.size, self.channels, self.out = int(rng.integers(4, 9)), int(rng.choice([1, 2, 4])), 4
        stem = self.net.conv(self.net.input(1, self.size, self.size), self.net.real(self.channels, 1, 3, 3), 1)
        self.stem = self.net.sign(stem) if rng.random() < 0.3 else self.net.step(stem, 0)

    def conv(self, x: str, channels: int, kernel: int, pad: int) -> str:
        rng, net = self.rng, self.net
        scale = f32(rng.choice([1, 0.5, 0.37]))
        bias = [] if rng.random() < 0.5 else [net.real(self.out)]
        groups = int(rng.choice([g for g in (1, 2, 4) if channels % g == 0]))
        weight = net.trinary(self.out, channels // groups, kernel, kernel) * scale
        return str(net.add("Conv", x, weight, *bias, pads=[pad] * 4, group=groups))

    def pool(self, x: str, pads: bool) -> str:
        rng, net = self.rng, self.net
        if rng.random() < 0.15:
            return str(net.add("GlobalAveragePool", x))
        kernel = [int(n) for n in rng.integers(1, 4, 2)]
        window = {"kernel_shape": kernel, "strides": [int(n) for n in rng.integers(1, 4, 2)]}
        if pads:
            window |= {"pads": [min(1, k - 1) for k in kernel] * 2, "count_include_pad": int(rng.integers(2))}
        return str(net.add("AveragePool", x, **window))

    def step(self, x: str) -> onnx.ModelProto:
        """A threshold that some means hit exactly, or one that none does; perhaps after a batch normalisation."""
        if self.rng.random() < 0.4:
            return self.net.model(self.net.step(self.net.norm(x, self.out), self.rng.normal()))
        return self.net.model(self.net.step(x, self.rng.choice([0, 0.25, 0.5, 1 / 3, self.rng.normal()])))


def pool_of_sums(rng: np.random.Generator) -> tuple[onnx.ModelProto, int]:
    parts = Averages(rng)
    kernel = int(rng.choice([1, 2, 3]))
    sums = parts.conv(parts.stem, parts.channels, kernel, 0 if kernel == 1 else 1)
    if rng.random() < 0.4:
        sums = parts.net.norm(sums, parts.out)
    return parts.step(parts.pool(sums, pads=kernel == 1 and rng.random() < 0.5)), parts.size


def layer_on_means(rng: np.random.Generator) -> tuple[onnx.ModelProto, int]:
    parts = Averages(rng)
    kernel = int(rng.choice([1, 2, 3]))
    x = parts.stem if rng.random() < 0.7 else parts.net.add("Mul", parts.stem, f32(rng.choice([0.5, 0.7])))
    means = parts.pool(x, pads=False)
    if rng.random() < 0.3:
        means = parts.net.add("Flatten", means)
        features = onnx.shape_inference.infer_shapes(parts.net.model(means)).graph.output[0].type.tensor_type.shape
        weight = parts.net.trinary(features.dim[1].dim_value, parts.out)
        return parts.net.model(parts.net.step(parts.net.add("Gemm", means, weight), rng.normal())), parts.size
    return parts.step(parts.conv(means, parts.channels, kernel, int(kernel == 3))), parts.size


@pytest.mark.parametrize("family", [pool_of_sums, layer_on_means])
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 32))
def test_all_agree(family: Callable[[np.random.Generator], tuple[onnx.ModelProto, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    model, size = family(rng)
    refusals = [RoundingDecides, FilterTooLarge]
    if family is layer_on_means:
        refusals += [RealValueOnChip, ModuleInvalid]  # padding over overlapping windows; kernels larger than the map
    try:
        compiled = compile_model(model, Options(effort="low", allow_partial_sums=True))
    except tuple(refusals):
        assume(False)
    assert_all_agree(model, compiled, rng.standard_normal((FRAMES, 1, size, size)).astype(f32), 64)
