"""Prints a module of either level; `parse(to_text(module)) == module`. Generic over the fields of ops."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import TextInvalid
from tncc.ir.chip import Chip
from tncc.ir.encoding import DTYPE_NAMES, encode, items_needed, name_text, quote, word_text
from tncc.ir.graph import Graph
from tncc.ir.location import Location
from tncc.ir.netlist import NEURON_FIELDS, UNCONNECTED, Layer, Netlist, Port
from tncc.ir.ops import Op, attribute_defaults

Array = npt.NDArray[Any]
WIDTH = 120
INLINE_ITEMS = 128  # a tensor that needs more list items goes to the sidecar, where there is one
INLINE_TOTAL = 1 << 20  # numbers in one text without a sidecar
BLOCK_NEURONS = 4096  # a netlist of more neurons or crossbar rows is written as arrays, not core by core


def to_text(module: Graph | Netlist, *, tensors: dict[str, Array] | None = None) -> str:
    """The module as text.

    Args:
        module: a graph or a netlist.
        tensors: filled with the large tensors by the name that stands for them in the text; where None, every tensor
            is written inline. A text whose tensors are thrown away is for reading only.

    Raises:
        CompileError: an attribute of a kind that the text form does not have, or too many numbers to write inline.
    """
    return _Printer(tensors).module(module)


class _Printer:
    def __init__(self, tensors: dict[str, Array] | None) -> None:
        self.tensors = tensors
        self.inline = 0  # numbers written so far

    def module(self, module: Graph | Netlist) -> str:
        if isinstance(module, Graph):
            return self._graph(module)
        small = max(module.neuron_type.size, module.crossbars.shape[0] * module.chip.axons) <= BLOCK_NEURONS
        lines = [*self._head(module), *(self._blocks(module) if small else self._arrays(module))]
        return "core.netlist {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"

    # --- nn level ---------------------------------------------------------------------------------------------------

    def _graph(self, graph: Graph) -> str:
        lines = _approximations(graph)
        lines += [f"input {name_text('%', value.name)} : {value.type}" for value in graph.inputs]
        lines += [self._op(op) for op in graph.ops]
        lines.append(f"return {_names(graph.outputs)}".rstrip())
        return f"nn.graph {name_text('@', graph.name)} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"

    def _op(self, op: Op) -> str:
        defaults = attribute_defaults(type(op))
        shown = [(name, value) for name, value in op.attributes() if name not in defaults or value != defaults[name]]
        pairs = [(name, self._value(value, f"{op.output}.{name}", 4)) for name, value in shown]
        head = f"{name_text('%', op.output)} = {op.mnemonic()}({_names(op.inputs)})"
        return _braced(head, pairs, f" : {op.type} {_location(op.location)}")

    # --- core level -------------------------------------------------------------------------------------------------

    def _head(self, netlist: Netlist) -> Iterable[str]:
        yield from _approximations(netlist)
        yield _braced("chip", [(k, self._value(v, k, 4)) for k, v in chip_fields(netlist.chip)])
        for number, layer in enumerate(netlist.layers):
            pairs = [(f.name, getattr(layer, f.name)) for f in fields(Layer)]
            yield _braced(f"layer {number}", [(k, self._value(v, k, 4)) for k, v in pairs if v != {}])
        for kind, ports in (("input", netlist.inputs), ("output", netlist.outputs)):
            for port in ports:
                pairs = [(f.name, getattr(port, f.name)) for f in fields(Port)[2:]]
                shown = [(k, str(v)) for k, v in pairs if v or k != "latency_ticks"]
                yield _braced(f"{kind} {quote(port.name)} : {port.type}", shown)

    def _blocks(self, netlist: Netlist) -> Iterable[str]:
        for row in range(len(netlist.neuron_types["leak"])):
            table = {name: netlist.neuron_types[name][row] for name in NEURON_FIELDS}
            yield _braced(
                f"neuron_type {row}",
                [(k, _list(v, 4) if v.ndim else str(v)) for k, v in table.items() if np.any(v != 0)],
            )
        for row, types in enumerate(netlist.axon_types):
            yield _braced(f"axon_types {row}", [("types", _list(types, 4))])
        for row, crossbar in enumerate(netlist.crossbars):
            yield _braced(f"crossbar {row}", [("rows", _rows(crossbar))])
        for core in range(netlist.n_cores):
            yield _braced(f"core {core}", list(_core(netlist, core)))
        if netlist.input_pin.size:
            connections = {"pin": netlist.input_pin, "core": netlist.input_core}
            connections |= {"axon": netlist.input_axon, "delay": netlist.input_delay}
            yield _braced("connections", [(name, _list(array, 4)) for name, array in connections.items()])

    def _arrays(self, netlist: Netlist) -> Iterable[str]:
        for name, array in netlist.arrays().items():
            yield f"{name} = {self._value(array, name, 2)}"

    # --- values -----------------------------------------------------------------------------------------------------

    def _value(self, value: Any, name: str, indent: int) -> str:
        """An attribute's value; `name` is what its tensor is called in the sidecar."""
        if isinstance(value, np.ndarray):
            return self._tensor(value, name, indent)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float):
            return repr(float(value) if isinstance(value, float) else int(value))  # not a subclass's own repr
        if isinstance(value, str):
            return quote(value)
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            inner = ", ".join(f"{word_text(k)} = {self._value(v, name, indent)}" for k, v in value.items())
            return f"{{{inner}}}"
        if isinstance(value, tuple | list):
            inner = ", ".join(self._value(item, name, indent) for item in value)
            return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
        raise TextInvalid(f"{name} is a {type(value).__name__}, which the text form does not have")

    def _tensor(self, array: Array, name: str, indent: int) -> str:
        if array.dtype not in DTYPE_NAMES:
            raise TextInvalid(f"{name} is a tensor of {array.dtype}, which the text form does not have")
        kind = f"{DTYPE_NAMES[array.dtype]}[{'x'.join(map(str, array.shape))}]"
        if self.tensors is None or array.size <= INLINE_ITEMS or items_needed(array) <= INLINE_ITEMS:
            self.inline += array.size
            if self.tensors is None and self.inline > INLINE_TOTAL:
                raise TextInvalid(
                    f"more than {INLINE_TOTAL:,} numbers are too many for one text",
                    hint="write the module to a file: its tensors go beside it",
                )
            return f"{kind} {_list(array, indent)}"
        key = unique = re.sub(r"[^A-Za-z0-9_.]", "_", name)
        for number in range(1, len(self.tensors) + 1):
            if unique not in self.tensors:
                break
            unique = f"{key}.{number}"
        self.tensors[unique] = array
        return f"{kind} {name_text('@', unique)}"


