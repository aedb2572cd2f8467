"""fold-thresholds: a weighted sum and the elementwise ops behind it, up to a spike, become one integer threshold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.errors import PassMisplaced, PipelineInvalid
from tncc.ir.builder import Builder, pick
from tncc.ir.chip import Chip
from tncc.ir.cone import live
from tncc.ir.graph import Graph
from tncc.ir.ops import (
    ELEMENTWISE,
    WIRING,
    Constant,
    Gather,
    SpikingConv2d,
    TrinaryConv2d,
    integer_weight,
)
from tncc.ir.types import Domain
from tncc.passes.base import Module, Pass
from tncc.passes.decisions import Decisions, source_of
from tncc.passes.pooled_sums import PooledSums

Array = npt.NDArray[Any]

ROUNDINGS = ("exact", "nearest")


@dataclass(frozen=True)
class FoldThresholds(Pass):
    """TrinaryConv2d, elementwise ops and a comparison become SpikingConv2d, perhaps with a mean over windows between.

    The model's own float32 expression is evaluated at every integer sum that inputs in {0, 1} can produce; the
    layer's integer threshold is read off the decisions. Falling decisions negate the weights.

    Options:
        rounding: exact refuses a model whose decision at some reachable sum depends on the order in which a
            runtime adds its float32 products; nearest decides as the model is written, rounding each op once,
            and marks the graph as approximate where that matters.

    Raises CompileError: decisions that neither rise nor fall with the sum, results that are not spikes, decisions
    that rounding makes ambiguous, spikes that depend on anything but one weighted sum.
    """

    name: ClassVar[str] = "fold-thresholds"
    takes: ClassVar[type[Graph]] = Graph
    ensures: ClassVar[tuple[str, ...]] = ("no-real-on-chip",)

    rounding: str = "exact"

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        if self.rounding not in ROUNDINGS:
            raise PipelineInvalid(f"rounding={self.rounding} is unknown; there are {', '.join(ROUNDINGS)}", self.name)
        graph = live(module)
        build = Builder(graph)
        approximations: list[str] = []
        needed, sources = _needed(graph, chip)
        levels: str | None = None
        for op in graph.ops:
            if op.output not in needed:
                continue
            if isinstance(op, ELEMENTWISE):
                found = Decisions(graph, op, sources[op.output])
                approximations += found.ambiguous(self.rounding)
                _emit(build, found)
            elif isinstance(op, Constant):
                levels = _emit_constant(build, op, levels)
            else:
                build.append(op)
        return replace(module, ops=tuple(build.ops), approximations=(*module.approximations, *approximations))


def _needed(graph: Graph, chip: Chip) -> tuple[set[str], dict[str, TrinaryConv2d | PooledSums]]:
    """Spikes that must exist as such: the graph's outputs, what layers and wiring read, back to the inputs. And for
    those that are decided the sums that decide."""
    needed: set[str] = set()
    sources: dict[str, TrinaryConv2d | PooledSums] = {}
    pending = list(graph.outputs)
    while pending:
        name = pending.pop()
        op = graph.producer.get(name)
        if name in needed or op is None:
            continue
        needed.add(name)
        if graph.types[name].domain is not Domain.SPIKES:
            raise PassMisplaced(
                f"the value {name!r} is {graph.types[name]}, not spikes, so it cannot leave a layer on the chip",
                op.location,
                "run partition-host first",
            )
        if isinstance(op, (*WIRING, SpikingConv2d)):
            pending.extend(op.inputs)
        elif isinstance(op, ELEMENTWISE):
            source = sources[name] = source_of(graph, op, chip)
            pending.extend((source.inner if isinstance(source, PooledSums) else source).inputs)
        elif not isinstance(op, Constant):
            raise PassMisplaced(f"{op.mnemonic()} is not lowered to a weighted sum and a comparison", op.location)
    return needed, sources


def _emit_constant(build: Builder, op: Constant, levels: str | None) -> str:
    """Adds spikes that are known: picked from `levels`, a neuron that never fires and one that always does.

    Returns `levels`, which it adds first where they are not there yet.
    """
    location = op.location.via(FoldThresholds.name)
    if levels is None:
        some = build.graph.inputs[0]
        flat = build.reshape(some.name, (some.type.size, 1, 1), build.fresh(f"{op.output}/any"), location)
        neurons = build.add(
            SpikingConv2d,
            (flat,),
            build.fresh(f"{op.output}/neurons"),
            location,
            weight=np.zeros((2, some.type.size, 1, 1), np.int8),
            threshold=np.array([1, 0], np.int32).reshape(2, 1, 1),
            feature_groups=np.zeros(2, np.int32),
            strides=(1, 1),
            pads=(0, 0, 0, 0),
            dilations=(1, 1),
            groups=1,
        )
        levels = build.reshape(neurons, (2,), build.fresh(f"{op.output}/levels"), location)
    chosen = op.value.reshape(-1).astype(np.int64)
    picked = build.add(Gather, (levels,), build.fresh(f"{op.output}/picked"), location, indices=chosen, axis=0)
    build.reshape(picked, op.type.shape, op.output, location)
    return levels


def _emit(build: Builder, found: Decisions) -> None:
    """Adds the layer, and wiring where the result's elements are not the layer's in order."""
    location = found.location().via(FoldThresholds.name)
    direct = found.op.type.shape == found.layer.type.shape and (
        not found.by_position or np.array_equal(found.wiring.reshape(-1), np.arange(found.wiring.size))
    )
    features = found.channels // found.layer.groups
    threshold = found.threshold
    if np.array_equal(threshold, np.broadcast_to(threshold[:, :1, :1], threshold.shape)):
        threshold = threshold[:, :1, :1]
    covered = found.pooled.picked if found.pooled is not None else ()
    operand = pick(build, found.layer.inputs[0], covered, f"{found.op.output}/covered", location)
    neurons = build.add(
        SpikingConv2d,
        (operand,),
        found.op.output if direct else build.fresh(f"{found.op.output}/neurons"),
        location,
        weight=integer_weight(found.layer.weight * found.sign[:, None, None, None].astype(np.int16)),
        threshold=np.ascontiguousarray(threshold),
        feature_groups=np.repeat(np.arange(found.layer.groups, dtype=np.int32), features),
        strides=found.layer.strides,
        pads=found.layer.pads,
        dilations=found.layer.dilations,
        groups=found.layer.groups,
    )
    if direct:
        return
    order, size = found.wiring.reshape(-1), found.layer.type.size
    if not np.array_equal(order, np.arange(size)):
        flat = build.reshape(neurons, (size,), build.fresh(f"{found.op.output}/flat"), location)
        picked = build.fresh(f"{found.op.output}/picked")
        neurons = build.add(Gather, (flat,), picked, location, indices=order.astype(np.int64), axis=0)
    build.reshape(neurons, found.op.type.shape, found.op.output, location)
