"""The snippets of docs/models.md do what the page says."""

from __future__ import annotations

import io
import logging
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import tncc
from bench.zoo import differing_values

torch = pytest.importorskip("torch")
PAGE = Path(__file__).parents[2] / "docs" / "models.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
ACTIVATIONS = [snippet for snippet in SNIPPETS if "def activation" in snippet]


class Net(torch.nn.Module):
    """Real-valued convolution, trinary convolution with batch normalisation, trinary linear layer."""

    def __init__(self, activation: Any) -> None:
        super().__init__()
        self.activation = activation
        self.first = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.second = torch.nn.Conv2d(4, 6, 3, stride=2, bias=False)
        self.norm = torch.nn.BatchNorm2d(6)
        self.third = torch.nn.Linear(54, 10)
        for layer in (self.second, self.third):
            layer.weight.data = torch.randint(-1, 2, layer.weight.shape).float()
        self.norm.weight.data, self.norm.bias.data = torch.randn(6), torch.randn(6)

    def forward(self, x: Any) -> Any:
        x = self.activation(self.first(x))
        x = self.activation(self.norm(self.second(x)))
        return self.activation(self.third(x.flatten(1)))


def export(module: Any, dynamo: bool) -> onnx.ModelProto:
    frame = torch.rand(2, 1, 8, 8)
    if dynamo:
        shapes = ({0: torch.export.Dim("n")},)
        return torch.onnx.export(module, (frame,), dynamo=True, dynamic_shapes=shapes, verbose=False).model_proto
    file = io.BytesIO()
    torch.onnx.export(
        module, (frame,), file, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "n"}}
    )
    return onnx.load_from_string(file.getvalue())


def test_the_page_has_snippets() -> None:
    assert len(ACTIVATIONS) == 11 and len(SNIPPETS) == 17


@pytest.mark.parametrize("i", range(len(ACTIVATIONS)))
def test_activation(i: int) -> None:
    dynamo = "dynamo=True" in ACTIVATIONS[i]  # slow; test_torch_exports has more of it
    scope: dict[str, Any] = {"torch": torch}
    exec(ACTIVATIONS[i], scope)
    torch.manual_seed(5)
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = export(Net(scope["activation"]).eval(), dynamo)
    logging.disable(logging.NOTSET)
    program = tncc.compile(model, effort="low")
    x = np.random.default_rng(0).normal(size=(100, 1, 8, 8)).astype(np.float32)
    (name,) = [value.name for value in model.graph.input]
    assert differing_values(model, program, {name: x}) == 0


PRINTED = [("four_bits", "[4]"), ("class Down", "2"), ("quantize_static", "True"), ("AvgPool2d", "['-4..4', '-1..1']")]


@pytest.mark.parametrize(("word", "printed"), PRINTED)
def test_snippet_that_exports(
    word: str, printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (snippet,) = [snippet for snippet in SNIPPETS if word in snippet]
    torch.manual_seed(0)
    exec(snippet, {})
    assert capsys.readouterr().out.endswith(f"{printed}\n")
    x = np.random.default_rng(0).normal(size=(100, 1, 8, 8)).astype(np.float32)
    assert differing_values(onnx.load("model.onnx"), tncc.compile("model.onnx"), {"x": x}) == 0


def test_a_float_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    (snippet,) = [snippet for snippet in SNIPPETS if "twn" in snippet]
    torch.manual_seed(0)
    scope: dict[str, Any] = {}
    exec(snippet, scope)
    assert capsys.readouterr().out == "['frames', 'agreement', 'correlation', 'accuracy', 'float_accuracy']\n"
    assert scope["chip"].report()["exact"] is False


@pytest.mark.parametrize("bits", [3, 4])
def test_brevitas_with_weights_of_several_bits(bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("brevitas")
    monkeypatch.chdir(tmp_path)
    (snippet,) = [snippet for snippet in SNIPPETS if "brevitas" in snippet]
    wide = snippet.replace("weight_quant=Trinary", f"weight_quant=Int8WeightPerTensorFloat, weight_bit_width={bits}")
    assert wide != snippet
    # with fresh statistics, sums of 0 would lie on the boundary
    wide = wide.replace("export_qonnx(", "model[3].running_mean.normal_()\nexport_qonnx(")
    torch.manual_seed(bits)
    scope: dict[str, Any] = {}
    exec("from brevitas.quant import Int8WeightPerTensorFloat\n" + wide, scope)
    program = tncc.compile("model.onnx")
    x = np.random.default_rng(0).normal(size=(100, 1, 8, 8)).astype(np.float32)
    expected = scope["model"](torch.from_numpy(x))
    np.testing.assert_array_equal(program.run(x), getattr(expected, "value", expected).detach().numpy())
    assert program.metadata["layers"][0]["note"]["axons_per_input"] == bits
    assert program.report()["exact"]


def test_brevitas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("brevitas")
    monkeypatch.chdir(tmp_path)
    (snippet,) = [snippet for snippet in SNIPPETS if "brevitas" in snippet]
    torch.manual_seed(0)
    scope: dict[str, Any] = {}
    exec(snippet, scope)
    program = tncc.compile("model.onnx")
    x = np.random.default_rng(0).normal(size=(20, 1, 8, 8)).astype(np.float32)
    expected = scope["model"](torch.from_numpy(x))
    np.testing.assert_array_equal(program.run(x), getattr(expected, "value", expected).detach().numpy())
