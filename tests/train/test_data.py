"""Loaders: small sets in the real formats, and what is said when they are missing or broken. No torch needed."""

from __future__ import annotations

import io
import os
import pickle
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from tncc.errors import FormatError, InputError
from tncc.train import data
from tncc.train.audio import (
    Mel,
    cepstrum,
    colored_noise,
    mix,
    read_wav,
    recordings_folder,
    recordings_npz,
    stretch,
    to_pixels,
)

RNG = np.random.default_rng(0)


def rows(count: int) -> tuple[Any, list[int]]:
    return RNG.integers(0, 256, (count, 3072), dtype=np.uint8), RNG.integers(0, 10, count).tolist()


@pytest.mark.parametrize("version", ["py", "bin"])
def test_cifar10(tmp_path: Path, version: str) -> None:
    folder = tmp_path / f"cifar-10-batches-{version}"
    folder.mkdir()
    batches = [rows(4) for _ in range(6)]
    for name, (pixels, labels) in zip([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"], batches, strict=True):
        if version == "py":
            (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}, protocol=2))
        else:
            (folder / f"{name}.bin").write_bytes(np.insert(pixels, 0, labels, axis=1).tobytes())
    found = data.cifar(tmp_path)
    assert found.train_x.shape == (20, 3, 32, 32) and found.test_x.dtype == np.uint8
    assert np.array_equal(found.train_x[5].ravel(), batches[1][0][1])
    assert found.test_y.tolist() == batches[5][1]


def test_cifar100_uses_the_fine_labels(tmp_path: Path) -> None:
    pixels = rows(3)[0]
    for name in ("train", "test"):
        table = np.concatenate((np.full((3, 1), 7), [[98], [3], [42]], pixels), axis=1).astype(np.uint8)
        (tmp_path / f"{name}.bin").write_bytes(table.tobytes())
    assert data.cifar(tmp_path, 100).train_y.tolist() == [98, 3, 42]


