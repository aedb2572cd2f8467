"""Image sets from local copies. Nothing is downloaded; a missing set says where to get it. NumPy only, no torch.

Every loader returns a Dataset with uint8 inputs [N, C, H, W] (pixels; training divides by 256) or float32 inputs on a
grid of 1 / 256, and int64 labels [N].
"""

from __future__ import annotations

import csv
import io
import itertools
import pickle
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tncc.errors import FormatError, InputError

Array = npt.NDArray[Any]
IMAGES = (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".bmp")


@dataclass(frozen=True)
class Dataset:
    """Inputs and labels of a training and a test set, and the classes' names."""

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array
    classes: tuple[str, ...]

    @property
    def train(self) -> tuple[Array, Array]:
        return self.train_x, self.train_y

    @property
    def test(self) -> tuple[Array, Array]:
        return self.test_x, self.test_y

    def hold_out(self, part: int, seed: int = 0) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """((x, y), (x, y)): the training set without `part` frames drawn at random, and those as a validation set."""
        if not 0 < part < len(self.train_x):
            raise InputError(f"cannot hold out {part} of {len(self.train_x)} frames")
        order = np.random.default_rng(seed).permutation(len(self.train_x))
        kept, out = np.sort(order[part:]), np.sort(order[:part])
        return (self.train_x[kept], self.train_y[kept]), (self.train_x[out], self.train_y[out])


def need(path: str | Path, what: str, where: str) -> Path:
    """`path` where it exists, else an InputError that says where to get the set."""
    found = Path(path)
    if not found.exists():
        raise InputError(f"{what} is not there", found, f"get it from {where}; nothing is downloaded unasked")
    return found


def cifar(path: str | Path, classes: int = 10) -> Dataset:
    """CIFAR-10 or -100 from the unpacked folder of the "python" or the "binary" version."""
    if classes not in (10, 100):
        raise InputError(f"CIFAR-{classes} is not known", hint="10 or 100")
    folder = need(path, f"CIFAR-{classes}", "https://www.cs.toronto.edu/~kriz/cifar.html")
    inner = [folder / name for name in (f"cifar-{classes}-batches-{kind}" for kind in ("py", "bin"))]
    inner += [folder / f"cifar-{classes}-{kind}" for kind in ("python", "binary")]
    folder = next((f for f in inner if f.is_dir()), folder)
    train = [f"data_batch_{i}" for i in range(1, 6)] if classes == 10 else ["train"]
    test = "test_batch" if classes == 10 else "test"
    if (folder / test).is_file():
        read: Callable[[Path], tuple[Array, Array]] = _cifar_pickle
        suffix = ""
    elif (folder / f"{test}.bin").is_file():
        labels = 1 if classes == 10 else 2

        def read(file: Path) -> tuple[Array, Array]:
            return _cifar_binary(file, labels)

        suffix = ".bin"
    else:
        raise InputError(f"neither {test} nor {test}.bin is in this folder", folder, "unpack the archive there")
    parts = [read(folder / (name + suffix)) for name in (*train, test)]
    for _, y in parts:
        if y.size and (y.min() < 0 or y.max() >= classes):
            raise FormatError(f"label {int(y.max())} of {classes} classes", folder)
    train_x, train_y = np.concatenate([x for x, _ in parts[:-1]]), np.concatenate([y for _, y in parts[:-1]])
    return Dataset(train_x, train_y, *parts[-1], tuple(map(str, range(classes))))


def _cifar_binary(file: Path, labels: int) -> tuple[Array, Array]:
    raw = np.frombuffer(_read(file), np.uint8)
    row = labels + 3072
    if not raw.size or raw.size % row:
        raise FormatError(f"{raw.size} bytes are not whole rows of {row}", file)
    rows = raw.reshape(-1, row)
    return rows[:, labels:].reshape(-1, 3, 32, 32).copy(), rows[:, labels - 1].astype(np.int64)


