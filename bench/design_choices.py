"""What design choices cost and give: `python -m bench.design_choices` prints the last table of docs/cost.md.

Trains variants of the digits example (scikit-learn's digits, a fifth held out), compiles each, runs the held-out images
on the simulated chip, and predicts speed and power from their activity. Needs the extras train and examples.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tncc
from tncc.cost.estimate import estimate

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))  # examples are scripts, not a package

BASE = "S-16 S-64/2 P-128/8 V4-160/16"


@dataclass(frozen=True)
class Choice:
    """A variant: its name, layers in the notation of tncc.train, and the strength of the penalty on spikes."""

    name: str
    layers: str
    sparsity: float = 0.0


CHOICES = (
    Choice("base", BASE),
    Choice("half the features", "S-8 S-32/1 P-64/4 V4-80/8"),
    Choice("twice the features", "S-32 S-128/4 P-256/16 V4-320/32"),
    Choice("twice the groups", "S-16 S-64/4 P-128/16 V4-160/32"),
    Choice("fewest groups", "S-16 S-64/2 P-128/2 V4-160/16"),
    Choice("sparsity 0.3", BASE, 0.3),
    Choice("sparsity 1", BASE, 1.0),
    Choice("sparsity 3", BASE, 3.0),
)


def measure(choice: Choice, epochs: int, folder: Path) -> str:
    """One row of the table."""
    import torch
    from digits_data import load_split

    from tncc.train import build, export, fit

    torch.set_num_threads(1)
    torch.manual_seed(0)
    train_x, train_y, test_x, test_y = load_split()
    model = build(choice.layers, (1, 8, 8), 10, seed=0, dropout=0.1)
    fit(
        model,
        (train_x, train_y),
        epochs=epochs,
        batch_size=64,
        augment="shift1",
        sparsity=choice.sparsity,
        device="cpu",
        progress=False,
    )
    path = folder / "model.onnx"
    export(model.eval(), path, (1, 8, 8))
    program = tncc.compile(path)
    session = tncc.Session(program)
    scores = session.run(test_x)
    assert isinstance(scores, np.ndarray)
    accuracy = float((scores.argmax(axis=1) == test_y).mean())
    cost = estimate(program, test_x)
    assert cost.activity is not None
    p, work = cost.prediction, cost.activity.workload
    return (
        f"| {choice.name} | `{choice.layers}` | {100 * accuracy:.1f} | {cost.cores:,} | {work.spikes:,.0f} | "
        f"{work.synaptic_events:,.0f} | {p.frames_per_second.value:,.0f} | {p.power_mw.value:.1f} | "
        f"{p.frames_per_second_per_watt.value:,.0f} | {p.energy_per_frame_uj.value:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    epochs = parser.parse_args().epochs
    print("| choice | layers | accuracy % | cores | spikes | synaptic events | frames/s | mW | frames/s per W | uJ |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for choice in CHOICES:
            print(measure(choice, epochs, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
