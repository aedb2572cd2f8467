"""Networks as Brevitas 0.13.4 exported them: conv, batch norm, activation, twice; linear, activation, class vote.

data/*.onnx by export_qonnx and export_onnx_qcdq; data/*.npy is what Brevitas's own PyTorch modules returned for the
frames below. Trinary and binary weights with a scale; step activations (x >= 0) and signs {-1, +1} (BipolarQuant);
the middle layer pads its input with zeros, which are neither -1 nor +1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.onnx_models import run

import tncc
from tncc.frontends.onnx import load

MODELS = sorted((Path(__file__).parent / "data").glob("brevitas_*.onnx"))
X = np.random.default_rng(0).normal(size=(16, 1, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("path", MODELS, ids=[path.stem for path in MODELS])
def test_brevitas_exports(path: Path) -> None:
    expected = np.load(path.with_suffix(".npy"))
    assert len(np.unique(expected, axis=0)) > 5
    loaded = load(path)
    (name,) = [value.name for value in loaded.graph.inputs]
    np.testing.assert_array_equal(next(iter(run(loaded.model, {name: X}).values())), expected)
    program = tncc.compile(path)
    np.testing.assert_array_equal(program.run(X), expected)
    assert program.report()["exact"]


def test_all_kinds_are_there() -> None:
    assert [path.stem.removeprefix("brevitas_") for path in MODELS] == [
        "qcdq_trinary_steps",
        "qonnx_binary_signs",
        "qonnx_trinary_signs",
        "qonnx_trinary_steps",
    ]
