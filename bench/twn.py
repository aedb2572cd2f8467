"""What --trinarize twn keeps of a float CNN: `python -m bench.twn` trains one on scikit-learn's digits and compiles it.

1,297 digits train the network and calibrate the chip, 500 are held out. PyTorch and scikit-learn are needed.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import tncc

TRAINED = 1297
EPOCHS = 30


def digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Shuffled images, float32 [1797, 1, 8, 8] in 0..1, and labels."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    return (images[order] / 16).astype(np.float32).reshape(-1, 1, 8, 8), labels[order]


def network(spiking_layers: int) -> nn.Sequential:
    """Convolutions with batch normalisation and ReLU, the first for the host, then a linear layer."""
    layers: list[nn.Module] = []
    channels = 1
    for i in range(spiking_layers + 1):
        layers += [nn.Conv2d(channels, 24, 3, padding=1, stride=2 if i == 1 else 1), nn.BatchNorm2d(24), nn.ReLU()]
        channels = 24
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(24 * 16, 10))


def train(model: nn.Sequential, images: torch.Tensor, labels: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    images, labels = digits()
    for spiking_layers in (1, 2, 3):
        model = network(spiking_layers)
        train(model, torch.from_numpy(images[:TRAINED]), torch.from_numpy(labels[:TRAINED]))
        file = io.BytesIO()
        names: dict[str, Any] = {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
        torch.onnx.export(model.eval(), torch.rand(1, 1, 8, 8), file, dynamo=False, **names)
        # the first 1,024 frames are fitted to; the held-out digits come behind them
        order = np.r_[:1024, TRAINED : len(images)]
        chip = tncc.compile(file.getvalue(), trinarize="twn", calibrate=images[order], labels=labels[order])
        report = chip.report()
        print(f"{spiking_layers} layer(s) on {report['cores_used']} cores")
        print(json.dumps(report["trinarization"], indent=1))


if __name__ == "__main__":
    main()
