"""Models as users bring them: `python -m bench.zoo [NAME ...]` compiles each and compares it with ONNX Runtime.

Every entry is a family: a function of a random generator. The tests draw other members of the same families.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

import tncc
from tncc.frontends.onnx import load

Array = npt.NDArray[Any]
QONNX = "qonnx.custom_op.general"
f32 = np.float32


@dataclass
class Net:
    """An ONNX model that grows node by node; methods return the name of the tensor they add."""

    rng: np.random.Generator
    opset: int = 17
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)

    def input(self, *shape: int, name: str = "x") -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape]))
        return name

    def const(self, value: Any) -> str:
        name = f"c{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, op_type: str, *operands: Any, outputs: int = 1, **attributes: Any) -> Any:
        """A node; operands are tensor names, or arrays that become constants."""
        names = [operand if isinstance(operand, str) else self.const(operand) for operand in operands]
        made = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op_type, names, made, f"{op_type}_{len(self.nodes)}", **attributes))
        return made[0] if outputs == 1 else made

    def model(self, *outputs: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, "zoo", self.inputs, [helper.make_empty_tensor_value_info(name) for name in outputs], self.stored
        )
        opsets = [helper.make_opsetid("", self.opset)]
        if any(node.domain == QONNX for node in self.nodes):
            opsets.append(helper.make_opsetid(QONNX, 1))
        made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        typed = onnx.shape_inference.infer_shapes(made)
        for value in typed.graph.output:
            if not value.type.WhichOneof("value"):
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        return typed

    # --- random constants ---------------------------------------------------------------------------------------

    def trinary(self, *shape: int) -> Array:
        return self.rng.integers(-1, 2, shape).astype(f32)

    def signs(self, *shape: int) -> Array:
        return self.rng.choice([f32(-1), f32(1)], shape)

    def real(self, *shape: int) -> Array:
        return self.rng.normal(size=shape).astype(f32)

    # --- pieces -------------------------------------------------------------------------------------------------

    def step(self, x: str, threshold: Any = 0.5) -> str:
        """x > threshold, as 0.0 or 1.0."""
        return str(self.add("Cast", self.add("Greater", x, f32(threshold)), to=1))

    def sign(self, x: str) -> str:
        """-1.0 or 1.0, never 0."""
        return str(self.add("Where", self.add("Less", x, f32(0)), f32(-1), f32(1)))

    def norm(self, x: str, channels: int) -> str:
        variance = self.rng.random(channels).astype(f32) + f32(0.5)
        parameters = self.real(channels), self.real(channels), self.real(channels), variance
        return str(self.add("BatchNormalization", x, *parameters))

    def conv(self, x: str, weight: Array, pad: int = 0, **attributes: Any) -> str:
        pads = [pad] * 2 * (weight.ndim - 2)
        return str(self.add("Conv", x, weight, **{"pads": pads, **attributes}))

    def first(self, channels: int = 4, size: int = 8) -> str:
        """A picture and the host's transduction layer: spikes [channels, size, size]."""
        return self.step(self.conv(self.input(1, size, size), self.real(channels, 1, 3, 3), 1), 0)

    def last(self, x: str, channels: int, out: int = 6) -> onnx.ModelProto:
        """A 1 x 1 layer and the end."""
        return self.model(self.step(self.conv(x, self.trinary(out, channels, 1, 1))))


Family = Callable[[np.random.Generator], onnx.ModelProto]
ZOO: dict[str, Family] = {}


def family(build: Callable[[Net], onnx.ModelProto]) -> Family:
    """Registers a function of an empty net under its own name."""

    def made(rng: np.random.Generator) -> onnx.ModelProto:
        return build(Net(rng))

    ZOO[build.__name__] = made
    return made


# --- shapes of networks ----------------------------------------------------------------------------------------------


@family
def plain(net: Net) -> onnx.ModelProto:
    x = net.conv(net.first(), net.trinary(6, 4, 3, 3))
    return net.last(net.step(net.norm(x, 6), 0), 6)


@family
def perceptron_with_real_head(net: Net) -> onnx.ModelProto:
    x = net.step(net.add("Gemm", net.add("Flatten", net.input(1, 8, 8)), net.real(64, 20)), 0)
    x = net.step(net.add("Gemm", x, net.trinary(30, 20), net.real(30), transB=1))
    x = net.step(net.add("Add", net.add("MatMul", x, net.trinary(30, 10)), net.real(10)))
    return net.model(net.add("Softmax", net.add("Gemm", x, net.real(10, 4), net.real(4)), axis=1))


