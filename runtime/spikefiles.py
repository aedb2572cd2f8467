"""IBM's spike files (docs/truenorth-files.md): spikes in, recorded spikes out, and which neurons to record.

In: TEXT (.sfti), RAWI3, CONNPIN. Out: RAWO6 (.sfro), CONNPIN (.sfcp), text (.sfto).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import FormatError, InputError
from tncc.files import replacing
from tncc.runtime import connpin
from tncc.runtime.config import DELAY_SLOTS, DISABLED, OUTPUT, ChipConfig
from tncc.runtime.engine import Engine, Events, Spikes
from tncc.runtime.runlength import expand

Array = npt.NDArray[Any]

HEADER_END = 0xFF
MAX_HEADER_BYTES = 1 << 20
FIRST_OUTPUT = -32  # destCore of output pins 0..255, then downwards
PINS_A_DEST_CORE = 256
FORMATS = {".sfro": "RAWO6", ".sfcp": "CONNPIN", ".sfto": "TEXT", ".txt": "TEXT"}
_TICKS_A_RUN = 256
_MOST_IN_A_LIST = 1 << 20
_MOST_IN_A_FILTER = 1 << 27  # more than 100 chips, core by core
_ROWS_AT_ONCE = 1 << 16  # Python integers take ten times the memory of an array
_MAX_TICK = (1 << 32) - 2


@dataclass(frozen=True)
class Recording:
    """A file of recorded spikes. RAWO6 and TEXT: tick, core, neuron; CONNPIN: tick, pin. int64, in file order."""

    encoding: str
    tick: Array
    core: Array
    neuron: Array
    pin: Array


def read_events(path: str | Path, config: ChipConfig) -> Events:
    """The input spikes of a TEXT, RAWI3 or CONNPIN file, checked against the chip.

    A CONNPIN pin is an input pin of the chip; a spike on it goes to every axon the pin connects to. Raises FormatError
    for an unknown encoding, a truncated file or a core or axon that the chip does not have.
    """
    path = Path(path)
    encoding, header, body, line = _open(path)
    if encoding == "TEXT":
        columns = _read_text(body, line, header, path, ("srcTime", "destCore", "destAxon"))
    elif encoding == "RAWI3":
        if len(body) % 12:
            raise FormatError(f"RAWI3 holds 12 bytes a spike, but {len(body)} follow the header (truncated?)", path)
        words = np.frombuffer(body, ">u4").reshape(-1, 3).T.astype(np.int64)
        columns = np.concatenate([words, np.full((1, words.shape[1]), _default_delay(header, path))])
    elif encoding == "CONNPIN":
        columns = _connect(connpin.read(body, header, path), config, path)
    else:
        raise FormatError(f"encoding {encoding!r} holds no input spikes; TEXT, RAWI3 and CONNPIN do", path)
    limits = (
        ("source tick", 0, _MAX_TICK),
        ("core", 0, config.n_cores - 1),
        ("axon", 0, config.axons - 1),
        ("delay", 1, DELAY_SLOTS - 1),
    )
    for (name, low, high), column in zip(limits, columns, strict=True):
        bad = np.flatnonzero((column < low) | (column > high))
        if bad.size:
            raise FormatError(f"spike {bad[0]}: {name} is {column[bad[0]]}; the chip takes {low}..{high}", path)
    return Events(columns[0], columns[1].astype(np.int32), columns[2].astype(np.int32), columns[3].astype(np.uint8))


def _connect(pins: connpin.PinSpikes, config: ChipConfig, path: Path) -> Array:
    """int64 [4, spikes]: tick, core, axon, delay of every connection of every pin's spikes."""
    if pins.pin.size and int(pins.pin.max()) >= config.input_pins:
        raise FormatError(
            f"a spike on input pin {pins.pin.max()}, but the chip has {config.input_pins} input pins",
            path,
            "a chip from a model file has no input pins: address its axons with a TEXT or RAWI3 file",
        )
    first = np.searchsorted(config.input_pin, pins.pin)
    count = np.searchsorted(config.input_pin, pins.pin, side="right") - first
    spike = np.repeat(np.arange(len(pins.pin)), count)
    connection = np.arange(len(spike)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    # The pin's own delay counts from the spike to the pin; 1 is none.
    tick = pins.tick[spike] + pins.delay[spike].astype(np.int64) - 1
    columns = (tick, config.input_core[connection], config.input_axon[connection], config.input_delay[connection])
    return np.stack([column.astype(np.int64) for column in columns])


def read_recording(path: str | Path) -> Recording:
    """The spikes of a RAWO6, CONNPIN or TEXT recording, in file order."""
    path = Path(path)
    encoding, header, body, line = _open(path)
    none = np.zeros(0, np.int64)
    if encoding == "RAWO6":
        if len(body) % 24:
            raise FormatError(f"RAWO6 holds 24 bytes a spike, but {len(body)} follow the header (truncated?)", path)
        words = np.frombuffer(body, ">i4").reshape(-1, 6).T.astype(np.int64)
        return Recording(encoding, words[0], words[1], words[2], none)
    if encoding == "CONNPIN":
        pins = connpin.read(body, header, path)
        return Recording(encoding, pins.tick, none, none, pins.pin)
    if encoding == "TEXT":
        columns = _read_text(body, line, header, path, ("srcTime", "srcCore", "srcNeuron"))
        return Recording(encoding, columns[0], columns[1], columns[2], none)
    raise FormatError(f"encoding {encoding!r} is no recording; RAWO6, CONNPIN and TEXT are", path)


def _open(path: Path) -> tuple[str, dict[str, Any], memoryview, int]:
    """Encoding, header entries, what follows the header, and the number of the line in which that begins."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}", path) from None
    end = data.find(HEADER_END, 0, MAX_HEADER_BYTES)
    head = data[: end if end >= 0 else MAX_HEADER_BYTES].decode("latin-1")
    decoder = json.JSONDecoder()
    try:
        first, at = decoder.raw_decode(head.lstrip())
        at += len(head) - len(head.lstrip())
        encoding = first["encoding"]
        if encoding == "TEXT":
            second, length = decoder.raw_decode(head[at:].lstrip())
            at = len(head) - len(head[at:].lstrip()) + length
            return encoding, dict(second), memoryview(data)[at:], head.count("\n", 0, at) + 1
        if end < 0:
            raise FormatError("the header does not end (no byte ff; truncated?)", path)
        second = json.loads(head[at:]) if head[at:].strip() else {}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError("not a spike file: it does not begin with a header that names its encoding", path) from error
    if not isinstance(encoding, str) or not isinstance(second, dict):
        raise FormatError("not a spike file: its header is malformed", path)
    return encoding, second, memoryview(data)[end + 1 :], 0


def _default_delay(header: dict[str, Any], path: Path) -> int:
    delay = header.get("defaultDestinationDelay", 1)
    if type(delay) is not int or not 1 <= delay < DELAY_SLOTS:
        raise FormatError(f"defaultDestinationDelay is {str(delay)[:20]}; expected 1..{DELAY_SLOTS - 1}", path)
    return delay


def _read_text(body: memoryview, first_line: int, header: dict[str, Any], path: Path, keys: tuple[str, ...]) -> Array:
    """int64 [len(keys) + 1, spikes]: the named fields of {"spike": {...}} lines, then the delay."""
    default = _default_delay(header, path)
    found = [np.zeros((len(keys) + 1, 0), np.int64)]
    rows: list[list[int]] = []
    for i, line in enumerate(io.BytesIO(body), first_line):
        if not line.strip():
            continue
        try:
            spike = json.loads(line)["spike"]
            row = [spike[key] for key in keys] + [spike.get("destDelay", default)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            row = []
        if not row or any(type(value) is not int or abs(value) > 1 << 40 for value in row):
            expected = '{"spike":{' + ",".join(f'"{key}":0' for key in keys) + "}}"
            raise FormatError(f"line {i} is no spike; expected {expected}", path)
        rows.append(row)
        if len(rows) == _ROWS_AT_ONCE:
            found.append(np.array(rows, np.int64).T)
            rows = []
    found.append(np.array(rows, np.int64).reshape(-1, len(keys) + 1).T)
    return np.concatenate(found, axis=1)


def monitored(config: ChipConfig, monitor: str) -> Array:
    """bool [cores, neurons] to record: "all" used neurons, "outputs", or those that a filter file (JSON) selects."""
    if monitor == "all":
        return config.neuron_type >= 0
    if monitor == "outputs":
        found: Array = (config.neuron_type >= 0) & (config.target_core == OUTPUT)
        return found
    path = Path(monitor)
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        reason = error.strerror or error
        hint = "--monitor takes all, outputs or a filter file"
        raise InputError(f"cannot read the file: {reason}", path, hint) from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}", path) from None
    record = np.zeros(config.neuron_type.shape, np.bool_)
    left = _MOST_IN_A_FILTER
    for spec in _filter_specs(document, path):
        try:
            cores = np.array(expand(spec.get("cores"), _MOST_IN_A_LIST), np.int64)
            neurons = np.array(expand(spec.get("neurons"), _MOST_IN_A_LIST), np.int64)
        except ValueError as error:
            raise FormatError(str(error), path) from None
        left -= cores.size + neurons.size
        if left < 0:
            raise FormatError(f"its lists of cores and neurons stand for more than {_MOST_IN_A_FILTER} values", path)
        for name, values, count in (("core", cores, config.n_cores), ("neuron", neurons, config.neurons)):
            bad = np.flatnonzero((values < 0) | (values >= count))
            if bad.size:
                raise FormatError(f"selects {name} {values[bad[0]]}; the chip has {name}s 0..{count - 1}", path)
        record[np.ix_(np.unique(cores), np.unique(neurons))] = (
            True  # unique: a hostile file repeats them by the million
        )
    return record


def _filter_specs(document: Any, path: Path) -> Iterable[dict[str, Any]]:
    for part in document if isinstance(document, list) else [document]:
        specs = part.get("MonitorFilterSpecs") if isinstance(part, dict) else None
        if not isinstance(specs, list) or not all(isinstance(spec, dict) for spec in specs):
            raise FormatError('not a filter file: expected [{"MonitorFilterSpecs": [{"cores", "neurons"}, ...]}]', path)
        yield from specs


def run_spikes(config: ChipConfig, events: Events, ticks: int, monitor: str, engine: Engine) -> Spikes:
    """Resets the engine, runs `ticks` ticks and returns the monitored neurons' spikes, sorted.

    Events whose source tick lies at or behind `ticks` cannot take effect and are left out.
    """
    if ticks < 0 or ticks > _MAX_TICK:
        raise InputError(f"{ticks} ticks to run; expected 0..{_MAX_TICK}")
    record = monitored(config, monitor)
    order = np.argsort(events.tick, kind="stable")
    tick = events.tick[order]
    engine.reset()
    parts = [Spikes(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32))]
    for begin in range(0, ticks, _TICKS_A_RUN):
        end = min(begin + _TICKS_A_RUN, ticks)
        now = order[slice(*np.searchsorted(tick, (begin, end)))]
        part = Events(events.tick[now], events.core[now], events.axon[now], events.delay[now])
        spikes = engine.run(end - begin, events=part, record=record).spikes
        if spikes is not None:
            parts.append(spikes)
    return Spikes(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("tick", "core", "neuron")))


def write_spikes(path: str | Path, spikes: Spikes, config: ChipConfig, ticks: int, format: str | None = None) -> None:
    """Writes recorded spikes. format: "RAWO6", "CONNPIN" (output pins only) or "TEXT"; by default by the suffix.

    ticks: how many were run; CONNPIN has one record for each. Raises InputError for what the format cannot hold and
    where the file cannot be written.
    """
    encoding = format or output_format(path)
    if encoding not in FORMATS.values():
        raise InputError(f"no spike file is written in the format {encoding!r}", path, ", ".join(FORMATS.values()))
    if encoding == "RAWO6":
        body = np.stack(_records(spikes, config), axis=1).astype(">i4").tobytes()
        data = _head("RAWO6", {"defaultDestinationDelay": 1}) + bytes([HEADER_END]) + body
    elif encoding == "CONNPIN":
        pin = _output_pins(spikes, config)
        order = np.lexsort((pin, spikes.tick))
        body = connpin.write(spikes.tick[order], pin[order], ticks, config.output_pins)
        data = _head("CONNPIN", connpin.header(config.output_pins)) + bytes([HEADER_END]) + body
    else:
        keys = ("srcTime", "srcCore", "srcNeuron", "destCore", "destAxon", "destDelay")
        rows = np.stack(_records(spikes, config), axis=1).tolist()
        lines = (json.dumps({"spike": dict(zip(keys, row, strict=True))}, separators=(",", ":")) + "\n" for row in rows)
        data = _head("TEXT", {"version": "sfto1.0", "defaultDestinationDelay": 1}) + "".join(lines).encode()
    with replacing(path) as file:
        file.write(data)


def output_format(path: str | Path) -> str:
    """The format of an output spike file by its name's suffix. Raises InputError for suffixes that are not known."""
    path = Path(path)
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        known = ", ".join(f"{suffix} ({name})" for suffix, name in FORMATS.items())
        raise InputError(
            f"cannot tell the spike format from the name {path.name}", path, f"known suffixes: {known}"
        ) from None


def _records(spikes: Spikes, config: ChipConfig) -> list[Array]:
    """RAWO6's six columns, int64: tick, core, neuron, destCore, destAxon, delay."""
    target = config.target_core[spikes.core, spikes.neuron].astype(np.int64)
    axon = config.target_axon[spikes.core, spikes.neuron].astype(np.int64)
    delay = config.target_delay[spikes.core, spikes.neuron].astype(np.int64)
    output, routed = target == OUTPUT, target >= 0
    dest_core = np.where(output, FIRST_OUTPUT - axon // PINS_A_DEST_CORE, np.where(target == DISABLED, -2, target))
    dest_axon = np.where(output, axon % PINS_A_DEST_CORE, np.where(routed, axon, -1))
    return [
        spikes.tick,
        spikes.core.astype(np.int64),
        spikes.neuron.astype(np.int64),
        dest_core,
        dest_axon,
        np.where(routed, delay, 1),
    ]


def _output_pins(spikes: Spikes, config: ChipConfig) -> Array:
    target = config.target_core[spikes.core, spikes.neuron]
    other = np.flatnonzero(target != OUTPUT)
    if other.size:
        core, neuron = spikes.core[other[0]], spikes.neuron[other[0]]
        raise InputError(
            f"core {core}, neuron {neuron} drives no output pin, and CONNPIN holds nothing else",
            hint="write a .sfro file, or monitor the outputs only",
        )
    return config.target_axon[spikes.core, spikes.neuron].astype(np.int64)


def _head(encoding: str, entries: dict[str, Any]) -> bytes:
    first = json.dumps({"class": "SpikeWriter", "encoding": encoding, "writer": "tncc"}, separators=(",", ":"))
    return f"{first}\n{json.dumps(entries)}\n".encode()
