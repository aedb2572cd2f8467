"""QONNX's quantizers and ONNX's quantised (QDQ) models, against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from support.onnx_models import model, node, run

import tncc
from bench.zoo import ZOO, frames
from tncc import CompileError
from tncc.frontends.onnx import load
from tncc.ir import interpreter, ops

Array = npt.NDArray[Any]
DOMAIN = "qonnx.custom_op.general"
f32 = np.float32

ROUNDINGS = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + f32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - f32(0.5)),
}


def quant(x: Array, scale: Any, zero_point: Any, bits: int, signed: int, narrow: int, mode: str) -> Array:
    """QONNX's definition of Quant."""
    y = x / f32(scale) + f32(zero_point)
    if bits == 1 and signed:
        y = np.where(y >= 0, f32(1), f32(-1))
    else:
        low = -(2 ** (bits - 1)) + narrow if signed else 0
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
        y = ROUNDINGS[mode](np.clip(y, f32(low), f32(high)))
    return np.asarray((y - f32(zero_point)) * f32(scale), np.float32)


def quantizer(op_type: str, *parameters: Any, domain: str = DOMAIN, opset: int = 17, **attributes: Any) -> Any:
    names = [f"p{i}" for i in range(len(parameters))]
    return model(
        [node(op_type, " ".join(["x", *names]), "y", name="q", domain=domain, **attributes)],
        {"x": ("n", 2, 50)},
        ["y"],
        dict(zip(names, (f32(p) for p in parameters), strict=True)),
        opset=opset,
        extra_domains=[domain],
    )


X = np.concatenate([np.arange(-50, 50) / 8, np.random.default_rng(0).normal(size=100) * 3]).astype(np.float32)
X = X.reshape(2, 2, 50)


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize(
    ("bits", "signed", "narrow"), [(1, 0, 0), (1, 1, 0), (2, 1, 1), (2, 1, 0), (4, 0, 1), (8, 1, 0)]
)
def test_quant(mode: str, bits: int, signed: int, narrow: int) -> None:
    scale, zero_point = 0.375, 0 if signed else 1
    proto = quantizer("Quant", scale, zero_point, bits, signed=signed, narrow=narrow, rounding_mode=mode)
    loaded = load(proto)
    expected = quant(X, scale, zero_point, bits, signed, narrow, mode)
    np.testing.assert_array_equal(run(loaded.model, {"x": X})["y"], expected)
    np.testing.assert_array_equal(interpreter.run(loaded.graph, {"x": X})["y"], expected)
    assert all(str(op.location).startswith("q/") for op in loaded.graph.ops)


@pytest.mark.parametrize("opset", [11, 13, 21])
@pytest.mark.parametrize("domain", ["onnx.brevitas", "finn.custom_op.general"])
def test_bipolar_quant(domain: str, opset: int) -> None:
    loaded = load(quantizer("BipolarQuant", 0.25, domain=domain, opset=opset))
    x = np.where(np.abs(X) < 1, f32(0), X)
    expected = np.where(x >= 0, f32(0.25), f32(-0.25))
    np.testing.assert_array_equal(run(loaded.model, {"x": x})["y"], expected)
    np.testing.assert_array_equal(interpreter.run(loaded.graph, {"x": x})["y"], expected)


def test_unit_quantizers_are_binary_activations() -> None:
    assert load(quantizer("Quant", 1, 0, 1, signed=0, narrow=0)).graph.types["y"].domain == "spikes"
    assert load(quantizer("BipolarQuant", 1)).graph.types["y"].domain == "signs"
    assert load(quantizer("Quant", 1, 0, 1, signed=1, narrow=0)).graph.types["y"].domain == "signs"


@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL"])
def test_trunc(mode: str) -> None:
    """Version 1: drops the lowest bits of an integer."""
    loaded = load(quantizer("Trunc", 0.25, 0, 8, 5, rounding_mode=mode))
    expected = ROUNDINGS[mode](np.rint(X / f32(0.25)) / f32(8)) * f32(0.25)
    np.testing.assert_array_equal(run(loaded.model, {"x": X})["y"], expected)