@family
def speech_conv1d(net: Net) -> onnx.ModelProto:
    x = net.step(net.conv(net.input(2, 20), net.real(4, 2, 3), 1), 0)
    x = net.step(net.conv(x, net.trinary(6, 4, 3), strides=[2]))
    return net.model(net.step(net.conv(x, net.trinary(5, 6, 2))))


@family
def depthwise_separable(net: Net) -> onnx.ModelProto:
    return net.last(net.step(net.conv(net.first(), net.trinary(4, 1, 3, 3), 1, group=4)), 4)


@family
def dilated(net: Net) -> onnx.ModelProto:
    return net.last(net.step(net.conv(net.first(), net.trinary(6, 4, 3, 3), 2, dilations=[2, 2])), 6)


@family
def asymmetric_pads(net: Net) -> onnx.ModelProto:
    return net.last(net.step(net.conv(net.first(), net.trinary(6, 4, 3, 3), pads=[0, 1, 2, 0])), 6)


@family
def tensorflow_same_pads(net: Net) -> onnx.ModelProto:
    x = net.add("Conv", net.first(), net.trinary(6, 4, 4, 4), auto_pad="SAME_UPPER", strides=[2, 2])
    return net.last(net.step(x), 6)


@family
def average_pool_with_threshold(net: Net) -> onnx.ModelProto:
    x = net.add("AveragePool", net.first(), kernel_shape=[2, 2], strides=[2, 2])
    return net.last(net.step(x), 4)


@family
def max_pool_of_spikes(net: Net) -> onnx.ModelProto:
    return net.last(net.add("MaxPool", net.first(), kernel_shape=[2, 2], strides=[2, 2]), 4)


@family
def max_pool_before_threshold(net: Net) -> onnx.ModelProto:
    x = net.conv(net.first(), net.trinary(6, 4, 3, 3), 1)
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    return net.last(net.step(net.norm(x, 6), 0), 6)


@family
def residual_of_sums(net: Net) -> onnx.ModelProto:
    a = net.first()
    sums = net.conv(a, net.trinary(4, 4, 3, 3), 1)
    more = net.conv(net.step(sums), net.trinary(4, 4, 3, 3), 1)
    return net.model(net.step(net.add("Add", sums, more)))


@family
def residual_of_spikes(net: Net) -> onnx.ModelProto:
    a = net.first()
    b = net.step(net.conv(a, net.trinary(4, 4, 3, 3), 1))
    return net.last(net.add("Add", a, b), 4)


@family
def difference_of_spikes(net: Net) -> onnx.ModelProto:
    a = net.first()
    b, c = (net.step(net.conv(a, net.trinary(4, 4, 3, 3), 1)) for _ in range(2))
    x = net.add("Flatten", net.add("Sub", net.add("Add", a, b), c))
    return net.model(net.step(net.add("Gemm", net.add("Gather", x, np.arange(0, 256, 8), axis=1), net.trinary(32, 6))))


@family
def trinary_head_on_the_host(net: Net) -> onnx.ModelProto:
    """Scaled spikes, a pool and a sum that only the host's last layer reads."""
    x = net.step(net.conv(net.first(), net.trinary(4, 4, 3, 3), 1))
    pools = [net.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]) for y in (x, net.add("Mul", x, f32(0.5)))]
    heads = [net.add("MatMul", net.add("Flatten", pool), net.trinary(64, 10)) for pool in pools]
    return net.model(*heads, net.add("Conv", net.add("Add", x, x), net.trinary(2, 4, 1, 1)))


@family
def residual_then_threshold(net: Net) -> onnx.ModelProto:
    a = net.first()
    b = net.step(net.conv(a, net.trinary(4, 4, 3, 3), 1))
    return net.last(net.step(net.add("Add", a, b), 1), 4)


@family
def dense_concat(net: Net) -> onnx.ModelProto:
    a = net.first()
    b = net.step(net.conv(a, net.trinary(4, 4, 3, 3), 1))
    return net.last(net.add("Concat", a, b, axis=1), 8)


@family
def split_and_slice(net: Net) -> onnx.ModelProto:
    a, b = net.add("Split", net.first(), np.array([2, 2]), outputs=2, axis=1)
    a = net.step(net.conv(a, net.trinary(4, 2, 3, 3), 1))
    x = net.add("Concat", a, b, axis=1)
    return net.last(net.add("Slice", x, np.array([1, 2]), np.array([7, 8]), np.array([2, 3])), 6)


@family
def channel_shuffle(net: Net) -> onnx.ModelProto:
    x = net.step(net.conv(net.first(), net.trinary(8, 2, 3, 3), 1, group=2))
    x = net.add("Reshape", x, np.array([0, 2, 4, 8, 8]))
    x = net.add("Reshape", net.add("Transpose", x, perm=[0, 2, 1, 3, 4]), np.array([0, 8, 8, 8]))
    x = net.step(net.conv(x, net.trinary(8, 2, 3, 3), group=4))
    return net.last(net.add("Gather", x, net.rng.permutation(8), axis=1), 8)


