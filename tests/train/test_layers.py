"""The layers' rounding, gradients and exactness of what is exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from tncc.train import (
    BatchNorm,
    ClassVote,
    GroupShuffle,
    SpikingActivation,
    Transduction,
    TrinaryConv2d,
    TrinaryLinear,
    export,
)
from tncc.train.layers import trinarize_with_hysteresis
from tncc.train.onnx_export import freeze


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def test_hysteresis_keeps_the_old_value_near_a_boundary() -> None:
    hidden = torch.tensor([-1.0, -0.61, -0.55, -0.39, 0.0, 0.41, 0.59, 0.6001, 0.41, 0.59])
    previous = torch.tensor([0.0, 0.0, 0.0, -1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    expected = torch.tensor([-1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    assert torch.equal(trinarize_with_hysteresis(hidden, previous, 0.1), expected)


def test_hidden_weights_get_the_gradient_of_the_trinary_ones() -> None:
    layer = TrinaryConv2d(4, 6, 3, padding=1, groups=2)
    x = torch.randn(2, 4, 5, 5)
    layer(x).square().sum().backward()
    weight = layer.trinary.clone().double().requires_grad_()
    doubled = x.double()
    assert torch.autograd.gradcheck(lambda w: nn.functional.conv2d(doubled, w, None, 1, 1, 1, 2).square().sum(), weight)
    nn.functional.conv2d(doubled, weight, None, 1, 1, 1, 2).square().sum().backward()
    assert torch.allclose(layer.hidden.grad.double(), weight.grad, rtol=1e-4, atol=1e-3)


def test_spike_gradient_is_a_triangle() -> None:
    x = torch.tensor([-1.5, -1.0, -0.25, 0.0, 0.75, 2.0], requires_grad=True)
    y = SpikingActivation()(x)
    assert y.tolist() == [0, 0, 0, 1, 1, 1]
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0.75, 1.0, 0.25, 0]


def test_softened_spikes_have_the_true_gradient_and_spike_when_evaluated() -> None:
    layer = SpikingActivation().double()
    layer.soften(1)
    x = torch.tensor([-1.5, -0.75, -0.25, 0.25, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: layer(v).pow(2).sum(), x)
    assert layer(torch.tensor([-2.0, -1, 0, 1, 2], requires_grad=True)).tolist() == [0, 0, 0.5, 1, 1]
    layer.soften(0.25)
    assert layer(torch.tensor([-2.0, 0, 2], requires_grad=True)).tolist() == [0, 0.875, 1]
    layer.eval()
    assert layer(x).tolist() == [0, 0, 0, 1, 1, 1]
    layer.train().soften(0)
    assert layer(x).tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="softness is 2"):
        layer.soften(2)


def test_group_shuffle_permutes_and_sends_gradients_back() -> None:
    shuffle = GroupShuffle(7, seed=3)
    x = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.equal(shuffle(x), x.index_select(1, shuffle.order))
    assert torch.autograd.gradcheck(lambda v: shuffle(v).pow(2).sum(), x)


def test_batch_norm_gradient_is_the_numerical_one() -> None:
    norm = BatchNorm(3).double()
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: norm(v).pow(3).sum(), x)


def test_hidden_weights_stay_clipped_in_a_plain_loop() -> None:
    layer = TrinaryLinear(8, 4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=5.0)
    for _ in range(5):
        layer(torch.rand(3, 8)).sum().backward()
        optimizer.step()
    layer(torch.rand(3, 8))
    assert layer.hidden.abs().max() <= 1
    assert set(layer.trinary.unique().tolist()) <= {-1.0, 0.0, 1.0}


def test_eval_uses_the_last_step_and_changes_nothing() -> None:
    layer = TrinaryLinear(8, 4)
    with torch.no_grad():
        layer.hidden.fill_(0.9)
    layer.eval()
    before = layer.trinary.clone()
    assert torch.equal(layer(torch.ones(1, 8)), torch.full((1, 4), 8.0))
    assert torch.equal(layer.trinary, before)


def test_class_vote_counts_interleaved_votes() -> None:
    vote = ClassVote(5, 2, gain=1.0)
    spikes = torch.tensor([[1.0, 0, 1, 1, 0]])
    assert torch.allclose(vote(spikes), torch.tensor([[2 / 3, 1 / 2]]))
    assert torch.allclose(vote(spikes[:, :, None, None].expand(1, 5, 2, 3)), vote(spikes))


def small_model() -> nn.Sequential:
    return nn.Sequential(
        *(Transduction(2, 8), BatchNorm(8), SpikingActivation()),
        *(TrinaryConv2d(8, 16, 3, 1, 1, groups=2), BatchNorm(16), SpikingActivation()),
        GroupShuffle(16, seed=3),
        *(TrinaryConv2d(16, 24, 2, 2, 0, groups=4), BatchNorm(24), SpikingActivation()),
        nn.Flatten(),
        *(TrinaryLinear(24 * 9, 12), BatchNorm(12), SpikingActivation()),
        ClassVote(12, 3),
    )


def train_a_little(model: nn.Module, shape: tuple[int, ...], steps: int = 8) -> nn.Module:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        x = torch.randint(0, 256, (16, *shape)) / 256
        loss = nn.functional.cross_entropy(model(x), torch.randint(0, 3, (16,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize(
    ("exporter", "options"),
    [("dynamo", {}), ("legacy", {}), ("legacy", {"keep_batch_norm": True, "opset": 17})],
)
def test_export_equals_pytorch_exactly(tmp_path: Path, exporter: str, options: dict[str, object]) -> None:
    model = train_a_little(small_model(), (2, 6, 6))
    path = tmp_path / "model.onnx"
    export(model, path, (2, 6, 6), exporter=exporter, **options)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 64):
        x = torch.randint(0, 256, (batch, 2, 6, 6)) / 256
        (scores,) = session.run(None, {"input": x.numpy()})
        with torch.no_grad():
            assert np.array_equal(scores, model(x).numpy())
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_normalisation_without_spikes_behind_it(tmp_path: Path) -> None:
    """It stays one, of maps or of vectors. A file of the user's that ends in .tmp is left alone."""
    front = (Transduction(1, 4), BatchNorm(4), SpikingActivation())
    model = nn.Sequential(*front, nn.Flatten(), TrinaryLinear(64, 5), BatchNorm(5)).eval()
    (tmp_path / "model.onnx.tmp").write_text("mine")
    export(model, tmp_path / "model.onnx", (1, 4, 4), exporter="legacy")
    x = torch.randint(0, 256, (9, 1, 4, 4)) / 256
    (scores,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"input": x.numpy()})
    with torch.no_grad():
        assert np.allclose(scores, model(x).numpy(), atol=1e-6)
    assert (tmp_path / "model.onnx.tmp").read_text() == "mine"


