"""From a float PyTorch CNN to a trinary spiking one, as the start of a fine-tuning."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tncc.errors import InputError
from tncc.train.layers import BatchNorm, SpikingActivation, Transduction, TrinaryConv2d, TrinaryLinear

TWN = 0.7  # weights beyond 0.7 mean magnitudes become +-1 (Li et al. 2016, ternary weight networks)


def trinarize(model: nn.Sequential, calibrate: Tensor | None = None, *, firing: float = 0.0) -> nn.Sequential:
    """A copy of a float CNN in the layers of tncc.train, warm-started; fine-tune it with `fit`, then `export`.

    Convolution or linear + batch normalisation + ReLU becomes trinary weights + BatchNorm + SpikingActivation. The
    first convolution stays real-valued (Transduction). A last linear layer without activation stays as it is, on the
    host. Pooling by maximum (an OR of spikes), Flatten, Dropout and GroupShuffle stay.

    Args:
        model: flat nn.Sequential of the layers above; every convolution or linear layer but the last is followed by a
            batch normalisation and a ReLU.
        calibrate: [N, ...] some hundred inputs, from which the normalisations take their statistics; without them, the
            network answers at random until it has been fine-tuned.
        firing: a neuron fires where the float ReLU's normalised input exceeds this.

    Raises:
        InputError: names the layer that has no counterpart. Whether filters fit cores is what check_fit says.
    """
    if not isinstance(model, nn.Sequential):
        raise InputError(f"trinarize takes a flat nn.Sequential, not {type(model).__name__}")
    layers = list(model)
    last = max((i for i, m in enumerate(layers) if isinstance(m, (nn.Conv2d, nn.Linear))), default=-1)
    found: list[nn.Module] = []
    i = 0
    while i < len(layers):
        layer, place = layers[i], f"layer {i} ({type(layers[i]).__name__})"
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and i != last:
            norm, active = (layers[i + k] if i + k < len(layers) else None for k in (1, 2))
            if not isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)) or not isinstance(active, nn.ReLU):
                raise InputError("is not followed by a batch normalisation and a ReLU", place)
            if norm.weight is None or norm.running_mean is None:
                raise InputError("its batch normalisation has no scale and bias, or no running statistics", place)
            found += _convert(layer, norm, firing, place, first=not any(isinstance(m, Transduction) for m in found))
            i += 3
            continue
        if (
            isinstance(layer, (nn.Linear, nn.MaxPool2d, nn.Flatten, nn.Dropout, nn.Dropout2d, nn.Identity))
            or (i > last and isinstance(layer, (nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.Softmax)))
            or type(layer).__module__.startswith("tncc.train")
        ):
            found.append(copy.deepcopy(layer))
        else:
            raise InputError("has no counterpart on the chip", place, "Conv2d, Linear, BatchNorm, ReLU, MaxPool2d")
        i += 1
    spiking = nn.Sequential(*found)
    if calibrate is not None:
        _calibrate(spiking, calibrate)
    return spiking


def _calibrate(spiking: nn.Sequential, x: Tensor) -> None:
    """Sets all running statistics to those of x; nothing else changes."""
    norms = [m for m in spiking if isinstance(m, BatchNorm)]
    kept = [norm.momentum for norm in norms]
    spiking.eval()
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    try:
        with torch.no_grad():
            spiking(x)
    finally:
        for norm, momentum in zip(norms, kept, strict=True):
            norm.momentum = momentum
        spiking.train()


def _convert(layer: nn.Module, norm: nn.Module, firing: float, place: str, *, first: bool) -> list[nn.Module]:
    gamma, beta = norm.weight.detach(), norm.bias.detach()
    sign = torch.where(gamma < 0, -1.0, 1.0)
    weight = layer.weight.detach() * sign.view(-1, *[1] * (layer.weight.dim() - 1))
    outputs = weight.shape[0]
    if first:
        if not isinstance(layer, nn.Conv2d) or layer.groups != 1:
            raise InputError("the first layer must be a convolution without groups", place)
        kernel, stride, padding = _square(layer, place)
        front = Transduction(layer.in_channels, outputs, kernel, stride, padding)
        with torch.no_grad():
            front.hidden.copy_(weight)
        fresh: nn.Module = front
    else:
        if isinstance(layer, nn.Conv2d):
            kernel, stride, padding = _square(layer, place)
            trinary: TrinaryConv2d | TrinaryLinear = TrinaryConv2d(
                layer.in_channels, outputs, kernel, stride, padding, layer.groups
            )
        else:
            trinary = TrinaryLinear(layer.in_features, outputs)
        with torch.no_grad():
            trinary.hidden.copy_(warm_start(weight))
            trinary.trinary.copy_(trinary.hidden.round())
        fresh = trinary
    bias = BatchNorm(outputs)
    with torch.no_grad():
        bias.bias.copy_((beta / gamma.abs().clamp(min=1e-3)).clamp(-3, 3) - firing)
        if first:  # its sums are the float layer's, so are their statistics
            shift = layer.bias.detach() if layer.bias is not None else torch.zeros(outputs)
            bias.running_mean.copy_((norm.running_mean - shift) * sign)
            bias.running_var.copy_(norm.running_var)
    return [fresh, bias, SpikingActivation()]


def warm_start(weight: Tensor) -> Tensor:
    """Hidden weights in [-1, 1] whose rounding is the ternary weight network's: 0.5 at 0.7 mean magnitudes."""
    magnitude = weight.abs().flatten(1).mean(1).clamp(min=1e-12).view(-1, *[1] * (weight.dim() - 1))
    return (weight * (0.5 / (TWN * magnitude))).clamp(-1, 1)


def _square(layer: nn.Conv2d, place: str) -> tuple[int, int, int]:
    kernel, stride, padding = layer.kernel_size, layer.stride, layer.padding
    if isinstance(padding, str) or len({*kernel}) > 1 or len({*stride}) > 1 or len({*padding}) > 1:
        raise InputError("only square kernels, strides and paddings in numbers", place)
    if tuple(layer.dilation) != (1, 1) or layer.padding_mode != "zeros":
        raise InputError("dilation and padding modes have no counterpart here", place)
    return kernel[0], stride[0], padding[0]
