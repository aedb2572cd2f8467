"""split-partial-sums: filters that no core holds are computed in stages, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.ops import SpikingConv2d
from tncc.passes.base import Module, Pass
from tncc.passes.partial_sums.costs import plan_of, remark_of
from tncc.passes.partial_sums.plan import Plan
from tncc.passes.partial_sums.stages import emit


@dataclass(frozen=True)
class SplitPartialSums(Pass):
    """Filters with more nonzero weights than a core has axons become two or three layers: partial sums, then their sum.

    So do trinary filters of more than half as many, where that takes at most three quarters of the cores by estimate.

    Neurons tell the sum of every part of a filter's inputs in two digits, as thermometers; one neuron decides from the
    digits of all parts (docs/mapping.md). Everything else is left alone.

    Options:
        allow_partial_sums: whether to; else split-filter-groups refuses such filters.
    """

    name: ClassVar[str] = "split-partial-sums"
    takes: ClassVar[type[Graph]] = Graph
    requires: ClassVar[tuple[str, ...]] = ("no-real-on-chip",)

    allow_partial_sums: bool = False

    def run(self, module: Module, chip: Chip) -> Graph:
        assert isinstance(module, Graph)
        if not self.allow_partial_sums:
            return module
        build = Builder(module)
        for op in module.ops:
            plan = plan_of(op, build.types[op.inputs[0]].shape, chip) if op.inputs else None
            if isinstance(plan, Plan):
                assert isinstance(op, SpikingConv2d)
                remark = remark_of(op, build.types[op.inputs[0]].shape, plan, chip)
                emit(build, op, plan, op.location.via(self.name), remark)
            else:
                build.append(op)  # where there is no plan, split-filter-groups says why
        return module.with_ops(build.ops)
