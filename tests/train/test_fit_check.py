"""What check_fit says is what the compiler does."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

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


def test_layers_that_do_not_fit_are_named() -> None:
    model = nn.Sequential(
        *(TrinaryConv2d(64, 64, 3, 1, 1), BatchNorm(64), SpikingActivation()),
        nn.Flatten(),
        *(TrinaryLinear(64 * 16, 10), BatchNorm(10), SpikingActivation()),
    )
    found = check_fit(model, (64, 4, 4))
    assert not found.fits
    assert [layer.problem for layer in found.layers] == [
        "576 inputs a neuron exceed 128 (filter support 3x3x64); groups >= 8 would fit",
        "1024 inputs a neuron exceed 128",
    ]
    assert "does not fit: layer 0: 576 inputs" in str(found)
