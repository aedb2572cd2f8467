"""Fewer spikes: a penalty on activity, and what a model's activity is. Spikes are what the chip spends energy on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tncc.train.layers import SpikingActivation


class SparsityPenalty:
    """strength / 2 * sum over spiking layers of the mean over features of (a feature's mean activation) squared.

    Use it as a context around the forward pass, and add `penalty.value()` to the loss.

    Args:
        model: its SpikingActivation modules are watched.
        strength: 0.1 to 3 are useful values; the loss is a cross-entropy.
        target: mean activation that costs (almost) nothing: only the excess is squared.
        leak: with a target: the part of the pressure that remains below it. 1 is the plain penalty, 0 none at all; a
            small value goes on trading accuracy for power, slowly, once a feature has reached the target.
    """

    def __init__(self, model: nn.Module, strength: float, target: float = 0.0, leak: float = 0.0) -> None:
        if strength < 0 or not 0 <= target < 1 or not 0 <= leak <= 1:
            raise ValueError("strength >= 0, 0 <= target < 1 and 0 <= leak <= 1 are required")
        self.strength, self.target, self.leak = strength, target, leak
        self._layers = [m for m in model.modules() if isinstance(m, SpikingActivation)]
        self._rates: list[Tensor] = []
        self._handles: list[Any] = []

    def __enter__(self) -> SparsityPenalty:
        self._rates.clear()
        self._handles = [layer.register_forward_hook(self._record) for layer in self._layers]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _record(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._rates.append(output.float().mean((0, *range(2, output.dim()))))

    def value(self) -> Tensor:
        """The penalty of the last forward pass, a scalar with gradient."""
        if not self._rates:
            raise ValueError("no spiking layer ran inside `with penalty:`")
        total = torch.zeros((), device=self._rates[0].device)
        for rate in self._rates:
            cost = rate
            if self.target:
                cost = nn.functional.leaky_relu(rate - self.target, self.leak) if self.leak < 1 else rate
            total = total + cost.square().mean()
        return 0.5 * self.strength * total


def spikes_per_frame(model: nn.Module, x: Tensor, batch_size: int = 256) -> list[float]:
    """Mean spikes per frame of every SpikingActivation, in the order they run: neurons, not their copies on a chip.

    Args:
        model: put into eval mode for the count, and back.
        x: [N, ...] inputs.
    """
    totals: dict[nn.Module, float] = {}

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        totals[module] = totals.get(module, 0.0) + float(output.double().sum())

    was_training = model.training
    handles = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, SpikingActivation)]
    try:
        model.eval()
        with torch.no_grad():
            for batch in x.split(batch_size):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
        model.train(was_training)
    return [total / len(x) for total in totals.values()]
