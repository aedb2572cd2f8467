"""Families of sources: how exporters and quantisation tools write activations and weights."""

from __future__ import annotations

import numpy as np
import onnx

from bench.zoo.net import QONNX, Array, Net, f32, family


@family
def clamped_straight_through(net: Net) -> onnx.ModelProto:
    x = net.conv(net.first(), net.trinary(6, 4, 3, 3))
    clamped, hard = net.add("Clip", x, f32(0), f32(1)), net.step(x)
    return net.last(net.add("Add", clamped, net.add("Sub", hard, clamped)), 6)


@family
def straight_through_differences(net: Net) -> onnx.ModelProto:
    """hard + (x - x), as (x >= 0).float() + x - x.detach() leaves it, and x + (hard - x)."""
    x = net.conv(net.first(), net.trinary(6, 4, 3, 3))
    x = net.add("Add", net.step(x), net.add("Sub", x, x))
    x = net.add("Conv", x, net.trinary(6, 6, 1, 1), net.rng.integers(-2, 3, 6).astype(f32) + f32(0.25))
    return net.last(net.add("Add", x, net.add("Sub", net.step(x, 0), x)), 6)


@family
def clamps_as_maximum_and_minimum(net: Net) -> onnx.ModelProto:
    """tf2onnx's clip_by_value, PyTorch's clamp without the exporter's optimiser; a bound a channel."""
    x = net.add("Conv", net.first(), net.trinary(6, 4, 3, 3), net.real(6))
    x = net.add("Round", net.add("Min", net.add("Max", x, f32(0)), f32(1)))
    x = net.add("Conv", x, net.trinary(6, 6, 1, 1), net.real(6))
    x = net.add("Max", net.add("Min", net.rng.random((6, 1, 1)).astype(f32) + f32(0.5), x), f32(0))
    return net.last(net.step(x, 0.25), 6)


@family
def piecewise_linear_activations(net: Net) -> onnx.ModelProto:
    """HardSigmoid, HardSwish, LeakyRelu, PRelu, ThresholdedRelu between a sum and its comparison."""
    net.opset = 18
    x = net.first()
    for op_type, more, attributes in (
        ("HardSigmoid", (), {"alpha": 1 / 6}),
        ("HardSwish", (), {}),
        ("LeakyRelu", (), {"alpha": 0.1}),
        ("PRelu", (net.rng.random((4, 1, 1)).astype(f32),), {}),
        ("ThresholdedRelu", (), {"alpha": 0.5}),
    ):
        x = net.add("Conv", x, net.trinary(4, 4, 3, 3), net.real(4), pads=[1] * 4)
        x = net.add(op_type, x, *more, **attributes)
        x = net.add("Round", x) if op_type == "HardSigmoid" else net.step(x, 0.2)
    return net.last(x, 4)


@family
def sigmoid_then_round(net: Net) -> onnx.ModelProto:
    x = net.add("Conv", net.first(), net.trinary(6, 4, 3, 3), net.real(6))
    return net.last(net.add("Round", net.add("Sigmoid", x)), 6)


@family
def clamp_then_round(net: Net) -> onnx.ModelProto:
    x = net.add("Conv", net.first(), net.trinary(6, 4, 3, 3), net.real(6))
    return net.last(net.add("Round", net.add("Clip", x, f32(0), f32(1))), 6)


@family
def hard_sigmoid_then_round(net: Net) -> onnx.ModelProto:
    """On sums that are often 0, where the hard sigmoid is 1/2 and rounds to 0; as one node, and in three."""
    x = net.add("Round", net.add("HardSigmoid", net.conv(net.first(), net.trinary(6, 4, 3, 3)), alpha=1 / 6))
    x = net.add("Add", net.conv(x, net.trinary(6, 6, 3, 3)), f32(3))
    return net.last(net.add("Round", net.add("Div", net.add("Clip", x, f32(0), f32(6)), f32(6))), 6)


@family
def last_sign_read_by_the_host(net: Net) -> onnx.ModelProto:
    x = net.add("Conv", net.first(), net.trinary(6, 4, 3, 3), net.real(6))
    return net.model(net.add("GlobalAveragePool", net.add("Sign", x)))


