"""trinarize-weights: weighted layers whose weights are -s, 0 or +s per output channel, or integers times s, become
TrinaryConv2d."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.errors import CompileError, ModelTooLarge, PipelineInvalid, WeightsNotTrinary
from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.location import Location
from tncc.ir.ops import Conv2d, Linear, Op, TrinaryConv2d, integer_weight
from tncc.passes.base import Module, Pass
from tncc.passes.weighted_sum import UNIT

Array = npt.NDArray[Any]
LARGEST = 32_767  # that weights of 16 bits hold
MAX_WEIGHTS = 1 << 24  # of a layer, zeros too
TOLERANCE = 4 * UNIT  # relative


def trinary_form(weight: Array) -> tuple[Array, Array, Array]:
    """Signs, scale and which channels are trinary, of a weight [out, ...].

    Returns:
        int8 signs like `weight`; float32 scale [out], 1 where a channel is all zero; bool [out]: whether every
        nonzero magnitude of the channel is its scale (finite too), so that weight == signs * scale there.
    """
    magnitudes = np.abs(weight.reshape(weight.shape[0], -1))
    largest = magnitudes.max(axis=1, initial=0)
    trinary = np.all((magnitudes == 0) | (magnitudes == largest[:, None]), axis=1) & np.isfinite(largest)
    scale = np.where(largest > 0, largest, 1).astype(np.float32)
    return np.sign(np.nan_to_num(weight)).astype(np.int8), scale, trinary  # NaN is no sign, nor trinary


@dataclass(frozen=True)
class IntegerForm:
    """A weight [out, ...] as integers times a scale.

    Attributes:
        weight: int8 or int16, like the weight.
        scale: float32 [out], 1 where a channel is all zero.
        tolerance: by how much a weight is off integer * scale, relatively; 0 where none is.
    """

    weight: Array
    scale: Array
    tolerance: float


def integer_form(weight: Array, largest: int) -> IntegerForm | int:
    """The form with integers -largest..largest; the first channel that has none.

    Quantised weights are k * scale, rounded to float32, perhaps scaled and rounded again: what is within TOLERANCE of
    a multiple counts as it.
    """
    integers, scale, exact = _exact_form(weight, largest)
    tolerance = 0.0
    for channel in np.flatnonzero(~exact).tolist():
        found = _rounded_form(weight[channel], largest)
        if found is None:
            return int(channel)
        integers[channel], scale[channel], off = found
        tolerance = max(tolerance, off)
    return IntegerForm(integer_weight(integers), scale, tolerance)


def _exact_form(weight: Array, largest: int) -> tuple[Array, Array, Array]:
    """(int16 integers, float32 scale [out], bool [out]: whether the channel's weights are integers * scale)."""
    magnitudes = np.abs(weight.reshape(weight.shape[0], -1)).astype(np.float64)
    finite = np.all(np.isfinite(magnitudes), axis=1)
    # float32 numbers are multiples of a power of two; their greatest common divisor is that of integers
    exponent = np.frexp(np.where(finite, magnitudes.max(axis=1, initial=0), 1))[1] - 52
    units = np.ldexp(np.where(finite[:, None], magnitudes, 0), -exponent[:, None])
    exact = finite & np.all(units == np.rint(units), axis=1)
    divisor = np.gcd.reduce(np.where(exact[:, None], units, 0).astype(np.int64), axis=1)
    scale = np.where(divisor > 0, np.ldexp(divisor.astype(np.float64), exponent), 1)
    integers = np.where(exact[:, None], units / np.maximum(divisor, 1)[:, None], 0).reshape(weight.shape)
    small = exact & np.all(integers.reshape(weight.shape[0], -1) <= largest, axis=1)
    small &= scale == scale.astype(np.float32)
    signs = np.where(np.isnan(weight), 0, np.sign(weight))
    return (np.minimum(integers, largest) * signs).astype(np.int16), scale.astype(np.float32), small


def _rounded_form(channel: Array, largest: int) -> tuple[Array, np.float32, float] | None:
    """(integers, scale, tolerance) of one channel whose weights are near multiples of a scale; None where there are
    none."""
    magnitudes = np.unique(np.abs(channel.astype(np.float64)))
    magnitudes = magnitudes[magnitudes > 0]
    if not np.all(np.isfinite(channel)) or magnitudes.size > largest:
        return None
    steps = magnitudes / magnitudes[0] * np.arange(1, largest + 1)[:, None]  # the smallest weight as 1, 2, 3 ... scales
    near = (np.abs(steps - np.rint(steps)) <= TOLERANCE * steps).all(axis=1) & (np.rint(steps[:, -1]) <= largest)
    if not near.any():
        return None
    multiples = np.rint(steps[near.argmax()])
    scales = (magnitudes[[0, -1]] / multiples[[0, -1]]).astype(np.float32)
    if not np.all(scales > 0):
        return None  # too small for a float32
    off = [float(np.max(np.abs(magnitudes / (multiples * np.float64(scale)) - 1))) for scale in scales]
    best = int(np.argmin(off))
    integers = np.rint(np.abs(channel.astype(np.float64)) / np.float64(scales[best])) * np.sign(channel)
    return integers.astype(np.int16), scales[best], off[best] * (1 + TOLERANCE)


@dataclass(frozen=True)
class TrinarizeWeights(Pass):
    """Conv2d and Linear to TrinaryConv2d, without changing a weight. Linear becomes a 1 x 1 convolution.

    Options:
        largest: the largest integer that a weight may be, in units of the channel's scale.

    Raises CompileError for the first channel whose weights are no such integers.
    """

    name: ClassVar[str] = "trinarize-weights"
    takes: ClassVar[type[Graph]] = Graph

    largest: int = 255

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        if not 1 <= self.largest <= LARGEST:
            raise PipelineInvalid(f"largest is {self.largest}; it lies in 1..{LARGEST}", self.name)
        build = Builder(module)
        for op in module.ops:
            location = op.location.via(self.name)
            if isinstance(op, Conv2d):
                self._emit(build, op, op.weight, op.inputs[0], op.output, location, op)
            elif isinstance(op, Linear):
                out, features = op.weight.shape
                column = build.reshape(op.inputs[0], (features, 1, 1), build.fresh(f"{op.output}/column"), location)
                sums = build.fresh(f"{op.output}/sums")
                self._emit(build, op, op.weight[:, :, None, None], column, sums, location, None)
                build.reshape(sums, (out,), op.output, location)
            else:
                build.append(op)
        return module.with_ops(build.ops)

    def _emit(
        self,
        build: Builder,
        op: Conv2d | Linear,
        weight: Array,
        operand: str,
        output: str,
        location: Location,
        window: Conv2d | None,
    ) -> None:
        if weight.size > MAX_WEIGHTS:
            raise ModelTooLarge(
                f"the layer has {weight.size:,} weights; up to {MAX_WEIGHTS:,} are taken",
                op.location,
                "groups, or several smaller layers",
            )
        form = integer_form(weight, self.largest)
        if isinstance(form, int):
            raise _not_small(op, weight, form, self.largest)
        build.add(
            TrinaryConv2d,
            (operand,),
            output,
            location,
            weight=form.weight,
            scale=form.scale,
            strides=window.strides if window else (1, 1),
            pads=window.pads if window else (0, 0, 0, 0),
            dilations=window.dilations if window else (1, 1),
            groups=window.groups if window else 1,
            tolerance=form.tolerance + op.tolerance,
        )


def _not_small(op: Op, weight: Array, channel: int, largest: int) -> CompileError:
    magnitudes = np.unique(np.abs(weight[channel]))
    nonzero = magnitudes[magnitudes != 0]
    if not np.all(np.isfinite(nonzero)):
        return WeightsNotTrinary(f"output channel {channel} holds a weight that is not a finite number", op.location)
    return WeightsNotTrinary(
        f"output channel {channel} holds weights of different magnitude, for example {nonzero[0]} and "
        f"{nonzero[-1]}; the chip's weights are -s, 0 or +s with one s an output channel, or integers up to {largest} "
        "times s",
        op.location,
        "train with trinary weights or quantise them to a few bits, or have a float model's rounded (not exact): "
        "--trinarize twn --calibrate DATA",
    )
