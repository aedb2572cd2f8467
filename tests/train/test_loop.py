"""fit: it learns, repeats itself, resumes exactly, keeps the best, and refuses nonsense."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tncc.errors import FormatError, InputError
from tncc.train import SparsityPenalty, SpikingActivation, build, fit, spikes_per_frame
from tncc.train.augment import flip, parse, shift
from tncc.train.history import RunFolder
from tncc.train.loop import Pair

NETWORK = "S-8 S-32/2 P-30/2"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def bars(count: int, seed: int) -> Pair:
    """8 x 8 pictures of a bar in noise: upright or lying."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    x = rng.integers(0, 100, (count, 1, 8, 8), dtype=np.uint8)
    for picture, label, place in zip(x[:, 0], y, rng.integers(0, 8, count), strict=True):
        picture[(slice(None), place) if label else (place, slice(None))] = 255
    return x, y


def network(seed: int = 0) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    return build(NETWORK, (1, 8, 8), 2, dropout=0.1, gain=8.0)


OPTIONS = {"batch_size": 32, "progress": False, "augment": "flip, shift1", "sparsity": 0.1}


def test_it_learns_logs_and_repeats_itself(tmp_path: Path) -> None:
    states = []
    for _ in range(2):
        model = network()
        history = fit(model, bars(320, 0), bars(100, 1), epochs=6, folder=tmp_path, resume=False, **OPTIONS)
        states.append(model.state_dict())
    assert history.test_accuracy > 0.9
    assert not model.training
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert float(rows[-1]["test_accuracy"]) == history.test_accuracy
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.pt", "log.csv"]


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_resumed_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str) -> None:
    whole = network()
    fit(whole, bars(128, 0), epochs=4, optimizer=optimizer, **OPTIONS)
    real_save = RunFolder.save

    def save_then_stop(self: object, *args: object) -> None:
        real_save(self, *args)
        if len(args[2].epochs) == 2:
            raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(RunFolder, "save", save_then_stop)
        fit(network(), bars(128, 0), epochs=4, folder=tmp_path, optimizer=optimizer, **OPTIONS)
    resumed = network(seed=7)  # other start weights: all must come from the checkpoint
    history = fit(resumed, bars(128, 0), epochs=4, folder=tmp_path, optimizer=optimizer, **OPTIONS)
    assert [row.epoch for row in history.epochs] == [1, 2, 3, 4]
    for name, value in whole.state_dict().items():
        if not name.endswith("order"):
            assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize("on_disk", [False, True])
def test_the_best_of_the_validation_set_is_kept(tmp_path: Path, on_disk: bool) -> None:
    model = network()
    validation = bars(60, 3)
    history = fit(
        model,
        bars(96, 0),
        validation=validation,
        epochs=5,
        keep="best",
        learning_rate=0.05,
        schedule="constant",
        folder=tmp_path if on_disk else None,
        **OPTIONS,
    )
    accuracies = [row.validation_accuracy for row in history.epochs]
    from tncc.train import evaluate

    assert history.kept_epoch == accuracies.index(max(accuracies)) + 1
    assert evaluate(model, validation) == max(accuracies)


def test_bad_options_and_checkpoints(tmp_path: Path) -> None:
    train = bars(64, 0)
    for options, message in (
        ({"keep": "best"}, "needs a validation set"),
        ({"keep": "worst"}, "not known"),
        ({"optimizer": "lion"}, "unknown optimizer 'lion'"),
        ({"schedule": "none"}, "unknown schedule 'none'"),
        ({"augment": "rotate9"}, "unknown augmentation 'rotate9'"),
        ({"device": "abacus"}, "unknown device 'abacus'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"anneal": 1.5}, "anneal is 1.5"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0\n  hint: more than 0"),
        ({"optimizer": "sgd", "momentum": -1.0}, "momentum is -1.0"),
        ({"label_smoothing": 2.0}, "label_smoothing is 2.0"),
        ({"sparsity": -1.0}, "sparsity is -1.0"),
        ({"sparsity": 1.0, "sparsity_target": 2.0}, "sparsity_target is 2.0"),
        ({"seed": 10**18}, "seed is 1000000000000000000\n  hint: up to 32 bits"),
        ({"eval_every": 0}, "eval_every is 0\n  hint: 1 or more"),
        ({"augment": "flip, shift2x8"}, "frames of 8 x 8 pixels cannot be shifted by up to 2 x 8"),
        ({"compile": True, "sparsity": 0.1}, "exclude each other"),
    ):
        with pytest.raises(InputError, match=message):
            fit(network(), train, **{"epochs": 1, "progress": False, **options})
    for pair, message in (
        ((np.full((3, 1, 8, 8), np.nan, np.float32), np.arange(3)), "the train set's inputs hold NaN or infinity"),
        ((train[0][:3], np.arange(3) / 2), r"the train set's labels are torch\.float64; integers are needed"),
    ):
        with pytest.raises(InputError, match=message):
            fit(network(), pair, progress=False)
    with pytest.raises(InputError, match="64 inputs and labels of shape"):
        fit(network(), (train[0], train[1][:5]), progress=False)
    with pytest.raises(InputError, match=r"does not take frames of shape \[3, 8, 8\]"):
        fit(network(), (np.zeros((8, 3, 8, 8), np.uint8), np.zeros(8, int)), progress=False)
    with pytest.raises(InputError, match=r"labels 0 \.\. 2 for a model of 2 classes"):
        fit(network(), (train[0][:3], np.arange(3)), progress=False)
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04 no checkpoint")
    with pytest.raises(FormatError, match="not a readable checkpoint"):
        fit(network(), train, epochs=1, progress=False, folder=tmp_path)
    fit(network(), train, epochs=1, progress=False, folder=tmp_path, resume=False)
    other = build("S-8 S-16 P-30/2", (1, 8, 8), 2)
    with pytest.raises(FormatError, match="does not fit this model"):
        fit(other, train, epochs=2, progress=False, folder=tmp_path)


