"""What has to come of any model: a chip whose outputs are ONNX Runtime's, bit for bit, or an error of the catalogue."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

import tncc
from tncc.errors import CATALOGUE, Error
from tncc.session import Session

Array = npt.NDArray[Any]


class Wrong(AssertionError):
    """The compiler broke its promise."""


def judge(source: Any, options: dict[str, Any] | None = None) -> str:
    """Compiles a model (a proto, bytes or a path); "exact", "not run: why", or the error's code. Raises Wrong."""
    try:
        program = tncc.compile(source, effort="low", **(options or {}))
    except tncc.CompileError as error:
        text = str(error)
        if CATALOGUE.get(error.code) is not type(error) or not error.message.strip() or "Traceback" in text:
            raise Wrong(f"not an error of the catalogue: {error!r}") from error
        if error.code in ("E602", "E604", "E605", "E606"):
            raise Wrong(f"an error that no model should lead to: {error}") from error
        if len(text) > 3000:
            raise Wrong(f"a message of {len(text)} characters: {text[:200]}") from error
        return error.code
    data = source if isinstance(source, bytes | str) else source.SerializeToString()
    if isinstance(data, bytes) and contradicts_itself(data):
        return "not run: the source contradicts itself"
    if isinstance(data, bytes) and any(n.op_type == "Loop" for n in onnx.load_from_string(data).graph.node):
        return "not run: ONNX Runtime may never finish a loop"
    reference = reference_session(data)
    if isinstance(reference, str):
        return f"not run: ONNX Runtime refuses the source: {reference}"
    session = Session(program)
    remarks: list[str] = []
    for feeds in batches(reference):
        try:
            expected = reference.run(session.outputs, feeds)
        except Exception:
            remarks.append("not run: ONNX Runtime fails on this data")
            continue
        try:
            found = session.run(feeds)
        except Error as error:
            remarks.append(f"not run: {type(error).__name__}")
            continue
        results = found if isinstance(found, dict) else {session.outputs[0]: found}
        if any(not same(*pair) for pair in zip(expected, reference.run(session.outputs, feeds), strict=True)):
            return "not run: the model draws random numbers"
        for name, wanted in zip(session.outputs, expected, strict=True):
            compare(name, results[name], wanted, feeds)
        remarks.append("exact")
    return "exact" if "exact" in remarks else remarks[0]


def compare(name: str, found: Array, wanted: Array, feeds: dict[str, Array]) -> None:
    if found.dtype != wanted.dtype or found.shape != wanted.shape:
        raise Wrong(f"output {name}: {found.dtype}{found.shape} in place of {wanted.dtype}{wanted.shape}")
    if not same(found, wanted):
        equal = (found == wanted) | ((found != found) & (wanted != wanted))
        at = tuple(int(i) for i in np.argwhere(~equal)[0])
        raise Wrong(f"output {name}{list(at)}: {found[at]!r} in place of {wanted[at]!r}; {(~equal).sum()} differ")


def same(a: Array, b: Array) -> bool:
    return bool(np.all((a == b) | ((a != a) & (b != b))))


def contradicts_itself(data: bytes) -> bool:
    """Whether a declared type is not what is computed: ONNX Runtime may then return what lay in memory."""
    try:
        onnx.shape_inference.infer_shapes(data, strict_mode=True)
    except Exception:
        return True
    return False


def reference_session(data: bytes | str) -> onnxruntime.InferenceSession | str:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    except Exception as error:
        return " ".join(str(error).split())[:200]


def batches(session: onnxruntime.InferenceSession) -> list[dict[str, Array]]:
    """Feeds: zeros, ones, bits, small integers, reals; a frame at a time where the batch is fixed."""
    rng = np.random.default_rng(0)
    draws = [
        lambda shape: np.zeros(shape),
        lambda shape: np.ones(shape),
        lambda shape: rng.integers(0, 2, shape),
        lambda shape: rng.integers(0, 2, shape),
        lambda shape: rng.integers(-3, 4, shape),
        lambda shape: rng.normal(size=shape),
    ]
    found = []
    for draw in draws:
        feeds = {}
        for value in session.get_inputs():
            shape = [5 if not isinstance(n, int) else n for n in value.shape]
            numbers = draw(shape)
            kind = value.type.removeprefix("tensor(").rstrip(")")
            dtype = {"float": "float32", "double": "float64"}.get(kind, kind)
            if dtype.startswith("uint"):
                numbers = np.abs(numbers)
            feeds[value.name] = numbers.astype(dtype)
        found.append(feeds)
    return found
