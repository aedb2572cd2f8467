"""What check_fit says is what the compiler does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tncc import compile
from tncc.errors import FilterTooLarge
from tncc.frontends.onnx import load
from tncc.ir.chip import Chip
from tncc.passes.manager import run_pipeline
from tncc.train import BatchNorm, SpikingActivation, TrinaryConv2d, TrinaryLinear, build, check_fit, export


def test_cores_are_the_compilers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build("S-8 S-32/2 P-30/2", (1, 8, 8), 3)
    found = check_fit(model, (1, 8, 8))
    export(model, tmp_path / "m.onnx", (1, 8, 8), exporter="legacy")
    netlist = run_pipeline(load(tmp_path / "m.onnx").graph, Chip(), stop_after="partition-cores").module
    assert found.fits and found.cores == netlist.n_cores == sum(layer.cores for layer in found.layers)
    assert [(layer.fan_in, layer.neurons) for layer in found.layers] == [(36, 2048), (64, 480)]
    assert found.chips == 1
    assert check_fit(model, (1, 8, 8), Chip(mesh_x=2, mesh_y=2)).chips == -(-found.cores // 4)
    assert str(found).splitlines()[-1] == f"{found.cores} cores, 1 chip(s)"


def wide(inputs: int, zeros: int) -> nn.Sequential:
    """A layer, then three neurons with `inputs` inputs, of whose weights `zeros` are 0."""
    model = nn.Sequential(
        *(TrinaryLinear(40, inputs), BatchNorm(inputs), SpikingActivation()),
        *(TrinaryLinear(inputs, 3), BatchNorm(3), SpikingActivation()),
    )
    weight = torch.randint(0, 2, (3, inputs)) * 2.0 - 1
    weight[:, :zeros] = 0
    with torch.no_grad():
        model[3].hidden.copy_(weight)
        model[3].trinary.copy_(weight)
    return model


@pytest.mark.parametrize(
    ("inputs", "zeros", "allow_partial_sums"),
    [(129, 0, False), (256, 0, False), (257, 0, False), (257, 1, False), (300, 40, False), (257, 0, True)],
)
def test_verdicts_are_the_compilers(inputs: int, zeros: int, allow_partial_sums: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = wide(inputs, zeros)
    found = check_fit(model, (40,), allow_partial_sums=allow_partial_sums)
    export(model, tmp_path / "m.onnx", (40,), exporter="legacy")
    try:
        chip = compile(tmp_path / "m.onnx", allow_partial_sums=allow_partial_sums)
    except FilterTooLarge as error:
        assert not found.fits and error.message in found.problem
    else:
        assert found.fits and found.cores == chip.report()["cores_used"]
    layer = found.layers[-1]
    assert (layer.fan_in, layer.nonzero) == (inputs, inputs - zeros)
    assert bool(layer.remark) == (inputs > 256)
    assert found.fits == (inputs - zeros <= 256 or allow_partial_sums)


def test_layers_on_the_host_take_any_number_of_inputs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Tanh(), TrinaryLinear(600, 20), BatchNorm(20), SpikingActivation()),
        *(TrinaryLinear(20, 3), BatchNorm(3), SpikingActivation()),
    )
    found = check_fit(model, (600,))
    assert found.fits
    assert [(layer.cores, layer.remark) for layer in found.layers] == [
        (0, "not on the chip: the host computes it, or its neurons are constants"),
        (1, ""),
    ]


def test_layers_that_do_not_fit_are_named() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        *(TrinaryConv2d(64, 64, 3, 1, 1), BatchNorm(64), SpikingActivation()),
        nn.Flatten(),
        *(TrinaryLinear(64 * 16, 10), BatchNorm(10), SpikingActivation()),
    )
    found = check_fit(model, (64, 4, 4))
    assert not found.fits and found.cores == 0
    for layer, support in zip(found.layers, ("3x3x64 = 576", "1x1x1024 = 1024"), strict=True):
        assert f"has {layer.nonzero} nonzero weights (support {support}), which exceeds the 256 axons" in layer.problem
        assert "--allow-partial-sums computes it exactly in stages" in layer.problem
    assert "groups >= 3 would fit (4 divides the 64 input and 64 output channels)" in found.layers[0].problem
    assert str(found).splitlines()[-1] == f"does not fit: layer 0: {found.layers[0].problem}"
