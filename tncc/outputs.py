"""Writing results batch by batch, so that they need not fit in memory."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tncc.files import replacing


class OutputFile:
    """A .npy file of `frames` rows that appears under its name only when every row is written."""

    def __init__(self, path: Path, frames: int) -> None:
        """Raises InputError where the path cannot be written."""
        self._frames = frames
        self._stack = ExitStack()
        self._file: BinaryIO = self._stack.enter_context(replacing(path))
        self._started = False

    def __enter__(self) -> OutputFile:
        return self

    def write(self, rows: npt.NDArray[Any]) -> None:
        """Appends rows [n, ...]; the first rows fix dtype and shape."""
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
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)
