"""Models as torch.onnx.export writes them, by both exporters. test_torch_opsets goes through the opsets."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from support.onnx_models import run

import tncc
from tncc.errors import CompileError
from tncc.frontends.onnx import load, split_host
from tncc.ir import ops

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("quiet")

F = torch.nn.functional


def straight_through(smooth: Any, hard: Any) -> Any:
    return smooth + (hard - smooth).detach()


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "ge": lambda x: (x >= 0).float(),
    "gt": lambda x: (x > 0.25).float(),
    "le": lambda x: (x <= 0).float(),
    "lt": lambda x: (x < 0).float(),
    "constant_left": lambda x: (x >= 0.25).float(),
    "per_channel": lambda x: (x > torch.linspace(-1, 1, x.shape[1]).reshape(1, -1, *[1] * (x.dim() - 2))).float(),
    "where": lambda x: torch.where(x > 0, 1.0, 0.0),
    "where_swapped": lambda x: torch.where(x < 0, torch.zeros_like(x), torch.ones_like(x)),
    "heaviside": lambda x: torch.heaviside(x, torch.tensor(1.0)),
    "not": lambda x: (~(x < 0)).float(),
    "clamp_detach": lambda x: straight_through(torch.clamp(x, 0, 1), (x >= 0.5).float()),
    "clamp_round": lambda x: torch.round(torch.clamp(x, 0, 1)),
}


class Net(torch.nn.Module):
    """Transduction, channel shuffles three ways, grouped convolution, pooling, linear layer, class vote."""

    def __init__(self, activation: Callable[[Any], Any], norm: bool) -> None:
        super().__init__()
        self.activation = activation
        self.conv1 = torch.nn.Conv2d(1, 8, 3, padding=1, bias=not norm)
        self.conv2 = torch.nn.Conv2d(8, 8, 3, groups=2, stride=2, padding=1, bias=not norm)
        self.norms = torch.nn.ModuleList([torch.nn.BatchNorm2d(8) if norm else torch.nn.Identity() for _ in range(2)])
        self.linear = torch.nn.Linear(128, 20)
        self.register_buffer("permutation", torch.randperm(8))
        for norm_layer in self.norms:
            if norm:
                norm_layer.weight.data = torch.randn(8)
                norm_layer.bias.data = torch.randn(8)
                norm_layer.running_mean = torch.randn(8)
                norm_layer.running_var = torch.rand(8) + 0.5

    def forward(self, x: Any) -> Any:
        def trinary(weight: Any) -> Any:
            return torch.clamp(torch.round(weight * 5), -1, 1)

        x = self.activation(self.norms[0](self.conv1(x)))
        x = x[:, self.permutation]
        x = F.conv2d(x, trinary(self.conv2.weight), self.conv2.bias, 2, 1, 1, 2)
        x = self.activation(self.norms[1](x))
        n = x.shape[0]
        x = x.view(n, 2, 4, 4, 4).transpose(1, 2).reshape(n, 8, 4, 4)
        x = x.flatten(1)
        x = self.activation(F.linear(x, trinary(self.linear.weight), self.linear.bias))
        return x.reshape(-1, 2, 10).mean(1)


def export(module: Any, example: Any, dynamo: bool, opset: int) -> onnx.ModelProto:
    module.eval()
    if dynamo:
        shapes = ({0: torch.export.Dim("n")},)
        program = torch.onnx.export(
            module, (example,), dynamo=True, dynamic_shapes=shapes, opset_version=opset, verbose=False
        )
        return program.model_proto  # type: ignore[no-any-return]
    file = io.BytesIO()
    torch.onnx.export(
        module,
        (example,),
        file,
        dynamo=False,
        opset_version=opset,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "n"}},
    )
    return onnx.load_from_string(file.getvalue())


CASES = [(name, False, opset) for name in ACTIVATIONS if name != "heaviside" for opset in (11, 17)]
CASES += [(name, True, 18) for name in ("heaviside", "clamp_detach")]
CASES += [("ge", False, 20), ("where", True, 23)]


@pytest.mark.parametrize(("name", "dynamo", "opset"), CASES)
def test_export(name: str, dynamo: bool, opset: int) -> None:
    torch.manual_seed(7)
    proto = export(Net(ACTIVATIONS[name], norm=True), torch.rand(2, 1, 8, 8), dynamo, opset)
    loaded = load(proto)
    kinds = [type(op) for op in loaded.graph.ops]
    assert kinds.count(ops.Conv2d) == 2 and kinds.count(ops.Linear) == 1
    assert kinds.count(ops.HostOp) == 1  # the class vote's mean
    assert all(set(np.unique(op.weight)) <= {-1, 0, 1} for op in loaded.graph.ops if isinstance(op, ops.Linear))
    types = loaded.graph.types
    weighted = [op for op in loaded.graph.ops if isinstance(op, ops.Conv2d | ops.Linear)][1:]
    assert all(types[op.inputs[0]].domain == "spikes" for op in weighted)
    x = np.random.default_rng(0).normal(size=(5, 1, 8, 8)).astype(np.float32)
    expected = run(proto, {"x": x})
    np.testing.assert_array_equal(list(run(loaded.model, {"x": x}).values()), list(expected.values()))
    # the host's part of it, with the boundary values passed along
    voted = next(op for op in loaded.graph.ops if isinstance(op, ops.HostOp)).inputs[0]
    for entering, leaving in ((weighted[0].inputs[0], voted), (weighted[0].inputs[0], weighted[1].inputs[0])):
        prefix, suffix = split_host(loaded.model, [entering], [leaving])
        assert prefix is not None and suffix is not None
        whole = onnx.ModelProto()
        whole.CopyFrom(loaded.model)
        whole.graph.output.append(onnx.ValueInfoProto(name=leaving))
        through = run(whole, {"x": x})[leaving].astype(np.float32)
        assert run(prefix, {"x": x})[entering].dtype == np.float32
        np.testing.assert_array_equal(list(run(suffix, {leaving: through}).values()), list(expected.values()))


@pytest.mark.parametrize("dynamo", [False, True])
def test_batch_of_one(dynamo: bool) -> None:
    """A model exported without dynamic shapes: batch 1 everywhere, in reshape targets too."""
    torch.manual_seed(3)
    net = Net(ACTIVATIONS["ge"], norm=False).eval()
    if dynamo:
        proto = torch.onnx.export(net, (torch.rand(1, 1, 8, 8),), dynamo=True, opset_version=18, verbose=False)
        proto = proto.model_proto
    else:
        file = io.BytesIO()
        torch.onnx.export(net, (torch.rand(1, 1, 8, 8),), file, dynamo=False, opset_version=17, input_names=["x"])
        proto = onnx.load_from_string(file.getvalue())
    loaded = load(proto)
    x = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
    one_by_one = np.concatenate([next(iter(run(proto, {"x": x[i : i + 1]}).values())) for i in range(4)])
    np.testing.assert_array_equal(next(iter(run(loaded.model, {"x": x}).values())), one_by_one)
    assert sum(isinstance(op, ops.HostOp) for op in loaded.graph.ops) == 1


FORMS: dict[str, Callable[[Any], Any]] = {
    **ACTIVATIONS,
    "heaviside_open": lambda x: torch.heaviside(x, torch.tensor(0.0)),
    "where_tensors": lambda x: torch.where(x > 0, torch.ones_like(x), torch.zeros_like(x)),
    "logical_not": lambda x: torch.logical_not(x <= 0.25).float(),
    "sigmoid_round": lambda x: torch.round(torch.sigmoid(x)),
    "hardsigmoid_round": lambda x: torch.round(torch.nn.functional.hardsigmoid(x)),
    "hardsigmoid_in_steps": lambda x: torch.round(torch.clamp(x + 3, 0, 6) / 6),
    "sigmoid_ge": lambda x: (torch.sigmoid(x) >= 0.5).float(),
    "sign": torch.sign,
    "sign_shifted": lambda x: (torch.sign(x) + 1) / 2,
    "sign_relu": lambda x: torch.sign(torch.relu(x)),
    "sign_where": lambda x: torch.where(x < 0, -1.0, 1.0),
    "through_sigmoid": lambda x: straight_through(torch.sigmoid(x), (x >= 0).float()),
    "through_round": lambda x: straight_through(torch.clamp(x, 0, 1), torch.round(torch.clamp(x, 0, 1))),
}
BY_DYNAMO_ALONE = ("heaviside", "heaviside_open")
FEATURES = 4  # of each form


class Branches(torch.nn.Module):
    """Spikes, then side by side a trinary layer with each form of activation, each read by one more layer."""

    def __init__(self, forms: list[str], bias: float) -> None:
        super().__init__()
        self.forms = forms
        self.first = torch.nn.Linear(6, 10)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(10, FEATURES) for _ in forms)
        self.behind = torch.nn.ModuleList(torch.nn.Linear(FEATURES, FEATURES) for _ in forms)
        for layer in (*self.layers, *self.behind):
            layer.weight.data = torch.randint(-1, 2, layer.weight.shape).float()
            layer.bias.data = torch.randint(-2, 3, (FEATURES,)) + bias

    def forward(self, x: Any) -> Any:
        spikes = (self.first(x) >= 0).float()
        branches = zip(self.forms, self.layers, self.behind, strict=True)
        return torch.cat([(behind(FORMS[form](layer(spikes))) >= 0).float() for form, layer, behind in branches], 1)


def exported(forms: list[str], dynamo: bool, opset: int, bias: float = 0.3) -> Any:
    torch.manual_seed(5)
    return export(Branches(forms, bias), torch.rand(2, 6), dynamo, opset)


@pytest.mark.parametrize("opset", [11, 17, 20])
def test_every_form(opset: int) -> None:
    forms = [name for name in FORMS if name not in BY_DYNAMO_ALONE]
    proto = exported(forms, False, opset)
    assert proto.opset_import[0].version == opset
    x = np.random.default_rng(opset).standard_normal((100, 6)).astype(np.float32)
    (expected,) = run(proto, {proto.graph.input[0].name: x}).values()
    chip = tncc.compile(proto, effort="low")
    found = chip.run(x)
    assert chip.report()["exact"] is True
    for i, name in enumerate(forms):
        part = slice(i * FEATURES, (i + 1) * FEATURES)
        assert len(np.unique(expected[:, part])) == 2, name
        np.testing.assert_array_equal(found[:, part], expected[:, part], err_msg=name)


@pytest.mark.parametrize("dynamo", [False, True])
def test_sign_of_zero(dynamo: bool) -> None:
    with pytest.raises(CompileError) as caught:
        tncc.compile(exported(["sign"], dynamo, 18, bias=0.0))
    assert "write x >= 0, cast to float, in its place" in str(caught.value)


def test_through_tanh(monkeypatch: pytest.MonkeyPatch) -> None:
    """tanh + (sign - tanh) is not -1 or +1 to the last bit, in the model itself."""
    through = lambda x: straight_through(torch.tanh(x), torch.where(x < 0, -1.0, 1.0))  # noqa: E731
    monkeypatch.setitem(FORMS, "through_tanh", through)
    with pytest.raises(CompileError) as caught:
        tncc.compile(exported(["through_tanh"], False, 17))
    assert "the model's float32 rounding decides the comparison" in str(caught.value)
