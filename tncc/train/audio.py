"""From recordings to frames a network can take: log-mel spectrograms and cepstra, in NumPy, on a grid of 1 / 256."""

from __future__ import annotations

import itertools
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import FormatError, InputError
from tncc.train.data import need, read_npz

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Recordings:
    """Mono recordings of any length: float32 in -1..1 each, int64 labels, speakers by number (or all 0)."""

    audio: list[Array]
    label: Array
    speaker: Array
    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    sample_rate: int

    def of_speakers(self, names: tuple[str, ...]) -> Recordings:
        """The recordings of these speakers."""
        unknown = [name for name in names if name not in self.speakers]
        if unknown:
            raise InputError(f"unknown speaker {unknown[0]!r}", hint=", ".join(self.speakers))
        wanted = np.isin(self.speaker, [self.speakers.index(name) for name in names])
        audio = [a for a, keep in zip(self.audio, wanted, strict=True) if keep]
        return Recordings(
            audio, self.label[wanted], self.speaker[wanted], self.classes, self.speakers, self.sample_rate
        )


@dataclass(frozen=True)
class Mel:
    """A log-mel spectrogram: windows of `window_ms` every `hop_ms`, `bands` triangular filters up to half the rate.

    `warp` stretches the frequency axis (1.1: everything sounds a tenth higher), as another vocal tract would.
    """

    sample_rate: int = 8000
    window_ms: float = 25.0
    hop_ms: float = 10.0
    bands: int = 32
    low_hz: float = 60.0
    warp: float = 1.0

    def __post_init__(self) -> None:
        if self.bands < 1 or self.window < 2 or self.hop < 1:
            raise InputError(
                f"a spectrogram of {self.bands} bands, of windows of {self.window_ms} ms every {self.hop_ms} ms at "
                f"{self.sample_rate} Hz, holds nothing"
            )

    @property
    def window(self) -> int:
        return round(self.sample_rate * self.window_ms / 1000)

    @property
    def hop(self) -> int:
        return round(self.sample_rate * self.hop_ms / 1000)

    def filters(self, size: int) -> Array:
        """float64 [bands, size // 2 + 1]: triangles evenly spaced in mel (2595 log10(1 + f / 700))."""
        high = 2595 * np.log10(1 + self.sample_rate / 2 / 700)
        low = 2595 * np.log10(1 + self.low_hz / 700)
        corners = 700 * (10 ** (np.linspace(low, high, self.bands + 2) / 2595) - 1) / self.warp
        frequency = np.fft.rfftfreq(size, 1 / self.sample_rate)
        rising = (frequency - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
        falling = (corners[2:, None] - frequency) / (corners[2:] - corners[1:-1])[:, None]
        found: Array = np.clip(np.minimum(rising, falling), 0, None)
        return found

    def __call__(self, audio: Array) -> Array:
        """float64 [bands, frames] in dB of a recording [samples]; a short one is padded with silence to one window."""
        audio = np.pad(audio.astype(np.float64), (0, max(0, self.window - len(audio))))
        starts = np.arange(0, len(audio) - self.window + 1, self.hop)
        frames = audio[starts[:, None] + np.arange(self.window)] * np.hanning(self.window)
        size = 1 << (self.window - 1).bit_length()
        power = np.abs(np.fft.rfft(frames, size)) ** 2
        decibels: Array = 10 * np.log10(self.filters(size) @ power.T + 1e-6)
        return decibels


def cepstrum(mel: Array, coefficients: int = 13) -> Array:
    """float64 [coefficients, frames]: the orthonormal discrete cosine transform of a spectrogram's bands (MFCC)."""
    bands = len(mel)
    if not 1 <= coefficients <= bands:
        raise InputError(f"{coefficients} coefficients of {bands} bands", hint=f"1 to {bands}")
    basis = np.cos(np.pi / bands * np.outer(np.arange(coefficients), np.arange(bands) + 0.5)) * np.sqrt(2 / bands)
    basis[0] /= np.sqrt(2)
    found: Array = basis @ mel
    return found


def stretch(features: Array, frames: int) -> Array:
    """[rows, frames]: `features` [rows, n] brought to so many frames by linear interpolation in time."""
    if frames < 1:
        raise InputError(f"{frames} frames; at least one is needed")
    position = np.linspace(0, features.shape[1] - 1, frames)
    left = np.minimum(position.astype(np.intp), max(features.shape[1] - 2, 0))
    right = np.minimum(left + 1, features.shape[1] - 1)
    part = position - left
    found: Array = features[:, left] * (1 - part) + features[:, right] * part
    return found


def to_pixels(decibels: Array, range_db: float = 60.0) -> Array:
    """uint8 of the same shape: 255 at the maximum of all, 0 at `range_db` below and beyond."""
    scaled = (decibels - decibels.max()) / range_db + 1
    found: Array = np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return found


def recordings_npz(path: str | Path) -> Recordings:
    """Recordings in a .npz file: audio (int16, all joined), offset [N + 1], label, speaker, speakers, sample_rate."""
    file = need(path, "the recordings", "https://github.com/Jakobovski/free-spoken-digit-dataset, as one .npz file")
    arrays = read_npz(file)
    missing = {"audio", "offset", "label", "speaker", "speakers", "sample_rate"} - arrays.keys()
    if missing:
        raise FormatError(f"array {min(missing)} is missing", file)
    numbers = ("offset", "label", "speaker", "sample_rate")
    if any(arrays[name].dtype.kind not in "iu" for name in numbers) or arrays["sample_rate"].size != 1:
        raise FormatError(f"{', '.join(numbers)} must be integers, the last one of them one number", file)
    audio, offset, label = arrays["audio"], arrays["offset"].astype(np.int64), arrays["label"].astype(np.int64)
    if (
        not label.size
        or offset.shape != (label.size + 1,)
        or np.any(np.diff(offset) < 1)
        or offset[0] < 0
        or offset[-1] > audio.size
        or arrays["speaker"].shape != label.shape
        or audio.dtype != np.int16
    ):
        raise FormatError("audio, offset, label and speaker do not go together", file)
    pieces = [(audio[a:b] / 32768).astype(np.float32) for a, b in itertools.pairwise(offset)]
    names = tuple(map(str, arrays["speakers"]))
    speaker = arrays["speaker"].astype(np.int64)
    if speaker.min() < 0 or speaker.max() >= len(names) or label.min() < 0:
        raise FormatError("a label or speaker is out of range", file)
    classes = tuple(map(str, range(int(label.max()) + 1)))
    return Recordings(pieces, label, speaker, classes, names, int(arrays["sample_rate"].reshape(())))


def recordings_folder(path: str | Path) -> Recordings:
    """Recordings as .wav files (PCM, 8 to 32 bits), one subfolder a class; several channels are averaged.

    A file named SPEAKER_anything.wav belongs to that speaker.
    """
    folder = need(path, "the folder of recordings", "your own data: one subfolder of .wav files a class")
    classes = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))
    files = [(label, file) for label, name in enumerate(classes) for file in sorted((folder / name).glob("*.wav"))]
    if len(classes) < 2 or not files:
        raise InputError(f"{len(classes)} subfolders with {len(files)} .wav files", folder, "one subfolder per class")
    audio, rates = zip(*(read_wav(file) for _, file in files), strict=True)
    if len(set(rates)) > 1:
        odd, rate = next((file, rate) for (_, file), rate in zip(files, rates, strict=True) if rate != rates[0])
        raise InputError(f"sampled at {rate} Hz, but {files[0][1].name} at {rates[0]} Hz", odd, "resample them")
    names = [file.stem.split("_")[0] if "_" in file.stem else "" for _, file in files]
    speakers = tuple(sorted(set(names)))
    return Recordings(
        list(audio),
        np.array([label for label, _ in files], np.int64),
        np.array([speakers.index(name) for name in names], np.int64),
        classes,
        speakers,
        rates[0],
    )


