"""The .tnbin file: a safetensors container of a chip's arrays, its host models and one JSON metadata entry.

docs/config-format.md is the specification. Writing is deterministic to the byte and replaces the target file only when
everything is on disk; reading checks the checksum, every index and every range before anything runs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tncc.errors import FormatError, InputError
from tncc.files import replacing
from tncc.runtime.config import NEURON_FIELDS, ChipConfig

Array = npt.NDArray[Any]

VERSION = 1
METADATA_KEY = "tncc"  # one key only: safetensors keeps no order among several
NEURON_PREFIX = "neuron_types."
BLOB_PREFIX = "host."
_FROM_METADATA = {"axons", "neurons", "mesh", "input_pins", "output_pins", "neuron_types"}  # fields that are no arrays


@dataclass(frozen=True)
class TnBin:
    """What a .tnbin file holds.

    Attributes:
        config: the chip, checked.
        metadata: everything a report needs that the hardware does not: ports, layers, source, pipeline, seed.
        blobs: ONNX bytes of the host-side models: `prefix`, `suffix`; absent where there is nothing to compute.
    """

    config: ChipConfig
    metadata: dict[str, Any]
    blobs: dict[str, bytes] = field(default_factory=dict)


def dumps(content: TnBin) -> bytes:
    """The bytes of a .tnbin file; the same content always gives the same bytes."""
    tensors = content.config.arrays()
    for name, blob in content.blobs.items():
        tensors[BLOB_PREFIX + name] = np.frombuffer(blob, np.uint8)
    config = content.config
    document = content.metadata | {
        "format": "tnbin",
        "version": VERSION,
        "chip": {"axons": config.axons, "neurons": config.neurons, "mesh": list(config.mesh)},
        "input_pins": config.input_pins,
        "output_pins": config.output_pins,
    }
    document["checksum"] = _checksum(document, tensors)
    return save(dict(sorted(tensors.items())), {METADATA_KEY: _json(document)})


def write(path: str | os.PathLike[str], content: TnBin) -> str:
    """Writes a .tnbin file; returns the SHA-256 of its bytes in hexadecimal.

    Raises InputError where the path cannot be written; nothing half-written stays.
    """
    data = dumps(content)
    with replacing(path) as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def read(path: str | os.PathLike[str]) -> TnBin:
    """Reads and checks a .tnbin file.

    Raises:
        InputError: the file cannot be opened.
        FormatError: it is not a .tnbin file, of another version, truncated, corrupted, or holds an illegal value.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}", path) from error
    try:
        return loads(data)
    except FormatError as error:
        raise FormatError(error.message, error.location or path, error.hint) from error


def loads(data: bytes) -> TnBin:
    """The content of a .tnbin file's bytes, checked. Raises FormatError."""
    document = _metadata(data)
    try:
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise FormatError(f"the safetensors container is damaged ({error})", hint=_DAMAGED) from error
    checksum = document.pop("checksum", None)
    if checksum != _checksum(document, tensors):
        raise FormatError("the content does not match its checksum", hint=_DAMAGED)
    blobs = {
        name.removeprefix(BLOB_PREFIX): tensors.pop(name).tobytes()
        for name in sorted(tensors)
        if name.startswith(BLOB_PREFIX)
    }
    config = _config(document, tensors)
    config.check()
    for key in ("format", "version", "chip", "input_pins", "output_pins"):
        document.pop(key)
    return TnBin(config, document, blobs)


_DAMAGED = "the file is truncated or corrupted: copy it again, or compile the model again"


def _metadata(data: bytes) -> dict[str, Any]:
    """The metadata document, found without touching the tensors, so that a wrong version is named as such."""
    not_ours = "not a .tnbin file"
    if len(data) < 8:
        raise FormatError(f"{not_ours} ({len(data)} bytes long)")
    length = int.from_bytes(data[:8], "little")
    if length > 100_000_000 or data[8:9] != b"{":
        raise FormatError(not_ours, hint="tncc compile writes .tnbin files; tncc import reads IBM's model files")
    if len(data) < 8 + length:
        raise FormatError("the file ends inside its header", hint=_DAMAGED)
    try:
        header = json.loads(data[8 : 8 + length])
        document = json.loads(header["__metadata__"][METADATA_KEY])
        version = document["version"]
        if document["format"] != "tnbin":
            raise ValueError(document["format"])
        _json(document)  # so that it can be written, and its checksum computed: no NaN, no infinity
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{not_ours}, or its header is damaged", hint=_DAMAGED) from error
    if version != VERSION:
        raise FormatError(
            f"format version {version!r}; this tncc reads version {VERSION}",
            hint="compile the model again with this tncc, or install the tncc that wrote the file",
        )
    assert isinstance(document, dict)
    return document


def _config(document: dict[str, Any], tensors: dict[str, Array]) -> ChipConfig:
    plain = {f.name for f in fields(ChipConfig)} - _FROM_METADATA
    expected = plain | {NEURON_PREFIX + name for name in NEURON_FIELDS}
    if missing := sorted(expected - tensors.keys()):
        raise FormatError(f"array {missing[0]} is missing", hint=_DAMAGED)
    if unknown := sorted(tensors.keys() - expected):
        raise FormatError(f"array {unknown[0][:40]!r} is not known in format version {VERSION}", hint=_DAMAGED)
    try:
        chip = document["chip"]
        return ChipConfig(
            axons=_integer(chip["axons"]),
            neurons=_integer(chip["neurons"]),
            mesh=tuple(_integer(m) for m in chip["mesh"]),  # type: ignore[arg-type]  # length: ChipConfig.check
            input_pins=_integer(document["input_pins"]),
            output_pins=_integer(document["output_pins"]),
            neuron_types={name: tensors[NEURON_PREFIX + name] for name in NEURON_FIELDS},
            **{name: tensors[name] for name in plain},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"an entry is missing or not understood ({error})", hint=_DAMAGED) from error


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not an integer")
    return value


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _checksum(document: Mapping[str, Any], tensors: Mapping[str, Array]) -> str:
    """SHA-256 over the metadata (less the checksum) and every array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(_json({k: v for k, v in document.items() if k != "checksum"}).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()
