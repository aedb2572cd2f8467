"""The decisions of neurons: what the model's own expression makes of every sum that a layer can reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import CompileError, ModelTooLarge, NotOneSum, NotOneThreshold, RoundingDecides, SignThreeValued
from tncc.ir.chip import Chip
from tncc.ir.cone import trace
from tncc.ir.graph import Graph
from tncc.ir.infer import straight_through
from tncc.ir.interpreter import rewire, weight_bounds, weighted_sum
from tncc.ir.location import Location
from tncc.ir.ops import WIRING, AveragePool2d, Constant, Op, SignConv2d, TrinaryConv2d
from tncc.passes.merge_sums import why_apart
from tncc.passes.pooled_sums import PooledSums
from tncc.passes.rounding import Interval, bounded_sum, carried, constant, step
from tncc.passes.weighted_sum import WeightedSum

Array = npt.NDArray[Any]

MAX_DECISIONS = 1 << 28  # of a layer
AT_ONCE = 1 << 18  # of these: what is computed on the way stays in the caches


def source_of(graph: Graph, op: Op, chip: Chip) -> TrinaryConv2d | PooledSums:
    """The one weighted sum, or mean of one, that spikes are computed from. Raises CompileError where they have other
    sources."""
    cone = trace(graph, op.output)
    found = [graph.producer.get(name) for name in cone.sources]
    if len(found) == 1 and isinstance(found[0], TrinaryConv2d):
        return found[0]
    if len(found) == 1 and isinstance(found[0], AveragePool2d):
        return PooledSums.of(graph, found[0], chip)
    names = [str(op.location) if op else f"input {name}" for op, name in zip(found, cone.sources, strict=True)]
    what = " and ".join(names) if names else "constants alone"
    reasons = ((reason, inner.location) for inner in cone.ops if (reason := why_apart(graph, inner)))
    reason, where = next(reasons, ("", op.location))
    raise NotOneSum(
        f"the spikes {op.output!r} are computed from {what}; a neuron computes them from one weighted sum"
        + (f", and this sum of them cannot be one: {reason}" if reason else ""),
        where,
        "let the scales of what is added up be small multiples of one in every channel (a batch normalisation belongs "
        "behind the sum), or put a binary activation on each before the sum"
        if reason
        else "add the sums up in one layer (concatenate the inputs and the weights), or compare each on its own",
    )


class Decisions:
    """The decisions of one spikes value as a function of one layer's integer sums.

    source: what `source_of` finds for `op`.

    Attributes:
        layer: the layer whose sums decide; of means of sums the one that adds up whole windows.
        wiring: int64, of the result's shape (or one position's): the element of the layer's sums that decides.
        sign: int8 [out], -1 where a filter fires for low sums.
        threshold: int32 [out, 1, 1] or the layer's frame: on the sums times sign.
    """

    def __init__(self, graph: Graph, op: Op, source: TrinaryConv2d | PooledSums) -> None:
        self.graph, self.op = graph, op
        self.pooled = source if isinstance(source, PooledSums) else None
        self.layer = source.layer if isinstance(source, PooledSums) else source
        self.cone = trace(graph, op.output)
        self.channels = int(self.layer.weight.shape[0])
        lowest, highest = self._reach()
        self.by_position = lowest.shape != (self.channels, 1, 1) or not self._is_alike_everywhere()
        self.frame = self.layer.type.shape if self.by_position else (self.channels, 1, 1)
        # int64 [frame]: the sums of weights of spiking inputs that can occur
        self.lowest, self.highest = (np.broadcast_to(bound, self.frame) for bound in (lowest, highest))
        sums, neurons = int(self.highest.max()) - int(self.lowest.min()) + 1, int(np.prod(self.frame))
        if sums * neurons > MAX_DECISIONS:
            raise ModelTooLarge(
                f"{neurons:,} neurons with decisions of their own, on {sums:,} sums each, are {sums * neurons:,}; "
                f"up to {MAX_DECISIONS:,} are worked out",
                self.layer.location,
                "the same threshold at every position, or a smaller map",
            )
        self.wiring = self._wiring()
        self.refine = np.zeros(self.channels, bool)
        unsure = self._decide()
        if unsure and self._can_refine(min(unsure)):
            # the cheap bounds leave a doubt; first one channel tightly: where that settles nothing, the rest is no use
            self.refine[min(unsure)] = True
            tighter = self._decide()
            if min(unsure) not in tighter and len(unsure) > 1:
                self.refine[list(unsure)] = True
                tighter = self._decide()
            unsure = tighter
        self.unsure = unsure
        self._threshold()

    def _reach(self) -> tuple[Array, Array]:
        """Lowest and highest sum of weights, int64 [out, 1, 1]; by position where padding hides inputs that count.

        Spikes in the padding are merely absent. Signs are not: a window that reaches into it has fewer terms.
        """
        weight = self.layer.weight
        if isinstance(self.layer, SignConv2d) and any(self.layer.pads):
            shape = self.graph.types[self.layer.inputs[0]].shape
            shape = shape if self.pooled is None else self.pooled.operand_shape(shape)
            everything = np.ones((1, *shape), np.uint8)
            low, high = (
                weighted_sum(everything, replace(self.layer, weight=part))[0].astype(np.int64)
                for part in (np.minimum(weight, 0), np.maximum(weight, 0))
            )
            return low, high
        return weight_bounds(weight)

    def _can_refine(self, channel: int) -> bool:
        """Whether there are tighter bounds than the cheap ones to be had for a channel."""
        if self.pooled is not None:
            return True
        source = self._model_sums(np.zeros(1, np.int64))
        return bool(np.broadcast_to(source.can_refine, (1, *self.frame))[0, channel].any())

    def _model_sums(self, sums: Array) -> WeightedSum:
        """What the source model adds up where the inputs that spike have weights that sum to `sums` [n]."""
        return replace(self._terms, n=self._model_integers(sums), refine=self.refine.reshape(1, -1, 1, 1))

    @cached_property
    def _terms(self) -> WeightedSum:
        """What all of `_model_sums` have in common; telling it from the weights takes long."""
        low, high, none = self.lowest[None], self.highest[None], np.zeros((1, *self.frame), np.int64)
        plus, minus = (high - low, high - low) if isinstance(self.layer, SignConv2d) else (high, -low)
        return WeightedSum.of(self.layer, none, plus, minus, self.refine)

    def _model_integers(self, sums: Array) -> Array:
        """int64 [n, *frame]: the source model's own integers where `sums` [n] are ours."""
        n = np.broadcast_to(sums.reshape(-1, 1, 1, 1), (sums.size, *self.frame))
        # of signs every input adds a term, +weight or -weight: a sum of n leaves (high + low) - n for the others
        return 2 * n - (self.highest + self.lowest)[None] if isinstance(self.layer, SignConv2d) else n

    def _is_alike_everywhere(self) -> bool:
        """Whether no op of the cone tells one position of a channel from another."""
        if self.pooled is not None and not self.pooled.alike_everywhere:
            return False
        for op in self.cone.ops:
            shape = op.type.shape
            if isinstance(op, WIRING):
                return False
            if isinstance(op, Constant) and any(n > 1 for n in shape[-2:]):
                return False
            if not isinstance(op, Constant) and len(shape) > 3:
                return False
        return True

    def _wiring(self) -> Array:
        """For every element of the result the element of the layer's sum it is computed from: int64, row-major."""
        where: dict[str, Array | None] = {self.layer.output: np.arange(np.prod(self.frame)).reshape(1, *self.frame)}
        for op in self.cone.ops:
            varying = [where[name] for name in op.inputs]
            moved = [indices for indices in varying if indices is not None]
            if not moved:
                where[op.output] = None
            elif isinstance(op, WIRING):
                if len(moved) < len(varying) or len(moved) > 1:
                    raise self._not_elementwise(op)
                where[op.output] = rewire(op, moved)
            else:
                shape = (1, *op.type.shape) if self.by_position else (1, *self.frame)
                spread = [np.broadcast_to(indices, shape) for indices in moved]
                if any(not np.array_equal(spread[0], other) for other in spread[1:]):
                    raise self._not_elementwise(op)
                where[op.output] = spread[0]
        found = where[self.cone.output]
        assert found is not None
        if np.unique(found).size < found.size:
            raise self._not_elementwise(self.op)
        return np.asarray(found[0])

    def _not_elementwise(self, op: Op) -> CompileError:
        return NotOneSum(
            f"the result mixes or repeats elements of the sums of {self.layer.location}; "
            "a neuron decides on one sum of its own",
            op.location,
        )

    def _evaluations(self) -> Iterator[tuple[Array, Interval]]:
        """(sums, results) for all sums from the lowest to the highest that any channel has, ascending, in chunks."""
        everything = np.arange(int(self.lowest.min()), int(self.highest.max()) + 1)
        chunk = max(1, AT_ONCE // int(np.prod(self.frame)))
        for start in range(0, everything.size, chunk):
            sums = everything[start : start + chunk]
            source = self._model_sums(sums)
            found = bounded_sum(source) if self.pooled is None else self.pooled.means(source.n, self.refine)
            values = {self.layer.output: found}
            for op in self.cone.ops:
                if isinstance(op, Constant):
                    values[op.output] = constant(op)
                    continue
                result = step(op, [values[name] for name in op.inputs])
                through = straight_through(op, self.graph.producer)
                if through is not None:
                    result = carried(result, *(values[name] for name in through))
                values[op.output] = result
            yield sums, values[self.cone.output]

    def _decide(self) -> dict[int, int]:
        """Fills in, per element of the result: the first and last sum that fires and how many do.

        Returns a sum for every channel where the decision is unsure.
        """
        shape = self.wiring.shape
        channel = self._channel_of_elements()
        lowest, highest = self._of_elements(self.lowest), self._of_elements(self.highest)
        self.first = np.full(shape, np.iinfo(np.int64).max)
        self.last = np.full(shape, np.iinfo(np.int64).min)
        self.count = np.zeros(shape, np.int64)
        doubts: dict[int, int] = {}
        for sums, result in self._evaluations():
            n = sums.reshape(-1, *(1,) * len(shape))
            reachable = (n >= lowest) & (n <= highest)
            value = np.broadcast_to(result.value, (sums.size, *shape))
            spikes = (value == 0) | (value == 1)
            if not np.all(spikes | ~reachable):
                at = tuple(np.argwhere(~spikes & reachable)[0])
                sum_there = self._shown(sums[at[0]], at[1:])
                if sign := next((op for op in self.cone.ops if getattr(op, "kind", "") == "strict_sign"), None):
                    raise SignThreeValued(
                        f"output channel {channel[at[1:]]}: Sign gives 0 where the integer sum is {sum_there}, and the "
                        f"result is then {value[at]}; a spike is 0 or 1",
                        sign.location,
                        "write x >= 0, cast to float, in its place",
                    )
                raise NotOneThreshold(
                    f"output channel {channel[at[1:]]}: the result is {value[at]} where the integer sum is "
                    f"{sum_there}; a spike is 0 or 1",
                    self.location(),
                )
            fires = (value == 1) & reachable
            self.first = np.minimum(self.first, np.where(fires, n, np.iinfo(np.int64).max).min(axis=0))
            self.last = np.maximum(self.last, np.where(fires, n, np.iinfo(np.int64).min).max(axis=0))
            self.count += fires.sum(axis=0)
            unsure = np.broadcast_to((result.low != result.high) | result.unknown, value.shape) & reachable
            at_all = np.argwhere(unsure)
            for c, i in zip(*np.unique(channel[tuple(at_all.T[1:])], return_index=True), strict=True):
                if int(c) not in doubts:
                    doubts[int(c)] = self._shown(sums[at_all[i, 0]], tuple(at_all[i, 1:]))
        return doubts

    def _channel_of_elements(self) -> Array:
        positions = int(np.prod(self.frame[1:]))
        return self.wiring // positions

    def _of_elements(self, frame: Array) -> Array:
        """Of an array [frame] what belongs to each element of the result."""
        return np.asarray(frame.reshape(-1)[self.wiring])

    def _shown(self, n: int, at: tuple[int, ...]) -> int:
        """The integer sum that the source model has at an element of the result where n is ours."""
        return int(self._model_integers(np.array([n])).reshape(-1)[self.wiring[at]])

    def _threshold(self) -> None:
        """Reads sign [out] and threshold (the layer's frame) off the decisions."""
        channel = self._channel_of_elements()
        lowest, highest = self._of_elements(self.lowest), self._of_elements(self.highest)
        never, always = self.count == 0, self.count == highest - lowest + 1
        one_run = never | (self.last - self.first + 1 == self.count)
        rising = always | never | (one_run & (self.last == highest))
        falling = always | never | (one_run & (self.first == lowest))
        if not np.all(rising | falling):
            raise self._not_monotone(tuple(np.argwhere(~(rising | falling))[0]))
        must_fall, must_rise = (np.zeros(self.channels, bool) for _ in range(2))
        must_fall[channel[~rising]] = True
        must_rise[channel[~falling]] = True
        if np.any(must_fall & must_rise):
            raise NotOneThreshold(
                f"output channel {int(np.argmax(must_fall & must_rise))} fires for high sums at some positions and for "
                "low sums at others; one filter has one direction on the chip",
                self.location(),
            )
        flipped = must_fall[channel]
        self.sign = np.where(must_fall, -1, 1).astype(np.int8)
        # a neuron with sums -highest..-lowest after the flip; silent ones get a threshold just above all sums
        bottom, top = np.where(flipped, -highest, lowest), np.where(flipped, -lowest, highest)
        found = np.select([never, always, flipped], [top + 1, bottom, -self.last], self.first)
        silent = np.where(must_fall[:, None, None], -self.lowest, self.highest) + 1
        self.threshold = silent.astype(np.int32)
        self.threshold.reshape(-1)[self.wiring.reshape(-1)] = found.reshape(-1)

    def _not_monotone(self, at: tuple[int, ...]) -> CompileError:
        channel = int(self._channel_of_elements()[at])
        low, high = int(self._of_elements(self.lowest)[at]), int(self._of_elements(self.highest)[at])
        decisions = np.zeros(high - low + 1, bool)
        for sums, result in self._evaluations():
            value = np.broadcast_to(result.value, (sums.size, *self.wiring.shape)).reshape(sums.size, -1)[
                :, np.ravel_multi_index(at, self.wiring.shape)
            ]
            inside = (sums >= low) & (sums <= high)
            decisions[sums[inside] - low] = value[inside] == 1
        edges = np.flatnonzero(np.diff(np.concatenate([[False], decisions, [False]]).astype(np.int8))).reshape(-1, 2)
        shown = [(self._shown(low + a, at), self._shown(low + b - 1, at)) for a, b in edges]
        runs = [f"{a}" if a == b else f"{a}..{b}" for a, b in shown]
        return NotOneThreshold(
            f"output channel {channel} fires at the integer sums {', '.join(runs[:4])}{', ...' * (len(runs) > 4)} of "
            f"{self._shown(low, at)}..{self._shown(high, at)}: neither all above nor all below one threshold",
            self.location(),
            "use one comparison a neuron; two layers can combine two comparisons",
        )

    def location(self) -> Location:
        """The layer's and all that is behind it."""
        return self.cone.location(self.layer.location)

    def ambiguous(self, rounding: str) -> list[str]:
        """What rounding leaves unsure, as a sentence; [] where nothing. Raises CompileError unless rounding=nearest."""
        if not self.unsure:
            return []
        channel, n = min(self.unsure.items())
        if rounding == "nearest":
            where = f"channel {channel}, sum {n}"
            return [f"{self.location()}: at some sums the model's own float32 rounding decides ({where})"]
        others = f" (and so in {len(self.unsure) - 1} more channels)" if len(self.unsure) > 1 else ""
        raise RoundingDecides(
            f"output channel {channel}: at the integer sum {n} the model's float32 rounding decides the comparison, so "
            f"the answer of ONNX Runtime depends on how it orders and fuses the arithmetic{others}",
            self.location(),
            "shift the threshold by half a step, or use weights of magnitude 1 or a power of two, or decide as "
            "written: --rounding nearest (fold-thresholds{rounding=nearest})",
        )