@family
def sign_of_never_zero(net: Net) -> onnx.ModelProto:
    x = net.conv(net.input(1, 8, 8), net.real(4, 1, 3, 3), 1)
    x = net.add("Conv", net.add("Sign", x), net.signs(6, 4, 3, 3), net.real(6))
    x = net.add("Conv", net.add("Sign", x), net.signs(6, 6, 1, 1), net.real(6))
    return net.model(net.add("Sign", x))


@family
def binary_network(net: Net) -> onnx.ModelProto:
    x = net.sign(net.conv(net.input(1, 8, 8), net.real(4, 1, 3, 3), 1))
    x = net.sign(net.norm(net.conv(x, net.signs(6, 4, 3, 3), 1), 6))
    x = net.sign(net.norm(net.conv(x, net.signs(6, 6, 3, 3), 1, strides=[2, 2]), 6))
    return net.model(net.add("GlobalAveragePool", x))


@family
def larq_ste_sign_nhwc(net: Net) -> onnx.ModelProto:
    """tf2onnx writes ste_sign as sign(sign(x) + 0.1), and a Transpose on either side of a convolution."""

    def ste_sign(x: str) -> str:
        return str(net.add("Sign", net.add("Add", net.add("Sign", x), f32(0.1))))

    def conv_nhwc(x: str, weight: Array) -> str:
        x = net.conv(str(net.add("Transpose", x, perm=[0, 3, 1, 2])), weight, 1)
        return str(net.add("Transpose", x, perm=[0, 2, 3, 1]))

    x = ste_sign(conv_nhwc(net.input(8, 8, 1), net.real(4, 1, 3, 3)))
    x = conv_nhwc(x, net.signs(6, 4, 3, 3))
    x = ste_sign(net.add("Add", net.add("Mul", x, net.real(6)), net.real(6)))
    return net.model(net.add("MatMul", net.add("Reshape", x, np.array([-1, 384])), net.real(384, 5)))


@family
def larq_ste_heaviside_nhwc(net: Net) -> onnx.ModelProto:
    """tf2onnx writes ste_heaviside as sign(relu(x))."""
    x = net.add("Transpose", net.input(8, 8, 1), perm=[0, 3, 1, 2])
    x = net.add("Sign", net.add("Relu", net.conv(x, net.real(4, 1, 3, 3), 1)))
    x = net.add("Transpose", net.conv(x, net.trinary(6, 4, 3, 3), 1), perm=[0, 2, 3, 1])
    x = net.add("Add", net.add("Mul", x, net.real(6)), net.real(6))
    return net.model(net.add("Sign", net.add("Relu", x)))


@family
def scaled_activations(net: Net) -> onnx.ModelProto:
    x = net.add("Mul", net.first(), f32(0.7))
    x = net.add("Greater", net.conv(x, net.trinary(6, 4, 3, 3)), f32(0.5))
    return net.last(net.add("Where", x, f32(0.3), f32(0)), 6)


@family
def scaled_activations_and_weights(net: Net) -> onnx.ModelProto:
    """Products of the two scales that are no float32 numbers."""
    x = net.add("Mul", net.first(), f32(0.7))
    for out, weight in ((6, net.trinary(6, 4, 3, 3)), (5, net.rng.integers(-4, 4, (5, 6, 1, 1)))):
        x = net.norm(net.conv(x, weight.astype(f32) * f32(net.rng.uniform(0.1, 2))), out)
        x = net.add("Where", net.add("Greater", x, f32(0.3)), f32(0.3), f32(0))
    return net.last(x, 5)


@family
def qdq_activations_and_weights(net: Net) -> onnx.ModelProto:
    """int8 weights -127, 0, 127 with a scale a channel; a Q/DQ pair behind every activation."""
    codes = (net.trinary(6, 4, 3, 3) * 127).astype(np.int8)
    scale = (net.rng.random(6) / 127).astype(f32)
    weight = net.add("DequantizeLinear", codes, scale, np.zeros(6, np.int8), axis=0)
    x = net.first()
    for operand in (weight, net.trinary(5, 6, 1, 1)):
        code = net.add("QuantizeLinear", x, f32(1), np.uint8(0))
        x = net.step(net.add("Conv", net.add("DequantizeLinear", code, f32(1), np.uint8(0)), operand))
    return net.model(x)


