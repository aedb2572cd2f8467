"""trinarize-weights: weighted layers whose weights are -s, 0 or +s per output channel become TrinaryConv2d."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.errors import CompileError, WeightsNotTrinary
from tncc.ir.builder import Builder, side_by_side
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.location import Location
from tncc.ir.ops import Conv2d, Linear, Op, TrinaryConv2d
from tncc.passes.base import Module, Pass

Array = npt.NDArray[Any]


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
    return np.sign(weight).astype(np.int8), scale, trinary


def integer_form(weight: Array, largest: int) -> tuple[Array, Array, Array]:
    """Integers, scale and which channels are exact multiples of it, of a weight [out, ...].

    Returns:
        int8 integers -largest..largest like `weight`; float32 scale [out]; bool [out]: whether the channel's weights
        are integers * scale, exactly.
    """
    magnitudes = np.abs(weight.reshape(weight.shape[0], -1)).astype(np.float64)
    finite = np.all(np.isfinite(magnitudes), axis=1)
    # float32 numbers are multiples of a power of two; their greatest common divisor is that of integers
    exponent = np.frexp(np.where(finite, magnitudes.max(axis=1, initial=0), 1))[1] - 52
    units = np.ldexp(np.where(finite[:, None], magnitudes, 0), -exponent[:, None])
    exact = finite & np.all(units == np.rint(units), axis=1)
    divisor = np.gcd.reduce(np.where(exact[:, None], units, 0).astype(np.int64), axis=1)
    scale = np.where(divisor > 0, np.ldexp(divisor.astype(np.float64), exponent), 1)
    integers = np.where(exact[:, None], units / np.maximum(divisor, 1)[:, None], 0).reshape(weight.shape)
    small = (
        exact & np.all(integers.reshape(weight.shape[0], -1) <= largest, axis=1) & (scale == scale.astype(np.float32))
    )
    return (np.minimum(integers, largest) * np.sign(weight)).astype(np.int8), scale.astype(np.float32), small


@dataclass(frozen=True)
class TrinarizeWeights(Pass):
    """Conv2d and Linear to TrinaryConv2d, without changing a weight. Linear becomes a 1 x 1 convolution.

    Weights that are small integers times the channel's scale become several trinary ones: a layer whose largest is n
    reads n copies of its input, and a weight of m has synapses to m of them.

    Options:
        largest: the largest integer weight taken apart so.

    Raises CompileError for the first channel whose weights are no such integers.
    """

    name: ClassVar[str] = "trinarize-weights"
    takes: ClassVar[type[Graph]] = Graph

    largest: int = 7

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
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
        op: Op,
        weight: Array,
        operand: str,
        output: str,
        location: Location,
        window: Conv2d | None,
    ) -> None:
        """Adds the layer on as many copies of its input as its largest integer weight needs."""
        integers, scale, small = integer_form(weight, self.largest)
        if not np.all(small):
            raise _not_small(op, weight, int(np.argmin(small)), self.largest)
        groups = window.groups if window else 1
        copies = max(1, int(np.abs(integers).max(initial=0)))
        parts = [np.sign(integers) * (np.abs(integers) > copy) for copy in range(copies)]
        if copies > 1:
            operand = side_by_side(build, (operand,) * copies, groups, output, location)
        build.add(
            TrinaryConv2d,
            (operand,),
            output,
            location,
            weight=np.concatenate(parts, axis=1).astype(np.int8),
            scale=scale,
            strides=window.strides if window else (1, 1),
            pads=window.pads if window else (0, 0, 0, 0),
            dilations=window.dilations if window else (1, 1),
            groups=groups,
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
        "train with trinary weights, or have a float model's rounded (not exact): --trinarize twn --calibrate DATA",
    )
