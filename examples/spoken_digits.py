"""Spoken digits from speakers the network has never heard: four speakers train, two others test.

    python examples/spoken_digits.py --data fsdd.npz

The data: the Free Spoken Digit Dataset as one .npz file (see tncc.train.audio.recordings_npz). Every recording becomes
a log-mel spectrogram of 32 bands, stretched to 32 frames. Training sees each of them with the frequency axis warped, as
other vocal tracts would, and with the spectrum tilted, as other microphones would.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from common import arguments, show

from tncc.train import build, fit
from tncc.train.audio import Mel, Recordings, recordings_npz, stretch, to_pixels

NETWORK = "P4-16 P4-128/2 S-256/16 P-256/8 V4-480/32"
TEST_SPEAKERS = ("theo", "yweweler")
WARPS = (0.82, 0.91, 1.0, 1.1, 1.21)
TILT_DB = 12.0  # largest tilt in training, from the lowest band to the highest


def pictures(recordings: Recordings, warp: float = 1.0, tilt_db: float = 0.0, seed: int = 0) -> npt.NDArray[np.uint8]:
    """uint8 [N, 1, 32, 32]: band by time, 255 the loudest; each tilted by a random slope of up to `tilt_db`."""
    mel = Mel(recordings.sample_rate, bands=32, warp=warp)
    slope = np.linspace(-0.5, 0.5, 32)[:, None]
    tilts = np.random.default_rng(seed).uniform(-tilt_db, tilt_db, len(recordings.audio))
    found = [to_pixels(stretch(mel(a), 32) + tilt * slope) for a, tilt in zip(recordings.audio, tilts, strict=True)]
    return np.stack(found)[:, None]


def main() -> None:
    options = arguments(__doc__, "spoken_digits", 12, "fsdd.npz")
    recordings = recordings_npz(options.data)
    train = recordings.of_speakers(tuple(s for s in recordings.speakers if s not in TEST_SPEAKERS))
    test = recordings.of_speakers(TEST_SPEAKERS)
    train_x = np.concatenate([pictures(train, warp, TILT_DB, seed) for seed, warp in enumerate(WARPS)])
    test_x = pictures(test)
    model = build(NETWORK, (1, 32, 32), 10, dropout=0.1, gain=10.0)
    fit(
        model,
        (train_x, np.tile(train.label, len(WARPS))),
        (test_x, test.label),
        epochs=options.epochs,
        batch_size=64,
        augment="shift2x3",
        seed=options.seed,
        sparsity=options.sparsity,
        folder=options.folder,
    )
    show(model, options.folder / "spoken_digits.onnx", test_x, test.label)


if __name__ == "__main__":
    main()