@family
def branches_of_different_depth(net: Net) -> onnx.ModelProto:
    first = x = net.first(size=4)
    for _ in range(int(net.rng.integers(2, 19))):
        x = net.step(net.conv(x, net.trinary(4, 1, 1, 1), group=4))
    return net.last(net.add("Concat", first, x, axis=1), 8)


@family
def two_inputs(net: Net) -> onnx.ModelProto:
    a, b = net.step(net.input(2, 5, 5)), net.step(net.input(3, 5, 5, name="z"), 0)
    return net.last(net.add("Concat", a, b, axis=1), 5)


@family
def two_outputs(net: Net) -> onnx.ModelProto:
    spikes = net.step(net.conv(net.first(), net.trinary(4, 4, 3, 3)))
    more = net.step(net.conv(spikes, net.trinary(3, 4, 1, 1)))
    return net.model(spikes, net.add("GlobalAveragePool", more))


@family
def layers_that_share_spikes(net: Net) -> onnx.ModelProto:
    a = net.first()
    return net.model(*(net.step(net.conv(a, net.trinary(3, 4, k, k))) for k in (1, 3)))


@family
def dead_channels(net: Net) -> onnx.ModelProto:
    x = net.add("Conv", net.first(), net.trinary(4, 4, 3, 3), f32([-99, 99, 0, 0]))
    return net.last(net.step(x), 4)


@family
def upsampling(net: Net) -> onnx.ModelProto:
    x = net.add("Resize", net.first(size=4), "", f32([1, 1, 2, 2]), mode="nearest")
    x = net.step(net.conv(x, net.trinary(4, 4, 3, 3)))
    return net.last(net.add("DepthToSpace", x, blocksize=2), 1)


# --- sources ---------------------------------------------------------------------------------------------------------


@family
def clamped_straight_through(net: Net) -> onnx.ModelProto:
    x = net.conv(net.first(), net.trinary(6, 4, 3, 3))
    clamped, hard = net.add("Clip", x, f32(0), f32(1)), net.step(x)
    return net.last(net.add("Add", clamped, net.add("Sub", hard, clamped)), 6)


@family
def sigmoid_then_round(net: Net) -> onnx.ModelProto:
    x = net.add("Conv", net.first(), net.trinary(6, 4, 3, 3), net.real(6))
    return net.last(net.add("Round", net.add("Sigmoid", x)), 6)


@family
def clamp_then_round(net: Net) -> onnx.ModelProto:
    x = net.add("Conv", net.first(), net.trinary(6, 4, 3, 3), net.real(6))
    return net.last(net.add("Round", net.add("Clip", x, f32(0), f32(1))), 6)


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


# --- the table -------------------------------------------------------------------------------------------------------


def frames(model: onnx.ModelProto, count: int, rng: np.random.Generator) -> dict[str, Array]:
    """Random inputs by name."""
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim[1:]] for v in model.graph.input}
    return {name: rng.normal(size=(count, *shape)).astype(f32) for name, shape in shapes.items()}


def differing_values(model: onnx.ModelProto, program: tncc.Program, feeds: dict[str, Array]) -> int:
    """In how many output values the chip differs from ONNX Runtime, which runs QONNX's quantizers rewritten."""
    import onnxruntime

    runnable = load(model).model if any(node.domain == QONNX for node in model.graph.node) else model
    session = onnxruntime.InferenceSession(runnable.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    got = program.run(feeds if len(feeds) > 1 else next(iter(feeds.values())))
    given = got if isinstance(got, dict) else {names[0]: got}
    expected = dict(zip(names, session.run(names, feeds), strict=True))
    return sum(int(np.count_nonzero(given[name] != expected[name])) for name in names)


def main() -> None:
    chosen = sys.argv[1:] or list(ZOO)
    print(f"{'model':30}{'cores':>6}{'layers':>7}{'exact':>7}{'seconds':>9}")
    for name in chosen:
        rng = np.random.default_rng(0)
        model = ZOO[name](rng)
        start = time.perf_counter()
        try:
            program = tncc.compile(model)
        except tncc.Error as error:
            print(f"{name:30}refused: {error.message}")
            continue
        seconds = time.perf_counter() - start
        report = program.report()
        wrong = differing_values(model, program, frames(model, 100, rng))
        layers = len(report["cores_by_layer"])
        print(f"{name:30}{report['cores_used']:6}{layers:7}{'no' if wrong else 'yes':>7}{seconds:9.2f}")


if __name__ == "__main__":
    main()
