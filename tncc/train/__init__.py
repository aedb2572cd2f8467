"""Training of networks that compile exactly: trinary weights, binary spikes, plain PyTorch (extra `train`).

Everything here is loaded on first use: `import tncc` and compiling need no torch. The data loaders need none either.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tncc.errors import InputError

if TYPE_CHECKING:
    from tncc.train.builder import build
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
    from tncc.train.loop import History, evaluate, fit, predict
    from tncc.train.sparsity import SparsityPenalty, spikes_per_frame

_WHERE = {
    "BatchNorm": "layers",
    "ClassVote": "layers",
    "GroupShuffle": "layers",
    "SpikingActivation": "layers",
    "Transduction": "layers",
    "TrinaryConv2d": "layers",
    "TrinaryLinear": "layers",
    "History": "loop",
    "SparsityPenalty": "sparsity",
    "build": "builder",
    "evaluate": "loop",
    "export": "export",
    "fit": "loop",
    "predict": "loop",
    "spikes_per_frame": "sparsity",
}
__all__ = [
    "BatchNorm",
    "ClassVote",
    "GroupShuffle",
    "History",
    "SparsityPenalty",
    "SpikingActivation",
    "Transduction",
    "TrinaryConv2d",
    "TrinaryLinear",
    "build",
    "evaluate",
    "export",
    "fit",
    "predict",
    "spikes_per_frame",
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
