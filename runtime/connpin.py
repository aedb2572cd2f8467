"""IBM's CONNPIN encoding of spikes on connector pins (docs/truenorth-files.md): big-endian, behind a JSON header."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import FormatError

Array = npt.NDArray[Any]

SYNC = bytes.fromhex("fefcfefc")
_SYNC_WORD = int.from_bytes(SYNC[:2])  # no connector may have this number: it would look like the next record
END_TICK = 0xFFFFFFFF
MAX_BLOCK = 1024
MAX_CONNECTOR_PINS = 1 << 16


@dataclass(frozen=True)
class PinSpikes:
    """int64 tick, int64 pin, uint8 delay of each spike in file order; pins number all connectors one after another."""

    tick: Array
    pin: Array
    delay: Array


@dataclass(frozen=True)
class _Connector:
    first_pin: int
    pins: int
    pin_bytes: int
    delays: bool
    default_delay: int


def read(body: memoryview, header: dict[str, Any], path: Path) -> PinSpikes:
    """Decodes what follows the header. Raises FormatError with the byte position in the body."""
    connectors = _connectors(header, path)
    at = 0
    tick = -1
    columns: list[tuple[int, bytes, int, bytes, _Connector]] = []

    def take(count: int, what: str) -> bytes:
        nonlocal at
        if at + count > len(body):
            raise FormatError(f"the file ends in the middle of {what} (truncated?)", path)
        at += count
        return bytes(body[at - count : at])

    while True:
        if take(4, "a record, or without its end record") != SYNC:
            raise FormatError(f"byte {at - 4} behind the header: expected the start of a record", path)
        tick = int.from_bytes(take(4, "a tick"))
        take(8, "a record")
        if tick == END_TICK:
            break
        while bytes(body[at : at + 4]) != SYNC:
            number, count = int.from_bytes(take(2, "a block")), int.from_bytes(take(2, "a block"))
            if number not in connectors:
                raise FormatError(f"tick {tick}: connector {number} is not in the header", path)
            connector = connectors[number]
            pins = take(count * connector.pin_bytes, "a block")
            delays = take(count, "a block") if connector.delays else bytes([connector.default_delay]) * count
            columns.append((tick, pins, count, delays, connector))
    if at != len(body):
        raise FormatError(f"{len(body) - at} bytes follow the end record", path)
    ticks = np.repeat(np.array([c[0] for c in columns], np.int64), np.array([c[2] for c in columns], np.int64))
    numbers = [_pins(raw, connector, tick, path) for tick, raw, _, _, connector in columns]
    delay = np.frombuffer(b"".join(c[3] for c in columns), np.uint8)
    bad = np.flatnonzero((delay < 1) | (delay > 15))
    if bad.size:
        raise FormatError(f"tick {ticks[bad[0]]}: delay {delay[bad[0]]}; expected 1..15", path)
    return PinSpikes(ticks, np.concatenate([np.zeros(0, np.int64), *numbers]), delay)


def _pins(raw: bytes, connector: _Connector, tick: int, path: Path) -> Array:
    pins = np.frombuffer(raw, ">u1" if connector.pin_bytes == 1 else ">u2").astype(np.int64)
    if pins.size and int(pins.max()) >= connector.pins:
        raise FormatError(f"tick {tick}: pin {pins.max()} of a connector with {connector.pins} pins", path)
    return pins + connector.first_pin


def _connectors(header: dict[str, Any], path: Path) -> dict[int, _Connector]:
    found: dict[int, _Connector] = {}
    entries = header.get("connectors")
    if not isinstance(entries, list):
        raise FormatError("the header lists no connectors", path)
    first_pin = 0
    for entry in entries:
        if not isinstance(entry, dict):
            raise FormatError("a connector of the header is not an object", path)

        def number(key: str, allowed: range, default: int | None = None, entry: dict[str, Any] = entry) -> int:
            value = entry.get(key, default)
            if type(value) is not int or value not in allowed:
                expected = f"{allowed.start}..{allowed[-1]}"
                raise FormatError(f"connector {key} is {str(value)[:20]}; expected {expected}", path)
            return value

        name, pins = number("ID", range(1 << 16)), number("csize", range(1, MAX_CONNECTOR_PINS + 1))
        pin_bits = number("bpp", range(8, 17, 8))
        if name in found or name == _SYNC_WORD:
            raise FormatError(f"connector {name} is there twice or cannot be told from the start of a record", path)
        delays = number("delayMode", range(2), 0) == 1
        default = number("defaultDestinationDelay", range(1, 16), 1)
        found[name] = _Connector(first_pin, pins, pin_bits // 8, delays, default)
        first_pin += pins
    return found


def header(pins: int) -> dict[str, Any]:
    """The header entries for output pins 0..pins - 1, spread over as many connectors as they need."""
    connectors = []
    for number, first in enumerate(range(0, max(pins, 1), MAX_CONNECTOR_PINS)):
        size = max(1, min(MAX_CONNECTOR_PINS, pins - first))
        connectors.append(
            {
                "ID": number,
                "name": f"pins from {first}",
                "csize": size,
                "bpp": 8 if size <= 256 else 16,
                "delayMode": 1,
                "defaultDestinationDelay": 1,
            }
        )
    return {
        "maxBlockSize": MAX_BLOCK,
        "lastTimeStamp": 0,
        "monotonicTimeStamp": 1,
        "defaultDestinationDelay": 1,
        "connectors": connectors,
    }


def write(tick: Array, pin: Array, ticks: int, pins: int) -> bytes:
    """The records of ticks 0..ticks - 1. tick and pin: int64 [spikes], sorted by (tick, pin)."""
    found = []
    bounds = np.searchsorted(tick, np.arange(ticks + 1))
    small = pins <= 256
    for t in range(ticks):
        found.append(SYNC + t.to_bytes(4) + bytes(8))
        now = pin[bounds[t] : bounds[t + 1]]
        for number in np.unique(now // MAX_CONNECTOR_PINS).tolist():
            own = now[now // MAX_CONNECTOR_PINS == number] % MAX_CONNECTOR_PINS
            one_byte = small or pins - number * MAX_CONNECTOR_PINS <= 256
            for begin in range(0, len(own), MAX_BLOCK):
                block = own[begin : begin + MAX_BLOCK]
                found.append(number.to_bytes(2) + len(block).to_bytes(2))
                found.append(block.astype(">u1" if one_byte else ">u2").tobytes() + b"\x01" * len(block))
    found.append(SYNC + END_TICK.to_bytes(4) + bytes(8))
    return b"".join(found)
