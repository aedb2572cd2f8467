"""Trains a trinary spiking network on scikit-learn's digits and writes examples/digits.onnx.

    python examples/digits.py [--epochs 160] [--output examples/digits.onnx]

Needs the extras train and examples. About three minutes on one CPU core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from digits_data import load_split
from torch import nn

from tncc.train import (
    BatchNorm,
    ClassVote,
    GroupShuffle,
    SpikingActivation,
    Transduction,
    TrinaryConv2d,
    export,
)


def build() -> nn.Sequential:
    """1 x 8 x 8 -> 16 features on the host, then three layers of trinary neurons, 10 classes."""
    layers: list[nn.Module] = [Transduction(1, 16), BatchNorm(16), SpikingActivation()]
    for inputs, outputs, kernel, stride, padding, groups in (
        (16, 64, 3, 1, 1, 2),
        (64, 128, 3, 2, 1, 8),
        (128, 160, 4, 1, 0, 16),
    ):
        if len(layers) > 3:
            layers.append(GroupShuffle(inputs, seed=inputs))
        layers.append(nn.Dropout(0.1))
        layers += [
            TrinaryConv2d(inputs, outputs, kernel, stride, padding, groups),
            BatchNorm(outputs),
            SpikingActivation(),
        ]
    return nn.Sequential(*layers, ClassVote(160, 10, gain=10.0))


def jitter(x: torch.Tensor) -> torch.Tensor:
    """Every other batch moved by up to one pixel."""
    if torch.rand(()) < 0.5:
        return x
    dy, dx = torch.randint(0, 3, (2,)).tolist()
    return nn.functional.pad(x, (1, 1, 1, 1))[:, :, dy : dy + 8, dx : dx + 8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=160)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("digits.onnx"))
    arguments = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(1)
    train_x, train_y, test_x, test_y = (torch.from_numpy(a) for a in load_split())
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    steps = -(-len(train_x) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=arguments.epochs * steps)
    for epoch in range(arguments.epochs):
        model.train()
        for batch in torch.randperm(len(train_x)).split(64):
            loss = nn.functional.cross_entropy(model(jitter(train_x[batch])), train_y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % 10 == 9:
            model.eval()
            with torch.no_grad():
                accuracy = (model(test_x).argmax(1) == test_y).double().mean()
            print(f"epoch {epoch + 1}: loss {loss.item():.4f}, held-out accuracy {100 * accuracy:.2f} %", flush=True)

    model.eval()
    export(model, arguments.output, (1, 8, 8), exporter="legacy", keep_batch_norm=True, opset=17)
    with torch.no_grad():
        expected = model(test_x).numpy()
    session = onnxruntime.InferenceSession(arguments.output, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"input": test_x.numpy()})
    correct = int((scores.argmax(1) == test_y.numpy()).sum())
    print(f"{arguments.output}: {correct} of {len(test_y)} right = {100 * correct / len(test_y):.2f} %")
    print(f"ONNX Runtime equals PyTorch on every score: {np.array_equal(scores, expected)}")


if __name__ == "__main__":
    main()