def chip_fields(chip: Chip) -> list[tuple[str, Any]]:
    """(name, value) of the chip's fields that differ from their defaults; defects as a sorted list."""
    changed = [(f.name, getattr(chip, f.name)) for f in fields(Chip) if getattr(chip, f.name) != f.default]
    return [(name, sorted(value) if isinstance(value, frozenset) else value) for name, value in changed]


def _core(netlist: Netlist, core: int) -> Iterable[tuple[str, str]]:
    """The entries of one core that differ from their defaults."""
    if netlist.core_x[core] != -1 or netlist.core_y[core] != -1:
        yield "at", f"({netlist.core_x[core]}, {netlist.core_y[core]})"
    for name, array in (
        ("layer", netlist.layer),
        ("crossbar", netlist.crossbar_index),
        ("axon_types", netlist.axon_types_index),
    ):
        yield name, str(array[core])
    if netlist.seed[core]:
        yield "seed", str(netlist.seed[core])
    for name, default in PER_NEURON_DEFAULTS.items():
        row = getattr(netlist, name)[core]
        if np.any(row != default):
            yield name, _list(row, 4)


PER_NEURON_DEFAULTS = {"neuron_type": -1, "target_core": UNCONNECTED, "target_axon": 0, "target_delay": 0}


def _rows(crossbar: Array) -> str:
    """Hex of every axon's row, one axon (or run of equal axons) a line; the first two digits are neurons 0 to 7."""
    rows = [bytes(row).hex() for row in crossbar]
    starts = [i for i in range(len(rows)) if i == 0 or rows[i] != rows[i - 1]]
    runs = zip(starts, [*starts[1:], len(rows)], strict=True)
    lines = [f'"{rows[start]}"' + (f" * {end - start}" if end - start > 1 else "") for start, end in runs]
    return "[\n      " + ",\n      ".join(lines) + "]"


def _approximations(module: Graph | Netlist) -> list[str]:
    return [f"approximate {quote(reason)}" for reason in module.approximations]


def _names(names: Iterable[str]) -> str:
    return ", ".join(name_text("%", name) for name in names)


def _location(location: Location) -> str:
    parts = [" + ".join(map(quote, location.nodes))]
    parts += ["via " + ", ".join(map(word_text, location.passes))] if location.passes else []
    return f"loc({' '.join(part for part in parts if part)})"


def _list(array: Array, indent: int) -> str:
    """A number list, broken into lines where it is long."""
    items = encode(array)
    if sum(map(len, items)) + 2 * len(items) <= WIDTH - 40:
        return f"[{', '.join(items)}]"
    lines, line = [], ""
    for item in items:
        if line and indent + 2 + len(line) + 2 + len(item) > WIDTH:
            lines.append(line)
            line = ""
        line += f"{item}, "
    lines.append(line)
    margin = "\n" + " " * (indent + 2)
    return "[" + margin + margin.join(part.rstrip() for part in lines).rstrip(",") + "]"


def _braced(head: str, pairs: Iterable[tuple[str, str]], tail: str = "") -> str:
    """`head {a = 1, b = 2} tail` on one line where it fits, else one pair a line."""
    texts = [f"{name} = {value}" for name, value in pairs]
    if not texts:
        return f"{head}{tail}" if tail else f"{head} {{}}"
    line = f"{head} {{{', '.join(texts)}}}{tail}"
    if len(line) + 2 <= WIDTH and "\n" not in line:
        return line
    return f"{head} {{\n    " + ",\n    ".join(texts) + f"\n  }}{tail}"
