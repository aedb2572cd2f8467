"""Every error that tncc raises on purpose. A leaf module, like tncc.files: all four folders may import it."""

from __future__ import annotations


class Error(Exception):
    """Base of all errors a user can cause. `str(error)` is one clear message: what, where, what would work.

    Attributes:
        message: what is wrong.
        location: where: an ONNX node, a file, a core; "" when there is no better place to name.
        hint: what would work; "" when nothing is known to.
    """

    def __init__(self, message: str, location: object = "", hint: str = "") -> None:
        self.message = message
        self.location = str(location)
        self.hint = hint
        text = f"{self.location}: {message}" if self.location else message
        super().__init__(f"{text}\n  hint: {hint}" if hint else text)

    def __reduce__(self) -> tuple[type[Error], tuple[str, str, str]]:
        return type(self), (self.message, self.location, self.hint)


class CompileError(Error):
    """A model, an IR text or a pipeline that cannot be compiled as asked."""


class FormatError(Error):
    """A file that is not what it should be: truncated, corrupted, of an unknown version, out of range."""


class InputError(Error):
    """Data or options that do not fit the chip or the model: shape, dtype, range, an unknown name."""