class _OnlyArrays(pickle.Unpickler):
    """Unpickles dictionaries of NumPy arrays and refuses everything else, so that no code in a file can run."""

    ALLOWED = frozenset(
        (module, name)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
        for name in ("_reconstruct", "ndarray", "dtype")
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.ALLOWED:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        if (module, name) == ("_codecs", "encode"):  # how protocol 2 writes bytes
            return lambda text, encoding: text.encode("latin1")
        raise pickle.UnpicklingError(f"it holds {module}.{name}")


def _cifar_pickle(file: Path) -> tuple[Array, Array]:
    try:
        batch = _OnlyArrays(io.BytesIO(_read(file)), encoding="latin1").load()
        pixels, labels = batch["data"], batch.get("labels", batch.get("fine_labels"))
        x = np.asarray(pixels, np.uint8).reshape(-1, 3, 32, 32)
        y = np.asarray(labels, np.int64).reshape(-1)
    except Exception as error:  # a damaged pickle raises anything
        raise FormatError(f"not a CIFAR batch ({error})", file) from None
    if len(x) != len(y):
        raise FormatError(f"{len(x)} images but {len(y)} labels", file)
    return x, y


def svhn(path: str | Path) -> Dataset:
    """SVHN's cropped digits: a folder with train_32x32.mat and test_32x32.mat. Needs SciPy."""
    folder = need(path, "SVHN", "http://ufldl.stanford.edu/housenumbers (train_32x32.mat, test_32x32.mat)")
    try:
        from scipy.io import loadmat
    except ImportError:
        raise InputError("reading .mat files needs SciPy", hint="pip install scipy") from None
    parts = []
    for name in ("train_32x32.mat", "test_32x32.mat"):
        file = need(folder / name, "SVHN", "http://ufldl.stanford.edu/housenumbers")
        try:
            content = loadmat(file)
            x = np.ascontiguousarray(content["X"].transpose(3, 2, 0, 1)).astype(np.uint8, copy=False)
            y = content["y"].reshape(-1).astype(np.int64) % 10  # the digit 0 is written as 10
        except Exception as error:  # SciPy raises many kinds on damaged files
            raise FormatError(f"not an SVHN file ({error})", file) from None
        parts.append((x, y))
    return Dataset(*parts[0], *parts[1], tuple("0123456789"))


def gtsrb(path: str | Path, size: int = 32) -> Dataset:
    """German traffic signs: the unpacked folder, with Final_Training/Images and Final_Test/Images/GT-final_test.csv.

    Every sign is cropped to its region of interest and resized to `size` x `size`.
    """
    source = "https://benchmark.ini.rub.de/gtsrb_dataset.html"
    folder = need(path, "GTSRB", source)
    folder = folder / "GTSRB" if (folder / "GTSRB").is_dir() else folder
    train = need(folder / "Final_Training" / "Images", "GTSRB's training set", source)
    test = need(folder / "Final_Test" / "Images", "GTSRB's test set", source)
    lists = sorted(train.glob("*/GT-*.csv"))
    if len(lists) != 43:
        raise InputError(f"{len(lists)} of 43 folders with GT-*.csv", train, f"unpack {source} completely")
    truth = need(test / "GT-final_test.csv", "GTSRB's test labels (GTSRB_Final_Test_GT.zip)", source)
    x, y = _signs(lists, size)
    return Dataset(x, y, *_signs([truth], size), tuple(map(str, range(43))))


def _signs(lists: Iterable[Path], size: int) -> tuple[Array, Array]:
    x, y = [], []
    for file in lists:
        text = io.StringIO(_read(file).decode("latin-1"), newline="")
        try:
            rows = list(csv.DictReader(text, delimiter=";"))
        except csv.Error as error:
            raise FormatError(f"not a table ({error})", file) from None
        for number, row in enumerate(rows, start=2):
            try:
                box = (int(row["Roi.X1"]), int(row["Roi.Y1"]), int(row["Roi.X2"]), int(row["Roi.Y2"]))
                label, picture = int(row["ClassId"]), file.parent / row["Filename"]
            except (KeyError, TypeError, ValueError):
                raise FormatError(f"line {number} has not the columns of GTSRB", file) from None
            x.append(_image(picture, size, box=box))
            y.append(label)
    if not x:
        raise FormatError("no sign is listed", file)
    return np.stack(x), np.array(y, np.int64)


def image_folder(path: str | Path, size: int, *, gray: bool = False, test_part: float = 0.2, seed: int = 0) -> Dataset:
    """A folder with one subfolder of images per class, or with train/ and test/ that have such subfolders.

    Images are resized to `size` x `size`. Without train/ and test/, `test_part` of each class is held out.
    """
    folder = need(path, "the image folder", "your own data: one subfolder a class")
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        names = _class_names(folder / "train")
        train = _read_classes(folder / "train", names, size, gray)
        return Dataset(*train, *_read_classes(folder / "test", names, size, gray), names)
    names = _class_names(folder)
    return split(*_read_classes(folder, names, size, gray), names, test_part, seed)


def split(x: Array, y: Array, classes: tuple[str, ...], test_part: float, seed: int) -> Dataset:
    """A Dataset with `test_part` of every class held out, drawn by `seed`."""
    if not 0 < test_part < 1:
        raise InputError(f"test_part is {test_part}; it must lie between 0 and 1")
    rng = np.random.default_rng(seed)
    out = np.zeros(len(y), bool)
    for label in range(len(classes)):
        members = rng.permutation(np.flatnonzero(y == label))
        out[members[: round(len(members) * test_part)]] = True
    return Dataset(x[~out], y[~out], x[out], y[out], classes)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if len(names) < 2:
        raise InputError(f"{len(names)} subfolders", folder, "one subfolder of images per class")
    return names


def _read_classes(folder: Path, names: tuple[str, ...], size: int, gray: bool) -> tuple[Array, Array]:
    x, y = [], []
    for label, name in enumerate(names):
        files = sorted(p for p in (folder / name).glob("*") if p.suffix.lower() in IMAGES)
        if not files:
            raise InputError(f"no image ({', '.join(IMAGES)})", folder / name)
        x += [_image(file, size, gray=gray) for file in files]
        y += [label] * len(files)
    return np.stack(x), np.array(y, np.int64)


def _image(
    source: Path | bytes,
    size: int | None,
    *,
    gray: bool = False,
    box: tuple[int, int, int, int] | None = None,
    name: str = "",
) -> Array:
    """uint8 [C, H, W] of an image file or its bytes, cropped to `box` and resized to a square where asked."""
    try:
        from PIL import Image
    except ImportError:
        raise InputError("reading images needs Pillow", hint="pip install 'tncc[train]'") from None
    opened: IO[bytes] | Path = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(opened) as image:
            picture = image.convert("L" if gray else "RGB")
            if box:
                picture = picture.crop(box)
            if size:
                picture = picture.resize((size, size), Image.Resampling.BILINEAR)
            pixels = np.asarray(picture, np.uint8)
    except Exception as error:  # Pillow raises many kinds on damaged files
        raise FormatError(f"not a readable image ({error})", name or source) from None
    return pixels[None] if gray else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_npz(file: Path) -> dict[str, Array]:
    """All arrays of a .npz file by name. Raises FormatError where it is none, is damaged or holds pickles."""
    if not zipfile.is_zipfile(file):
        raise FormatError("not a readable .npz file", file, "as numpy.savez(path, x=x, y=y) writes it")
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # damaged archives raise errors of zipfile, of zlib and of NumPy
        raise FormatError(f"not a readable .npz file without pickles ({error})", file) from None


def npz(path: str | Path, test: int | None = None) -> Dataset:
    """A .npz file, in one of three forms.

    - image [N, H, W] or [N, C, H, W] (or x), label [N] (or y): the last `test` frames (default a fifth) are for test;
    - train_x, train_y, test_x, test_y;
    - train_jpeg (bytes of all images), train_offset [N + 1], train_label [N], the same for test_, and classes.
    """
    file = need(path, "the .npz file", "wherever your data is")
    arrays = read_npz(file)
    if "train_jpeg" in arrays:
        parts = [_jpegs(arrays, name, file) for name in ("train", "test")]
        return Dataset(*parts[0], *parts[1], tuple(map(str, arrays["classes"])))
    if "train_x" in arrays:
        missing = {"train_y", "test_x", "test_y"} - arrays.keys()
        if missing:
            raise FormatError(f"array {min(missing)} is missing", file)
        pairs = [_frames(arrays[f"{n}_x"], arrays[f"{n}_y"], file) for n in ("train", "test")]
        top = max(int(y.max(initial=0)) for _, y in pairs)
        return Dataset(*pairs[0], *pairs[1], tuple(map(str, range(top + 1))))
    names = next((pair for pair in (("image", "label"), ("x", "y")) if pair[0] in arrays and pair[1] in arrays), None)
    if names is None:
        raise FormatError(f"arrays {sorted(arrays)}: no image and label, x and y, or train_x", file)
    x, y = _frames(arrays[names[0]], arrays[names[1]], file)
    held = len(x) // 5 if test is None else test
    if not 0 < held < len(x):
        raise InputError(f"cannot hold out {held} of {len(x)} frames", file)
    return Dataset(x[:-held], y[:-held], x[-held:], y[-held:], tuple(map(str, range(int(y.max()) + 1))))


def _frames(x: Array, y: Array, file: Path) -> tuple[Array, Array]:
    x = x[:, None] if x.ndim == 3 else x
    if x.ndim != 4 or y.shape != x.shape[:1] or not len(x):
        raise FormatError(f"images {list(x.shape)} and labels {list(y.shape)} do not go together", file)
    if x.dtype != np.uint8 and not np.issubdtype(x.dtype, np.floating):
        raise FormatError(f"images are {x.dtype}; expected uint8 or floating point", file)
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0:
        raise FormatError("labels must be integers from 0", file)
    if x.dtype != np.uint8:
        if not np.isfinite(x).all():
            raise FormatError("images hold NaN or infinity", file)
        x = x.astype(np.float32)
    return x, y.astype(np.int64)


def _jpegs(arrays: dict[str, Array], name: str, file: Path) -> tuple[Array, Array]:
    missing = {f"{name}_{part}" for part in ("jpeg", "offset", "label")} | {"classes"}
    if missing - arrays.keys():
        raise FormatError(f"array {min(missing - arrays.keys())} is missing", file)
    raw, offset, label = (arrays[f"{name}_{part}"] for part in ("jpeg", "offset", "label"))
    rising = offset.shape == (label.size + 1,) and offset.dtype.kind in "iu" and np.all(offset[1:] >= offset[:-1])
    if not label.size or label.dtype.kind not in "iu" or not rising or offset[0] < 0 or offset[-1] > raw.size:
        raise FormatError(f"{name}_offset does not fit {name}_jpeg and {name}_label", file)
    data = raw.tobytes()
    images = [
        _image(data[int(a) : int(b)], None, name=f"{file}: {name} image {i}")
        for i, (a, b) in enumerate(itertools.pairwise(offset))
    ]
    if len({image.shape for image in images}) != 1:
        raise FormatError(f"the {name} images differ in size", file)
    return np.stack(images), label.astype(np.int64)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file) from None
