"""A compiled model: the configured chip, the host-side models around it, and what is known about both."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tncc.errors import FormatError
from tncc.runtime import tnbin
from tncc.runtime.config import ChipConfig

if TYPE_CHECKING:
    from tncc.session import Data, Results, Session


MOST_LAYERS = 1 << 20  # of a file that does not name them


@dataclass(frozen=True, eq=False, repr=False)
class Program:
    """What `tncc.compile` returns and a .tnbin file holds. Two are equal where their files are, byte for byte.

    Attributes:
        config: the arrays the hardware is configured with.
        metadata: ports, layers, source, pipeline, seed: docs/config-format.md lists the keys.
        prefix, suffix: ONNX bytes of the host-side models; None where the chip takes or gives the model's own tensors.
        pass_seconds: time of each compiler pass; empty for a loaded program.
    """

    config: ChipConfig
    metadata: dict[str, Any]
    prefix: bytes | None = None
    suffix: bytes | None = None
    pass_seconds: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        name = self.metadata.get("source", {}).get("name", "made by hand")
        return f"<tncc.Program {name}: {self.config.n_cores:,} cores, {self.config.latency_ticks} ticks latency>"

    def __eq__(self, other: object) -> bool:
        return self.file_sha256 == other.file_sha256 if isinstance(other, Program) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.file_sha256)

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle or a copy holds: not the session, which is the simulator's memory."""
        return {key: value for key, value in vars(self).items() if key != "_session"}

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The metadata's layers; where it names none (a chip made by hand), one for each number in config.layer."""
        count = int(self.config.layer.max(initial=-1)) + 1
        by_number = [{"name": f"layer {i}", "kind": "cores", "location": "", "note": {}} for i in range(count)]
        layers: list[dict[str, Any]] = self.metadata.get("layers", by_number)
        return layers

    def content(self) -> tnbin.TnBin:
        """What the .tnbin file holds."""
        blobs = {name: blob for name, blob in (("prefix", self.prefix), ("suffix", self.suffix)) if blob is not None}
        return tnbin.TnBin(self.config, self.metadata, blobs)

    def to_bytes(self) -> bytes:
        """The bytes of the .tnbin file."""
        return tnbin.dumps(self.content())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a .tnbin file. Raises InputError where the path cannot be written."""
        self.__dict__["file_sha256"] = tnbin.write(path, self.content())

    @cached_property
    def file_sha256(self) -> str:
        """SHA-256 of the .tnbin file's bytes, in hexadecimal; known without a second serialisation once saved."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @cached_property
    def _session(self) -> Session:
        from tncc.session import Session

        return Session(self)

    def run(self, x: Data) -> Results:
        """The model's outputs for a batch of frames, as ONNX Runtime would return them.

        Args:
            x: [frames, ...], the model's one input, or {input name: array}.

        Returns:
            The one output as an array [frames, ...], or {output name: array} where the model has several.
        """
        return self._session.run(x)

    def report(self) -> dict[str, Any]:
        """The dictionary that `tncc inspect --json` prints."""
        from tncc.report import report

        return report(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: size, latency, layers, and the placement as a picture."""
        from tncc.notebook import program_html

        return program_html(self)


def load(path: str | os.PathLike[str]) -> Program:
    """Reads a .tnbin file. Raises InputError (cannot open) or FormatError (not valid), naming the file."""
    content = tnbin.read(path)
    try:
        check_metadata(content.metadata, content.config)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"the metadata is malformed ({error!r})", path) from error
    return Program(content.config, content.metadata, content.blobs.get("prefix"), content.blobs.get("suffix"))


def check_metadata(metadata: dict[str, Any], config: ChipConfig) -> None:
    """Raises ValueError, KeyError, TypeError or AttributeError where an entry is not as docs/config-format.md says."""
    for ports, pins in (("inputs", config.input_pins), ("outputs", config.output_pins)):
        for port in metadata.get(ports, []):
            str.encode(port["name"])
            if _count(port["first_pin"]) + math.prod(map(_count, port["shape"])) > pins:
                raise ValueError(f"port {port['name']} lies outside the chip's {pins} pins")
    if metadata.get("model_inputs", []) != []:
        _check_interface(metadata)
    for key in ("source", "trinarization"):
        metadata.get(key, {}).keys()
    layers = metadata.get("layers", [])
    for layer in layers:
        for key in ("name", "kind", "location"):
            str.encode(layer[key])
        layer.get("note", {}).keys()
    count = len(layers) if "layers" in metadata else MOST_LAYERS
    if int(config.layer.max(initial=-1)) >= count:
        raise ValueError(f"a core belongs to layer {config.layer.max()} of {count}")
    mesh_x, mesh_y, chips_x, chips_y = config.mesh
    for x, y in metadata.get("defects", []):
        if not (_count(x) < mesh_x * chips_x and _count(y) < mesh_y * chips_y):
            raise ValueError(f"defective core ({x}, {y}) lies outside the mesh")


def _check_interface(metadata: dict[str, Any]) -> None:
    """The entries by which a session takes frames and gives answers; they come together."""
    for entry in metadata["model_inputs"]:
        str.encode(entry["name"])
        _check_dtype(entry["dtype"])
        for size in entry["shape"]:
            _count(size)
    for ports in ("inputs", "outputs", "model_outputs"):
        if not metadata[ports]:
            raise ValueError(f"{ports} is empty")
    for name in metadata["model_outputs"]:
        _check_dtype(metadata["model_output_dtypes"][name])


def _check_dtype(name: str) -> None:
    str.encode(name)
    if np.dtype(name).kind not in "fiub":
        raise ValueError(f"{name} is no dtype of a model's tensors")


def _count(value: object) -> int:
    """A size or a coordinate: an integer from 0 on."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no size")
    return value
