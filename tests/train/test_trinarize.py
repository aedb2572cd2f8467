"""Float networks as the start of trinary ones, and tncc without PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tncc.errors import InputError
from tncc.train import Transduction, TrinaryConv2d, TrinaryLinear, check_fit, export
from tncc.train.warm_start import trinarize, warm_start


def float_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, padding=1, groups=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(64, 20), nn.BatchNorm1d(20), nn.ReLU()),
        nn.Linear(20, 3),
    )


def test_layers_are_swapped_and_warm_started(tmp_path: Path) -> None:
    source = float_network()
    with torch.no_grad():
        source[4].weight[3] = -1.0  # a negative scale turns the row's signs
    found = trinarize(source)
    kinds = [type(m).__name__ for m in found]
    assert kinds == [
        *("Transduction", "BatchNorm", "SpikingActivation", "TrinaryConv2d", "BatchNorm", "SpikingActivation"),
        *("MaxPool2d", "Flatten", "TrinaryLinear", "BatchNorm", "SpikingActivation", "Linear"),
    ]
    assert isinstance(found[0], Transduction) and isinstance(found[3], TrinaryConv2d)
    assert isinstance(found[8], TrinaryLinear)
    weight = source[3].weight
    beyond = weight.abs() > 0.7 * weight.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
    expected = weight.sign() * beyond
    expected[3] *= -1
    assert torch.equal(found[3].trinary, expected)
    export(found, tmp_path / "m.onnx", (1, 4, 4), exporter="legacy")
    assert (tmp_path / "m.onnx").stat().st_size > 0


def test_supports_beyond_a_core_are_left_to_check_fit() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 20, 3, padding=1), nn.BatchNorm2d(20), nn.ReLU()),
        *(nn.Conv2d(20, 8, 4), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(8, 3)),
    )
    found = check_fit(trinarize(model), (1, 4, 4))
    layer = found.layers[0]
    assert found.fits and layer.fan_in == 320 and 128 < layer.nonzero <= 256
    assert layer.remark == "fits as long as no neuron has more than 256 nonzero weights"


def test_calibration_takes_the_statistics_of_its_inputs() -> None:
    x = torch.rand(200, 1, 4, 4)
    found = trinarize(float_network(), x)
    with torch.no_grad():
        fresh = trinarize(float_network())
        sums = found[:4].eval()(x)
    assert torch.equal(found[3].trinary, fresh[3].trinary)
    assert torch.allclose(found[4].running_mean, sums.mean((0, 2, 3)), atol=1e-4)
    assert found[4].momentum == fresh[4].momentum and found[8].training


def test_warm_start_stays_in_range() -> None:
    hidden = warm_start(torch.tensor([[0.0, 0.69, 0.71, -2.6]]))
    assert hidden.round().tolist() == [[0, 0, 1, -1]] and hidden.abs().max() == 1
    assert warm_start(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.insert(2, nn.GELU()), "is not followed by a batch normalisation and a ReLU"),
        (lambda m: m.insert(3, nn.Sigmoid()), r"layer 3 \(Sigmoid\): has no counterpart"),
        (lambda m: m.__setitem__(3, nn.Conv2d(8, 16, (1, 3))), "only square kernels"),
        (
            lambda m: m.__setitem__(1, nn.BatchNorm2d(8, affine=False)),
            r"layer 0 \(Conv2d\): its batch normalisation has",
        ),
        (lambda m: m.__setitem__(1, nn.BatchNorm2d(8, track_running_stats=False)), "or no running statistics"),
    ],
)
def test_what_has_no_counterpart_is_named(change: object, message: str) -> None:
    model = float_network()
    change(model)  # type: ignore[operator]  # a lambda
    with pytest.raises(InputError, match=message):
        trinarize(model)


def test_without_torch_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["torch"] = None
import tncc, tncc.train, tncc.train.data, tncc.train.audio, tncc.train.config
try:
    tncc.train.fit
except tncc.InputError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "tncc.train.fit needs PyTorch, which is not installed\n  hint: pip install 'tncc[train]'\n"
