"""Building ops one after the other: fresh names, inferred types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.graph import Graph
from tncc.ir.infer import result_type
from tncc.ir.location import Location
from tncc.ir.ops import Concat, Constant, Gather, Op, Reshape
from tncc.ir.types import TensorType

Array = npt.NDArray[Any]


class Builder:
    """A list of ops that grows. It starts empty, knowing the graph's inputs and which names are taken."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ops: list[Op] = []
        self.types: dict[str, TensorType] = {value.name: value.type for value in graph.inputs}
        self._taken = set(graph.types)

    def fresh(self, base: str) -> str:
        """A name that no value has: `base`, else `base.1`, `base.2`, ..."""
        name, count = base, 0
        while name in self._taken:
            count += 1
            name = f"{base}.{count}"
        self._taken.add(name)
        return name

    def reserve(self, *names: str) -> None:
        """Keeps `fresh` from giving these names."""
        self._taken.update(names)

    def append(self, op: Op) -> str:
        """Adds a finished op; returns the name of its result."""
        self.ops.append(op)
        self.types[op.output] = op.type
        return op.output

    def add(
        self,
        op_class: type[Op],
        inputs: tuple[str, ...],
        output: str,
        location: Location,
        *,
        shape: tuple[int, ...] | None = None,
        **attributes: Any,
    ) -> str:
        """Adds an op whose result `output` gets its type by inference; `shape` as for `result_type`."""
        operands = [self.types[name] for name in inputs]
        type = result_type(op_class, operands, attributes, shape=shape, location=location)
        return self.append(op_class(inputs=inputs, output=output, type=type, location=location, **attributes))

    def constant(self, value: npt.ArrayLike, base: str, location: Location) -> str:
        """Adds a float32 constant under a fresh name; returns the name."""
        return self.add(Constant, (), self.fresh(base), location, value=np.asarray(value, np.float32))

    def reshape(self, name: str, shape: tuple[int, ...], output: str, location: Location) -> str:
        """Adds a reshape; returns `output`."""
        return self.add(Reshape, (name,), output, location, shape=shape)


def pick(build: Builder, name: str, indices: Sequence[Array | None], base: str, location: Location) -> str:
    """Adds the rows and columns of a map that `indices` name, by axis, None for all of them. Returns the name."""
    for axis, chosen in enumerate(indices):
        if chosen is not None:
            name = build.add(Gather, (name,), build.fresh(base), location, indices=chosen, axis=1 + axis)
    return name


def side_by_side(build: Builder, names: tuple[str, ...], groups: int, base: str, location: Location) -> str:
    """Adds maps joined by channels, group by group: group 0 of all, then group 1 of all. Returns the name."""
    joined = build.add(Concat, names, build.fresh(f"{base}/joined"), location, axis=0)
    if groups == 1:
        return joined
    channels = [build.types[name].shape[0] for name in names]
    firsts = np.cumsum([0, *channels[:-1]])
    parts = [first + np.arange(n).reshape(groups, -1) for first, n in zip(firsts, channels, strict=True)]
    order = np.concatenate(parts, axis=1).reshape(-1)
    return build.add(Gather, (joined,), build.fresh(f"{base}/paired"), location, indices=order, axis=0)
