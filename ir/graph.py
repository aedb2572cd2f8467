"""The nn level: a flat SSA graph of layers on tensors. Graphs are values; passes return new ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from tncc.ir.ops import Op
from tncc.ir.types import TensorType


@dataclass(frozen=True, slots=True)
class Value:
    """A named tensor: a graph input or output. The name is the ONNX tensor's."""

    name: str
    type: TensorType


@dataclass(frozen=True)
class Graph:
    """Ops in topological order; each op defines the one value named `op.output`.

    Attributes:
        name: the model's name.
        inputs: what the graph takes: model inputs, or after partition-host the boundary where spikes enter.
        ops: in topological order.
        outputs: names of the values the graph returns, in order.
        approximations: why the graph is not exactly the source model, a sentence each; empty where it is.
    """

    name: str
    inputs: tuple[Value, ...]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]
    approximations: tuple[str, ...] = ()

    @cached_property
    def types(self) -> dict[str, TensorType]:
        """Type of every value by name."""
        return {**{v.name: v.type for v in self.inputs}, **{op.output: op.type for op in self.ops}}

    @cached_property
    def producer(self) -> dict[str, Op]:
        """The op that defines each value; graph inputs are absent."""
        return {op.output: op for op in self.ops}

    @cached_property
    def position(self) -> dict[str, int]:
        """Where in `ops` each value is defined; graph inputs are absent."""
        return {op.output: k for k, op in enumerate(self.ops)}

    @cached_property
    def consumers(self) -> dict[str, tuple[Op, ...]]:
        """The ops that read each value, in order; () for a value nobody reads."""
        found: dict[str, list[Op]] = {name: [] for name in self.types}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                found[name].append(op)
        return {name: tuple(ops) for name, ops in found.items()}

    def with_ops(self, ops: Iterator[Op] | list[Op] | tuple[Op, ...]) -> Graph:
        """This graph with other ops."""
        return replace(self, ops=tuple(ops))
