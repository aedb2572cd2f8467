"""Training of networks that compile exactly: trinary weights, binary spikes, plain PyTorch (extra `train`).

Everything here is loaded on first use: `import tncc` and compiling need no torch. The data loaders need none either.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tncc.errors import InputError

if TYPE_CHECKING:
    from tncc.train.export import export
    from tncc.train.layers import (
        BatchNorm,
        ClassVote,
        GroupShuffle,
        SpikingActivation,
        Transduction,
        TrinaryConv2d,
        TrinaryLinear,
    )

_WHERE = {
    "BatchNorm": "layers",
    "ClassVote": "layers",
    "GroupShuffle": "layers",
    "SpikingActivation": "layers",
    "Transduction": "layers",
    "TrinaryConv2d": "layers",
    "TrinaryLinear": "layers",
    "export": "export",
}
__all__ = [
    "BatchNorm",
    "ClassVote",
    "GroupShuffle",
    "SpikingActivation",
    "Transduction",
    "TrinaryConv2d",
    "TrinaryLinear",
    "export",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'tncc.train' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"tncc.train.{_WHERE[name]}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError(
            f"tncc.train.{name} needs PyTorch, which is not installed", hint="pip install 'tncc[train]'"
        ) from None
    value = getattr(module, name)
    globals()[name] = value  # over the submodule of the same name, which the import above bound
    return value
