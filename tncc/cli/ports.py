"""--input and -o: one file, or NAME=FILE for each of a model's inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from tncc.cli.options import file, load_array
from tncc.errors import InputError

if TYPE_CHECKING:
    from tncc.program import Program

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Frames:
    """What --input names: the one input's array, or {input name: array}, memory-mapped.

    Attributes:
        source: the file, where there is one, for messages; with several they name the input.
    """

    data: Array | dict[str, Array]
    source: Path | str

    def __len__(self) -> int:
        return len(next(iter(self.data.values())) if isinstance(self.data, dict) else self.data)


def load_frames(given: Sequence[str], program: Program) -> Frames:
    """The arrays in the files given. Raises InputError where one cannot be read, or not every input has one."""
    names = [entry["name"] for entry in program.metadata.get("model_inputs", [])]
    files = by_name(given, names, "--input", "inputs") if names else {"": file(given[0])}
    if len(files) < len(names):
        raise _one_for_each(names, "--input", "inputs")
    arrays = {name: _load(path) for name, path in files.items()}
    if len(files) == 1:
        ((name, path),) = files.items()
        return Frames(arrays[name], path)
    return Frames(arrays, "")


def by_name(given: Sequence[str], names: Sequence[str], option: str, kind: str) -> dict[str, Path]:
    """{name: path} of what was given: NAME=FILE, where the name is one of `names`, or FILE alone where there is one.

    Raises InputError where it is not clear which file is whose.
    """
    found: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or name not in names:  # the = belongs to the path: runs/rate=0.1/out.npy
            if len(names) != 1:
                raise _one_for_each(names, option, kind)
            name, path = names[0], text
        if name in found:
            raise InputError(f"{option} names two files for {name}: {found[name]} and {path}")
        found[name] = file(path)
    return found


def _one_for_each(names: Sequence[str], option: str, kind: str) -> InputError:
    example = " ".join(f"{option} {name}=FILE.npy" for name in names)
    return InputError(f"the model's {kind} are {', '.join(names)}: each has a file of its own", hint=example)


def _load(path: Path) -> Array:
    array = load_array(path)
    if array.ndim == 0:
        raise InputError("holds a single number; frames [N, ...] are needed", path)
    return array
