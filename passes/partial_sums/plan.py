"""How the sums of filters with too many weights are cut into parts and digits, and which cut costs the fewest cores.

The sum S of a filter is cut into sums p of parts of its inputs. Neurons tell each p by spikes, its digits, and one
neuron decides S >= threshold from the digits of all parts. With a step s:

    coarse  h = floor((p - low) / s), a thermometer of neurons p >= low + s k, k = 1, 2, ...
    fine    r = p - low - s h, a thermometer of neurons p - s h >= low + j, j = 1 .. s - 1, which read h with weight -s
    last    sum over the parts of s h + r >= threshold - sum of low

A part's range / s + s neurons stand for its sum exactly. With s = 1 there is no fine stage.

A part matters only where the others leave the decision open. With the sum of the others in a .. b and a threshold
of t, p <= t - 1 - b never fires and p >= t - a always does, whatever the others are. So p may be clamped to that
range: the decision stays, and fewer neurons tell p. The clamped part has a smaller range, which counts when the next
is clamped.

A part may be told upside down, by the digits of -p: the last neuron then has weights -1 and -s on them, and its
threshold is less by the part's range. That keeps the threshold within what a leak can hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.axon_code import axon_code
from tncc.ir.chip import Chip
from tncc.ir.ops import SpikingConv2d

Array = npt.NDArray[Any]

MAX_PARTS = 64
TRIES = 24
ELEMENTS = 1 << 25  # weights of stages that may be built to measure plans
COPIES = 2  # of a coarse digit: one for the fine stage, one for the last


@dataclass(frozen=True)
class Plan:
    """How the filters of one layer that no core holds are computed. Arrays run over those filters, by feature.

    Attributes:
        features: int64 [filters], the output features concerned, ascending.
        part: int64 [convolution groups, channels a group * taps], the part that an input is in; -1 where no filter
            concerned reads it.
        step: s of the module's docstring.
        sign: int64 [filters, parts], -1 where the part is told upside down.
        low: int64 [filters, parts], the least value that the digits of sign * p stand for.
        coarse, fine: int64 [filters, parts], the numbers of digits.
        together: filters of one convolution group whose fine digits share a core.
        cores: estimate of the cores for one output position, tiles of several positions not being counted on.
    """

    features: Array = field(repr=False)
    part: Array = field(repr=False)
    step: int
    sign: Array = field(repr=False)
    low: Array = field(repr=False)
    coarse: Array = field(repr=False)
    fine: Array = field(repr=False)
    together: int
    cores: float

    @property
    def parts(self) -> int:
        return int(self.low.shape[1])

    @property
    def stages(self) -> int:
        """Layers, and so ticks, in place of one."""
        return 3 if self.fine.any() else 2

    @property
    def neurons(self) -> int:
        """Digits of all filters and parts."""
        return int((self.coarse + self.fine).sum())

    @property
    def axons(self) -> int:
        """The most axons that a neuron of the last stage needs."""
        return int((self.coarse + self.fine).sum(axis=1).max())


@dataclass(frozen=True)
class NoPlan:
    """Why there is none: the best attempt still needs this many axons of a core."""

    axons: int
    parts: int
    step: int


def oversize(op: SpikingConv2d, chip: Chip) -> Array:
    """int64 [filters]: the features whose filter does not fit a core alone, for its axons or for its leak.

    Leaks of weights of several bits are left to bias-inputs.
    """
    flat = op.weight.reshape(op.weight.shape[0], -1)
    if np.abs(flat).max(initial=0) > 1:
        return np.flatnonzero(_axons(_bits(op, chip)).sum(axis=1) > chip.axons)
    positive, negative = (flat > 0).sum(axis=1), (flat < 0).sum(axis=1)
    lowest = op.threshold.reshape(op.threshold.shape[0], -1).min(axis=1)
    leak = 1 - np.maximum(lowest.astype(np.int64), -negative)
    return np.flatnonzero((positive + negative > chip.axons) | (leak > chip.max_weight))


def _bits(op: SpikingConv2d, chip: Chip) -> Array:
    """uint16 [features, inputs]: the digits that make up each weight, as bits."""
    return axon_code(op, chip).bits(op.weight).reshape(op.weight.shape[0], -1)


def _axons(bits: Array) -> Array:
    """int64: how many axons digits take."""
    found: Array = np.bitwise_count(bits).astype(np.int64)
    return found


def make_plan(
    op: SpikingConv2d,
    features: Array,
    chip: Chip,
    fine_stage: bool,
    measure: Callable[[Plan], float | None] | None = None,
) -> Plan | NoPlan:
    """The plan with the fewest cores for these features.

    fine_stage: whether one layer can read the layer's operand and its result side by side (see inner_tap).
    measure: the cores of a plan, None where it does not fit after all; asked of the TRIES best by estimate.
    """
    plans: list[Plan] = []
    closest = NoPlan(0, 0, 0)
    search = _Search(op, features, chip)
    for parts in search.numbers_of_parts():
        cut = search.cut(parts)
        widest = int((cut.highest - cut.lowest).max())
        steps = min(2 * math.isqrt(widest) + 1, chip.max_weight) if fine_stage and chip.axon_types > 2 else 1
        for step in range(1, steps + 1):
            found = search.digits(cut, step)
            if isinstance(found, NoPlan):
                if not closest.axons or found.axons < closest.axons:
                    closest = found
            else:
                plans.append(found)
    plans.sort(key=lambda plan: (plan.cores, plan.axons))
    if measure is None:
        return plans[0] if plans else closest
    tries = min(TRIES, max(1, ELEMENTS // max(1, plans[0].neurons * search.weight.shape[1]))) if plans else 0
    measured = [replace(plan, cores=cores) for plan in plans[:tries] if (cores := measure(plan)) is not None]
    if not measured and plans:
        closest = NoPlan(chip.axons + 1, plans[0].parts, plans[0].step)
    return min(measured, key=lambda plan: (plan.cores, plan.axons), default=closest)


@dataclass(frozen=True)
class _Cut:
    """A cut into parts.

    Attributes:
        lowest, highest: int64 [filters, parts], the clamped range of every part's sum.
        axons: int64 [filters, parts], of its inputs.
        largest: what the largest leak of a neuron that tells a part may come to.
        shared: int64 [convolution groups, parts], axons for all filters of the group.
    """

    part: Array
    lowest: Array
    highest: Array
    axons: Array
    largest: int
    shared: Array


class _Search:
    def __init__(self, op: SpikingConv2d, features: Array, chip: Chip) -> None:
        self.features, self.chip = features, chip
        self.weight = op.weight[features].reshape(features.size, -1).astype(np.int64)
        self.bits = _bits(op, chip)[features]
        self.trinary = bool(np.abs(self.weight).max(initial=0) <= 1)
        self.taps = op.weight.shape[2] * op.weight.shape[3]
        self.group = features * op.groups // op.weight.shape[0]
        self.groups = op.groups
        threshold = op.threshold[features].reshape(features.size, -1).astype(np.int64)
        highest, lowest = np.maximum(self.weight, 0).sum(axis=1), np.minimum(self.weight, 0).sum(axis=1)
        self.least = np.clip(threshold.min(axis=1), lowest, highest + 1)
        self.most = np.clip(threshold.max(axis=1), lowest, highest + 1)

    def numbers_of_parts(self) -> list[int]:
        """The fewest that leave a part's filter within a core, and growing numbers above."""
        largest = int(np.count_nonzero(self.weight, axis=1).max())
        least = -(-largest // min(self.chip.axons, self.chip.max_weight))
        if not self.trinary:
            axons, reach = int(_axons(self.bits).sum(axis=1).max()), int(np.abs(self.weight).sum(axis=1).max())
            least = max(-(-axons // self.chip.axons), -(-reach // (2 * self.chip.max_weight)))
        found = [max(2, least)]
        while found[-1] < min(MAX_PARTS, largest):
            found.append(max(found[-1] + 1, found[-1] * 6 // 5))
        return found

    def cut(self, parts: int) -> _Cut:
        part = np.stack([self._cut_group(group, parts) for group in range(self.groups)])
        shape = (self.features.size, parts)
        positive, negative, axons = (np.zeros(shape, np.int64) for _ in range(3))
        for group in range(self.groups):
            here = self.group == group
            member = (part[group][:, None] == np.arange(parts)).astype(np.float64)  # exact: far below 2^53
            positive[here] = np.maximum(self.weight[here], 0).astype(np.float64) @ member
            negative[here] = np.maximum(-self.weight[here], 0).astype(np.float64) @ member
            axons[here] = _axons(self.bits[here]).astype(np.float64) @ member
        shared = np.zeros((self.groups, parts), np.int64)
        for group in range(self.groups):
            together = _axons(np.bitwise_or.reduce(self.bits[self.group == group], axis=0))
            shared[group] = np.bincount(part[group][part[group] >= 0], together[part[group] >= 0], parts)
        lowest, highest = -negative, positive.copy()
        self._clamp(lowest, highest)
        largest = int((positive + negative if self.trinary else np.maximum(positive, negative) + 1).max())
        return _Cut(part, lowest, highest, axons, largest, shared)

    def _cut_group(self, group: int, parts: int) -> Array:
        """int64 [inputs]: equal runs of the channels in use, of the inputs in use where the channels are too few."""
        used = (self.weight[self.group == group] != 0).any(axis=0)
        found = np.full(used.size, -1, np.int64)
        channels = np.flatnonzero(used.reshape(-1, self.taps).any(axis=1))
        if channels.size >= parts:
            by_channel = np.full(used.size // self.taps, -1, np.int64)
            by_channel[channels] = np.arange(channels.size) * parts // channels.size
            return np.where(used, np.repeat(by_channel, self.taps), -1)
        inputs = np.flatnonzero(used)
        found[inputs] = np.arange(inputs.size) * parts // max(1, inputs.size)
        return found

    def _clamp(self, lowest: Array, highest: Array) -> None:
        """Narrows the ranges in place, one part after the other; see the module's docstring."""
        for i in range(lowest.shape[1]):
            below = self.least - 1 - (highest.sum(axis=1) - highest[:, i])
            above = self.most - (lowest.sum(axis=1) - lowest[:, i])
            low, high = lowest[:, i].copy(), highest[:, i].copy()
            lowest[:, i] = np.clip(below, low, high)
            highest[:, i] = np.clip(above, low, high)

    def digits(self, cut: _Cut, step: int) -> Plan | NoPlan:
        width = cut.highest - cut.lowest
        coarse = -(-(width + 1) // step) - 1
        fine = np.minimum(step - 1, width)
        last = (coarse + fine).sum(axis=1)
        # beside weights of several bits, a weight of -step takes two axons and more; `measure` sees how many
        reading = np.where(fine > 0, cut.axons + coarse * (1 if self.trinary else 2), cut.axons)
        if int(last.max()) > self.chip.axons or int(reading.max()) > self.chip.axons:
            return NoPlan(max(int(last.max()), int(reading.max())), width.shape[1], step)
        sign = self._signs(cut, coarse, fine, step)
        low = np.where(sign > 0, cut.lowest, -cut.highest)
        offset = (sign * low).sum(axis=1)
        leaks = np.maximum(np.abs(1 - (self.least - offset)), np.abs(1 - (self.most - offset)))
        if int(leaks.max()) > self.chip.max_weight or cut.largest > self.chip.max_weight:
            return NoPlan(int(last.max()), width.shape[1], step)
        together, cores = self._cores(cut, coarse, fine)
        return Plan(self.features, cut.part, step, sign, low, coarse, fine, together, cores)

    def _signs(self, cut: _Cut, coarse: Array, fine: Array, step: int) -> Array:
        """int64 [filters, parts]: parts upside down where the last neuron's leak would be out of range."""
        sign: Array = np.ones(cut.lowest.shape, np.int64)
        middle = (self.least + self.most) // 2 - cut.lowest.sum(axis=1)  # of the thresholds on the sum of digits
        far = np.maximum(self.most - self.least, 0) // 2 + np.abs(middle) >= self.chip.max_weight
        if self.chip.axon_types < 4 or not far.any():
            return sign
        for i in range(sign.shape[1]):
            less = middle - (cut.highest - cut.lowest)[:, i]
            turn = far & (np.abs(less) < np.abs(middle))
            sign[turn, i] = -1
            middle = np.where(turn, less, middle)
        return sign

    def _cores(self, cut: _Cut, coarse: Array, fine: Array) -> tuple[int, float]:
        """(filters whose fine digits share a core, cores for one output position)."""
        axons, neurons = self.chip.axons, self.chip.neurons
        filters = np.bincount(self.group, minlength=self.groups)[:, None]  # of each convolution group
        coarse_of_group = np.zeros((self.groups, cut.shared.shape[1]), np.int64)
        fine_of_group = np.zeros_like(coarse_of_group)
        np.add.at(coarse_of_group, self.group, coarse * np.where(fine > 0, COPIES, 1))
        np.add.at(fine_of_group, self.group, fine)
        shares = cut.shared <= axons
        runs = np.where(shares, np.maximum(1, np.ceil(coarse_of_group / neurons)), filters)
        room = np.where(shares, runs * cut.shared / axons, runs)
        cores = float(np.where(coarse_of_group > 0, np.maximum(room, coarse_of_group / neurons), 0).sum())
        together = 1
        if fine.any():
            most = max(1, int(coarse.max()))
            together = max(1, min((axons - int(cut.shared.max())) // most, neurons // int(fine.max())))
            cores += float((np.where(fine_of_group > 0, np.ceil(filters / together), 0)).sum())
        needed = (coarse + fine).sum(axis=1)
        return together, cores + float((needed / axons).sum())
