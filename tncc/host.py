"""The parts of a model that stay on the host, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import FormatError, InputError

Array = npt.NDArray[Any]

_ONNX_DTYPES: dict[str, str] = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    **{f"tensor({name})": name for name in ("float16", "int8", "int16", "int32", "int64", "bool")},
    **{f"tensor(u{name})": f"u{name}" for name in ("int8", "int16", "int32", "int64")},
}


class HostModel:
    """An ONNX model in memory, ready to run.

    Attributes:
        inputs: {name: (dtype, shape with None for free dimensions)} in the model's order.
        outputs: names in the model's order.
    """

    def __init__(self, model: bytes | Path, what: str, threads: int = 1) -> None:
        """Loads bytes or a file (with its external data). Raises FormatError, naming `what`, where that fails."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # its threads would spin for some 50 ms after each batch, on the processors that the chip's engine needs
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # it raises what matters; its log lines would reach the user twice
        try:
            self._session = onnxruntime.InferenceSession(
                str(model) if isinstance(model, Path) else model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            raise FormatError(
                f"ONNX Runtime does not take the {what}: {_first_line(error)}", model if isinstance(model, Path) else ""
            ) from error
        self._what = what
        self.inputs = {
            i.name: (_ONNX_DTYPES.get(i.type, i.type), [d if isinstance(d, int) else None for d in i.shape])
            for i in self._session.get_inputs()
        }
        self.outputs = [o.name for o in self._session.get_outputs()]

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        """Every output by name, for a batch. Raises InputError where the data does not fit."""
        cast = {name: np.ascontiguousarray(feeds[name], dtype=dtype) for name, (dtype, _) in self.inputs.items()}
        try:
            results = self._session.run(self.outputs, cast)
        except Exception as error:
            raise InputError(f"ONNX Runtime cannot run the {self._what} on this data: {_first_line(error)}") from error
        return dict(zip(self.outputs, results, strict=True))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
