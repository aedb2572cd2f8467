"""The paper's notation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tncc.errors import InputError
from tncc.train import TrinaryConv2d, build, check_fit, export
from tncc.train.builder import REFERENCE, parse


def test_the_reference_network_has_the_papers_layers() -> None:
    specs = parse(REFERENCE["esser-1chip"], 3)
    rows = [(s.kernel, s.stride, s.padding, s.inputs, s.outputs, s.groups) for s in specs]
    assert rows == [
        (3, 1, 1, 3, 12, 1),
        (4, 2, 1, 12, 252, 2),
        (1, 1, 0, 252, 256, 2),
        (2, 2, 0, 256, 256, 8),
        (3, 1, 1, 256, 512, 32),
        *[(1, 1, 0, 512, 512, 4)] * 3,
        (2, 2, 0, 512, 512, 16),
        (3, 1, 1, 512, 1024, 64),
        (1, 1, 0, 1024, 1024, 8),
        (2, 2, 0, 1024, 1024, 32),
        *[(1, 1, 0, 1024, 1024, 8)] * 2,
        (1, 1, 0, 1024, 2040, 8),
    ]
    model = build("esser-1chip", (3, 32, 32), 10)
    with torch.no_grad():
        assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert sum(isinstance(m, TrinaryConv2d) for m in model) == 14


def test_open_groups_are_the_fewest_that_fit() -> None:
    specs = parse("S-16 S-64 P-128 N-250", 1)
    assert [s.groups for s in specs] == [1, 2, 2, 1]
    assert all(s.fan_in <= 128 for s in specs[1:])


def test_groups_written_out_may_fill_a_core() -> None:
    assert [s.fan_in for s in parse("S-64 P-64/1 P-64/1", 1)[1:]] == [256, 256]


@pytest.mark.parametrize(
    ("notation", "message"),
    [
        ("S-12 Q-5", "layer 'Q-5' does not parse"),
        ("S-12 S-64/1 S-64/1", r"filter support 3x3x64 = 576 inputs exceeds 256\n  hint: groups that fit: 4, 8, 16"),
        ("S-12 S-64/5", "5 groups do not divide 12 inputs and 64"),
        ("S-12 S2-64", "kernel 2"),
        ("S-12/2 S-64", "has no groups"),
        ("S-12", "at least one more"),
        ("S-101 S-64", "no number of groups fits"),
        ("S-12 V9-10", "no number of groups fits a core"),
        ("S-12 N-1", "layer 'N-1': 1 features cannot vote for 2 classes"),
    ],
)
def test_what_does_not_fit_is_named(notation: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(notation, (1, 8, 8), 2)


def test_pictures_too_small_are_named() -> None:
    with pytest.raises(InputError, match="layer 'V3-10/2': nothing is left of 8 x 8 pixels"):
        build("S-8 P-16 P-16 P-16 V3-10/2", (1, 8, 8), 2)


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [
        ((8, 8), 2, r"input_shape is \(8, 8\); expected \(channels, height, width\)"),
        ((0, 8, 8), 2, r"input_shape is \(0, 8, 8\); expected"),
        ((1, 8, 8), 0, "0 classes; at least 1 is needed"),
    ],
)
def test_shapes_that_are_none(shape: tuple[int, int, int], classes: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build("S-8 S-16", shape, classes)


def test_frames_of_another_shape_are_named(tmp_path: Path) -> None:
    model = build("S-8 S-16", (1, 8, 8), 2)
    with pytest.raises(InputError, match=r"the model does not take frames of shape \[3, 8, 8\]: Given groups=1"):
        check_fit(model, (3, 8, 8))
    with pytest.raises(InputError, match=r"the model does not take frames of shape \[3, 8, 8\]: Given groups=1"):
        export(model, tmp_path / "x.onnx", (3, 8, 8))
    with pytest.raises(InputError, match="opset 3; tncc reads 11 to 23"):
        export(model, tmp_path / "x.onnx", (1, 8, 8), opset=3)
    assert not list(tmp_path.iterdir())
