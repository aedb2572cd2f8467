"""A compiled model: the configured chip, the host-side models around it, and what is known about both."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tncc.runtime import tnbin
from tncc.runtime.config import ChipConfig

if TYPE_CHECKING:
    from tncc.session import Data, Results, Session


@dataclass(frozen=True)
class Program:
    """What `tncc.compile` returns and a .tnbin file holds.

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
    pass_seconds: dict[str, float] = field(default_factory=dict, compare=False)

    def content(self) -> tnbin.TnBin:
        """What the .tnbin file holds."""
        blobs = {name: blob for name, blob in (("prefix", self.prefix), ("suffix", self.suffix)) if blob is not None}
        return tnbin.TnBin(self.config, self.metadata, blobs)

    def to_bytes(self) -> bytes:
        """The bytes of the .tnbin file."""
        return tnbin.dumps(self.content())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a .tnbin file. Raises InputError where the path cannot be written."""
        tnbin.write(path, self.content())

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


def load(path: str | os.PathLike[str]) -> Program:
    """Reads a .tnbin file. Raises InputError (cannot open) or FormatError (not valid), naming the file."""
    content = tnbin.read(path)
    return Program(content.config, content.metadata, content.blobs.get("prefix"), content.blobs.get("suffix"))
