"""Writing results batch by batch, so that they need not fit in memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tncc.errors import InputError


class OutputFile:
    """A .npy file of `frames` rows that appears under its name only when every row is written."""

    def __init__(self, path: Path | None, frames: int) -> None:
        """`path` None makes a sink that drops everything. Raises InputError where the path cannot be written."""
        self._path, self._frames = path, frames
        self._file: BinaryIO | None = None
        self._temporary = Path()
        self._started = False
        if path is not None:
            try:
                handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
            except OSError as error:
                raise InputError(f"cannot write the file: {error.strerror or error}", path) from error
            self._file, self._temporary = os.fdopen(handle, "wb"), Path(name)

    def __enter__(self) -> OutputFile:
        return self

    def write(self, rows: npt.NDArray[Any]) -> None:
        """Appends rows [n, ...]; the first rows fix dtype and shape."""
        if self._file is None:
            return
        if not self._started:
            header = {
                "descr": np.lib.format.dtype_to_descr(rows.dtype),
                "fortran_order": False,
                "shape": (self._frames, *rows.shape[1:]),
            }
            np.lib.format.write_array_header_1_0(self._file, header)
            self._started = True
        self._file.write(np.ascontiguousarray(rows).tobytes())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None or self._path is None:
            return
        self._file.close()
        if kind is None:
            umask = os.umask(0)
            os.umask(umask)
            self._temporary.chmod(0o666 & ~umask)
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)
