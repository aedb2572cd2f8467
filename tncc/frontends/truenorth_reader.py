"""Streams an IBM model file: JSON with /* */ comments whose key "core" repeats, one core after the other.

Only one value (a core, a crossbar prototype, a neuron prototype) is in memory at a time; a value's size and nesting
are bounded. The bytes are scanned once, in C (regular expressions find a value's end, json parses it).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tncc.errors import FormatError, InputError

MAX_VALUE_BYTES = 4 << 20
MAX_DEPTH = 16
_CHUNK_BYTES = 1 << 20

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_SPACE = re.compile(rb"(?:[ \t\r\n]++|/\*(?s:.*?)\*/)*+")
# Everything up to the next bracket outside strings, or comment; then that bracket or comment.
_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]/]++|' + _STRING + rb"|/(?!\*))*+([{}\[\]]|/\*(?s:.*?)\*/)", re.DOTALL)
_SCALAR = re.compile(_STRING + rb'|[^"{}\[\],:/ \t\r\n]++')
_BLOCK_COMMENT_OR_STRING = re.compile(_STRING + rb"|/\*(?s:.*?)\*/", re.DOTALL)


def read_values(path: Path, split: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Yields (key, parsed value) of the file's top-level object in file order.

    For a key in `split` whose value is a list, yields the list's elements one by one. Raises InputError where the file
    cannot be read, else FormatError with the path and a byte offset.
    """
    try:
        with path.open("rb") as file:
            yield from _Scanner(file, path).members(split)
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}", path) from None


class _Scanner:
    """A window onto the file: `buffer` starts at byte `offset` of it, everything before `position` is done with."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.buffer, self.position, self.offset, self.ended = b"", 0, 0, False

    def members(self, split: frozenset[str]) -> Iterator[tuple[str, Any]]:
        if self.peek() != b"{":
            raise self.error("not a model file: it does not start with '{'")
        self.position += 1
        closed = self.peek() == b"}"
        while not closed:
            if self.peek() != b'"':
                raise self.error("expected a key in double quotes")
            key = self.value()
            if self.peek() != b":":
                raise self.error(f"expected ':' behind key {key!r}")
            self.position += 1
            if key in split and self.peek() == b"[":
                self.position += 1
                if self.peek() == b"]":
                    self.position += 1
                else:
                    yield key, self.value()
                    while self.next_of(b",", b"]"):
                        yield key, self.value()
            else:
                yield key, self.value()
            closed = not self.next_of(b",", b"}")
        if closed and self.peek() == b"}":
            self.position += 1
        if self.peek():
            raise self.error("there is text behind the end of the model")

    def next_of(self, more: bytes, end: bytes) -> bool:
        """Whether `more` follows (and is taken) rather than `end` (taken where it closes a list)."""
        found = self.peek()
        if found not in (more, end) or not found:
            raise self.error(f"expected '{more.decode()}' or '{end.decode()}'")
        if found == more or end == b"]":
            self.position += 1
        return found == more

    def peek(self) -> bytes:
        """The next byte that is neither white space nor comment, b"" at the end of the file."""
        while True:
            match = _SPACE.match(self.buffer, self.position)
            assert match is not None
            here = self.buffer[match.end() : match.end() + 2]
            # A lone '/' or an unfinished comment needs more text; so does the end of the window.
            if here and here != b"/" and here != b"/*":
                self.position = match.end()
                return here[:1]
            if here != b"/*":
                self.position = match.end()
            if not self.more(bounded=here == b"/*"):
                if here == b"/*":
                    raise self.error("a comment does not end")
                return here[:1]

    def value(self) -> Any:
        """Parses the value that follows and moves behind it."""
        first = self.peek()
        end, comments = self.bracketed_end() if first in (b"{", b"[") else (self.scalar_end(), False)
        raw = self.buffer[self.position : end]
        if comments:
            raw = _BLOCK_COMMENT_OR_STRING.sub(lambda m: b" " if m[0][:1] == b"/" else m[0], raw)
        try:
            value = json.loads(
                raw.decode(), object_pairs_hook=_unique_keys, parse_constant=_finite, parse_float=_finite
            )
            if rb"\ud" in raw.lower():
                json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair fits into no file
        except (ValueError, RecursionError) as error:
            raise self.error(f"not JSON: {error}") from None
        self.position = end
        return value

    def bracketed_end(self) -> tuple[int, bool]:
        """Where the object or list at `position` ends in the buffer, and whether it holds comments."""
        depth, at, comments = 0, self.position, False
        while True:
            match = _TO_BRACKET.match(self.buffer, at)
            if match is None:
                room = at - self.position
                if not self.more(bounded=True):
                    raise self.error("the file ends in the middle of a value (truncated?)")
                at = self.position + room
                continue
            at, token = match.end(), match[1]
            if token in (b"{", b"["):
                depth += 1
                if depth > MAX_DEPTH:
                    raise self.error(f"values are nested deeper than {MAX_DEPTH}")
            elif token in (b"}", b"]"):
                depth -= 1
                if depth == 0:
                    return at, comments
            else:
                comments = True

    def scalar_end(self) -> int:
        while True:
            match = _SCALAR.match(self.buffer, self.position)
            if match and (match.end() < len(self.buffer) or self.ended):
                return match.end()
            if not match and self.buffer[self.position : self.position + 1] not in (b'"', b""):
                raise self.error("expected a value")
            if not self.more(bounded=True) and not match:
                raise self.error("the file ends in the middle of a value (truncated?)")

    def more(self, bounded: bool) -> bool:
        """Reads the next chunk and forgets what lies before `position`. False at the end of the file.

        bounded: what starts at `position` is one value or comment, whose length is limited.
        """
        if bounded and len(self.buffer) - self.position > MAX_VALUE_BYTES:
            raise self.error(f"a value or comment is longer than {MAX_VALUE_BYTES >> 20} MiB")
        chunk = b"" if self.ended else self.file.read(_CHUNK_BYTES)
        if not chunk:
            self.ended = True
            return False
        self.buffer = self.buffer[self.position :] + chunk
        self.offset += self.position
        self.position = 0
        return True

    def error(self, message: str) -> FormatError:
        return FormatError(f"byte {self.offset + self.position}: {message}", self.path)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} is there twice in one object")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value