def test_cifar_runs_no_code_from_a_file(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (tmp_path / name).write_bytes(pickle.dumps({"data": Bomb(), "labels": []}))
    with pytest.raises(FormatError, match="not a CIFAR batch"):
        data.cifar(tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_svhn(tmp_path: Path) -> None:
    x = RNG.integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
    for name in ("train", "test"):
        savemat(tmp_path / f"{name}_32x32.mat", {"X": x, "y": np.array([[10], [1], [2], [9], [10]], np.uint8)})
    found = data.svhn(tmp_path)
    assert found.train_y.tolist() == [0, 1, 2, 9, 0]
    assert np.array_equal(found.test_x[3, 2], x[:, :, 2, 3])
    (tmp_path / "test_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file, cut off")
    with pytest.raises(FormatError, match="not an SVHN file"):
        data.svhn(tmp_path)


def test_gtsrb_crops_the_sign(tmp_path: Path) -> None:
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[5:15, 10:20] = (200, 100, 50)
    header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    for label in range(43):
        folder = tmp_path / "GTSRB" / "Final_Training" / "Images" / f"{label:05d}"
        folder.mkdir(parents=True)
        Image.fromarray(picture).save(folder / "a.ppm")
        (folder / f"GT-{label:05d}.csv").write_text(header + f"a.ppm;30;20;10;5;20;15;{label}\n")
    folder = tmp_path / "GTSRB" / "Final_Test" / "Images"
    folder.mkdir(parents=True)
    Image.fromarray(picture).save(folder / "b.ppm")
    with pytest.raises(InputError, match=r"test labels .*is not there"):
        data.gtsrb(tmp_path)
    (folder / "GT-final_test.csv").write_text(header + "b.ppm;30;20;10;5;20;15;17\n")
    found = data.gtsrb(tmp_path, size=8)
    assert found.train_x.shape == (43, 3, 8, 8) and found.train_y.tolist() == list(range(43))
    assert (found.test_x[0] == np.array([200, 100, 50])[:, None, None]).all() and found.test_y.tolist() == [17]
    for text, message in (
        (b"", "no sign is listed"),
        (header.encode() + b";30;20;10;5;20;15", "line 2 has not the columns of GTSRB"),
        (b"\xff\xd8 a picture\nb", "line 2 has not the columns of GTSRB"),
        (header.encode() + b'"' + b"a" * 200_000, "not a table"),
    ):
        (folder / "GT-final_test.csv").write_bytes(text)
        with pytest.raises(FormatError, match=message):
            data.gtsrb(tmp_path)


def test_image_folder_splits_by_class(tmp_path: Path) -> None:
    for name, value in (("cat", 10), ("dog", 200)):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.fromarray(np.full((6, 9), value, np.uint8)).save(tmp_path / name / f"{i}.png")
    found = data.image_folder(tmp_path, 4, gray=True, test_part=0.3)
    assert found.train_x.shape == (14, 1, 4, 4) and found.test_y.tolist() == [0] * 3 + [1] * 3
    assert found.classes == ("cat", "dog") and set(found.test_x[0].ravel()) == {10}
    (tmp_path / "dog" / "5.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(FormatError, match=r"5\.png: not a readable image"):
        data.image_folder(tmp_path, 4)


def test_npz_forms(tmp_path: Path) -> None:
    file = tmp_path / "set.npz"
    images, labels = RNG.integers(0, 256, (10, 5, 6), dtype=np.uint8), np.arange(10)
    np.savez(file, image=images, label=labels)
    found = data.npz(file, 3)
    assert np.array_equal(found.test_x[:, 0], images[-3:]) and found.train_y.tolist() == list(range(7))
    (kept, _), (out, out_y) = found.hold_out(2)
    assert len(kept) == 5 and np.array_equal(out[:, 0], images[out_y])
    np.savez(file, train_x=images / 1.0, train_y=labels, test_x=images[:2] / 1.0, test_y=labels[:2])
    assert data.npz(file).train_x.dtype == np.float32
    pictures = []
    for i in range(3):
        stream = io.BytesIO()
        Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(stream, "JPEG")
        pictures.append(stream.getvalue())
    offset = np.cumsum([0, *map(len, pictures)])
    raw = np.frombuffer(b"".join(pictures), np.uint8)
    parts = {
        f"{n}_{k}": v for n in ("train", "test") for k, v in (("jpeg", raw), ("offset", offset), ("label", [0, 1, 0]))
    }
    np.savez(file, classes=["ship", "frog"], **parts)
    found = data.npz(file)
    assert found.classes == ("ship", "frog") and abs(int(found.test_x[2].mean()) - 80) <= 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.zeros((4, 5, 5)), "label": np.arange(3)}, "do not go together"),
        ({"image": np.full((4, 5, 5), np.nan), "label": np.arange(4)}, "NaN"),
        ({"image": np.zeros((4, 5, 5), np.int32), "label": np.arange(4)}, "images are int32"),
        ({"image": np.zeros((4, 5, 5)), "label": np.zeros(4)}, "labels must be integers"),
        ({"pixels": np.zeros(3)}, "no image and label"),
        ({"x": np.array([{}], object), "y": np.arange(1)}, "without pickles"),
        ({"train_x": np.zeros((4, 5, 5))}, "array test_x is missing"),
    ],
)
def test_broken_npz_is_named(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(FormatError, match=message):
        data.npz(tmp_path / "set.npz")


def test_what_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", np.zeros(3))
    for file in (tmp_path / "set.npy", tmp_path):
        with pytest.raises(FormatError, match=r"not a readable \.npz file\n  hint: as numpy"):
            data.npz(file)


def test_missing_sets_say_where_to_get_them(tmp_path: Path) -> None:
    away = tmp_path / "away"
    for load, hint in (
        (data.cifar, "https://www.cs.toronto.edu/~kriz/cifar.html; nothing is downloaded unasked"),
        (data.svhn, "http://ufldl.stanford.edu/housenumbers"),
        (data.gtsrb, "https://benchmark.ini.rub.de"),
        (data.npz, "wherever your data is"),
        (recordings_npz, "free-spoken-digit-dataset"),
        (recordings_folder, "one subfolder of .wav files"),
    ):
        with pytest.raises(InputError, match="is not there") as caught:
            load(away)
        assert hint in str(caught.value) and str(away) in str(caught.value)
    with pytest.raises(InputError, match=r"neither test_batch nor test_batch\.bin"):
        data.cifar(tmp_path)
    (tmp_path / "not.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(FormatError, match=r"not a readable \.npz"):
        data.npz(tmp_path / "not.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": np.array(["a", "b"])}, "must be integers"),
        ({"sample_rate": np.array([8000, 8000])}, "the last one of them one number"),
        ({"label": np.zeros(0, int), "speaker": np.zeros(0, int), "offset": np.zeros(1, int)}, "do not go together"),
        ({"speaker": np.array([0, 1])}, "out of range"),
    ],
)
def test_broken_recordings_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    good = {"audio": np.zeros(9, np.int16), "offset": np.array([0, 4, 9]), "label": np.array([0, 1])}
    good |= {"speaker": np.zeros(2, int), "speakers": np.array(["ann"]), "sample_rate": np.array(8000)}
    np.savez(tmp_path / "set.npz", **good)
    assert recordings_npz(tmp_path / "set.npz").label.tolist() == [0, 1]
    np.savez(tmp_path / "set.npz", **(good | change))
    with pytest.raises(FormatError, match=message):
        recordings_npz(tmp_path / "set.npz")