def test_annealing_ends_in_spikes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    layers = [m for m in model.modules() if isinstance(m, SpikingActivation)]
    seen = []
    soften = SpikingActivation.soften
    monkeypatch.setattr(SpikingActivation, "soften", lambda self, value: (seen.append(value), soften(self, value))[1])
    history = fit(model, bars(320, 0), bars(100, 1), epochs=6, anneal=0.5, **OPTIONS)
    assert seen[: len(layers)] == [1.0] * len(layers)
    assert seen == sorted(seen, reverse=True)
    assert sum(value > 0 for value in seen) == len(layers) * 30  # half of 6 epochs of 10 steps
    assert all(not layer.soft and layer.softness == 0 for layer in layers)
    assert history.test_accuracy > 0.9


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_compiled_training_takes_the_same_first_step() -> None:
    weights = []
    for compiled in (False, True):
        model = build("S-8 P-30/2", (1, 8, 8), 2, gain=8.0)
        model.load_state_dict(weights[0][0] if weights else model.state_dict())
        start = {name: value.clone() for name, value in model.state_dict().items()}
        fit(model, bars(32, 0), epochs=1, batch_size=32, optimizer="sgd", progress=False, anneal=1.0, compile=compiled)
        weights.append((start, model.state_dict()))
    for name, value in weights[0][1].items():
        assert torch.allclose(value, weights[1][1][name], atol=1e-4), name
    assert not torch.equal(weights[0][0]["3.hidden"], weights[0][1]["3.hidden"])


def test_mixed_precision_learns() -> None:
    model = network()
    history = fit(model, bars(320, 0), bars(100, 1), epochs=6, amp=True, **OPTIONS)
    assert history.test_accuracy > 0.9
    assert all(value.dtype != torch.bfloat16 for value in model.state_dict().values())


def test_events_for_tensorboard(tmp_path: Path) -> None:
    history = fit(network(), bars(64, 0), bars(20, 1), epochs=2, folder=tmp_path, tensorboard=True, **OPTIONS)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path))
    events.Reload()
    found = [event.value for event in events.Scalars("test_accuracy")]
    assert found == pytest.approx([row.test_accuracy for row in history.epochs])


def test_sparsity_penalty_is_what_it_says() -> None:
    model = network().eval()
    x = torch.rand(10, 1, 8, 8)
    rates = [rate / size for rate, size in zip(spikes_per_frame(model, x), (8 * 64, 32 * 64, 30 * 16), strict=True)]
    with SparsityPenalty(model, 2.0) as penalty:
        model(x)
    value = penalty.value().item()
    assert value >= sum(r * r for r in rates) * (1 - 1e-5)  # by Jensen: features differ
    with SparsityPenalty(model, 2.0, target=0.3, leak=0.0) as above:
        model(x)
    assert 0 <= above.value().item() < value
    with SparsityPenalty(model, 2.0, target=0.3, leak=1.0) as plain:
        model(x)
    assert math.isclose(plain.value().item(), value, rel_tol=1e-6)
    with pytest.raises(ValueError, match="no spiking layer ran"):
        SparsityPenalty(model, 1.0).value()


def test_sparsity_makes_fewer_spikes() -> None:
    counts = []
    for strength in (0.0, 3.0):
        model = network()
        fit(model, bars(320, 0), epochs=5, **{**OPTIONS, "sparsity": strength})
        counts.append(sum(spikes_per_frame(model, torch.as_tensor(bars(50, 2)[0]).float() / 256)))
    assert counts[1] < 0.8 * counts[0]


def test_augmentations_move_and_mirror() -> None:
    x = torch.arange(1.0, 2 * 3 * 5 * 7 + 1).reshape(2, 3, 5, 7)
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(60):
        moved = shift(1, 0)(x, generator)
        for frame, original in zip(moved, x, strict=True):
            down = torch.zeros_like(original)
            down[:, 1:] = original[:, :-1]
            up = torch.zeros_like(original)
            up[:, :-1] = original[:, 1:]
            seen.add([torch.equal(frame, c) for c in (original, down, up)].index(True))
    assert seen == {0, 1, 2}
    mirrored = flip(x.repeat(20, 1, 1, 1), generator).reshape(20, 2, 3, 5, 7)
    same = (mirrored == x).flatten(2).all(2)
    turned = (mirrored == x.flip(3)).flatten(2).all(2)
    assert bool((same ^ turned).all()) and bool(same.any()) and bool(turned.any())
    assert len(parse("flip, shift4,shift2x6")) == 3