def test_trunc_version_2() -> None:
    loaded = load(quantizer("Trunc", 0.25, 0, 8, 1.0, 3, rounding_mode="FLOOR", signed=1, narrow=0))
    expected = np.floor(np.clip(np.rint(X / f32(0.25)) / f32(4), -4, 3)) * f32(1)
    np.testing.assert_array_equal(run(loaded.model, {"x": X})["y"], expected)


def test_latent_weights_are_evaluated() -> None:
    latent = np.array([[0.6, -0.2, -0.9], [1.5, 0.49, 0.1]], np.float32)
    proto = model(
        [
            node("Quant", "latent scale zero bits", "w", domain=DOMAIN, signed=1, narrow=1, rounding_mode="ROUND"),
            node("Transpose", "w", "t", perm=[1, 0]),
            node("MatMul", "x t", "y"),
        ],
        {"x": ("n", 3)},
        ["y"],
        {"latent": latent, "scale": f32([[0.5], [1]]), "zero": f32(0), "bits": f32(2)},
        extra_domains=[DOMAIN],
    )
    (linear,) = load(proto).graph.ops
    assert isinstance(linear, ops.Linear)
    np.testing.assert_array_equal(linear.weight, [[0.5, 0, -0.5], [1, 0, 0]])


def test_parameters_must_be_constants() -> None:
    proto = model(
        [node("BipolarQuant", "x s", "y", name="q", domain=DOMAIN)],
        {"x": ("n", 3), "s": ("n", 1)},
        ["y"],
        extra_domains=[DOMAIN],
    )
    with pytest.raises(CompileError) as caught:
        load(proto)
    assert str(caught.value) == (
        "q: BipolarQuant: the scale is not a constant\n"
        "  hint: export with quantizers whose parameters are fixed (model.eval())"
    )


def test_bit_width_and_rounding_mode() -> None:
    for bits in (0, 2.5, 99):
        with pytest.raises(CompileError) as caught:
            load(quantizer("Quant", 1, 0, bits, signed=1, narrow=0))
        assert str(caught.value) == "q: Quant: the bit width must be one whole number from 1 to 24"
    with pytest.raises(CompileError) as caught:
        load(quantizer("Quant", 1, 0, 4, signed=1, narrow=0, rounding_mode="SIDEWAYS"))
    assert str(caught.value) == (
        "q: Quant: unknown rounding mode SIDEWAYS\n"
        "  hint: known are ROUND, HALF_EVEN, CEIL, FLOOR, UP, DOWN, HALF_UP and HALF_DOWN"
    )


# --- QDQ -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [11, 13, 19])
@pytest.mark.parametrize("zero_point", [np.uint8(0), np.uint8(3), np.int8(-5), None])
def test_quantize_and_dequantize(zero_point: Any, opset: int) -> None:
    constants = {"s": f32(0.25)} | ({} if zero_point is None else {"z": zero_point})
    tail = "" if zero_point is None else " z"
    proto = model(
        [node("QuantizeLinear", f"x s{tail}", "q"), node("DequantizeLinear", f"q s{tail}", "y")],
        {"x": ("n", 2, 50)},
        ["y"],
        constants,
        opset=opset,
    )
    loaded = load(proto)
    np.testing.assert_array_equal(interpreter.run(loaded.graph, {"x": X * 9})["y"], run(proto, {"x": X * 9})["y"])


def test_quantized_per_channel() -> None:
    constants = {"s": f32([0.25, 0.5]), "z": np.int8([1, -2])}
    proto = model(
        [node("QuantizeLinear", "x s z", "q", axis=1), node("DequantizeLinear", "q s z", "y", axis=1)],
        {"x": ("n", 2, 50)},
        ["y"],
        constants,
    )
    loaded = load(proto)
    np.testing.assert_array_equal(interpreter.run(loaded.graph, {"x": X * 9})["y"], run(proto, {"x": X * 9})["y"])


