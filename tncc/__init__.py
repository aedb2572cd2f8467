"""tncc: an open compiler and simulator for TrueNorth-class neuromorphic chips."""

from tncc.errors import CompileError, Error, FormatError, InputError

__version__ = "0.1.0"
__all__ = ["CompileError", "Error", "FormatError", "InputError", "__version__"]
