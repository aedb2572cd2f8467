"""Handwritten digits of MNIST (28 x 28), trained on 8,000 and tested on 2,000 others.

    python examples/mnist.py --data mnist10k.npz [--sparsity 1.0]

The data: a .npz file with image [N, 28, 28] uint8 and label [N]; the last fifth is the test set.
"""

from __future__ import annotations

from common import arguments, show

from tncc.train import build, fit
from tncc.train.data import npz

NETWORK = "P4-16 P4-128/2 S-256/16 P-256/8 V3-480/32"


def main() -> None:
    options = arguments(__doc__, "mnist", 14, "mnist10k.npz")
    data = npz(options.data)
    model = build(NETWORK, (1, 28, 28), 10, gain=10.0)
    fit(
        model,
        data.train,
        data.test,
        epochs=options.epochs,
        batch_size=64,
        augment="shift1",
        seed=options.seed,
        sparsity=options.sparsity,
        folder=options.folder,
    )
    show(model, options.folder / "mnist.onnx", *data.test)


if __name__ == "__main__":
    main()
