"""From a trained model to ONNX whose every spike is the same in PyTorch, in ONNX Runtime and on the chip.

Both halves of a decision (sum >= threshold) are rounding-free: trinary layers sum integers, and each threshold is
moved to the middle of the gap between the two sums it separates, which changes no decision.
"""

from __future__ import annotations

import copy
import io
import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from tncc.errors import InputError
from tncc.files import check_writable, replacing
from tncc.frontends.onnx.load import OPSETS
from tncc.train.layers import BatchNorm, SpikingActivation, Transduction, TrinaryConv2d, TrinaryLinear
from tncc.train.loop import scores_of_one

_LAYERS = (Transduction, TrinaryConv2d, TrinaryLinear)
_FROZEN = (*_LAYERS, BatchNorm, SpikingActivation)
INPUT_GRID = 256.0  # inputs that are multiples of 1 / 256 make the transduction's sums exact


class _Spikes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x >= 0).to(torch.float32)


def export(
    model: nn.Module,
    path: str | Path,
    input_shape: tuple[int, ...],
    *,
    exporter: str = "dynamo",
    keep_batch_norm: bool = False,
    opset: int = 18,
) -> None:
    """Writes `model` as ONNX with one input "input" [batch, *input_shape] and one output "output".

    Args:
        model: a module. A Transduction, TrinaryConv2d or TrinaryLinear, its BatchNorm and a SpikingActivation in a row
            in one nn.Sequential decide exactly. Elsewhere (behind a sum of layers, called by a forward of one's own) a
            BatchNorm is exported as it is, and the compiler refuses it where the rounding of float32 decides.
        path: the file; it is replaced in one step.
        input_shape: of one frame, without the batch dimension.
        exporter: "dynamo" or "legacy": which of PyTorch's two.
        keep_batch_norm: write BatchNormalization nodes (legacy exporter only) instead of folding into biases.
        opset: ONNX operator set.

    Raises:
        InputError: an unknown exporter or opset, a path that cannot be written, a layer that cannot be frozen where it
            is, or a model that does not take frames of this shape.
    """
    check_target(path, exporter)
    if keep_batch_norm and exporter != "legacy":
        raise InputError("the dynamo exporter always folds batch normalisation", hint="exporter='legacy' keeps it")
    if opset not in OPSETS:
        raise InputError(f"opset {opset}; tncc reads {OPSETS[0]} to {OPSETS[-1]}")
    frozen = freeze(model, keep_batch_norm=keep_batch_norm)
    scores_of_one(frozen, torch.zeros(1, *input_shape))
    exported = io.BytesIO()
    example = torch.zeros(2, *input_shape)
    common = {"input_names": ["input"], "output_names": ["output"], "opset_version": opset}
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)  # the dynamo exporter warns of every package it can do without
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the legacy exporter announces its own end at every call
            if exporter == "dynamo":
                batch = {0: torch.export.Dim("batch", min=1)}
                program = torch.onnx.export(
                    frozen, (example,), dynamo=True, verbose=False, dynamic_shapes=(batch,), **common
                )
                program.save(exported)
            else:
                torch.onnx.export(
                    frozen,
                    (example,),
                    exported,
                    dynamo=False,
                    training=torch.onnx.TrainingMode.PRESERVE if keep_batch_norm else torch.onnx.TrainingMode.EVAL,
                    dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
                    **common,
                )
    finally:
        logger.setLevel(level)
    document = _stripped(exported.getvalue())
    with replacing(path) as file:
        file.write(document)


def check_target(path: str | Path | None, exporter: str) -> None:
    """Raises InputError where `export` would, so that no training ends in it. `path` None is not looked at."""
    if exporter not in ("dynamo", "legacy"):
        raise InputError(f"unknown exporter {exporter!r}", hint="dynamo or legacy")
    if path is not None:
        check_writable(path)


def _stripped(document: bytes) -> bytes:
    """An ONNX model less the stack traces (with the paths of this machine) that both exporters leave in every node."""
    model = onnx.load_from_string(document)
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    model.ClearField("metadata_props")
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def freeze(model: nn.Module, *, keep_batch_norm: bool = False) -> nn.Module:
    """A copy of `model` in plain torch.nn layers with constant weights that makes the same decisions in eval mode."""
    frozen = copy.deepcopy(model).cpu().float().eval()
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    if isinstance(frozen, (*_LAYERS, BatchNorm)):
        raise InputError("a single layer cannot be exported", hint="wrap it in nn.Sequential")
    for sequence in [m for m in frozen.modules() if isinstance(m, nn.Sequential)]:
        _freeze_sequence(sequence, keep_batch_norm)
    plain: dict[nn.Module, nn.Module] = {}  # a module that stands in several places stays one
    for parent in list(frozen.modules()):
        for name, child in parent._modules.items():  # named_children names each but once
            if isinstance(child, _FROZEN):
                if child not in plain:
                    plain[child] = _plain(child)
                parent._modules[name] = plain[child]
    return frozen


