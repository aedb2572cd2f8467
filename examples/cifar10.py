"""CIFAR-10 on a part of one chip: a longer training, with checkpoints from which another machine can resume.

    python examples/cifar10.py --data cifar10_jpeg.npz [--epochs 26] [--compile] [--network "..."]

The data: a .npz file with the images as JPEG bytes (see tncc.train.data.npz), or the folder of the unpacked archive
cifar-10-python or cifar-10-binary. `--network esser-1chip` is the published one-chip network; it wants a GPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from common import show

from tncc.train import build, check_fit, fit
from tncc.train.data import cifar, npz

NETWORK = "P4-64 P4-512/8 N-256/4 S-512/32 P-512/16 N-512/4 N-1000/4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", default=NETWORK)
    parser.add_argument("--folder", type=Path, default=Path("out/cifar10"))
    parser.add_argument("--epochs", type=int, default=26)
    parser.add_argument("--learning-rate", type=float, default=0.04)
    parser.add_argument("--anneal", type=float, default=0.6, help="share of the training in which spikes harden")
    parser.add_argument("--compile", action="store_true", help="by torch.compile: a minute, then a third faster")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="no training: say whether it fits, and on how many cores")
    parser.add_argument("--evaluate", action="store_true", help="no training: show the checkpoint's figures")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = build(options.network, (3, 32, 32), 10, gain=10.0)
    if options.check:
        print(check_fit(model, (3, 32, 32)))
        return
    data = npz(options.data) if options.data.suffix == ".npz" else cifar(options.data)
    if options.evaluate:
        state = torch.load(options.folder / "checkpoint.pt", map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        print(f"after {len(state['epochs'])} epochs")
    else:
        fit(
            model,
            data.train,
            data.test,
            epochs=options.epochs,
            learning_rate=options.learning_rate,
            batch_size=100,
            augment="flip, shift2",
            anneal=options.anneal,
            compile=options.compile,
            seed=options.seed,
            folder=options.folder,
        )
    show(model, options.folder / "cifar10.onnx", *data.test)


if __name__ == "__main__":
    main()
