"""torch.nn modules that train to what a core computes: y = 1 if sum(w x) + b >= threshold, w in {-1, 0, 1}.

The method is Esser et al. 2016 (PNAS, 10.1073/pnas.1604850113): hidden weights in [-1, 1] are rounded on the way
forward and receive the gradient unchanged on the way back; a spike's derivative is a triangle around the threshold.
A plain training loop works; nothing has to be called after the optimiser's step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

HYSTERESIS = 0.1


class _StraightThrough(torch.autograd.Function):
    """Forward: `value`. Backward: the gradient goes to `hidden`, unchanged."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _Spike(torch.autograd.Function):
    """Forward: 1 where x >= 0. Backward: gradient * max(0, 1 - |x|)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return x.abs().neg_().add_(1).clamp_(min=0).mul_(gradient)


class _SoftSpike(torch.autograd.Function):
    """Forward: from spikes (softness 0) to the integral of _Spike's derivative (softness 1). Backward: as _Spike."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, softness: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        hard = (x >= 0).to(x.dtype)
        tail = 0.5 * (1 - x.abs()).clamp(min=0).square()
        return hard + softness.to(x.dtype) * torch.where(x < 0, tail, -tail)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return (1 - x.abs()).clamp(min=0) * gradient, None


class _Permute(torch.autograd.Function):
    """Forward: x permuted along its second axis. Backward: permuted back, where index_select's own way adds."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return x.index_select(1, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return gradient.index_select(1, order.argsort()), None


def trinarize_with_hysteresis(hidden: Tensor, previous: Tensor, hysteresis: float) -> Tensor:
    """`hidden` rounded to {-1, 0, 1}; within `hysteresis` of a boundary (+-0.5) the `previous` value stays."""
    magnitude = hidden.abs()
    outer = magnitude >= 0.5 + hysteresis
    inner = magnitude <= 0.5 - hysteresis
    return torch.where(outer, hidden.sign(), torch.where(inner, torch.zeros_like(hidden), previous))


class _Trinary(nn.Module):
    """Hidden weights, and the trinary weights last used, which the hysteresis needs."""

    hidden: nn.Parameter
    trinary: Tensor

    def __init__(self, shape: tuple[int, ...], hysteresis: float) -> None:
        super().__init__()
        if not 0 <= hysteresis < 0.5:
            raise ValueError(f"hysteresis is {hysteresis}; it must lie in 0 .. 0.5")
        self.hysteresis = hysteresis
        self.hidden = nn.Parameter(torch.empty(shape))
        self.register_buffer("trinary", torch.zeros(shape))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Hidden weights uniform in [-1, 1]: half of the trinary weights start at 0."""
        with torch.no_grad():
            self.hidden.uniform_(-1, 1)
            self.trinary.copy_(trinarize_with_hysteresis(self.hidden, self.hidden.round(), self.hysteresis))

    def weight(self) -> Tensor:
        """The trinary weights, differentiable with respect to the hidden ones; clips those while training."""
        with torch.no_grad():
            if self.training:
                self.hidden.clamp_(-1, 1)
            value = trinarize_with_hysteresis(self.hidden, self.trinary, self.hysteresis)
            if self.training:
                self.trinary.copy_(value)
        if torch.is_grad_enabled() and self.hidden.requires_grad:
            return _StraightThrough.apply(self.hidden, value)
        return value


class TrinaryConv2d(_Trinary):
    """nn.Conv2d with weights in {-1, 0, 1} and no bias (the batch normalisation after it has one).

    Args: as nn.Conv2d. A filter with up to 256 nonzero weights fits a core.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        hysteresis: float = HYSTERESIS,
    ) -> None:
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{in_channels} inputs and {out_channels} outputs do not split into {groups} groups")
        super().__init__((out_channels, in_channels // groups, kernel_size, kernel_size), hysteresis)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.stride, self.padding, self.groups = stride, padding, groups

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H', W'], integers where x holds spikes."""
        return functional.conv2d(x, self.weight(), None, self.stride, self.padding, 1, self.groups)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, groups={self.groups}"
        )


