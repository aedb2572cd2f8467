"""Models with several inputs and outputs on the command line: NAME=FILE for each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from support import onnx_models

import tncc

FRAMES = 1100  # more than one batch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """left >= 0 and right >= 0 on the host; a layer on each side and one on both on the chip; two outputs."""
    folder = tmp_path_factory.mktemp("ports")
    rng = np.random.default_rng(0)
    nodes = []
    for side in ("left", "right"):
        nodes += [
            onnx_models.node("GreaterOrEqual", f"{side} zero", f"{side}_fires"),
            onnx_models.node("Cast", f"{side}_fires", f"{side}_spikes", to=1),
            onnx_models.node("MatMul", f"{side}_spikes {side}_weight", f"{side}_sum"),
        ]
    nodes += [
        onnx_models.node("Add", "left_sum right_sum", "sum"),
        onnx_models.node("Greater", "sum half", "sum_fires"),
        onnx_models.node("Cast", "sum_fires", "spikes", to=1),
        onnx_models.node("ReduceSum", "spikes axis", "count", keepdims=0),
    ]
    values = {
        "left_weight": rng.integers(-1, 2, (6, 5)).astype(np.float32),
        "right_weight": rng.integers(-1, 2, (4, 5)).astype(np.float32),
        "zero": np.float32(0),
        "half": np.float32(0.5),
        "axis": np.array([1]),
    }
    model = onnx_models.model(nodes, {"left": ["n", 6], "right": ["n", 4]}, ["spikes", "count"], values)
    onnx.save(model, folder / "model.onnx")
    for name, size in (("left", 6), ("right", 4)):
        np.save(folder / f"{name}.npy", rng.normal(size=(FRAMES, size)).astype(np.float32))
    tncc.compile(folder / "model.onnx").save(folder / "chip.tnbin")
    return folder


BOTH = ("--input", "right=right.npy", "--input", "left=left.npy")


def test_each_has_a_file(cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    ran = cli("run", "chip.tnbin", *BOTH, "-o", "count=count.npy", "-o", "spikes=rate=1.npy", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["frames"] == FRAMES
    model = onnxruntime.InferenceSession(folder / "model.onnx")
    spikes, count = model.run(None, {name: np.load(f"{name}.npy") for name in ("left", "right")})
    np.testing.assert_array_equal(np.load("rate=1.npy"), spikes)
    np.testing.assert_array_equal(np.load("count.npy"), count)

    verified = cli("verify", "model.onnx", "chip.tnbin", *BOTH)
    assert verified.out == f"equal: {FRAMES:,} frames, {6 * FRAMES:,} output values\n"
    measured = json.loads(cli("inspect", "chip.tnbin", "--cost", *BOTH, "--json").out)
    assert measured["predicted"]["activity"] == "measured"
    assert cli("inspect", "chip.tnbin", "--traffic", *BOTH, "--svg", "x.svg").code == 0
    assert "packets a tick" in Path("x.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--input", "left.npy"),
            "the model's inputs are left, right: each has a file of its own\n"
            "  hint: --input left=FILE.npy --input right=FILE.npy",
        ),
        (("--input", "left=left.npy"), "the model's inputs are left, right: each has a file of its own"),
        (("--input", "left=left.npy", "--input", "up=right.npy"), "the model's inputs are left, right: each has"),
        ((*BOTH, "--input", "left=right.npy"), "--input names two files for left: left.npy and right.npy"),
        ((*BOTH, "-o", "out.npy"), "the model's outputs are spikes, count: each has a file of its own"),
        ((*BOTH, "-o", "spikes=no/out.npy"), "no/out.npy: cannot write the file: No such file or directory"),
        ((*BOTH, "--labels", "left.npy"), "the model has 2 outputs; --labels takes a model with one"),
        (("--input", "left=left.npy", "--input", "right=left.npy"), "input right has shape [1100, 6]; the model takes"),
        (("--input", "left=left.npy", "--input", "right="), "the name of the file is empty"),
    ],
)
def test_mistakes(cli, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str) -> None:
    monkeypatch.chdir(folder)
    files = sorted(folder.iterdir())
    result = cli("run", "chip.tnbin", *arguments)
    assert result.code == 2
    assert message in result.err
    assert sorted(folder.iterdir()) == files


def test_one_input_needs_no_name(cli, chip_path: Path, images: np.ndarray, tmp_path: Path) -> None:
    data = tmp_path / "rate=0.1.npy"
    np.save(data, images)
    for given in (data, f"image={data}"):
        assert cli("run", chip_path, "--input", given, "-o", tmp_path / "a=b.npy").code == 0
        np.testing.assert_array_equal(np.load(tmp_path / "a=b.npy"), tncc.load(chip_path).run(images))
    result = cli("run", chip_path, "--input", data, "--input", data)
    assert (result.code, result.err) == (2, f"error: --input names two files for image: {data} and {data}\n")