def test_freezing_changes_no_decision_whatever_the_statistics() -> None:
    model = nn.Sequential(TrinaryConv2d(4, 200, 3, groups=1), BatchNorm(200), SpikingActivation()).eval()
    with torch.no_grad():
        model[1].running_mean.copy_(torch.randn(200) * 20)
        model[1].running_var.copy_(torch.rand(200) * 30)
        model[1].running_var[:5] = 0
        model[1].bias.copy_(torch.randn(200) * 3)
        model[1].running_mean[10:60] = model[1].running_mean[10:60].round()  # exact ties at an integer sum
        model[1].bias[10:60] = 0
        model[1].running_mean[60:70] = 1e9
        model[1].running_mean[70:80] = -1e9
        model[0].hidden[5:8] = 0.0
        model[0].trinary[5:8] = 0.0
    x = torch.randint(0, 2, (50, 4, 6, 6)).float()
    for keep in (False, True):
        with torch.no_grad():
            assert torch.equal(freeze(model, keep_batch_norm=keep)(x), model(x))


class Twice(nn.Module):
    """The same layer, normalisation and activation two times, under two names each, outside nn.Sequential."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.spike = TrinaryLinear(24, 24), BatchNorm(24), SpikingActivation()
        self.again, self.norm_again, self.spike_again = self.layer, self.norm, self.spike
        self.last = TrinaryLinear(24, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.spike(self.norm(self.layer(x)))
        return self.last(self.spike_again(self.norm_again(self.again(x))))


@pytest.mark.parametrize("exporter", ["dynamo", "legacy"])
def test_modules_under_several_names(tmp_path: Path, exporter: str) -> None:
    """Each is replaced under all of its names, so that no trinarisation is left in the file."""
    model = train_a_little(Twice(), (24,))
    frozen = freeze(model)
    assert frozen.layer is frozen.again and frozen.norm is frozen.norm_again
    assert not any(isinstance(m, (TrinaryLinear, BatchNorm, SpikingActivation)) for m in frozen.modules())
    export(model, tmp_path / "model.onnx", (24,), exporter=exporter)
    operators = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert operators <= {"MatMul", "Gemm", "BatchNormalization", "Constant", "Identity", "GreaterOrEqual", "Cast"}
    x = torch.randint(0, 2, (99, 24)).float()
    (scores,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"input": x.numpy()})
    with torch.no_grad():
        assert np.array_equal(scores, model(x).numpy())
