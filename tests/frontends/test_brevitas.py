"""Networks that Brevitas exports: conv, batch norm, activation, twice; linear, activation, class vote.

Some are made here; some were made by version 0.13.4 and stored, for versions of Brevitas to come.
data/*.onnx by export_qonnx and export_onnx_qcdq; data/*.npy is what Brevitas's own PyTorch modules returned for the
frames below. Trinary and binary weights with a scale; step activations (x >= 0) and signs {-1, +1} (BipolarQuant);
the middle layer pads its input with zeros, which are neither -1 nor +1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_models import run

import tncc
from tncc.frontends.onnx import load

MODELS = sorted((Path(__file__).parent / "data").glob("brevitas_*.onnx"))
X = np.random.default_rng(0).normal(size=(16, 1, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("path", MODELS, ids=[path.stem for path in MODELS])
def test_brevitas_exports(path: Path) -> None:
    expected = np.load(path.with_suffix(".npy"))
    assert len(np.unique(expected, axis=0)) > 5
    loaded = load(path)
    (name,) = [value.name for value in loaded.graph.inputs]
    np.testing.assert_array_equal(next(iter(run(loaded.model, {name: X}).values())), expected)
    program = tncc.compile(path)
    np.testing.assert_array_equal(program.run(X), expected)
    assert program.report()["exact"]


def test_all_kinds_are_there() -> None:
    assert [path.stem.removeprefix("brevitas_") for path in MODELS] == [
        "qcdq_trinary_steps",
        "qonnx_binary_signs",
        "qonnx_trinary_signs",
        "qonnx_trinary_steps",
    ]


def network(weights: str, activations: str, seed: int) -> Any:
    """A random network in PyTorch, with Brevitas's layers."""
    import brevitas.nn as quantized
    import torch
    from brevitas.quant import (
        SignedBinaryActPerTensorConst,
        SignedBinaryWeightPerTensorConst,
        SignedTernaryWeightPerTensorConst,
    )

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)

    class Trinary(SignedTernaryWeightPerTensorConst):  # type: ignore[misc]  # Brevitas is not typed
        scaling_const, threshold = float(rng.uniform(0.3, 0.9)), 0.3

    class Binary(SignedBinaryWeightPerTensorConst):  # type: ignore[misc]
        scaling_const = float(rng.uniform(0.3, 0.9))

    class Signs(SignedBinaryActPerTensorConst):  # type: ignore[misc]
        scaling_const = float(rng.choice([1.0, 0.5]))

    class Steps(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return (x >= 0).float()

    def activation() -> Any:
        return Steps() if activations == "steps" else quantized.QuantIdentity(act_quant=Signs)

    def norm(channels: int) -> Any:
        layer = torch.nn.BatchNorm2d(channels)
        layer.weight.data, layer.bias.data = torch.randn(channels), torch.randn(channels)
        layer.running_mean, layer.running_var = torch.randn(channels), torch.rand(channels) + 0.5
        return layer

    quant = {"weight_quant": Trinary if weights == "trinary" else Binary, "bias": False}
    width = int(rng.integers(2, 5))
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, width, 3, padding=1),
        activation(),
        quantized.QuantConv2d(width, 2 * width, 3, padding=1, stride=2, **quant),
        norm(2 * width),
        activation(),
        quantized.QuantConv2d(2 * width, 6, 1, **quant),
        norm(6),
        activation(),
        torch.nn.Flatten(),
        torch.nn.Linear(96, 4),
    ).eval()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("form", "weights", "activations"),
    [
        ("qonnx", "trinary", "steps"),
        ("qonnx", "trinary", "signs"),
        ("qonnx", "binary", "steps"),
        ("qonnx", "binary", "signs"),
        ("qcdq", "trinary", "steps"),  # Brevitas has no QCDQ form of one bit
    ],
)
def test_exports_made_now(form: str, weights: str, activations: str, tmp_path: Path) -> None:
    """Two random networks of each kind: the chip's spikes are those of ONNX Runtime, on 100 frames."""
    pytest.importorskip("brevitas")
    import torch
    from brevitas.export import export_onnx_qcdq, export_qonnx

    for seed in range(2):
        model, path = network(weights, activations, seed), tmp_path / "model.onnx"
        export = export_qonnx if form == "qonnx" else export_onnx_qcdq
        export(model, args=torch.rand(1, 1, 8, 8), export_path=str(path), dynamo=False)
        x = np.random.default_rng(seed).normal(size=(100, 1, 8, 8)).astype(np.float32)
        loaded = load(path)
        (name,) = [value.name for value in loaded.graph.inputs]
        expected = next(iter(run(loaded.model, {name: x}).values()))
        program = tncc.compile(path, effort="low")
        np.testing.assert_array_equal(program.run(x), expected)
        assert program.report()["exact"]
        # PyTorch's own convolution adds up in another order than ONNX Runtime's, so the head's last bits differ
        own = model(torch.from_numpy(x))
        np.testing.assert_allclose(expected, getattr(own, "value", own).detach().numpy(), rtol=1e-4, atol=1e-5)
