"""Gives the statements of a core.netlist their meaning: block by block for small ones, or array by array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
from lark import Token, Tree

from tncc.errors import CompileError
from tncc.ir.chip import Chip
from tncc.ir.netlist import NEURON_FIELDS, Layer, Netlist, Port
from tncc.ir.printer import PER_NEURON_DEFAULTS
from tncc.ir.reader import Node, Reader
from tncc.ir.suggest import did_you_mean

Array = npt.NDArray[Any]
Pairs = Mapping[str, tuple[Node, Node]]

PER_CORE = ("crossbar_index", "axon_types_index", "core_x", "core_y", "layer")
INPUT_ARRAYS = {"pin": "int32", "core": "int32", "axon": "int32", "delay": "uint8"}
ARRAYS = (
    "crossbars",
    "axon_types",
    *PER_CORE,
    "seed",
    *PER_NEURON_DEFAULTS,
    *(f"input_{name}" for name in INPUT_ARRAYS),
    *(f"neuron_types.{name}" for name in NEURON_FIELDS),
)
STATEMENTS = {  # the keys each takes
    "chip": tuple(f.name for f in fields(Chip)),
    "layer": tuple(f.name for f in fields(Layer)),
    "input": tuple(f.name for f in fields(Port)[2:]),
    "output": tuple(f.name for f in fields(Port)[2:]),
    "neuron_type": tuple(NEURON_FIELDS),
    "axon_types": ("types",),
    "crossbar": ("rows",),
    "core": ("at", "layer", "crossbar", "axon_types", "seed", *PER_NEURON_DEFAULTS),
    "connections": tuple(INPUT_ARRAYS),
}
NUMBERED = ("layer", "neuron_type", "axon_types", "crossbar", "core")
BLOCKS = ("neuron_type", "axon_types", "crossbar", "core", "connections")


def read_netlist(reader: Reader, tree: Tree[Token]) -> Netlist:
    """The netlist of a `netlist` syntax tree; not verified. Raises CompileError at the place of the fault."""
    return _NetlistReader(reader, tree).netlist()


class _NetlistReader:
    def __init__(self, reader: Reader, tree: Tree[Token]) -> None:
        self.reader = reader
        self.tree = tree
        self.assigned: dict[str, tuple[Node, Node]] = {}
        self.statements: dict[str, list[Tree[Token]]] = {name: [] for name in STATEMENTS}
        for child in tree.children:
            assert isinstance(child, Tree)
            if child.data == "pair":
                key, value = child.children
                name = reader.label(key)
                if name not in ARRAYS:
                    raise reader.error(key, f"a netlist has no array {name!r}", did_you_mean(name, ARRAYS, "arrays"))
                if name in self.assigned:
                    raise reader.error(key, f"array {name} is set twice")
                self.assigned[name] = (key, value)
            elif child.data == "statement":
                self._sort_in(child)

    def _sort_in(self, statement: Tree[Token]) -> None:
        keyword = statement.children[0]
        assert isinstance(keyword, Token)
        if str(keyword) not in STATEMENTS:
            hint = did_you_mean(str(keyword), STATEMENTS, "statements")
            raise self.reader.error(keyword, f"there is no statement {str(keyword)!r}", hint)
        kinds = [child.type for child in statement.children[1:-1] if isinstance(child, Token)]
        name = str(keyword)
        expected = ["NUMBER"] if name in NUMBERED else ["STRING", "TYPE"] if name in ("input", "output") else []
        if kinds != expected:
            shown = {"NUMBER": f"{name} 0 {{...}}", "STRING": f'{name} "x" : spikes[1x8x8] {{...}}'}
            example = shown[expected[0]] if expected else f"{name} {{...}}"
            raise self.reader.error(keyword, f"this {name} statement is malformed", f"write {example}")
        group = self.statements[name]
        if name in NUMBERED and self.reader.integer(statement.children[1]) != len(group):
            raise self.reader.error(statement.children[1], f"expected {name} {len(group)}: they count up from 0")
        if name in ("chip", "connections") and group:
            raise self.reader.error(keyword, f"there is a second {name} statement")
        for key_name, (key, _) in self.pairs(statement).items():
            if key_name not in STATEMENTS[name]:
                hint = did_you_mean(key_name, STATEMENTS[name], "keys")
                raise self.reader.error(key, f"{name} has no {key_name!r}", hint)
        group.append(statement)

    def pairs(self, statement: Tree[Token]) -> Pairs:
        return self.reader.pairs(statement.children[-1])

    def netlist(self) -> Netlist:
        chip = self._chip()
        arrays: dict[str, Any] = {**(self._from_arrays() if self.assigned else self._from_blocks(chip))}
        tables = {name: arrays.pop(f"neuron_types.{name}") for name in NEURON_FIELDS}
        return Netlist(
            chip=chip,
            neuron_types=tables,
            layers=tuple(self._layer(statement) for statement in self.statements["layer"]),
            inputs=tuple(self._port(statement) for statement in self.statements["input"]),
            outputs=tuple(self._port(statement) for statement in self.statements["output"]),
            approximations=self.reader.approximations(self.tree),
            **arrays,
        )

    def _chip(self) -> Chip:
        if not self.statements["chip"]:
            raise self.reader.error(self.tree, "the netlist lacks a chip statement", "chip {} is the default chip")
        (statement,) = self.statements["chip"]
        given: dict[str, Any] = {}
        for name, (_, node) in self.pairs(statement).items():
            if name == "defects":
                value = self.reader.value(node)
                pairs = isinstance(value, list) and all(isinstance(p, tuple) and len(p) == 2 for p in value)
                if not pairs or any(type(number) is not int for pair in value for number in pair):
                    raise self.reader.error(node, "expected a list of coordinates: [(0, 0), (3, 1)]")
                given[name] = frozenset(value)
            else:
                given[name] = self.reader.integer(node)
                if not 0 <= given[name] <= 1 << 16:
                    raise self.reader.error(node, f"{given[name]} is out of range; 0..{1 << 16} is legal")
        try:
            return Chip(**given)
        except CompileError as error:
            raise self.reader.error(statement, error.message) from None

    def _layer(self, statement: Tree[Token]) -> Layer:
        given = {name: self.reader.value(node) for name, (_, node) in self.pairs(statement).items()}
        for name in ("name", "kind", "location"):
            if not isinstance(given.get(name), str):
                raise self.reader.error(statement, f'the layer lacks {name} = "..."')
        if not isinstance(given.get("note", {}), dict):
            raise self.reader.error(statement, "the layer's note is not in braces")
        return Layer(**given)

    def _port(self, statement: Tree[Token]) -> Port:
        given = {name: self.reader.integer(node) for name, (_, node) in self.pairs(statement).items()}
        if "first_pin" not in given:
            raise self.reader.error(statement, "the port lacks first_pin = ...")
        _, name, type_token, _ = statement.children
        return Port(self.reader.string(name), self.reader.tensor_type(type_token), **given)

    # --- array by array -----------------------------------------------------------------------------------------

    def _from_arrays(self) -> dict[str, Array]:
        for name in BLOCKS:
            for statement in self.statements[name][:1]:
                raise self.reader.error(statement, f"a netlist is written as arrays or as blocks, not both: {name}")
        found: dict[str, Array] = {}
        for name in ARRAYS:
            if name not in self.assigned:
                raise self.reader.error(self.tree, f"the netlist lacks array {name}")
            _, node = self.assigned[name]
            value = self.reader.value(node)
            if not isinstance(value, np.ndarray):
                raise self.reader.error(node, f"array {name} is not a tensor", "write its type first: i32[2] [0, 1]")
            found[name] = np.ascontiguousarray(value)
        return found

    # --- block by block -----------------------------------------------------------------------------------------

    def _from_blocks(self, chip: Chip) -> dict[str, Array]:
        cores = [self.pairs(statement) for statement in self.statements["core"]]
        found = {**self._tables(), "axon_types": self._axon_types(chip), "crossbars": self._crossbars(chip)}
        at = [self._at(core) for core in cores]
        found["core_x"] = np.array([x for x, _ in at], np.int32)
        found["core_y"] = np.array([y for _, y in at], np.int32)
        for name, key in (("crossbar_index", "crossbar"), ("axon_types_index", "axon_types"), ("layer", "layer")):
            found[name] = self._scalars(key, cores, "int32", None)
        found["seed"] = self._scalars("seed", cores, "uint32", 0)
        for name, default in PER_NEURON_DEFAULTS.items():
            dtype = "uint8" if name == "target_delay" else "int32"
            rows = np.full((len(cores), chip.neurons), default, dtype)
            for core, row in zip(cores, rows, strict=True):
                if name in core:
                    row[:] = self.reader.numbers(core[name][1], dtype, chip.neurons)
            found[name] = rows
        connections = self.pairs(self.statements["connections"][0]) if self.statements["connections"] else {}
        count = None
        for name, dtype in INPUT_ARRAYS.items():
            if connections and name not in connections:
                raise self.reader.error(self.statements["connections"][0], f"the connections lack {name}")
            node = connections[name][1] if connections else None
            array = np.zeros(0, dtype) if node is None else self.reader.numbers(node, dtype, count)
            found[f"input_{name}"], count = array, array.size
        return found

    def _tables(self) -> dict[str, Array]:
        types = [self.pairs(statement) for statement in self.statements["neuron_type"]]
        found = {}
        for name, (dtype, tail) in NEURON_FIELDS.items():
            if tail:
                table = np.zeros((len(types), *tail), dtype)
                for pairs, row in zip(types, table, strict=True):
                    if name in pairs:
                        row[:] = self.reader.numbers(pairs[name][1], dtype, row.size)
            else:
                table = self._scalars(name, types, dtype, 0)
            found[f"neuron_types.{name}"] = table
        return found

    def _scalars(self, key: str, blocks: list[Pairs], dtype: str, default: int | None) -> Array:
        """One number a block; where there is no default, every block must have it."""
        limits, found = np.iinfo(dtype), np.zeros(len(blocks), dtype)
        for i, pairs in enumerate(blocks):
            if key in pairs:
                value = self.reader.integer(pairs[key][1])
                if not limits.min <= value <= limits.max:
                    raise self.reader.error(pairs[key][1], f"{value} does not fit {dtype}")
                found[i] = value
            elif default is None:
                raise self.reader.error(self.statements["core"][i], f"the core lacks {key} = ...")
            else:
                found[i] = default
        return found

    def _at(self, core: Pairs) -> tuple[int, int]:
        if "at" not in core:
            return -1, -1
        value = self.reader.value(core["at"][1])
        if (
            not isinstance(value, tuple)
            or len(value) != 2
            or any(type(number) is not int or not -1 <= number <= 1 << 28 for number in value)
        ):
            raise self.reader.error(core["at"][1], "expected a coordinate: (3, 1)")
        return value

    def _axon_types(self, chip: Chip) -> Array:
        statements = self.statements["axon_types"]
        found = np.zeros((len(statements), chip.axons), np.uint8)
        for statement, row in zip(statements, found, strict=True):
            pairs = self.pairs(statement)
            if "types" not in pairs:
                raise self.reader.error(statement, "the block lacks types = [...]")
            row[:] = self.reader.numbers(pairs["types"][1], "uint8", chip.axons)
        return found

    def _crossbars(self, chip: Chip) -> Array:
        statements = self.statements["crossbar"]
        row_bytes = (chip.neurons + 7) // 8
        found = np.zeros((len(statements), chip.axons, row_bytes), np.uint8)
        for statement, crossbar in zip(statements, found, strict=True):
            pairs = self.pairs(statement)
            if "rows" not in pairs:
                raise self.reader.error(statement, "the block lacks rows = [...]")
            node, axon = pairs["rows"][1], 0
            for item in node.children if isinstance(node, Tree) and node.data == "list" else [node]:
                text, count = item, 1
                if isinstance(item, Tree) and item.data == "repeated":
                    text, count = item.children[0], self.reader.integer(item.children[1])
                if not isinstance(text, Token) or text.type != "STRING":
                    raise self.reader.error(item, 'expected rows in hex: ["00ff", "0001" * 3]')
                try:
                    row = bytes.fromhex(self.reader.string(text))
                except ValueError:
                    raise self.reader.error(text, "this row is not hex") from None
                if len(row) != row_bytes:
                    raise self.reader.error(text, f"a row is {2 * row_bytes} hex digits, this has {2 * len(row)}")
                if not 0 <= count <= chip.axons - axon:
                    raise self.reader.error(item, f"more than {chip.axons} rows")
                crossbar[axon : axon + count] = np.frombuffer(row, np.uint8)
                axon += count
            if axon != chip.axons:
                raise self.reader.error(statement, f"the crossbar has {axon} rows; the chip has {chip.axons} axons")
        return found
