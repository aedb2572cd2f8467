"""trinarize-weights: weighted layers whose weights are -s, 0 or +s per output channel become TrinaryConv2d."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.errors import CompileError
from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.ops import Conv2d, Linear, TrinaryConv2d
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


@dataclass(frozen=True)
class TrinarizeWeights(Pass):
    """Conv2d and Linear to TrinaryConv2d, without changing a weight. Linear becomes a 1 x 1 convolution.

    Raises CompileError for the first channel whose nonzero weights differ in magnitude.
    """

    name: ClassVar[str] = "trinarize-weights"
    takes: ClassVar[type[Graph]] = Graph

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        build = Builder(module)
        for op in module.ops:
            if isinstance(op, Conv2d):
                signs, scale = _trinary(op)
                build.add(
                    TrinaryConv2d,
                    op.inputs,
                    op.output,
                    op.location.via(self.name),
                    weight=signs,
                    scale=scale,
                    strides=op.strides,
                    pads=op.pads,
                    dilations=op.dilations,
                    groups=op.groups,
                )
            elif isinstance(op, Linear):
                signs, scale = _trinary(op)
                out, features = signs.shape
                location = op.location.via(self.name)
                column = build.reshape(op.inputs[0], (features, 1, 1), build.fresh(f"{op.output}/column"), location)
                sums = build.add(
                    TrinaryConv2d,
                    (column,),
                    build.fresh(f"{op.output}/sums"),
                    location,
                    weight=signs[:, :, None, None],
                    scale=scale,
                    strides=(1, 1),
                    pads=(0, 0, 0, 0),
                    dilations=(1, 1),
                    groups=1,
                )
                build.reshape(sums, (out,), op.output, location)
            else:
                build.append(op)
        return module.with_ops(build.ops)


def _trinary(op: Conv2d | Linear) -> tuple[Array, Array]:
    """(signs, scale) of the op's weight. Raises CompileError where it is not trinary."""
    signs, scale, trinary = trinary_form(op.weight)
    if not np.all(trinary):
        channel = int(np.argmin(trinary))
        magnitudes = np.unique(np.abs(op.weight[channel]))
        nonzero = magnitudes[magnitudes != 0]
        raise CompileError(
            f"output channel {channel} holds weights of different magnitude, for example {nonzero[0]} and "
            f"{nonzero[-1]}; the chip's weights are -s, 0 or +s with one s an output channel"
            if np.all(np.isfinite(nonzero))
            else f"output channel {channel} holds a weight that is not a finite number",
            op.location,
            "train with trinary weights; --trinarize twn (rounding the weights of a float model) is not available yet",
        )
    return signs, scale
