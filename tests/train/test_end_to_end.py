"""Trained a little, exported, compiled, run on the chip: every score is PyTorch's."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from torch import nn

import tncc
from tncc.train import build, export, fit, predict, trinarize


@st.composite
def networks(draw: st.DrawFn) -> str:
    words = [f"{draw(st.sampled_from(['S', 'P4', 'P']))}-{draw(st.sampled_from([4, 8]))}"]
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["S", "N", "P", "P4", "V2"]))
        words.append(f"{kind}-{draw(st.sampled_from([8, 12, 16, 24]))}/{draw(st.sampled_from([1, 2, 4]))}")
    return " ".join(words)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(notation=networks(), seed=st.integers(0, 99))
def test_random_networks_run_exactly(tmp_path: Path, notation: str, seed: int) -> None:
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    try:
        model = build(notation, (2, 9, 9), 3, seed=seed, dropout=0.1)
    except tncc.InputError:
        reject()  # pictures too small, or a support beyond a core's inputs
    x = rng.integers(0, 256, (48, 2, 9, 9), dtype=np.uint8)
    fit(model, (x, rng.integers(0, 3, 48)), epochs=2, batch_size=16, seed=seed, progress=False)
    path = tmp_path / "m.onnx"
    export(model, path, (2, 9, 9), exporter="legacy")  # test_layers compares the exporters
    frames = rng.integers(0, 256, (20, 2, 9, 9)).astype(np.float32) / 256
    assert np.array_equal(tncc.compile(path).run(frames), predict(model, frames).numpy())


def test_a_trinarized_network_runs_exactly(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, padding=1, groups=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU()),
        nn.Linear(32, 4),
    )
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 256, (64, 1, 4, 4), dtype=np.uint8), rng.integers(0, 4, 64)
    spiking = trinarize(model)
    fit(spiking, (x, y), epochs=2, batch_size=16, progress=False)
    path = tmp_path / "m.onnx"
    export(spiking, path, (1, 4, 4), exporter="legacy")
    frames = x.astype(np.float32) / 256
    scores, expected = tncc.compile(path).run(frames), predict(spiking, frames).numpy()
    assert np.allclose(scores, expected, atol=1e-5)  # the float head is summed in another order by each runtime
    assert np.array_equal(scores.argmax(1), expected.argmax(1))


def test_the_committed_digits_model_is_what_it_claims() -> None:
    pytest.importorskip("sklearn")
    examples = Path(__file__).parents[2] / "examples"
    sys.path.insert(0, str(examples))
    try:
        from digits_data import load_split
    finally:
        sys.path.remove(str(examples))
    _, _, x, y = load_split()
    assert (examples / "digits.onnx").stat().st_size < 200_000
    right = int((tncc.compile(examples / "digits.onnx").run(x).argmax(1) == y).sum())
    assert (right, len(y)) == (352, 357)