def _freeze_sequence(sequence: nn.Sequential, keep_batch_norm: bool) -> None:
    """Layer, BatchNorm, SpikingActivation in a row become a plain layer whose bias puts every threshold mid-gap."""
    names = list(sequence._modules)
    for first, second, third in zip(names, names[1:], names[2:], strict=False):
        layer, norm, spike = sequence._modules[first], sequence._modules[second], sequence._modules[third]
        if not (isinstance(layer, _LAYERS) and isinstance(norm, BatchNorm) and isinstance(spike, SpikingActivation)):
            continue
        step = 1.0 / (Transduction.GRID * INPUT_GRID) if isinstance(layer, Transduction) else 1.0
        plain = _plain_layer(layer)
        threshold = _threshold(layer, norm, step) - step / 2
        if keep_batch_norm and not isinstance(layer, Transduction):
            kept = _plain_batch_norm(norm)
            kept.running_mean.copy_(threshold.float())
            kept.bias.zero_()
            sequence._modules[second] = kept
        else:
            plain.bias = nn.Parameter(-threshold.float(), requires_grad=False)
            sequence._modules[second] = nn.Identity()
        sequence._modules[first] = plain


def _threshold(layer: nn.Module, norm: BatchNorm, step: float) -> Tensor:
    """float64 [channels]: the least multiple of `step` at which `norm` in eval mode is >= 0 in its own float32.

    Clamped to one step beyond what the layer can reach, which keeps the bias small and changes no decision.
    """
    weight = layer.weight().double().flatten(1)
    if isinstance(layer, Transduction):
        reach_low = reach_high = torch.full_like(weight[:, 0], 127.0 / step)
    else:
        reach_low, reach_high = (-weight).clamp(min=0).sum(1), weight.clamp(min=0).sum(1)
    low = (-reach_low).double()
    high = (reach_high + 1).double()
    guess = norm.running_mean.double() - norm.bias.double() * _deviation(norm)
    found = torch.ceil(guess / step).clamp(low, high)
    candidates = torch.arange(-2, 3, dtype=torch.float64)[:, None] + found  # float32 may round a sum across zero
    sums = (candidates * step).float()
    if not isinstance(layer, TrinaryLinear):
        sums = sums[:, :, None, None]  # the normalisation must round as it does on feature maps
    fires = norm(sums).flatten(1) >= 0
    first = torch.where(fires.any(0), candidates.gather(0, fires.double().argmax(0)[None])[0], found + 3)
    return first.clamp(low, high) * step


def _deviation(norm: BatchNorm) -> Tensor:
    return torch.sqrt(norm.running_var.double() + norm.eps)


def _plain(module: nn.Module) -> nn.Module:
    """The plain module that computes what one of _FROZEN does in eval mode."""
    if isinstance(module, SpikingActivation):
        return _Spikes()
    return _plain_batch_norm(module) if isinstance(module, BatchNorm) else _plain_layer(module)


def _plain_layer(layer: nn.Module) -> nn.Module:
    weight = layer.weight()
    if isinstance(layer, TrinaryLinear):
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        linear.weight = nn.Parameter(weight, requires_grad=False)
        return linear.eval()
    groups = layer.groups if isinstance(layer, TrinaryConv2d) else 1
    out, ins, kernel, _ = weight.shape
    conv = nn.Conv2d(ins * groups, out, kernel, layer.stride, layer.padding, groups=groups, bias=False)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    return conv.eval()


class _AnyBatchNorm(nn.modules.batchnorm._BatchNorm):
    """nn.BatchNorm1d and 2d in one: like tncc.train's, it takes [N, C] and [N, C, H, W]."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass


def _plain_batch_norm(norm: BatchNorm) -> nn.Module:
    plain = _AnyBatchNorm(norm.bias.numel(), eps=norm.eps).eval()
    plain.running_mean.copy_(norm.running_mean)
    plain.running_var.copy_(norm.running_var)
    plain.weight.requires_grad_(False)
    plain.bias.requires_grad_(False).copy_(norm.bias)
    return plain
