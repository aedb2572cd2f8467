"""From an ordinary float CNN to the chip: train it, swap its layers, fine-tune, compile.

    python examples/finetune.py

On scikit-learn's digits (8 x 8). Needs the extras train and examples.
"""

from __future__ import annotations

import torch
from common import arguments, show
from digits_data import load_split
from torch import nn

from tncc.train import evaluate, fit, trinarize


def float_network() -> nn.Sequential:
    """What a PyTorch user would write, with groups that keep every filter within a core's 128 inputs."""
    layers: list[nn.Module] = []
    for inputs, outputs, kernel, stride, padding, groups in (
        (1, 16, 3, 1, 1, 1),
        (16, 64, 3, 1, 1, 2),
        (64, 128, 3, 2, 1, 8),
        (128, 160, 4, 1, 0, 16),
    ):
        layers += [
            nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(160, 10))


def main() -> None:
    options = arguments(__doc__, "finetune", 40)
    train_x, train_y, test_x, test_y = load_split()
    train, test = (train_x, train_y), (test_x, test_y)
    common = {"batch_size": 64, "augment": "shift1", "seed": options.seed, "eval_every": 10}
    model = float_network()
    fit(model, train, test, epochs=options.epochs, learning_rate=0.005, **common)
    print(f"float: {100 * evaluate(model, test):.2f} %", flush=True)
    spiking = trinarize(model, torch.from_numpy(train_x[:500]))
    print(f"trinary, before fine-tuning: {100 * evaluate(spiking, test):.2f} %", flush=True)
    fit(spiking, train, test, epochs=options.epochs, learning_rate=0.02, folder=options.folder, resume=False, **common)
    print(f"trinary, fine-tuned: {100 * evaluate(spiking, test):.2f} %", flush=True)
    show(spiking, options.folder / "finetune.onnx", test_x, test_y)


if __name__ == "__main__":
    main()
