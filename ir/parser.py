"""Reads the text form: `parse` for either level; the nn level's statements here, the core level's beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

import numpy as np
import numpy.typing as npt
from lark import Token, Tree

from tncc.ir.graph import Graph, Value
from tncc.ir.location import Location
from tncc.ir.netlist import Netlist
from tncc.ir.netlist_parser import read_netlist
from tncc.ir.ops import Op, attribute_defaults, attribute_types, registry
from tncc.ir.reader import Node, Reader, syntax_tree
from tncc.ir.suggest import did_you_mean

Array = npt.NDArray[Any]


def parse(text: str, source: str = "<text>", tensors: Mapping[str, Array] | None = None) -> Graph | Netlist:
    """The module that a text spells.

    Args:
        text: one nn.graph or core.netlist.
        source: the file's name for errors.
        tensors: the sidecar's tensors by name.

    Raises:
        CompileError: at source:line:column, with what would be legal there.
    """
    return read_module(Reader(source, tensors or {}), syntax_tree(text, source))


def read_module(reader: Reader, tree: Tree[Token]) -> Graph | Netlist:
    """The module of a syntax tree; not verified."""
    body = tree.children[-1]
    assert isinstance(body, Tree)
    return _GraphReader(reader).graph(body) if body.data == "graph" else read_netlist(reader, body)


class _GraphReader:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def graph(self, tree: Tree[Token]) -> Graph:
        symbol, *statements = tree.children
        inputs: list[Value] = []
        ops: list[Op] = []
        outputs: tuple[str, ...] = ()
        for statement in statements:
            assert isinstance(statement, Tree)
            if statement.data == "approximation":
                continue
            if statement.data == "input":
                name, type_token = statement.children
                inputs.append(Value(self.reader.name(name), self.reader.tensor_type(type_token)))
            elif statement.data == "op":
                ops.append(self._op(statement))
            else:
                outputs = self._names(statement.children[0])
        return Graph(self.reader.name(symbol), tuple(inputs), tuple(ops), outputs, self.reader.approximations(tree))

    def _names(self, tree: Node) -> tuple[str, ...]:
        assert isinstance(tree, Tree)
        return tuple(map(self.reader.name, tree.children))

    def _op(self, tree: Tree[Token]) -> Op:
        output, mnemonic, inputs, *rest = tree.children
        attributes = self.reader.pairs(rest[0]) if len(rest) == 3 else {}
        known = registry()
        if str(mnemonic) not in known:
            raise self.reader.error(
                mnemonic, f"there is no op {str(mnemonic)!r}", did_you_mean(str(mnemonic), known, "ops")
            )
        cls = known[str(mnemonic)]
        hints = attribute_types(cls)
        for name, (key, _) in attributes.items():
            if name not in hints:
                raise self.reader.error(
                    key, f"{mnemonic} has no attribute {name!r}", did_you_mean(name, hints, "attributes")
                )
        for name in hints:
            if name not in attributes and name not in attribute_defaults(cls):
                raise self.reader.error(mnemonic, f"{mnemonic} lacks attribute {name!r}")
        return cls(
            inputs=self._names(inputs),
            output=self.reader.name(output),
            type=self.reader.tensor_type(rest[-2]),
            location=self._location(rest[-1]),
            **{name: self._attribute(hints[name], node) for name, (_, node) in attributes.items()},
        )

    def _attribute(self, hint: Any, node: Node) -> Any:
        """An attribute's value, checked against the op class's annotation."""
        value = self.reader.value(node)
        if hint is float and type(value) is int:
            value = float(value)
        if hint in (int, float, bool, str):
            if type(value) is not hint:
                raise self.reader.error(node, f"expected {_KINDS[hint]}")
        elif get_origin(hint) is np.ndarray:
            if not isinstance(value, np.ndarray):
                raise self.reader.error(
                    node, "expected a tensor", "write its type before the list: f32[3] [1.0, 2.0, 3.0]"
                )
        elif not isinstance(value, tuple) or any(type(item) is not int for item in value):
            raise self.reader.error(node, "expected integers in parentheses: (1, 1)")
        elif Ellipsis not in get_args(hint) and len(value) != len(get_args(hint)):
            raise self.reader.error(node, f"expected {len(get_args(hint))} integers, not {len(value)}")
        return value

    def _location(self, tree: Node) -> Location:
        assert isinstance(tree, Tree)
        nodes, *via = tree.children
        assert isinstance(nodes, Tree)
        passes = via[0].children if via and isinstance(via[0], Tree) else ()
        return Location(
            tuple(self.reader.string(node) for node in nodes.children),
            tuple(self.reader.label(word) for word in passes),
        )


_KINDS = {int: "an integer", float: "a number", bool: "true or false", str: 'a "string"'}
