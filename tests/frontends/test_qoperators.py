"""Models that ONNX Runtime's static quantiser writes with quantised operators: equal to ONNX Runtime, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import tncc
from bench.zoo import differing_values, frames
from bench.zoo.net import Net, f32

Array = npt.NDArray[Any]


class Frames(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime is not typed
    """Feeds frames one by one."""

    def __init__(self, x: Array) -> None:
        self.left = iter([{"x": frame[None]} for frame in x])

    def get_next(self) -> dict[str, Array] | None:
        return next(self.left, None)


def quantised(model: onnx.ModelProto, x: Array, folder: Path, **options: Any) -> onnx.ModelProto:
    onnx.save(model, folder / "float.onnx")
    paths = folder / "float.onnx", folder / "quantised.onnx"
    quantize_static(*paths, Frames(x), quant_format=QuantFormat.QOperator, **options)
    return onnx.load(paths[1])


def network(rng: np.random.Generator) -> onnx.ModelProto:
    """A host layer, two convolutions, a linear layer; biases; a scale a channel."""
    net = Net(rng)
    scale = np.exp2(rng.integers(-2, 3, (6, 1, 1, 1))).astype(f32)
    x = net.step(net.add("Conv", net.first(), net.trinary(6, 4, 3, 3) * scale, net.real(6)))
    x = net.step(net.conv(x, net.trinary(5, 6, 1, 1)))
    x = net.step(net.add("Gemm", net.add("Flatten", x), net.trinary(180, 7), net.real(7)))
    return net.model(net.step(net.add("MatMul", x, net.trinary(7, 4))))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_static_quantiser(seed: int, per_channel: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    source = network(rng)
    # seven bits of weights: processors without dot products of bytes saturate pairs of products of eight
    options = {"weight_type": QuantType.QInt8, "per_channel": per_channel, "reduce_range": True}
    model = quantised(source, frames(source, 20, rng)["x"], tmp_path, **options)
    assert {"QLinearConv", "QLinearMatMul", "QGemm"} <= {node.op_type for node in model.graph.node}
    program = tncc.compile(model, effort="low")
    assert [layer["name"].split("_quant")[0] for layer in program.metadata["layers"]] == [
        "Conv_3",
        "Conv_6",
        "Gemm_10",
        "MatMul_13",
    ]
    assert program.report()["exact"]
    assert differing_values(model, program, frames(model, 100, rng)) == 0


def test_others_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    net = Net(rng)
    a = net.first()
    sums = [net.conv(a, net.trinary(4, 4, 3, 3), 1) for _ in range(2)]
    source = net.last(net.step(net.add("Add", *sums)), 4)
    model = quantised(source, frames(source, 20, rng)["x"], tmp_path, weight_type=QuantType.QInt8)
    (name,) = [node.name for node in model.graph.node if node.op_type == "QLinearAdd"]
    with pytest.raises(tncc.CompileError, match=f"^{name}: .* sums end in QLinearAdd, which only the host computes"):
        tncc.compile(model)