@pytest.mark.parametrize("load", [data.npz, recordings_npz])
def test_damaged_and_other_archives(tmp_path: Path, load: Any) -> None:
    np.savez_compressed(tmp_path / "set.npz", image=RNG.integers(0, 9, (9, 9, 9)), label=np.arange(9))
    raw = bytearray((tmp_path / "set.npz").read_bytes())
    raw[60:90] = b"\xff" * 30
    (tmp_path / "set.npz").write_bytes(raw)
    np.save(tmp_path / "one.npy", np.zeros(3))
    for name in ("set.npz", "one.npy"):
        with pytest.raises(FormatError, match=r"not a readable \.npz file"):
            load(tmp_path / name)


def test_spectrograms_of_nothing() -> None:
    for options in ({"bands": 0}, {"sample_rate": 0}, {"hop_ms": 0.0}):
        with pytest.raises(InputError, match="holds nothing"):
            Mel(**options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="0 frames; at least one is needed"):
        stretch(np.ones((3, 4)), 0)


def write_wav(file: Path, samples: Any, width: int = 2, channels: int = 1, rate: int = 8000) -> None:
    with wave.open(str(file), "wb") as target:
        target.setnchannels(channels)
        target.setsampwidth(width)
        target.setframerate(rate)
        target.writeframes(samples.tobytes())


def test_wav_widths(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    write_wav(file, np.array([0, 16384, -32768], "<i2"))
    assert read_wav(file)[0].tolist() == [0, 0.5, -1] and read_wav(file)[1] == 8000
    write_wav(file, np.array([128, 192, 0], np.uint8), width=1)
    assert read_wav(file)[0].tolist() == [0, 0.5, -1]
    write_wav(file, np.array([0, 2**30, -(2**31)], "<i4"), width=4)
    assert read_wav(file)[0].tolist() == [0, 0.5, -1]
    write_wav(file, np.array([0, 0, 0x40, 0, 0, 0x80], np.uint8), width=3)
    assert read_wav(file)[0].tolist() == [0.5, -1]
    write_wav(file, np.array([[16384, 0], [0, -16384]], "<i2"), channels=2)
    assert read_wav(file)[0].tolist() == [0.25, -0.25]
    file.write_bytes(b"RIFF\x00\x00")
    with pytest.raises(FormatError, match="not a readable PCM"):
        read_wav(file)


def test_recordings_folder_and_speakers(tmp_path: Path) -> None:
    for name in ("no", "yes"):
        (tmp_path / name).mkdir()
        for speaker in ("ann", "bob"):
            write_wav(tmp_path / name / f"{speaker}_0.wav", RNG.integers(-999, 999, 700).astype("<i2"))
    found = recordings_folder(tmp_path)
    assert found.classes == ("no", "yes") and found.speakers == ("ann", "bob") and found.label.tolist() == [0, 0, 1, 1]
    assert found.of_speakers(("bob",)).speaker.tolist() == [1, 1]
    with pytest.raises(InputError, match="unknown speaker 'eve'"):
        found.of_speakers(("eve",))
    write_wav(tmp_path / "yes" / "bob_1.wav", np.zeros(9, "<i2"), rate=16000)
    with pytest.raises(InputError, match=r"sampled at 16000 Hz, but ann_0\.wav at 8000 Hz"):
        recordings_folder(tmp_path)


def test_a_tone_lands_in_its_band() -> None:
    time = np.arange(4000) / 8000
    bands = []
    for hertz in (200, 600, 1500, 3000):
        picture = Mel()(np.sin(2 * np.pi * hertz * time))
        assert picture.shape == (32, 48)
        bands.append(int(picture.mean(1).argmax()))
    assert bands == sorted(set(bands))
    assert int(Mel(warp=1.2)(np.sin(2 * np.pi * 1500 * time)).mean(1).argmax()) > bands[2]
    pixels = to_pixels(picture)
    assert pixels.dtype == np.uint8 and pixels.max() == 255


def test_cepstrum_is_an_orthonormal_transform() -> None:
    mel = RNG.standard_normal((20, 5))
    full = cepstrum(mel, 20)
    assert np.allclose((full**2).sum(0), (mel**2).sum(0))
    assert np.allclose(cepstrum(np.ones((20, 1)), 3).ravel(), [np.sqrt(20), 0, 0])


def test_stretch_interpolates() -> None:
    ramp = np.arange(5.0)[None]
    assert np.allclose(stretch(ramp, 9), np.linspace(0, 4, 9))
    assert stretch(np.ones((3, 1)), 4).tolist() == [[1.0] * 4] * 3


def test_noise_and_mixing() -> None:
    rng = np.random.default_rng(3)
    noise = colored_noise(4096, 2.0, rng)
    assert np.isclose(np.mean(noise**2), 1) and np.mean(np.diff(noise) ** 2) < 0.1
    speech = np.sin(np.arange(4096) / 7)
    added = mix(speech, noise, 10.0) - noise
    assert np.isclose(10 * np.log10(np.mean(added**2) / np.mean(noise**2)), 10)
    with pytest.raises(InputError, match="the speech is silent"):
        mix(np.zeros(4096), noise, 0.0)
