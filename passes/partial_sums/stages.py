"""Writes the stages of a plan as ordinary layers: weights, thresholds and wiring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.builder import Builder
from tncc.ir.interpreter import reachable_thresholds
from tncc.ir.location import Location
from tncc.ir.ops import Concat, Gather, SpikingConv2d, integer_weight
from tncc.ir.shapes import inner_tap
from tncc.passes.partial_sums.plan import Plan

Array = npt.NDArray[Any]


def emit(build: Builder, op: SpikingConv2d, plan: Plan, location: Location, remark: str) -> None:
    """Adds the layers that compute `op`, whose result keeps its name. remark: of the last."""
    _Stages(build, op, plan, location, remark).emit()


@dataclass
class _Digits:
    """Channels of digits: at[filter, part] is the first of a run."""

    name: str
    at: Array


class _Stages:
    def __init__(self, build: Builder, op: SpikingConv2d, plan: Plan, location: Location, remark: str) -> None:
        self.build, self.op, self.plan, self.location, self.remark = build, op, plan, location, remark
        features = op.weight.shape[0]
        self.group = plan.features * op.groups // features
        self.per_group = op.weight.shape[1]
        self.window = {"strides": op.strides, "pads": op.pads, "dilations": op.dilations}
        self.channels = self._channels_of_parts()

    def emit(self) -> None:
        op, build, plan = self.op, self.build, self.plan
        if not plan.coarse.any() and not plan.fine.any():  # the thresholds leave nothing open
            build.append(self._rewritten(op.output, self._on_digits()))
            return
        coarse = self._coarse() if plan.coarse.any() else None
        fine = self._fine(coarse) if plan.fine.any() else None
        small = np.setdiff1d(np.arange(op.weight.shape[0]), plan.features)
        if not small.size:
            self._last(coarse, fine, op.output)
            return
        last = self._last(coarse, fine, build.fresh(f"{op.output}/large"))
        direct = build.append(self._rewritten(build.fresh(f"{op.output}/small"), 1))
        both = build.add(Concat, (direct, last), build.fresh(f"{op.output}/joined"), self.location, axis=0)
        order = np.arange(op.weight.shape[0])
        order[plan.features] = order.size + np.arange(plan.features.size)
        build.add(Gather, (both,), op.output, self.location, indices=order, axis=0)

    def _rewritten(self, output: str, threshold: Any) -> SpikingConv2d:
        """The layer with no synapse for the filters concerned, and `threshold` for them."""
        weight, thresholds = self.op.weight.copy(), self.op.threshold.copy()
        weight[self.plan.features], thresholds[self.plan.features] = 0, threshold
        return replace(self.op, output=output, weight=weight, threshold=thresholds, location=self.location)

    def _on_digits(self) -> Array:
        """int64 [filters, 1, 1], or by position: the thresholds on what the digits add up to."""
        without = (self.plan.sign * self.plan.low).sum(axis=1).reshape(-1, 1, 1)  # a filter's sum where no digit spikes
        found: Array = reachable_thresholds(self.op)[self.plan.features] - without
        return found

    def _channels_of_parts(self) -> Array:
        """int64 [convolution groups, parts, channels]: the group's own channels that a part's inputs lie in; -1 fills
        up."""
        taps = self.op.weight.shape[2] * self.op.weight.shape[3]
        by_channel = self.plan.part.reshape(self.op.groups, self.per_group, taps)
        member = np.stack([(by_channel == i).any(axis=2) for i in range(self.plan.parts)], axis=1)
        return _lists(member)

    def _weights(self, filters: Array, part: int, channels: Array) -> Array:
        """int16 [filters, channels, kh, kw]: of filters of one convolution group, the right way up for the digits."""
        group = int(self.group[filters[0]])
        mine = (self.plan.part[group] == part).reshape(self.per_group, *self.op.weight.shape[2:])
        weight = self.op.weight[self.plan.features[filters]] * mine * self.plan.sign[filters, part, None, None, None]
        return np.where(channels[:, None, None] >= 0, weight[:, np.maximum(channels, 0)], 0).astype(np.int16)

    def _layer(
        self, x: str, name: str, weight: Array, threshold: Array, groups: int, window: dict[str, Any], remark: str
    ) -> str:
        """Adds a layer; the features of each of its convolution groups may share cores."""
        return self.build.add(
            SpikingConv2d,
            (x,),
            name,
            self.location,
            weight=integer_weight(weight),
            threshold=threshold.astype(np.int32),
            feature_groups=np.repeat(np.arange(groups), len(weight) // groups).astype(np.int32),
            groups=groups,
            remark=remark,
            **window,
        )

    def _coarse(self) -> _Digits:
        """The thermometers of all parts: one group of channels for each convolution group and part."""
        op, plan = self.op, self.plan
        at = np.zeros(plan.coarse.shape, np.int64)
        weights: list[Array] = []
        thresholds: list[Array] = []
        width = max(int(plan.coarse[self.group == group].sum(axis=0).max(initial=0)) for group in range(op.groups))
        for group in range(op.groups):
            filters = np.flatnonzero(self.group == group)
            for part in range(plan.parts):
                counts = plan.coarse[filters, part]
                at[filters, part] = len(weights) * width + np.cumsum(counts) - counts
                which = np.repeat(np.arange(filters.size), counts)
                channels = self.channels[group, part]
                rows = np.zeros((width, channels.size, *op.weight.shape[2:]), np.int16)
                limits = np.ones(width, np.int64)
                if which.size:
                    rows[: which.size] = self._weights(filters, part, channels)[which]
                    steps = plan.step * (1 + _count_within(counts))
                    limits[: which.size] = plan.low[filters, part][which] + steps
                weights.append(rows)
                thresholds.append(limits)
        groups = len(weights)
        name = self.build.fresh(f"{op.output}/coarse")
        absolute = np.maximum(self.channels, 0) + np.arange(op.groups)[:, None, None] * self.per_group
        x = self._picked(op.inputs[0], absolute.reshape(-1), f"{op.output}/parts")
        remark = (
            f"coarse digits of partial sums, in steps of {plan.step}" if plan.step > 1 else "digits of partial sums"
        )
        threshold = np.concatenate(thresholds).reshape(-1, 1, 1)
        self._layer(x, name, np.concatenate(weights), threshold, groups, self.window, remark)
        return _Digits(name, at)

    def _picked(self, x: str, channels: Array, base: str) -> str:
        if np.array_equal(channels, np.arange(self.build.types[x].shape[0])):
            return x
        return self.build.add(Gather, (x,), self.build.fresh(base), self.location, indices=channels, axis=0)

    def _fine(self, coarse: _Digits | None) -> _Digits:
        """What the coarse digits leave over: one group of channels for every few filters of a group and part."""
        op, plan = self.op, self.plan
        batches = []
        for group in range(op.groups):
            for part in range(plan.parts):
                filters = np.flatnonzero((self.group == group) & (plan.fine[:, part] > 0))
                batches += [
                    (group, part, filters[start : start + plan.together])
                    for start in range(0, filters.size, plan.together)
                ]
        inputs = self.channels.shape[2]
        width = max(int(plan.fine[filters, part].sum()) for _, part, filters in batches)
        read = max(int(plan.coarse[filters, part].sum()) for _, part, filters in batches)
        own = self.build.types[op.inputs[0]].shape[0]
        tap = (0, 0)
        x = op.inputs[0]
        if read:
            assert coarse is not None
            found = inner_tap(op, self.build.types[x].shape)
            assert found is not None  # the plan has a fine stage
            tap = found
            x = self._beside(x, coarse.name, tap)
        at = np.zeros(plan.fine.shape, np.int64)
        weight = np.zeros((len(batches), width, inputs + read, *op.weight.shape[2:]), np.int16)
        threshold = np.ones((len(batches), width), np.int64)
        picked = np.zeros((len(batches), inputs + read), np.int64)
        for number, (group, part, filters) in enumerate(batches):
            counts, steps = plan.fine[filters, part], plan.coarse[filters, part]
            at[filters, part] = number * width + np.cumsum(counts) - counts
            channels = self.channels[group, part]
            which = np.repeat(np.arange(filters.size), counts)
            weight[number, : which.size, :inputs] = self._weights(filters, part, channels)[which]
            threshold[number, : which.size] = plan.low[filters, part][which] + 1 + _count_within(counts)
            picked[number, :inputs] = np.maximum(channels, 0) + group * self.per_group
            owner = np.repeat(np.arange(filters.size), steps)
            if owner.size:
                assert coarse is not None
                same = which[:, None] == owner[None, :]
                weight[number, : which.size, inputs : inputs + owner.size, tap[0], tap[1]] = -plan.step * same
                channel = coarse.at[filters, part][owner] + _count_within(steps)
                picked[number, inputs : inputs + owner.size] = own + channel
        name = self.build.fresh(f"{op.output}/fine")
        x = self._picked(x, picked.reshape(-1), f"{op.output}/left")
        flat = weight.reshape(-1, *weight.shape[2:])
        remark = "fine digits of partial sums"
        self._layer(x, name, flat, threshold.reshape(-1, 1, 1), len(batches), self.window, remark)
        return _Digits(name, at)

    def _beside(self, x: str, digits: str, tap: tuple[int, int]) -> str:
        """`x` and, as further channels of its frame, the digits, where the kernel's tap lies over their own position.

        Elsewhere in the frame are other digits, which no synapse reads.
        """
        op, build = self.op, self.build
        for axis in (0, 1):
            size, outputs = build.types[x].shape[1 + axis], op.type.shape[1 + axis]
            first = tap[axis] * op.dilations[axis] - op.pads[axis]
            indices = np.clip((np.arange(size) - first) // op.strides[axis], 0, outputs - 1)
            if not np.array_equal(indices, np.arange(outputs)):
                name = build.fresh(f"{op.output}/spread")
                digits = build.add(Gather, (digits,), name, self.location, indices=indices, axis=1 + axis)
        return build.add(Concat, (x, digits), build.fresh(f"{op.output}/beside"), self.location, axis=0)

    def _last(self, coarse: _Digits | None, fine: _Digits | None, output: str) -> str:
        """One neuron a filter and position: the weighted sum of all digits."""
        op, plan, build = self.op, self.plan, self.build
        found = [digits for digits in (coarse, fine) if digits is not None]
        filters = plan.features.size
        weights, indices, first = [], [], 0
        for digits in found:
            counts, worth = (plan.coarse, plan.step) if digits is coarse else (plan.fine, 1)
            for part in range(plan.parts):
                member = np.arange(int(counts[:, part].max())) < counts[:, part, None]
                run = digits.at[:, part, None] + np.arange(member.shape[1])
                weights.append(np.where(member, plan.sign[:, part, None] * worth, 0))
                indices.append(np.where(member, run, 0) + first)
            first += build.types[digits.name].shape[0]
        weight = np.concatenate(weights, axis=1)
        kept = weight.any(axis=0)
        weight, index = weight[:, kept], np.concatenate(indices, axis=1)[:, kept]
        x = found[0].name
        if len(found) > 1:
            name = build.fresh(f"{op.output}/digits")
            x = build.add(Concat, tuple(digits.name for digits in found), name, self.location, axis=0)
        x = self._picked(x, index.reshape(-1), f"{op.output}/of_filter")
        window = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
        kernel = weight[:, :, None, None].astype(np.int16)
        return self._layer(x, output, kernel, self._on_digits(), filters, window, self.remark)


def _count_within(counts: Array) -> Array:
    """0, 1 .. n - 1 for every n of counts, one after the other."""
    ends = np.cumsum(counts)
    found: Array = np.arange(int(ends[-1]) if ends.size else 0) - np.repeat(ends - counts, counts)
    return found


def _lists(member: Array) -> Array:
    """int64 [..., most]: the indices that are set in the last axis; -1 fills up."""
    most = max(1, int(member.sum(axis=-1).max(initial=0)))
    order = np.argsort(~member, axis=-1, kind="stable")[..., :most]
    return np.where(np.take_along_axis(member, order, axis=-1), order, -1)
