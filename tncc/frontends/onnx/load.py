"""Reads an ONNX model from a file, bytes or memory; checks it, cleans it and imports it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.external_data_helper
import onnx.numpy_helper
from google.protobuf.message import DecodeError

from tncc.errors import (
    ExternalDataUnreadable,
    FileUnreadable,
    InterfaceUnsupported,
    ModelInvalid,
    NotOnnx,
    OperatorUnsupported,
    OpsetUnsupported,
)
from tncc.frontends.onnx.clean import clean
from tncc.frontends.onnx.importer import import_graph
from tncc.ir.graph import Graph

OPSETS = range(11, 24)
CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A model as the compiler takes it.

    Attributes:
        model: cleaned: constants folded, every node named, batch dimension free, all other shapes static.
        graph: the same model at the nn level, for one frame; values carry the names of the ONNX tensors.
        name: the file's stem, or the ONNX graph's name.
        sha256: of the file's bytes (of the serialised model where there is no file), in hexadecimal.
        nodes: (name, operator) of every node of the source model but constants, in order; unnamed ones got names.
        unused: names of those that no output depends on.
        approximated: names of those that another, trinary computation stands for.
    """

    model: onnx.ModelProto
    graph: Graph
    name: str
    sha256: str
    nodes: tuple[tuple[str, str], ...] = ()
    unused: frozenset[str] = frozenset()
    approximated: frozenset[str] = frozenset()


def load(source: str | Path | bytes | onnx.ModelProto) -> OnnxModel:
    """Reads a model.

    Args:
        source: a path, the bytes of a file, or a model in memory (left alone).

    Raises:
        CompileError: one message for whatever is wrong with the file or the model.
    """
    if isinstance(source, onnx.ModelProto):
        model = onnx.ModelProto()
        model.CopyFrom(source)
        data, name = model.SerializeToString(deterministic=True), model.graph.name or "model"
        base = None
    elif isinstance(source, bytes):
        model, data = _parse(source, "model"), source
        name, base = model.graph.name or "model", None
    else:
        path = Path(source)
        data = _read(path)
        model, name, base = _parse(data, path), path.stem, path.parent
    where = source if isinstance(source, str | Path) else name
    _check(model, where, base)
    cleaned = clean(model, where)
    sha256 = hashlib.sha256(data).hexdigest()
    return OnnxModel(cleaned.model, import_graph(cleaned, name), name, sha256, cleaned.nodes, cleaned.unused)


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise FileUnreadable("is a folder, not an ONNX file", path)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileUnreadable("no such file", path) from None
    except OSError as error:
        raise FileUnreadable(f"cannot be read: {error.strerror}", path) from None


def _parse(data: bytes, where: object) -> onnx.ModelProto:
    if not data:
        raise NotOnnx("the file is empty", where)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        missing = _missing_bytes(data)
        if missing:
            raise NotOnnx(
                f"the file is truncated: at least {missing} bytes are missing", where, "copy or export it again"
            ) from None
        raise NotOnnx("not an ONNX file", where, "expected a model as torch.onnx.export writes it") from None
    if not model.ir_version or not model.HasField("graph"):
        raise NotOnnx("not an ONNX file", where, "expected a model as torch.onnx.export writes it")
    return model


MODEL_FIELDS = {field.number for field in onnx.ModelProto.DESCRIPTOR.fields}


def _missing_bytes(data: bytes) -> int:
    """How many bytes a serialised ModelProto is short of; 0 where it is damaged otherwise or is something else."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while shift < 64:
            byte = data[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at
        raise ValueError

    at, seen = 0, 0
    try:
        while at < len(data):
            tag, at = varint(at)
            field, wire = tag >> 3, tag & 7
            if field not in MODEL_FIELDS:
                return 0
            seen += 1
            if wire == 0:
                _, at = varint(at)
            elif wire == 2:
                size, at = varint(at)
                at += size
            else:
                return 0
    except IndexError:
        return 1 if seen > 1 else 0
    except ValueError:
        return 0
    return at - len(data) if seen > 1 else 0


def _check(model: onnx.ModelProto, where: object, base: Path | None) -> None:
    """Refuses what cannot be compiled whatever its nodes compute; reads external data into the model."""
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    opset = versions.get("ai.onnx")
    if opset is None:
        raise OpsetUnsupported("the model imports no ONNX operator set", where)
    if opset not in OPSETS:
        raise OpsetUnsupported(
            f"operator set {opset} is not supported; supported are {OPSETS.start} to {OPSETS.stop - 1}",
            where,
            "export with another opset_version, or convert with onnx.version_converter",
        )
    _read_external(model, where, base)
    for value in model.graph.output:
        # exporters may leave an output's type out, which the checker minds; cleaning infers it anew
        if not value.type.WhichOneof("value"):
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelInvalid(f"not a valid ONNX model: {_first_line(error)}", where, _lost_bounds(model)) from None
    _check_tensors(model, where)
    if model.graph.sparse_initializer:
        raise OperatorUnsupported("sparse initializers are not supported", where, "store the weights densely")
    if not model.graph.input:
        raise InterfaceUnsupported("the model has no input", where)
    if not model.graph.output:
        raise InterfaceUnsupported("the model has no output", where)
    names = [value.name for value in model.graph.output]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InterfaceUnsupported(f"the model returns {twice!r} twice", where, "return each tensor once")


def _lost_bounds(model: onnx.ModelProto) -> str:
    """What to do where torch.onnx.export lost the bounds of a Clip; "" where it did not.

    Its optimiser (onnxscript's FuseMaxMinToClip, 0.7 and before) names them after the tensor that is clamped, so that
    of two clamps of one tensor one refers to bounds that are not there.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    known.update(name for node in model.graph.node for name in node.output)
    known.update(value.name for value in model.graph.input)
    clips = [node for node in model.graph.node if node.op_type == "Clip"]
    if not any(name and name not in known for node in clips for name in node.input[1:]):
        return ""
    return (
        "torch.onnx.export(dynamo=True) loses the bounds where one tensor is clamped twice: clamp it once and use the "
        "result twice, or export with optimize=False or dynamo=False"
    )


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All stored tensors: initializers and attributes."""
    yield from model.graph.initializer
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        yield from (attribute.t for attribute in node.attribute if attribute.type == onnx.AttributeProto.TENSOR)


def _check_tensors(model: onnx.ModelProto, where: object) -> None:
    for tensor in _tensors(model):
        try:
            onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
            raise ModelInvalid(f"tensor {tensor.name!r} is damaged: {_first_line(error)}", where) from None


def _read_external(model: onnx.ModelProto, where: object, base: Path | None) -> None:
    external = [t for t in _tensors(model) if t.data_location == onnx.TensorProto.EXTERNAL]
    if not external:
        return
    files = sorted({entry.value for t in external for entry in t.external_data if entry.key == "location"})
    if base is None:
        raise ExternalDataUnreadable(
            f"the weights lie in another file ({', '.join(files)})", where, "give the path of the .onnx file"
        )
    for file in files:
        if not (base / file).is_file():
            raise ExternalDataUnreadable(
                f"the weights lie in {file}, which is missing", where, "keep the two files in one folder"
            )
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(base))
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        raise ExternalDataUnreadable(
            f"the weights in {', '.join(files)} cannot be read: {_first_line(error)}", where
        ) from None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
