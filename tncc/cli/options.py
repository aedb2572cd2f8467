"""Option types and small helpers that several commands share."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from tncc.errors import InputError

Array = npt.NDArray[Any]
NPY_MAGIC = b"\x93NUMPY"


def file(path: str) -> Path:
    """Option type: the path as it is. Whether it can be opened is told by whoever opens it, in one voice."""
    if not path:
        raise click.BadParameter("the name of the file is empty")
    return Path(path)


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Errors about data, which know the array but not where it came from, name the file ("": they stay)."""
    try:
        yield
    except InputError as error:
        raise error if error.location else InputError(error.message, path, error.hint) from error


def echo_json(document: dict[str, Any]) -> None:
    """Prints one JSON document on stdout; lists of numbers take one line."""
    text = json.dumps(document, indent=2, allow_nan=False)
    click.echo(re.sub(r"\[\n[\s\d.,eE+-]+\]", lambda found: " ".join(found[0].split()), text))


def load_array(path: Path) -> Array:
    """A .npy file, memory-mapped (from a pipe: read) and never unpickled. Raises InputError naming the file."""
    pickled = InputError(
        "the file holds pickled Python objects, which are not read",
        path,
        hint="save a plain numeric array with numpy.save(path, array, allow_pickle=False)",
    )
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(NPY_MAGIC))
            streamed = magic + stream.read() if magic == NPY_MAGIC and not path.is_file() else None  # a pipe
        if magic.startswith(b"PK"):
            raise InputError("holds several arrays (.npz); one .npy array is needed", path)
        if magic != NPY_MAGIC:
            raise pickled if magic.startswith(b"\x80") else InputError("not a .npy file", path)
        if streamed is None:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            array = np.load(io.BytesIO(streamed), allow_pickle=False)
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}", path) from error
    except (ValueError, EOFError, SyntaxError, OverflowError, TypeError) as error:
        if "Python objects" in str(error) or "Object arrays" in str(error):
            raise pickled from error
        raise InputError(f"the .npy file is truncated or damaged ({error})", path) from error
    assert isinstance(array, np.ndarray)
    return array


def grid(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:
    """Option callback: CxR, as in 4x4, columns x rows of chips."""
    match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", value)
    if not match:
        raise click.BadParameter(f"{value!r} is not a grid of chips; write columns x rows, as in 4x4", ctx, param)
    return int(match[1]), int(match[2])


def load_defects(path: Path, mesh_x: int, mesh_y: int) -> list[tuple[int, int]]:
    """Cores that must not be used: a line `x y`, or `chip_x chip_y x y`; # starts a comment. Raises InputError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}", path) from error
    except UnicodeDecodeError as error:
        raise InputError("not a text file", path) from error
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) not in (2, 4) or not all(re.fullmatch(r"\d{1,6}", word) for word in words):
            raise InputError(f"{line.strip()!r} is not 'x y' or 'chip_x chip_y x y'", f"{path}:{number}")
        chip_x, chip_y, x, y = (int(w) for w in (words if len(words) == 4 else ["0", "0", *words]))
        if len(words) == 4 and not (x < mesh_x and y < mesh_y):
            message = f"core {x} {y} lies outside a chip of {mesh_x} x {mesh_y} cores"
            raise InputError(message, f"{path}:{number}", "two numbers alone, 'x y', count across all chips")
        found.append((chip_x * mesh_x + x, chip_y * mesh_y + y))
    return found
