"""bias-inputs: thresholds that a neuron's leak cannot hold get synapses from neurons that always fire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.ir.builder import Builder, side_by_side
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.interpreter import reachable_thresholds
from tncc.ir.location import Location
from tncc.ir.ops import Gather, SpikingConv2d, integer_weight
from tncc.ir.shapes import inner_tap
from tncc.passes.base import Module, Pass

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BiasInputs(Pass):
    """Layers whose thresholds are beyond the leaks of neurons read input channels that always spike.

    A leak is 1 - threshold and as large as a strength can be. What is left over is added up by weights on as many
    further input channels as it takes, of the layer's own range, so that they take no more axons an input. Layers of
    which no kernel tap lies within the map at all positions are left alone, and positions that differ by more than
    all leaks.
    """

    name: ClassVar[str] = "bias-inputs"
    takes: ClassVar[type[Graph]] = Graph
    requires: ClassVar[tuple[str, ...]] = ("no-real-on-chip",)

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        build = Builder(module)
        for op in module.ops:
            bias = _bias(op, chip) if isinstance(op, SpikingConv2d) else np.zeros(0)
            if isinstance(op, SpikingConv2d) and np.any(bias):
                _emit(build, op, bias)
            else:
                build.append(op)
        return module.with_ops(build.ops)


def _bias(op: SpikingConv2d, chip: Chip) -> Array:
    """int64 [out]: what is to be added to a feature's sums so that its threshold, raised as much, is in reach."""
    leak = (1 - reachable_thresholds(op)).reshape(op.weight.shape[0], -1)
    above, below = leak.max(axis=1) - chip.max_weight, leak.min(axis=1) + chip.max_weight
    return np.where(above <= below, np.clip(0, above, below), 0)


def _emit(build: Builder, op: SpikingConv2d, bias: Array) -> None:
    """Adds the layer with its inputs and those that always spike."""
    location = op.location.via(BiasInputs.name)
    tap = inner_tap(op, build.types[op.inputs[0]].shape)
    if tap is None:
        build.append(op)
        return
    weight, (out, per_group) = op.weight.astype(np.int64), op.weight.shape[:2]
    flat = weight.reshape(out, -1)
    own = np.where(bias > 0, flat.max(axis=1), -flat.min(axis=1))  # the largest weight of the bias's sign
    most = int(np.abs(flat).max())
    largest = np.where(own >= max(1, most // 2), own, most)
    count = int((-(-np.abs(bias) // largest)).max())
    shares = np.clip(np.abs(bias)[:, None] - np.arange(count) * largest[:, None], 0, largest[:, None])
    added = np.zeros((out, count, *weight.shape[2:]), np.int64)
    added[:, :, tap[0], tap[1]] = np.sign(bias)[:, None] * shares

    silent = np.zeros((1, per_group * op.groups, 1, 1), np.int8)
    spiking = build.add(
        SpikingConv2d,
        op.inputs,
        build.fresh(f"{op.output}/always"),
        Location.of(f"{op.location.nodes[0]}/always").via(BiasInputs.name),
        weight=silent,
        threshold=np.zeros((1, 1, 1), np.int32),
        feature_groups=np.zeros(1, np.int32),
        strides=(1, 1),
        pads=(0, 0, 0, 0),
        dilations=(1, 1),
        groups=1,
    )
    repeats = np.zeros(count * op.groups, np.int64)
    always = build.add(Gather, (spiking,), build.fresh(f"{op.output}/bias"), location, indices=repeats, axis=0)
    operand = side_by_side(build, (op.inputs[0], always), op.groups, op.output, location)
    build.add(
        SpikingConv2d,
        (operand,),
        op.output,
        location,
        weight=integer_weight(np.concatenate([weight, added], axis=1)),
        threshold=(reachable_thresholds(op) + bias.reshape(-1, 1, 1)).astype(np.int32),
        feature_groups=op.feature_groups,
        strides=op.strides,
        pads=op.pads,
        dilations=op.dilations,
        groups=op.groups,
    )
