"""Writing a file so that under its name there is either all of it or what was there before."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tncc.errors import InputError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `path` and, where the block ends without an error, renames it to `path`.

    A link stays a link: the file it points to is replaced. Pipes and devices (/dev/stdout) are written directly.
    Raises InputError where the folder does not exist or cannot be written.
    """
    if not os.fspath(path):
        raise InputError("the name of the file to write is empty")
    target = Path(os.path.realpath(path))
    temporary: Path | None = None
    try:
        if _is_stream(path):
            with Path(path).open("wb") as file:
                yield file
            return
        handle, temporary = _beside(target)
        with os.fdopen(handle, "wb") as file:
            yield file
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"cannot write the file: {error.strerror or error}", path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _beside(target: Path) -> tuple[int, Path]:
    """A new file in the folder of `target`, open for writing, with the mode that any new file gets: tempfile's would be
    private, and the process's umask cannot be read without changing it for all threads."""
    while True:
        path = target.with_name(f".{target.name[:32]}.{os.urandom(6).hex()}.tmp")
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), path
        except FileExistsError:
            continue


def _is_stream(path: str | os.PathLike[str]) -> bool:
    """A pipe or a device. It is opened by the name given: /dev/stdout is a link to a pipe without a name of its own."""
    place = Path(path)
    return place.exists() and not (place.is_file() or place.is_dir())


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises InputError where `replacing` would, so that long work does not end in a name that cannot be written."""
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not _is_stream(path):
            tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise InputError(f"cannot write the file: {error.strerror or error}", path) from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8, all of it or nothing. Raises InputError where the path cannot be written."""
    with replacing(path) as file:
        file.write(text.encode(errors="backslashreplace"))  # file names that are not UTF-8 may stand in the text
