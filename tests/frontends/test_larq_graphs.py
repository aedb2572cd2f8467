"""Larq networks as tf2onnx writes them: NHWC tensors with a Transpose around what wants NCHW, or pushed down past the
elementwise nodes; quantisers of latent kernels as nodes; batch normalisation as Mul and Add; Pad nodes; biases."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from bench.zoo import differing_values, frames
from bench.zoo.net import Net, f32
from tncc.compiler import Options, compile_model

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


class Larq(Net):
    """Pieces of a graph as the converter names and orders them."""

    def ste_sign(self, x: Any) -> Any:
        return self.add("Sign", self.add("Add", self.add("Sign", x), f32(0.1)))

    def ste_heaviside(self, x: Any) -> Any:
        return self.add("Sign", self.add("Relu", x))

    def binary_kernel(self, *shape: int) -> Any:
        """HWIO latent weights, quantised and transposed by nodes."""
        return self.add("Transpose", self.ste_sign(self.real(*shape)), perm=[3, 2, 0, 1])

    def scaled(self, x: Any, channels: int, rank: int) -> Any:
        """Batch normalisation of inference, x * scale + shift, broadcast along the last axis or along the channels."""
        shape = (channels,) if rank == 2 else (1, channels, 1, 1)
        scale = self.rng.uniform(0.5, 1.5, shape).astype(f32) * self.rng.choice([f32(-1), f32(1)], shape)
        return self.add("Add", self.add("Mul", x, scale), self.real(*shape))

    def padded(self, x: Any, value: float, nchw: bool) -> Any:
        pads = np.array([0, 0, 1, 1, 0, 0, 1, 1] if nchw else [0, 1, 1, 0, 0, 1, 1, 0])
        return self.add("Pad", x, pads, f32(value), mode="constant")

    def mean(self, x: Any, *axes: int) -> Any:
        if self.opset >= 18:
            return self.add("ReduceMean", x, np.array(axes), keepdims=0)
        return self.add("ReduceMean", x, axes=list(axes), keepdims=0)


def network(opset: int, activation: str, pushed_down: bool, pad_value: float) -> onnx.ModelProto:
    """Convolutions, a depthwise one with a stride, a maximum, a dense head; 1 is what Larq pads binary inputs with."""
    net = Larq(np.random.default_rng(opset), opset)
    act = getattr(net, activation)
    x = net.add("Transpose", net.input(8, 8, 1), perm=TO_NCHW)
    x = net.add("Conv", x, net.real(6, 1, 3, 3), net.real(6), auto_pad="SAME_UPPER")
    if pushed_down:  # the optimiser moved the transposes past all elementwise nodes
        x = net.padded(act(net.scaled(x, 6, 4)), pad_value, True)
    else:
        x = act(net.add("Transpose", net.scaled(x, 6, 4), perm=TO_NHWC))
        x = net.add("Transpose", net.padded(x, pad_value, False), perm=TO_NCHW)
    x = net.add("Conv", x, net.binary_kernel(3, 3, 6, 8), strides=[1, 1], auto_pad="VALID")
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], auto_pad="VALID")
    x = net.norm(x, 8) if pushed_down else net.scaled(x, 8, 4)
    x = act(x)
    depthwise = net.add("Transpose", net.signs(3, 3, 8, 1), perm=[2, 3, 0, 1])
    x = net.add("Conv", x, depthwise, group=8, strides=[2, 2], auto_pad="SAME_UPPER")
    x = net.add("Transpose", act(net.scaled(x, 8, 4)), perm=TO_NHWC)
    x = net.add("Reshape", x, np.array([-1, 32]))
    x = act(net.scaled(net.add("MatMul", x, net.ste_sign(net.real(32, 20))), 20, 2))
    x = net.add("Add", net.add("MatMul", x, net.real(20, 5)), net.real(5))
    return net.model(net.add("Softmax", x, axis=-1))


@pytest.mark.parametrize(("opset", "pad_value"), [(13, 1.0), (15, 0.0), (17, 1.0), (18, 0.0)])
@pytest.mark.parametrize("activation", ["ste_sign", "ste_heaviside"])
@pytest.mark.parametrize("pushed_down", [False, True])
def test_network(opset: int, activation: str, pushed_down: bool, pad_value: float) -> None:
    model = network(opset, activation, pushed_down, pad_value)
    result = compile_model(model, Options(effort="low"))
    assert result.program is not None and result.program.report()["exact"]
    assert len(result.program.report()["cores_by_layer"]) >= 4
    assert differing_values(model, result.program, frames(model, 100, np.random.default_rng(1))) == 0


@pytest.mark.parametrize("opset", [13, 18])
def test_global_average_as_reduce_mean(opset: int) -> None:
    net = Larq(np.random.default_rng(3), opset)
    x = net.add("Transpose", net.input(8, 8, 1), perm=TO_NCHW)
    x = net.ste_sign(net.add("Conv", x, net.real(4, 1, 3, 3), net.real(4)))
    x = net.ste_sign(net.scaled(net.add("Conv", x, net.binary_kernel(3, 3, 4, 6)), 6, 4))
    x = net.mean(net.add("Transpose", x, perm=TO_NHWC), 1, 2)
    model = net.model(net.add("MatMul", x, net.real(6, 3)))
    result = compile_model(model, Options(effort="low"))
    assert result.program is not None and result.program.report()["exact"]
    assert differing_values(model, result.program, frames(model, 100, np.random.default_rng(1))) == 0
