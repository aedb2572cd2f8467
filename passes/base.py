"""What a pass is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.netlist import Netlist

Module = Graph | Netlist


@dataclass(frozen=True)
class Pass:
    """A rewriting of the module. A subclass's dataclass fields are its options: `place-cores{seed=1}`.

    Class attributes:
        name: as typed in a pipeline; file = snake_case of it, class = CamelCase, golden folder = the name.
        takes: the level it rewrites, Graph or Netlist; the manager refuses the other with a clear error.
        requires, ensures: names of invariants (tncc.ir.invariants) that hold before and after.
        invalidates: invariants that earlier passes ensured and that need not hold any more.
        exact: whether the module means the same, bit for bit, before and after.
    """

    name: ClassVar[str]
    takes: ClassVar[type[Graph] | type[Netlist] | None] = None
    requires: ClassVar[tuple[str, ...]] = ()
    ensures: ClassVar[tuple[str, ...]] = ()
    invalidates: ClassVar[tuple[str, ...]] = ()
    exact: ClassVar[bool] = True

    def run(self, module: Module, chip: Chip) -> Module:
        """The rewritten module; `module` itself is left alone. Raises CompileError where it cannot."""
        raise NotImplementedError
