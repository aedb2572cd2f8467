"""Syntax and values of the text form, for both levels. Every error has file:line:column."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import lark
import numpy as np
import numpy.typing as npt
from lark import Token, Tree

from tncc.errors import CompileError, TextInvalid
from tncc.ir.encoding import DTYPES, MAX_ELEMENTS, NumberError, decode, unquote
from tncc.ir.suggest import did_you_mean
from tncc.ir.types import Domain, TensorType

Array = npt.NDArray[Any]
Node = Token | Tree[Token]
MAX_NESTING = 16

_TERMS = {
    "NAME": "a %name",
    "SYMBOL": "an @name",
    "STRING": 'a "string"',
    "TYPE": "a type such as real[3x8x8]",
    "WORD": "a word",
    "NUMBERS": "a [list of numbers]",
    "NUMBER": "a number",
    "$END": "the end of the file",
}


def syntax_tree(text: str, source: str) -> Tree[Token]:
    """The text's syntax tree. Raises CompileError at the first character that does not fit the grammar."""
    try:
        return _grammar().parse(text)
    except lark.UnexpectedToken as error:
        found = "the end of the text" if error.token.type == "$END" else repr(str(error.token)[:40])
        _fail(source, error, f"unexpected {found}", error.accepts or error.expected)
    except lark.UnexpectedCharacters as error:
        _fail(source, error, f"unexpected {text[error.pos_in_stream or 0]!r}", _accepted(text, error))


def _accepted(text: str, error: lark.UnexpectedCharacters) -> Iterable[str]:
    """The terminals that may stand where no token was found; the lexer itself knows too many."""
    parser = _grammar().parse_interactive(text[: error.pos_in_stream])
    try:
        for _ in parser.iter_parse():
            pass
    except lark.UnexpectedInput:
        return error.allowed or ()
    found: set[str] = parser.accepts()  # type: ignore[no-untyped-call]  # lark leaves it without annotations
    return found


def _fail(source: str, error: lark.UnexpectedInput, message: str, expected: Iterable[str]) -> NoReturn:
    terms = {term.name: term.pattern.value for term in _grammar().terminals if isinstance(term.pattern, _Literal)}
    options = sorted(_TERMS.get(name) or f"'{terms.get(name, name)}'" for name in expected)
    place = f"{source}:{max(error.line, 1)}:{max(error.column, 1)}"
    raise TextInvalid(message, place, f"expected {' or '.join(options)}" if options else "") from None


_Literal = lark.lexer.PatternStr


@functools.cache
def _grammar() -> lark.Lark:
    return lark.Lark(
        Path(__file__).with_name("text.lark").read_text(encoding="utf-8"), parser="lalr", propagate_positions=True
    )


