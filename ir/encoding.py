"""How numbers and names are written in the text form: run-length lists, exact floats, quoted names.

A list item is a number, `value*count` for a run, or `first..last` for consecutive integers. A float that its shortest
decimal does not give back bit for bit (a NaN with a payload) is written as its bits, `0x7fc00001`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

DTYPES = {
    **{f"i{8 * size}": np.dtype(f"i{size}") for size in (1, 2, 4, 8)},
    **{f"u{8 * size}": np.dtype(f"u{size}") for size in (1, 2, 4, 8)},
    **{f"f{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
    "bool": np.dtype(bool),
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
MAX_ELEMENTS = 1 << 26  # of one tensor written inline; a run-length list of a few bytes must not fill the memory
_BARE_NAME = re.compile(r"[A-Za-z0-9_./]+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_ITEM = re.compile(
    r"\s*(?P<first>[-+]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|inf|nan))"
    r"\s*(?:\*\s*(?P<count>\d+)|\.\.\s*(?P<last>[-+]?\d+))?\s*"
)
_MAX_DIGITS = 400  # of one number
_SHORTEST = (3, 4)  # run of the same number, and of consecutive integers, that is written as one


def quote(text: str) -> str:
    """A string literal."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def unquote(literal: str) -> str:
    """The string of a literal. Raises ValueError on an escape that does not exist."""
    text = json.loads(literal)
    assert isinstance(text, str)
    return text


def name_text(sigil: str, name: str) -> str:
    """`%conv1` or `%"a name, quoted"`."""
    return sigil + (name if _BARE_NAME.fullmatch(name) else quote(name))


def word_text(word: str) -> str:
    """A word where it is one, else a string literal."""
    return word if _WORD.fullmatch(word) else quote(word)


# --- writing ---------------------------------------------------------------------------------------------------------


def items_needed(array: Array) -> int:
    """About how many list items `encode` writes; vectorised, so large arrays are cheap to ask about."""
    step = _steps(array.reshape(-1))
    return 1 + int(np.count_nonzero(step[1:] != step[:-1])) + int(np.count_nonzero(step == _OTHER))


def encode(array: Array) -> list[str]:
    """The list items of an array's elements in row-major order."""
    flat = array.reshape(-1)
    numbers = _number_texts(flat)
    step = _steps(flat)
    # index of the last element that the run of equal steps at i reaches
    ends = np.append(np.flatnonzero(step[1:] != step[:-1]), step.size - 1) + 1
    found: list[str] = []
    i = 0
    while i < flat.size:
        end = int(ends[np.searchsorted(ends, i, side="right")]) if i < step.size else i
        if i < step.size and step[i] != _OTHER and end - i + 1 >= _SHORTEST[step[i]]:
            found.append(f"{numbers[i]}*{end - i + 1}" if step[i] == _SAME else f"{numbers[i]}..{numbers[end]}")
            i = end + 1
        else:
            found.append(numbers[i])
            i += 1
    return found


_SAME, _NEXT, _OTHER = 0, 1, 2


def _steps(flat: Array) -> Array:
    """uint8 [size - 1]: how each element follows from the one before: the same bits, the next integer, or neither."""
    bits = flat.view(f"u{flat.dtype.itemsize}") if flat.dtype.kind == "f" else flat
    step = np.where(bits[1:] == bits[:-1], _SAME, _OTHER)
    if flat.dtype.kind in "iu":
        with np.errstate(over="ignore"):
            step[(flat[1:] == flat[:-1] + flat.dtype.type(1)) & (flat[1:] > flat[:-1])] = _NEXT
    return step.astype(np.uint8)


def _number_texts(flat: Array) -> list[str]:
    if flat.dtype.kind == "b":
        return [str(int(x)) for x in flat]
    if flat.dtype.kind in "iu":
        return [str(x) for x in flat.tolist()]
    texts = [str(x) for x in flat]
    bits = flat.view(f"u{flat.dtype.itemsize}")
    back = np.array([float(text) for text in texts], np.float64).astype(flat.dtype).view(bits.dtype)
    for i in np.flatnonzero(back != bits):
        texts[i] = hex(bits[i])
    return texts


# --- reading ---------------------------------------------------------------------------------------------------------


class NumberError(ValueError):
    """A number list that cannot be read; `offset` is where in the text."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


def decode(text: str, dtype: npt.DTypeLike, size: int | None = None) -> Array:
    """The 1-d array that a bracketed number list spells.

    Args:
        text: with its brackets.
        dtype: of the result.
        size: how many elements there must be, where that is known.

    Raises:
        NumberError: a syntax error, a number that the dtype does not hold, or another number of elements.
    """
    dtype = np.dtype(dtype)
    items = list(_items(text))
    total = sum(count for _, count, _, _ in items)
    if total > MAX_ELEMENTS:
        raise NumberError(f"{total} elements are too many to write inline; the limit is {MAX_ELEMENTS}")
    if size is not None and total != size:
        raise NumberError(f"the list has {total} elements; expected {size}")
    if not items:
        return np.zeros(0, dtype)
    firsts = np.array([_number(first, dtype, offset) for first, _, _, offset in items], dtype)
    counts = np.array([count for _, count, _, _ in items])
    found: Array = np.repeat(firsts, counts)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    for (first, count, is_range, offset), start in zip(items, starts, strict=True):
        if is_range:
            _number(str(int(first) + count - 1), dtype, offset)
            found[start : start + count] += np.arange(count).astype(dtype)
    return found


def _items(text: str) -> Iterator[tuple[str, int, bool, int]]:
    """(first number, how many elements, whether they count up, offset in the text) of every item."""
    position, end = 1, len(text) - 1
    if not text[1:end].strip():
        return
    while True:
        match = _ITEM.match(text, position, end)
        if match is None:
            shown = text[position:end].split(",")[0].strip()[:20]
            raise NumberError(f"{shown!r} is not a list item; expected 7, 7*3 or 3..9", position)
        first, count, last = match["first"], match["count"], match["last"]
        at = match.start("first")
        if max(len(first), len(count or ""), len(last or "")) > _MAX_DIGITS:
            raise NumberError("the number is too long", at)
        if last is not None:
            if not first.lstrip("-+").isdigit() or int(last) < int(first):
                raise NumberError(f"{first}..{last} is not a range of integers that counts up", at)
            yield first, int(last) - int(first) + 1, True, at
        else:
            yield first, 1 if count is None else int(count), False, at
        position = match.end()
        if position == end:
            return
        if text[position] != ",":
            raise NumberError("expected a comma", position)
        position += 1


def _number(text: str, dtype: np.dtype[Any], offset: int) -> Any:
    """One element of `dtype` from its text."""
    if dtype.kind == "f":
        if "0x" in text:
            if text.startswith("0x") and int(text, 16) < 1 << (8 * dtype.itemsize):
                return np.array(int(text, 16), f"u{dtype.itemsize}").view(dtype)[()]
            raise NumberError(f"{text} is not the bits of a {DTYPE_NAMES[dtype]}", offset)
        with np.errstate(over="ignore"):
            found = np.float64(text).astype(dtype)
        if np.isinf(found) and "inf" not in text:
            raise NumberError(f"{text} is too large for {DTYPE_NAMES[dtype]}", offset)
        return found
    if not text.lstrip("-+").isdigit():
        raise NumberError(f"{text} is not an integer", offset)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not low <= int(text) <= high:
        raise NumberError(f"{text} does not fit {DTYPE_NAMES[dtype]}; the range is {low}..{high}", offset)
    return int(text)
