"""Training of networks that compile exactly: trinary weights, binary spikes, plain PyTorch (extra `train`).

Everything here is loaded on first use: `import tncc` and compiling need no torch. The data loaders need none either.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tncc.errors import InputError

if TYPE_CHECKING:
    from tncc.train.builder import build
    from tncc.train.fit_check import Fit, check_fit
    from tncc.train.history import History
    from tncc.train.layers import (
        BatchNorm,
        ClassVote,
        GroupShuffle,
        SpikingActivation,
        Transduction,
        TrinaryConv2d,
        TrinaryLinear,
    )
    from tncc.train.loop import evaluate, fit, predict
    from tncc.train.onnx_export import export
    from tncc.train.sparsity import SparsityPenalty, spikes_per_frame
    from tncc.train.warm_start import trinarize

_WHERE = {
    "BatchNorm": "layers",
    "ClassVote": "layers",
    "Fit": "fit_check",
    "GroupShuffle": "layers",
    "SpikingActivation": "layers",
    "Transduction": "layers",
    "TrinaryConv2d": "layers",
    "TrinaryLinear": "layers",
    "History": "history",
    "SparsityPenalty": "sparsity",
    "build": "builder",
    "check_fit": "fit_check",
    "evaluate": "loop",
    "export": "onnx_export",
    "fit": "loop",
    "predict": "loop",
    "spikes_per_frame": "sparsity",
    "trinarize": "warm_start",
}
__all__ = [
    "BatchNorm",
    "ClassVote",
    "Fit",
    "GroupShuffle",
    "History",
    "SparsityPenalty",
    "SpikingActivation",
    "Transduction",
    "TrinaryConv2d",
    "TrinaryLinear",
    "build",
    "check_fit",
    "evaluate",
    "export",
    "fit",
    "predict",
    "spikes_per_frame",
    "trinarize",
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
    globals()[name] = value
    return value
