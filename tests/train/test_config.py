"""Training from a TOML file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from tncc.errors import InputError
from tncc.train import config
from tncc.train.builder import REFERENCE

GOOD = """
[data]
kind = "npz"
path = "set.npz"
test = 20
hold_out = 16
[model]
network = "S-8 S-32/2 P-30/2"
dropout = 0.1
[training]
epochs = 2
batch_size = 16
keep = "best"
augment = "shift1"
[output]
onnx = "bars.onnx"
exporter = "legacy"
"""


def write(folder: Path, text: str) -> Path:
    rng = np.random.default_rng(0)
    np.savez(folder / "set.npz", image=rng.integers(0, 256, (84, 8, 8), dtype=np.uint8), label=np.arange(84) % 3)
    file = folder / "run.toml"
    file.write_text(text)
    return file


def test_it_trains_and_exports(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    result = config.run(write(tmp_path, GOOD), progress=False)
    session = onnxruntime.InferenceSession(tmp_path / "bars.onnx", providers=["CPUExecutionProvider"])
    with np.load(tmp_path / "set.npz") as archive:
        x, y = archive["image"][-20:, None], archive["label"][-20:]
    (scores,) = session.run(None, {"input": x.astype(np.float32) / 256})
    assert result["test_accuracy"] == (scores.argmax(1) == y).mean()
    assert result["epochs"] == 2 and result["onnx"] == str(tmp_path / "bars.onnx")
    assert (tmp_path / "run" / "log.csv").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[output]", "[outputs]", r"run\.toml: unknown table \[outputs\]\n  hint: data, model, training, output"),
        ("epochs = 2", "epoch = 2", r"\[training\] has no key 'epoch'"),
        ("epochs = 2", 'epochs = "2"', r"\[training\] epochs is '2'; expected int"),
        ("epochs = 2", "epochs = true", r"\[training\] epochs is True; expected int"),
        ('kind = "npz"', 'kind = "zip"', "kind 'zip' is not known\n  hint: npz, cifar10"),
        ('path = "set.npz"', "", r"\[data\] needs path"),
        ('path = "set.npz"', 'path = "away.npz"', "the .npz file is not there"),
        ('keep = "best"', 'keep = "best', "not a TOML file"),
        ("S-32/2", "S-32/3", "3 groups do not divide"),
        ("dropout = 0.1", "dropout = 1.5", "dropout is 1.5"),
        ('"bars.onnx"', '"away/bars.onnx"', r"bars\.onnx: cannot write the file: No such file or directory"),
        ('exporter = "legacy"', 'exporter = "torch"', "unknown exporter 'torch'\n  hint: dynamo or legacy"),
    ],
)
def test_mistakes_are_named_before_training(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        config.run(write(tmp_path, GOOD.replace(old, new)), progress=False)
    assert not (tmp_path / "run").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"away\.toml: cannot be read: No such file"):
        config.run(tmp_path / "away.toml")


def test_the_example_is_a_configuration() -> None:
    tables = config.read(Path(__file__).parents[2] / "examples" / "cifar10.toml")
    assert tables["model"]["network"] in REFERENCE
