"""The run-length strings of IBM's model and filter files: "7x3" is 7,7,7; "3:9" is 3..9; "18:2:22" is 18,20,22."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_NUMBER = 10**10  # as in strings: what follows are arrays of 64-bit integers
_NUMBER = r"(-?\d{1,10})"
_REPEAT = re.compile(_NUMBER + r"x(\d{1,10})")
_RANGE = re.compile(_NUMBER + r":" + _NUMBER)
_STRIDE = re.compile(_NUMBER + r":(-?\d{1,10}):" + _NUMBER)
_SINGLE = re.compile(_NUMBER)


def expand(items: object, limit: int) -> list[int]:
    """The integers that a list of integers and run-length strings stands for.

    Raises ValueError, with a message to put behind a location, where an item is neither or there are over `limit`.
    """
    if not isinstance(items, list):
        raise ValueError(f"expected a list of integers and run-length strings, found {_show(items)}")
    found: list[int] = []
    for item in items:
        if type(item) is int:
            if abs(item) >= MAX_NUMBER:
                raise ValueError(f"{_show(item)} is out of range")
            found.append(item)
        else:
            value, count, step = _run(item)
            if count > limit:
                raise ValueError(f"{_show(item)} stands for {count} values; at most {limit} fit")
            run = range(value, value + step * count, step) if step else [value] * count
            found.extend(run)
        if len(found) > limit:
            raise ValueError(f"the list holds more than {limit} values")
    return found


def _run(item: object) -> tuple[int, int, int]:
    """First value, how many, and the step between them."""
    if isinstance(item, str):
        if match := _REPEAT.fullmatch(item):
            return int(match[1]), int(match[2]), 0
        if match := _RANGE.fullmatch(item):
            return _range(item, int(match[1]), 1, int(match[2]))
        if (match := _STRIDE.fullmatch(item)) and int(match[2]):
            return _range(item, int(match[1]), int(match[2]), int(match[3]))
        if match := _SINGLE.fullmatch(item):
            return int(match[1]), 1, 0
    raise ValueError(f"{_show(item)} is neither an integer nor a run such as '7x3', '3:9' or '18:2:22'")


def _range(item: str, first: int, step: int, last: int) -> tuple[int, int, int]:
    count = (last - first) // step + 1
    if count < 1:
        raise ValueError(f"{_show(item)} stands for nothing: steps of {step} lead from {first} away from {last}")
    return first, count, step


def _show(item: object) -> str:
    text = repr(item)
    return text if len(text) <= 60 else text[:57] + "..."


def compress(values: Sequence[int]) -> list[int | str]:
    """`values` as IBM's tools write them: three or more equal, or counting up by one, become one string."""
    found: list[int | str] = []
    i, n = 0, len(values)
    while i < n:
        same = ascending = 1
        while i + same < n and values[i + same] == values[i]:
            same += 1
        while i + ascending < n and values[i + ascending] == values[i] + ascending:
            ascending += 1
        if same >= 3:
            found.append(f"{values[i]}x{same}")
            i += same
        elif ascending >= 3:
            found.append(f"{values[i]}:{values[i] + ascending - 1}")
            i += ascending
        else:
            found.append(values[i])
            i += 1
    return found