class TrinaryLinear(_Trinary):
    """nn.Linear with weights in {-1, 0, 1} and no bias. A neuron fits a core with up to 256 nonzero weights."""

    def __init__(self, in_features: int, out_features: int, hysteresis: float = HYSTERESIS) -> None:
        super().__init__((out_features, in_features), hysteresis)
        self.in_features, self.out_features = in_features, out_features

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_features] -> [N, out_features]."""
        return functional.linear(x, self.weight())

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


class BatchNorm(nn.Module):
    """(x - mean) / sqrt(variance + eps) + bias per channel, without a learned scale (Esser et al. 2016).

    Works on [N, C] and [N, C, H, W]. Folds with the activation after it into one integer threshold a channel.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-4, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.batch_norm(
            x, self.running_mean, self.running_var, None, self.bias, self.training, self.momentum, self.eps
        )

    def extra_repr(self) -> str:
        return f"{self.bias.numel()}, eps={self.eps}, momentum={self.momentum}"


class SpikingActivation(nn.Module):
    """1 where x >= 0, else 0; the derivative is taken as max(0, 1 - |x|).

    While training, outputs may be softened: `soften(1)` makes them the integral of that derivative, rising from 0 at
    x = -1 to 1 at x = 1, whose gradient is the true one; between 1 and 0 lies a mixture. Evaluation always spikes.
    """

    softness: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("softness", torch.zeros(()), persistent=False)
        self.soft = False  # whether softness > 0, which a GPU would have to be waited for to tell

    def soften(self, softness: float) -> None:
        """Sets the share of the smooth function in training outputs, 0..1."""
        if not 0 <= softness <= 1:
            raise ValueError(f"softness is {softness}; it must lie in 0 .. 1")
        self.softness.fill_(softness)
        self.soft = softness > 0

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            if self.soft and self.training:
                return _SoftSpike.apply(x, self.softness)
            return _Spike.apply(x)
        return (x >= 0).to(x.dtype)


class Transduction(nn.Module):
    """The real-valued first layer, computed by the host: a convolution whose spikes enter the chip.

    Its weights are kept on a grid of 1 / 128. With inputs on a grid of 1 / 256 (pixels / 256) and sums below 128 every
    order of summation gives the same float32, so that PyTorch and ONNX Runtime agree on every spike.

    Args: as nn.Conv2d, without bias: a BatchNorm follows.
    """

    GRID = 128.0

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, padding: int = 1
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, padding
        self.hidden = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        nn.init.kaiming_uniform_(self.hidden, a=5**0.5)

    def weight(self) -> Tensor:
        """The weights on the grid, differentiable with respect to the hidden ones."""
        with torch.no_grad():
            value = torch.round(self.hidden * self.GRID) / self.GRID
        if torch.is_grad_enabled() and self.hidden.requires_grad:
            return _StraightThrough.apply(self.hidden, value)
        return value

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H', W']."""
        return functional.conv2d(x, self.weight(), None, self.stride, self.padding)

    def extra_repr(self) -> str:
        out, ins, kernel, _ = self.hidden.shape
        return f"{ins}, {out}, kernel_size={kernel}, stride={self.stride}, padding={self.padding}"


class GroupShuffle(nn.Module):
    """Features in a fixed random order, so that every group sees features of all groups before it. Free on the chip."""

    order: Tensor

    def __init__(self, channels: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("order", torch.randperm(channels, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C] or [N, C, H, W], permuted along C."""
        if torch.is_grad_enabled() and x.requires_grad:
            return _Permute.apply(x, self.order)
        return x.index_select(1, self.order)

    def extra_repr(self) -> str:
        return str(self.order.numel())


class ClassVote(nn.Module):
    """Scores from spikes, on the host: feature f votes for class f mod classes; the score is gain * mean of its votes.

    Spikes are summed before anything is scaled: the sums are exact, so that equal votes tie in every runtime.
    """

    matrix: Tensor
    scale: Tensor

    def __init__(self, features: int, classes: int, gain: float = 16.0) -> None:
        super().__init__()
        if features < classes:
            raise ValueError(f"{features} features cannot vote for {classes} classes")
        self.features, self.classes, self.gain = features, classes, gain
        vote = torch.arange(features) % classes
        matrix = functional.one_hot(vote, classes).to(torch.float32)
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("scale", gain / matrix.sum(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, features] or [N, features, H, W] spikes -> [N, classes]."""
        positions = 1
        if x.dim() == 4:
            positions = int(x.shape[2]) * int(x.shape[3])  # constants when exported
            x = x.sum((2, 3))
        return (x @ self.matrix) * (self.scale / positions)

    def extra_repr(self) -> str:
        return f"{self.features}, {self.classes}, gain={self.gain}"
