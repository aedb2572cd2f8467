"""Is somebody speaking? Speech in noise against noise alone, at -5 to 15 dB, by speakers never heard in training.

    python examples/voice_activity.py --data fsdd.npz

Half a second of noise (white to brown, steady or swelling), in half of the cases with speech in it. The signal-to-noise
ratio is that of the speech's own duration. The network sees 32 mel bands of 48 frames, scaled to the loudest of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from common import arguments, show

from tncc.train import build, fit
from tncc.train.audio import Mel, Recordings, colored_noise, mix, recordings_npz, to_pixels

NETWORK = "P4-12 P4-96/3 S-192/12 P-192/6 V4-256/32"
TEST_SPEAKERS = ("theo", "yweweler")
SAMPLES = 4000  # half a second at 8 kHz
Frames = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def cases(recordings: Recordings, count: int, seed: int) -> Frames:
    """(uint8 [count, 1, 32, 48], int64 [count]): every second case holds speech."""
    rng = np.random.default_rng(seed)
    mel = Mel(recordings.sample_rate, bands=32)
    label = np.arange(count, dtype=np.int64) % 2
    frames = []
    for speech in label:
        audio = colored_noise(SAMPLES, rng.uniform(0, 2), rng)
        if rng.random() < 0.5:  # swelling
            turns, phase = rng.uniform(0.5, 4), rng.uniform(0, 2 * np.pi)
            audio *= 1 + rng.uniform(0.2, 0.9) * np.sin(np.linspace(0, 2 * np.pi * turns, SAMPLES) + phase)
        if speech:
            voice = recordings.audio[rng.integers(len(recordings.audio))]
            voice = voice[rng.integers(max(1, len(voice) - SAMPLES + 1)) :][:SAMPLES]
            start = rng.integers(SAMPLES - len(voice) + 1)
            part = slice(start, start + len(voice))
            if np.any(voice):
                audio[part] = mix(voice, audio[part], rng.uniform(-5, 15))
        frames.append(to_pixels(mel(audio)))
    return np.stack(frames)[:, None], label


def main() -> None:
    options = arguments(__doc__, "voice_activity", 6, "fsdd.npz")
    recordings = recordings_npz(options.data)
    training = recordings.of_speakers(tuple(s for s in recordings.speakers if s not in TEST_SPEAKERS))
    train = cases(training, 10000, seed=1)
    test = cases(recordings.of_speakers(TEST_SPEAKERS), 2000, seed=2)
    model = build(NETWORK, train[0].shape[1:], 2, gain=8.0)
    fit(
        model,
        train,
        test,
        epochs=options.epochs,
        batch_size=64,
        augment="shift2x0",
        seed=options.seed,
        sparsity=options.sparsity,
        folder=options.folder,
    )
    show(model, options.folder / "voice_activity.onnx", *test)


if __name__ == "__main__":
    main()