class Reader:
    """Turns syntax into values and modules; knows the file's name for errors."""

    def __init__(self, source: str, tensors: Mapping[str, Array]) -> None:
        self.source = source
        self.tensors = tensors

    def error(self, node: Node, message: str, hint: str = "", offset: str = "") -> CompileError:
        """An error at the node; `offset` is the text of it before the place."""
        position = node if isinstance(node, Token) else node.meta
        line, column = getattr(position, "line", 1) or 1, getattr(position, "column", 1) or 1
        if "\n" in offset:
            line, column = line + offset.count("\n"), len(offset) - offset.rindex("\n")
        else:
            column += len(offset)
        return TextInvalid(message, f"{self.source}:{line}:{column}", hint)

    # --- values -----------------------------------------------------------------------------------------------------

    def name(self, token: Node) -> str:
        """A %name or @name without its sign and quotes."""
        text = str(token)[1:]
        return self.string(token, text) if text.startswith('"') else text

    def string(self, token: Node, literal: str = "") -> str:
        try:
            return unquote(literal or str(token))
        except ValueError:
            raise self.error(token, "this string has an escape that does not exist") from None

    def label(self, token: Node) -> str:
        """A word or a string."""
        return self.string(token) if str(token).startswith('"') else str(token)

    def approximations(self, module: Tree[Token]) -> tuple[str, ...]:
        """The reasons of a module's `approximate` statements."""
        found = [child for child in module.children if isinstance(child, Tree) and child.data == "approximation"]
        return tuple(self.string(child.children[0]) for child in found)

    def integer(self, node: Node) -> int:
        value = self.value(node)
        if type(value) is not int:
            raise self.error(node, "expected an integer")
        return value

    def tensor_type(self, token: Node) -> TensorType:
        kind, shape = self._type(token)
        if kind not in list(Domain):
            raise self.error(token, f"there is no domain {kind!r}", did_you_mean(kind, list(Domain), "domains"))
        return TensorType(Domain(kind), shape)

    def _type(self, token: Node) -> tuple[str, tuple[int, ...]]:
        kind, dimensions = str(token)[:-1].split("[")
        if len(dimensions) > 400:
            raise self.error(token, "the shape is too long")
        shape = tuple(map(int, dimensions.split("x"))) if dimensions else ()
        if math.prod(size for size in shape if size) >= 1 << 48:
            raise self.error(token, "the shape is too large")
        return kind, shape

    def pairs(self, node: Node) -> dict[str, tuple[Node, Node]]:
        """The (key, value) syntax of every pair in braces, by key; a key may stand there once."""
        found: dict[str, tuple[Node, Node]] = {}
        assert isinstance(node, Tree)
        for pair in node.children:
            assert isinstance(pair, Tree)
            key, value = pair.children
            name = self.label(key)
            if name in found:
                raise self.error(key, f"{name} is set twice")
            found[name] = (key, value)
        return found

    def value(self, node: Node, depth: int = 0) -> Any:
        """The Python value of an attribute: int, float, str, bool, tuple, list, dictionary or array."""
        if depth > MAX_NESTING:
            raise self.error(node, f"nested more than {MAX_NESTING} deep")
        if isinstance(node, Token):
            return self._token(node)
        if node.data == "tensor":
            return self._tensor(node)
        if node.data == "attributes":
            return {name: self.value(value, depth + 1) for name, (_, value) in self.pairs(node).items()}
        if node.data == "repeated":
            raise self.error(node, "a repeated string stands only in the rows of a crossbar")
        items = [self.value(child, depth + 1) for child in node.children]
        return tuple(items) if node.data == "tuple" else items

    def _token(self, token: Token) -> Any:
        text = str(token)
        if token.type == "STRING":
            return self.string(token)
        if token.type == "NUMBERS":
            if "*" in text or ".." in text:
                return self.numbers(token, np.int64).tolist()
            return [self._number(token, item.strip()) for item in text[1:-1].split(",")] if text[1:-1].strip() else []
        if token.type == "NUMBER":
            return self._number(token, text)
        if text in ("true", "false"):
            return text == "true"
        raise self.error(token, f"unexpected word {text!r}", "strings stand in double quotes; or true, false")

    def _number(self, token: Token, text: str) -> int | float:
        try:
            return int(text) if text.lstrip("-+").isdigit() else float(text)
        except ValueError:
            raise self.error(token, f"{text[:20]!r} is not a number here") from None

    def numbers(self, node: Node, dtype: npt.DTypeLike, size: int | None = None) -> Array:
        """The array that a number list spells; arguments as for `encoding.decode`."""
        if not isinstance(node, Token) or node.type != "NUMBERS":
            raise self.error(node, "expected a list of numbers in brackets")
        try:
            return decode(str(node), dtype, size)
        except NumberError as error:
            raise self.error(node, str(error), offset=str(node)[: error.offset]) from None

    def _tensor(self, tree: Tree[Token]) -> Array:
        type_token, data = tree.children
        kind, shape = self._type(type_token)
        if kind not in DTYPES:
            raise self.error(type_token, f"there is no dtype {kind!r}", did_you_mean(kind, DTYPES, "dtypes"))
        if isinstance(data, Token) and data.type == "SYMBOL":
            return self._sidecar_tensor(data, DTYPES[kind], shape)
        size = math.prod(shape)
        if size > MAX_ELEMENTS:
            raise self.error(type_token, f"{size} elements are too many to write inline; the limit is {MAX_ELEMENTS}")
        return self.numbers(data, DTYPES[kind], size).reshape(shape)

    def _sidecar_tensor(self, token: Token, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        key = self.name(token)
        if key not in self.tensors:
            hint = did_you_mean(key, self.tensors, "tensors") if self.tensors else "the text was printed without them"
            raise self.error(token, f"there is no tensor {key!r} beside this file", hint)
        found = self.tensors[key]
        if found.dtype != dtype or found.shape != shape:
            raise self.error(
                token, f"tensor {key!r} beside this file is {found.dtype}{list(found.shape)}, not {dtype}{list(shape)}"
            )
        return found
