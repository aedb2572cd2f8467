"""Every form of activation that PyTorch writes, in every opset: one network with a branch for each form.

PyTorch 2.13's legacy exporter writes opsets 11 to 23, its dynamo exporter 18 and above, whatever it is asked for; the
graphs of opsets 11 to 17 are made of the latter's, by ONNX's converter and, where that knows no way, by hand.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import version_converter
from support.onnx_models import run

import tncc

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("quiet")

F = torch.nn.functional


class Step(torch.autograd.Function):
    """A straight-through estimator as an autograd.Function: the exporters see its forward."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient


def through(smooth: Any, hard: Any) -> Any:
    return smooth + (hard - smooth).detach()


FORMS: dict[str, Callable[[Any], Any]] = {
    "ge": lambda x: (x >= 0).float(),
    "gt_per_channel": lambda x: (x > torch.linspace(-1, 1, x.shape[1]).reshape(1, -1, *[1] * (x.dim() - 2))).float(),
    "le": lambda x: (x <= 0).float(),
    "lt": lambda x: (x < 0).type_as(x),
    "where": lambda x: torch.where(x > 0, 1.0, 0.0),
    "heaviside": lambda x: torch.heaviside(x, torch.tensor(1.0)),
    "clamp_round": lambda x: torch.round(torch.clamp(x, 0, 1)),
    "sigmoid_round": lambda x: torch.round(torch.sigmoid(x)),
    "hardsigmoid_round": lambda x: torch.round(F.hardsigmoid(x)),
    "leaky_ge": lambda x: (F.leaky_relu(x) >= 0.25).float(),
    "sign": torch.sign,
    "sign_shifted": lambda x: (torch.sign(x) + 1) / 2,
    "function": Step.apply,
    "detach_clamp": lambda x: through(torch.clamp(x, 0, 1), (x >= 0.5).float()),
    "detach_identity": lambda x: through(x, (x >= 0).float()),
    "detach_difference": lambda x: (x >= 0).float() + (x - x.detach()),
}
LEGACY = {name: "where" if name == "heaviside" else name for name in FORMS}  # its exporter knows no heaviside
FEATURES = 3


class Branches(torch.nn.Module):
    """Spikes; then, two forms each: residual sum, batch norm, one, maximum, linear layer, the other, linear layer."""

    def __init__(self, forms: list[str]) -> None:
        super().__init__()
        self.pairs = list(zip(forms[::2], forms[1::2], strict=True))
        self.first = torch.nn.Conv2d(1, FEATURES, 3, padding=1)
        make: dict[str, Callable[[], Any]] = {
            "conv": lambda: torch.nn.Conv2d(FEATURES, FEATURES, 3, padding=1),
            "norm": lambda: torch.nn.BatchNorm2d(FEATURES),
            "linear": lambda: torch.nn.Linear(4 * FEATURES, FEATURES),
            "last": lambda: torch.nn.Linear(FEATURES, FEATURES),
        }
        for name, layer in make.items():
            setattr(self, name, torch.nn.ModuleList(layer() for _ in self.pairs))
        for layer in (*self.conv, *self.linear):
            layer.weight.data = torch.randint(-1, 2, layer.weight.shape).float()
            layer.bias.data = torch.randint(-1, 2, layer.bias.shape) + 0.3
        for layer in self.last:  # whose spikes are those of the form before
            layer.weight.data, layer.bias.data = torch.eye(FEATURES), torch.full((FEATURES,), -0.5)
        for norm in self.norm:
            norm.weight.data, norm.bias.data = torch.rand(FEATURES) + 0.5, torch.randn(FEATURES)
            norm.running_mean, norm.running_var = torch.randn(FEATURES), torch.rand(FEATURES) + 0.5

    def forward(self, x: Any) -> Any:
        spikes = (self.first(x) >= 0).float()
        layers = zip(self.pairs, self.conv, self.norm, self.linear, self.last, strict=True)
        found = []
        for (form, other), conv, norm, linear, last in layers:
            y = F.max_pool2d(FORMS[form](norm(conv(spikes) + spikes)), 2)
            found.append((last(FORMS[other](linear(torch.flatten(y, 1)))) >= 0).float())
        return torch.cat(found, 1)


@pytest.fixture(scope="module")
def by_dynamo() -> onnx.ModelProto:
    """All forms in opset 18."""
    torch.manual_seed(3)
    shapes = ({0: torch.export.Dim("n")},)
    program = torch.onnx.export(
        Branches(list(FORMS)).eval(),
        (torch.rand(2, 1, 4, 4),),
        dynamo=True,
        dynamic_shapes=shapes,
        opset_version=18,
        verbose=False,
    )
    return program.model_proto  # type: ignore[no-any-return]


def by_legacy(opset: int) -> onnx.ModelProto:
    torch.manual_seed(3)
    file = io.BytesIO()
    torch.onnx.export(
        Branches(list(LEGACY.values())).eval(),
        (torch.rand(2, 1, 4, 4),),
        file,
        dynamo=False,
        opset_version=opset,
        input_names=["x"],
        dynamic_axes={"x": {0: "n"}},
    )
    return onnx.load_from_string(file.getvalue())


def converted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """In another opset: up as torch.onnx.export does it itself, down to 15 by ONNX's converter, and below by hand."""
    if opset > 18:
        onnxscript, onnx_ir = pytest.importorskip("onnxscript"), pytest.importorskip("onnx_ir")
        module = onnx_ir.from_proto(model)
        onnxscript.version_converter.convert_version(module, opset)
        return onnx_ir.to_proto(module)  # type: ignore[no-any-return]
    found = version_converter.convert_version(model, max(opset, 15))
    nodes = []
    for node in found.graph.node:
        known = onnx.defs.get_schema(node.op_type, max(opset, 12)).attributes
        kept = [a for a in node.attribute if a.name in known]  # training_mode and allowzero are new in opset 14
        del node.attribute[:]
        node.attribute.extend(kept)
        if opset < 12 and node.op_type in ("GreaterOrEqual", "LessOrEqual"):  # new in opset 12
            opposite = onnx.helper.make_node(
                "Less" if node.op_type == "GreaterOrEqual" else "Greater",
                node.input,
                [f"{node.output[0]}.not"],
                f"{node.name}.not",
            )
            nodes.append(opposite)
            node = onnx.helper.make_node("Not", opposite.output, node.output, node.name)
        nodes.append(node)
    del found.graph.node[:]
    found.graph.node.extend(nodes)
    found.opset_import[0].version = opset
    onnx.checker.check_model(found, full_check=True)
    return found


def check(model: onnx.ModelProto, opset: int) -> None:
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [opset]
    x = np.random.default_rng(opset).standard_normal((100, 1, 4, 4)).astype(np.float32)
    (expected,) = run(model, {model.graph.input[0].name: x}).values()
    assert all(len(np.unique(branch)) == 2 for branch in np.split(expected, len(FORMS) // 2, axis=1))
    chip = tncc.compile(model, effort="low")
    assert chip.report()["exact"] is True
    np.testing.assert_array_equal(chip.run(x), expected)


@pytest.mark.parametrize("opset", range(11, 24))
def test_dynamo(by_dynamo: onnx.ModelProto, opset: int) -> None:
    check(by_dynamo if opset == 18 else converted(by_dynamo, opset), opset)


@pytest.mark.parametrize("opset", range(11, 24))
def test_legacy(opset: int) -> None:
    check(by_legacy(opset), opset)
