"""tncc: an open compiler and simulator for TrueNorth-class neuromorphic chips.

>>> import tncc
>>> chip = tncc.compile("model.onnx")
>>> chip.save("chip.tnbin")
>>> y = tncc.load("chip.tnbin").run(x)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tncc.errors import CompileError, Error, FormatError, InputError

if TYPE_CHECKING:
    from tncc.compiler import compile
    from tncc.program import Program, load
    from tncc.session import Session
    from tncc.verification import verify

__version__ = "0.1.0"
__all__ = [
    "CompileError",
    "Error",
    "FormatError",
    "InputError",
    "Program",
    "Session",
    "__version__",
    "compile",
    "load",
    "verify",
]

_HOMES = {
    "Program": "tncc.program",
    "Session": "tncc.session",
    "compile": "tncc.compiler",
    "load": "tncc.program",
    "verify": "tncc.verification",
}


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used: `import tncc` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tncc' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
