"""A small model in ONNX, compiled once, and a way to call the command line in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tncc
from tncc.cli import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """cli("run", path, ...) -> exit code, stdout, stderr."""

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["tncc", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return Result(int(left.value.code or 0), captured.out, captured.err)

    return call


def small_model(weight_scale: float = 1.0, second: str = "trinary") -> onnx.ModelProto:
    """Real convolution and >= on the host, two trinary layers on the chip, a vote on the host: 1x8x8 -> 4 classes."""
    rng = np.random.default_rng(7)
    w0 = rng.normal(size=(4, 1, 3, 3)).astype(np.float32)
    w1 = (rng.integers(-1, 2, size=(8, 4, 3, 3)) * weight_scale).astype(np.float32)
    if second == "real":
        w1 = rng.normal(size=(8, 4, 3, 3)).astype(np.float32)
    w2 = rng.integers(-1, 2, size=(16, 8, 1, 1)).astype(np.float32)
    b1 = (rng.integers(-3, 3, size=8) + 0.5).astype(np.float32)
    b2 = (rng.integers(-3, 3, size=16) + 0.5).astype(np.float32)
    zero = np.array(0, np.float32)
    values = {"w0": w0, "w1": w1, "w2": w2, "b1": b1, "b2": b2, "zero": zero, "vote": np.array([0, 4, 64], np.int64)}
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["a0"], name="Conv_0", pads=[1, 1, 1, 1]),
        helper.make_node("GreaterOrEqual", ["a0", "zero"], ["c0"], name="Compare_0"),
        helper.make_node("Cast", ["c0"], ["s0"], name="Cast_0", to=TensorProto.FLOAT),
        helper.make_node("Conv", ["s0", "w1", "b1"], ["a1"], name="Conv_1", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node(
            "Relu" if second == "relu" else "GreaterOrEqual",
            ["a1"] if second == "relu" else ["a1", "zero"],
            ["c1"],
            name="Compare_1",
        ),
        helper.make_node(
            "Identity" if second == "relu" else "Cast",
            ["c1"],
            ["s1"],
            name="Cast_1",
            **({} if second == "relu" else {"to": TensorProto.FLOAT}),
        ),
        helper.make_node("Conv", ["s1", "w2", "b2"], ["a2"], name="Conv_2"),
        helper.make_node("Greater", ["a2", "zero"], ["c2"], name="Compare_2"),
        helper.make_node("Cast", ["c2"], ["s2"], name="Cast_2", to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["s2", "vote"], ["r"], name="Reshape_0"),
        helper.make_node("ReduceSum", ["r", "axis"], ["scores2"], name="ReduceSum_0", keepdims=0),
        helper.make_node("Identity", ["scores2"], ["scores"], name="Identity_0"),
    ]
    values["axis"] = np.array([2], np.int64)
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(v, k) for k, v in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(40, 1, 8, 8)).astype(np.float32)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small_model(), path)
    return path


@pytest.fixture(scope="session")
def program(model_path: Path) -> tncc.Program:
    return tncc.compile(model_path)


@pytest.fixture
def chip_path(program: tncc.Program, tmp_path: Path) -> Path:
    path = tmp_path / "chip.tnbin"
    program.save(path)
    return path
