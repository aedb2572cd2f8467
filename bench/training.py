"""Training speed: a trinary spiking network against the same one in plain Conv2d, BatchNorm2d and ReLU.

    python bench/training.py [--rounds 15] [--threads 1]

Prints the median over rounds of the ratio of two training steps done one right after the other, so that what else the
machine does weighs on both alike.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from tncc.train import BatchNorm, ClassVote, SpikingActivation, Transduction, TrinaryConv2d, build

NETWORKS = {
    "digits 8 x 8": ("S-16 S-64/2 S-128/8 P4-160/16", (1, 8, 8)),
    "MNIST 28 x 28": ("P4-16 P4-128/2 S-256/16 P-256/8 V3-480/32", (1, 28, 28)),
    "CIFAR 32 x 32": ("S-12 P4-128/2 S-256/16 P-256/8 S-512/32 P-512/16", (3, 32, 32)),
}


def plain(model: nn.Sequential) -> nn.Sequential:
    """The same network in float layers."""
    layers: list[nn.Module] = []
    for layer in model:
        if isinstance(layer, (Transduction, TrinaryConv2d)):
            outputs, inputs, kernel, _ = layer.hidden.shape
            groups = layer.groups if isinstance(layer, TrinaryConv2d) else 1
            layers.append(
                nn.Conv2d(inputs * groups, outputs, kernel, layer.stride, layer.padding, groups=groups, bias=False)
            )
        elif isinstance(layer, BatchNorm):
            layers.append(nn.BatchNorm2d(layer.bias.numel()))
        elif isinstance(layer, SpikingActivation):
            layers.append(nn.ReLU(inplace=True))
        elif isinstance(layer, ClassVote):
            layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(layer.features, layer.classes)]
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"batch {options.batch}, {options.threads} thread(s), median of {options.rounds}")
    for name, (notation, shape) in NETWORKS.items():
        spiking = build(notation, shape, 10)
        models = (spiking, plain(spiking))
        tuners = [torch.optim.Adam(m.parameters(), 1e-3) for m in models]
        x, y = torch.rand(options.batch, *shape), torch.randint(0, 10, (options.batch,))
        seconds: list[list[float]] = [[], []]
        for turn in range(options.rounds + 2):
            for which, (model, tuner) in enumerate(zip(models, tuners, strict=True)):
                started = time.perf_counter()
                loss = nn.functional.cross_entropy(model(x), y)
                tuner.zero_grad()
                loss.backward()
                tuner.step()
                if turn >= 2:
                    seconds[which].append(time.perf_counter() - started)
        ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True))
        medians = [1000 * statistics.median(s) for s in seconds]
        print(f"{name}: {medians[0]:.1f} ms a step, plain layers {medians[1]:.1f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
