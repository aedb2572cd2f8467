"""lower-pools: pools of spikes become weighted sums, so that the chip part knows one kind of layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.interpreter import pool_counts
from tncc.ir.location import Location
from tncc.ir.ops import AveragePool2d, Binary, MaxPool2d, TrinaryConv2d
from tncc.ir.types import Domain
from tncc.passes.base import Module, Pass


@dataclass(frozen=True)
class LowerPools(Pass):
    """MaxPool2d of spikes (an OR) becomes: sum of the window >= 1. AveragePool2d of spikes: sum / elements.

    The sum is a TrinaryConv2d of ones, one group a channel; padding adds zeros to it, which is what both pools
    do with it: it never wins a maximum, and how an average counts it is in the divisor of its position.
    """

    name: ClassVar[str] = "lower-pools"
    takes: ClassVar[type[Graph]] = Graph

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        build = Builder(module)
        for op in module.ops:
            if not isinstance(op, MaxPool2d | AveragePool2d) or build.types[op.inputs[0]].domain is not Domain.SPIKES:
                build.append(op)
                continue
            location = op.location.via(self.name)
            if isinstance(op, MaxPool2d):
                sums = window_sums(build, op, op.inputs[0], TrinaryConv2d, location)
                one = build.constant(1, f"{op.output}/one", location)
                build.add(Binary, (sums, one), op.output, location, kind="ge")
            else:
                add_mean(build, op, op.inputs[0], TrinaryConv2d, location)
        return module.with_ops(build.ops)


def add_mean(build: Builder, op: AveragePool2d, operand: str, layer: type[TrinaryConv2d], location: Location) -> None:
    """Adds the pool's result: the sums of windows of `operand` by a layer of that class, over the windows' elements."""
    counts = pool_counts(op, build.types[operand].shape)
    if np.all(counts == counts.flat[0]):
        counts = counts.flat[0]
    sums = window_sums(build, op, operand, layer, location)
    elements = build.constant(counts, f"{op.output}/elements", location)
    build.add(Binary, (sums, elements), op.output, location, kind="div")


def window_sums(
    build: Builder, op: MaxPool2d | AveragePool2d, operand: str, layer: type[TrinaryConv2d], location: Location
) -> str:
    """Adds the layer that adds up every window; returns the name of its result."""
    channels = build.types[operand].shape[0]
    return build.add(
        layer,
        (operand,),
        build.fresh(f"{op.output}/sums"),
        location,
        weight=np.ones((channels, 1, *op.kernel), np.int8),
        scale=np.ones(channels, np.float32),
        strides=op.strides,
        pads=op.pads,
        dilations=op.dilations if isinstance(op, MaxPool2d) else (1, 1),
        groups=channels,
    )