def test_pairs_on_spikes_are_no_ops() -> None:
    proto = model(
        [
            node("Greater", "x h", "b"),
            node("Cast", "b", "c", to=1),
            node("QuantizeLinear", "c one z", "q"),
            node("DequantizeLinear", "q one z", "y"),
        ],
        {"x": ("n", 3)},
        ["y"],
        {"h": f32(0.5), "one": f32(1), "z": np.uint8(0)},
    )
    assert load(proto).graph.types["y"].domain == "spikes"


def test_int8_weights() -> None:
    """Weights as ONNX Runtime's quantizer writes them: -127, 0, 127 with a scale a channel."""
    codes = np.array([[127, 0, -127], [-127, 127, 0]], np.int8)
    scale = f32([0.5 / 127, 0.25 / 127])
    proto = model(
        [
            node("Clip", "codes low high", "clipped"),
            node("DequantizeLinear", "clipped s z", "w", axis=0),
            node("Gemm", "x w", "y", transB=1),
        ],
        {"x": ("n", 3)},
        ["y"],
        {"codes": codes, "s": scale, "z": np.int8([0, 0]), "low": np.int8(-127), "high": np.int8(127)},
    )
    (linear,) = load(proto).graph.ops
    assert isinstance(linear, ops.Linear)
    np.testing.assert_array_equal(linear.weight, codes * scale[:, None])
    assert [len(np.unique(np.abs(row))) for row in linear.weight] == [2, 2]


@pytest.mark.parametrize("name", ["qonnx_trinary_weights", "qonnx_bipolar", "qonnx_trunc"])
def test_qonnx_runs_the_models_alike(name: str) -> None:
    """The chip against qonnx's own execution of the source model, quantizers and all."""
    pytest.importorskip("qonnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    for seed in range(3):
        rng = np.random.default_rng(seed)
        proto = ZOO[name](rng)
        (given,), (returned,) = proto.graph.input, proto.graph.output
        x = frames(proto, 100, rng)[given.name]
        found = tncc.compile(proto, effort="low").run(x)
        fixed = onnx.ModelProto()  # qonnx runs models of fixed shape
        fixed.CopyFrom(proto)
        fixed.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info(given.name, 1, x.shape))
        fixed.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(returned.name, 1, np.shape(found)))
        del fixed.graph.value_info[:]
        expected = execute_onnx(ModelWrapper(fixed).transform(InferShapes()), {given.name: x})[returned.name]
        np.testing.assert_array_equal(found, expected)


def test_real_qonnx_definitions() -> None:
    """The definitions above are those of the qonnx package, where it is installed."""
    module = pytest.importorskip("qonnx.custom_op.general.quant")
    for bits, signed, narrow in ((1, 0, 0), (2, 1, 1), (4, 0, 1), (8, 1, 0)):
        for mode in ROUNDINGS:
            found = module.quant(X, f32(0.375), f32(1), np.array(bits, np.float32), signed, narrow, mode)
            np.testing.assert_array_equal(found, quant(X, 0.375, 1, bits, signed, narrow, mode))


def test_model_bytes_with_quantizers_round_trip() -> None:
    proto = quantizer("Quant", 0.5, 0, 2, signed=1, narrow=1)
    cleaned = load(proto).model
    onnx.checker.check_model(cleaned, full_check=True)
    assert load(cleaned).graph.ops[-1] == load(proto).graph.ops[-1]


def test_tensors_called_as_those_of_a_quantizer_would_be() -> None:
    proto = quantizer("Quant", 0.5, 0, 2, signed=1, narrow=0, rounding_mode="ROUND")
    proto.graph.node.extend([node("Add", "y y/c0", "y/1"), node("Mul", "y/1 y/1", "z")])
    proto.graph.initializer.append(onnx.numpy_helper.from_array(f32(3), "y/c0"))
    proto.graph.output[0].name = "z"
    expected = (quant(X, 0.5, 0, 2, 1, 0, "ROUND") + f32(3)) ** 2
    np.testing.assert_array_equal(run(load(proto).model, {"x": X})["z"], expected)
