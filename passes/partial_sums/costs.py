"""The plan for a layer, and what it costs in words: for the error without the option and for the report with it."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.axon_code import axon_code
from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph, Value
from tncc.ir.invariants import filter_axons
from tncc.ir.ops import Op, SpikingConv2d
from tncc.ir.shapes import inner_tap
from tncc.ir.types import Domain, TensorType
from tncc.passes.filter_groups import input_groups, split_groups
from tncc.passes.partial_sums.plan import NoPlan, Plan, make_plan, oversize
from tncc.passes.partial_sums.stages import emit

Array = npt.NDArray[Any]
WORTHWHILE = 0.75  # of the cores without: two ticks more and the estimate's error are to pay


def plan_of(op: Op, in_shape: tuple[int, ...], chip: Chip) -> Plan | NoPlan | None:
    """The plan for those filters of a layer that no core holds, and for those that fill one where that saves cores.

    None where there are none. in_shape: the operand's.
    """
    if not isinstance(op, SpikingConv2d):
        return None
    parts = -(-_largest_filter(op) // chip.axons)
    if parts > chip.axons:  # and every part needs an axon of the last stage, or more
        return NoPlan(parts, parts, 1)
    fine_stage = inner_tap(op, in_shape) is not None
    if abs(op.weight).max(initial=0) > 1:
        features = oversize(op, chip)
        measure = partial(_measured, op, in_shape, chip)
        return make_plan(op, features, chip, fine_stage, measure) if features.size else None
    features, wide = oversize(op, chip), _wide(op, chip)
    least = make_plan(op, features, chip, fine_stage) if features.size else None
    if not wide.size or isinstance(least, NoPlan):
        return least
    cores = (least.cores if least is not None else 0) + _cores_of_whole(op, wide, chip)
    more = make_plan(op, np.union1d(features, wide), chip, fine_stage)
    return more if isinstance(more, Plan) and more.cores <= WORTHWHILE * cores else least


def _measured(op: SpikingConv2d, in_shape: tuple[int, ...], chip: Chip, plan: Plan) -> float | None:
    """The cores that the plan's stages take for one output position; None where a filter of theirs fits no core.

    What weights of several bits take beside the digits' weights is only known from the stages themselves.
    """
    build = Builder(Graph("stages", (Value(op.inputs[0], TensorType(Domain.SPIKES, in_shape)),), (), ()))
    build.reserve(op.output)
    emit(build, op, plan, op.location, "")
    cores = 0.0
    for stage in build.ops:
        if not isinstance(stage, SpikingConv2d):
            continue
        used = filter_axons(stage, chip)
        if int(used.sum(axis=1).max()) > chip.axons:
            return None
        groups = split_groups(used, input_groups(stage), chip.axons)
        together = np.logical_or.reduceat(used[np.argsort(groups, kind="stable")], np.unique(np.sort(groups), True)[1])
        cores += float(np.maximum(together.sum(axis=1) / chip.axons, np.bincount(groups) / chip.neurons).sum())
    return cores


def _wide(op: SpikingConv2d, chip: Chip) -> Array:
    """int64 [filters]: features that fit a core, but leave no room for another of as many other inputs."""
    nonzero = np.count_nonzero(op.weight.reshape(op.weight.shape[0], -1), axis=1)
    return np.setdiff1d(np.flatnonzero(nonzero > chip.axons // 2), oversize(op, chip))


def _cores_of_whole(op: SpikingConv2d, features: Array, chip: Chip) -> int:
    """Cores for the features at one output position where no filter is cut."""
    used = filter_axons(op, chip)[features]
    return int(split_groups(used, input_groups(op)[features], chip.axons).max()) + 1


def _largest_filter(op: SpikingConv2d) -> int:
    """The nonzero weights of the filter that has the most."""
    return int(np.count_nonzero(op.weight.reshape(len(op.weight), -1), axis=1).max())


def cost_text(op: SpikingConv2d, plan: Plan) -> str:
    """What partial sums for the layer cost, as words."""
    positions = math.prod(op.type.shape[1:])
    cores = math.ceil(plan.cores * positions)
    return f"{plan.stages} ticks in place of 1, about {cores:,} core{'s' * (cores != 1)}"


def remark_of(op: SpikingConv2d, in_shape: tuple[int, ...], plan: Plan, chip: Chip) -> str:
    """What was cut, how, and what it would cost if cores had the axons, as words. in_shape: the operand's."""
    nonzero = int(np.count_nonzero(op.weight[plan.features].reshape(plan.features.size, -1), axis=1).max())
    filters = f"{plan.features.size:,} filter{'s' * (plan.features.size != 1)}"
    digits = int(np.bitwise_count(np.bitwise_or.reduce(axon_code(op, chip).bits(op.weight), axis=None)))
    least = max(-(-math.prod(in_shape) * digits // chip.axons), -(-math.prod(op.type.shape) // chip.neurons))
    return (
        f"partial sums: {filters} of up to {nonzero:,} nonzero weights in {plan.parts} parts; if a core had the axons, "
        f"at least {least:,} core{'s' * (least != 1)} and 1 tick"
    )


def partial_sums_hint(op: SpikingConv2d, in_shape: tuple[int, ...], chip: Chip) -> str:
    """What --allow-partial-sums would do for a layer whose filters no core holds."""
    nonzero = _largest_filter(op)
    if nonzero > chip.axons**2:
        return f"{nonzero:,} nonzero weights in one filter are far beyond what partial sums can add up"
    found = plan_of(op, in_shape, chip)
    if isinstance(found, Plan):
        return f"--allow-partial-sums computes it exactly in stages: {cost_text(op, found)}"
    if found is None:
        return "--allow-partial-sums does not help"
    return (
        f"--allow-partial-sums does not reach that far: the best cut, {found.parts} parts in steps of {found.step}, "
        f"needs {found.axons} axons of one core, which has {chip.axons}"
    )