def read_wav(file: Path) -> tuple[Array, int]:
    """(float32 [samples] in -1..1, sample rate) of a PCM .wav file."""
    try:
        with wave.open(str(file)) as source:
            width, channels, rate = source.getsampwidth(), source.getnchannels(), source.getframerate()
            raw = np.frombuffer(source.readframes(source.getnframes()), np.uint8)
    except (OSError, EOFError, wave.Error) as error:
        raise FormatError(f"not a readable PCM .wav file ({error})", file) from None
    if not 1 <= width <= 4:
        raise FormatError(f"samples of {8 * width} bits; 8 to 32 are read", file)
    raw = raw[: raw.size // (width * channels) * width * channels].reshape(-1, channels, width)
    if not len(raw):
        raise FormatError("no samples", file)
    if width == 1:
        values = raw[:, :, 0].astype(np.float32) / 128 - 1
    else:  # little-endian, put into the upper bytes of an int32
        wide = np.zeros((*raw.shape[:2], 4), np.uint8)
        wide[:, :, 4 - width :] = raw
        values = wide.view("<i4")[:, :, 0].astype(np.float32) / 2**31
    found: Array = values.mean(1, dtype=np.float32)
    return found, rate


def colored_noise(samples: int, exponent: float, rng: np.random.Generator) -> Array:
    """float64 [samples] of unit power with a spectrum of 1 / f**exponent: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.arange(len(spectrum), dtype=np.float64)
    frequency[0] = np.inf
    noise = np.fft.irfft(spectrum / frequency ** (exponent / 2), samples)
    found: Array = noise / np.sqrt(np.mean(noise**2))
    return found


def mix(speech: Array, noise: Array, snr_db: float) -> Array:
    """float64 [samples]: `noise` plus `speech`, scaled so that their powers are `snr_db` apart."""
    power = float(np.mean(speech.astype(np.float64) ** 2))
    if power == 0:
        raise InputError("the speech is silent: no signal-to-noise ratio can be set")
    gain = np.sqrt(np.mean(noise**2) / power * 10 ** (snr_db / 10))
    found: Array = noise + gain * speech
    return found