@family
def qonnx_trinary_weights(net: Net) -> onnx.ModelProto:
    """Brevitas: latent weights through a 2-bit Quant, activations through a 1-bit one."""
    x = net.norm(net.conv(net.input(1, 8, 8), net.real(4, 1, 3, 3), 1), 4)
    for out, channels, kernel in ((6, 4, 3), (5, 6, 1)):
        x = net.add("Quant", x, f32(1), f32(0), f32(1), domain=QONNX, signed=0, narrow=0, rounding_mode="ROUND")
        latent = net.real(out, channels, kernel, kernel)
        weight = net.add("Quant", latent, f32(0.75), f32(0), f32(2), domain=QONNX, signed=1, narrow=1)
        x = net.norm(net.add("Conv", x, weight), out)
    return net.model(net.add("Quant", x, f32(1), f32(0), f32(1), domain=QONNX, signed=0, narrow=0))


@family
def qonnx_bipolar(net: Net) -> onnx.ModelProto:
    """Brevitas: weights and activations through BipolarQuant, each with a scale."""
    x = net.norm(net.conv(net.input(1, 8, 8), net.real(4, 1, 3, 3), 1), 4)
    for out, channels in ((6, 4), (6, 6)):
        x = net.add("BipolarQuant", x, f32(0.5), domain=QONNX)
        weight = net.add("BipolarQuant", net.real(out, channels, 3, 3), f32(0.3), domain=QONNX)
        x = net.norm(net.add("Conv", x, weight, pads=[1] * 4), out)
    return net.model(net.add("BipolarQuant", x, f32(1), domain=QONNX))


@family
def qonnx_trunc(net: Net) -> onnx.ModelProto:
    """Sums whose lowest bits Trunc drops, rounding down, before the comparison."""
    x = net.conv(net.first(), net.trinary(6, 4, 3, 3))
    x = net.add("Trunc", x, f32(1), f32(0), f32(8), f32(7), domain=QONNX, rounding_mode="FLOOR")
    return net.last(net.step(x, 1), 6)


@family
def qonnx_wide_weights(net: Net) -> onnx.ModelProto:
    """Brevitas: weights of 3 and of 4 bits with scales that make their products round."""
    x = net.norm(net.conv(net.input(1, 8, 8), net.real(4, 1, 3, 3), 1), 4)
    for out, channels, kernel, bits in ((6, 4, 3, 4), (5, 6, 1, 3)):
        x = net.add("Quant", x, f32(1), f32(0), f32(1), domain=QONNX, signed=0, narrow=0, rounding_mode="ROUND")
        scale = f32(net.rng.uniform(0.05, 0.2))
        latent = net.real(out, channels, kernel, kernel) * scale * f32(1 << bits - 2)
        weight = net.add("Quant", latent, scale, f32(0), f32(bits), domain=QONNX, signed=1, narrow=0)
        x = net.norm(net.add("Conv", x, weight), out)
    return net.model(net.add("Quant", x, f32(1), f32(0), f32(1), domain=QONNX, signed=0, narrow=0))


@family
def qdq_wide_weights(net: Net) -> onnx.ModelProto:
    """int8 codes -8..7 and -4..3 with a scale a channel."""
    x = net.first()
    for out, channels, kernel, bits in ((6, 4, 3, 4), (5, 6, 1, 3)):
        codes = net.rng.integers(-(1 << bits - 1), 1 << bits - 1, (out, channels, kernel, kernel)).astype(np.int8)
        scale = net.rng.uniform(0.01, 0.2, out).astype(f32)
        weight = net.add("DequantizeLinear", codes, scale, np.zeros(out, np.int8), axis=0)
        x = net.step(net.add("Conv", x, weight))
    return net.model(x)


@family
def sign_shifted_to_spikes(net: Net) -> onnx.ModelProto:
    """(sign(x) + 1) / 2 on sums that are never 0, and 1 - (1 - sign(x)) / 2."""
    x = net.conv(net.input(1, 8, 8), net.real(4, 1, 3, 3), 1)
    x = net.add("Div", net.add("Add", net.add("Sign", x), f32(1)), f32(2))
    x = net.add("Sign", net.add("Conv", x, net.trinary(6, 4, 3, 3), net.real(6)))
    x = net.add("Mul", net.add("Add", x, f32(1)), f32(0.5))
    x = net.add("Sign", net.add("Conv", x, net.trinary(6, 6, 1, 1), net.real(6)))
    return net.model(net.add("Sub", f32(1), net.add("Div", net.add("Sub", f32(1), x), f32(2))))
