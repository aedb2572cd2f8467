"""Reads IBM's model files (docs/truenorth-files.md) into a chip configuration.

A core that is read is stored away as array rows at once; what stays in memory is the configuration, not the text.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import Error, FormatError, InputError
from tncc.frontends.truenorth_fields import (
    FIRST_OUTPUT,
    MAX_OUTPUT_PINS,
    PINS_A_CONNECTOR_CORE,
    TYPE_NAME,
    as_integer,
    as_name,
    as_object,
    neuron_parameters,
)
from tncc.frontends.truenorth_reader import read_values
from tncc.runtime.canonical import canonical, neuron_types_in_use
from tncc.runtime.config import DISABLED, MAX_AXONS, MAX_CORES, NEURON_FIELDS, OUTPUT, UNCONNECTED, ChipConfig
from tncc.runtime.runlength import expand

Array = npt.NDArray[Any]

MAX_METADATA_BYTES = 1 << 16  # of one core
CHIP_SIDE = 64  # cores along x and y of one chip

_AXON_TYPES = {"S0": 0, "S1": 1, "S2": 2, "S3": 3}
_MAX_NUMBER = 1 << 32  # no field of a neuron comes near
_NEURON_LISTS = ("dendrites", "types", "destCores", "destAxons", "destDelays")
_NEURON_ENTRY = ("dendrite", "type", "destCore", "destAxon", "delay")
REVERSED_BITS = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]


def load(path: str | Path) -> tuple[ChipConfig, dict[str, Any]]:
    """The chip of a model file, not placed (coordinates -1), checked, in canonical form; and its metadata.

    Metadata: `inputs`, `outputs`, `defects` (empty lists), `layers` (as ir.netlist.Layer), `source` and `truenorth`
    with `model` (the file's general entries), `core_metadata` (one dictionary a core) and `neuron_type_names`.
    Core i of the result is the core with id i. Raises FormatError that names the file, core and neuron.
    """
    path = Path(path)
    model = _Model(path)
    for key, value in read_values(path, frozenset({"crossbarTypes", "neuronTypes"})):
        if key == "model":
            model.set_general(value)
        elif key == "crossbarTypes":
            model.add_prototype(value)
        elif key == "neuronTypes":
            model.add_neuron_type(value)
        elif key == "core":
            model.add_core(value)
        else:
            raise FormatError(f"unknown key {key[:40]!r}; known are model, crossbarTypes, neuronTypes, core", path)
    return model.finish()


def placed(config: ChipConfig, metadata: dict[str, Any], placement: str, seed: int = 0) -> ChipConfig:
    """The chip with coordinates. placement: "none", "id-order" (row by row) or "place-cores" (the placer, with a seed).

    Raises CompileError where the mesh has too few cores, InputError for an unknown placement.
    """
    if placement == "none":
        return replace(config, core_x=np.full_like(config.core_x, -1), core_y=np.full_like(config.core_y, -1))
    if placement == "id-order":
        width = config.mesh[0] * config.mesh[2]
        y, x = np.divmod(np.arange(config.n_cores, dtype=np.int32), np.int32(width))
        return replace(config, core_x=x, core_y=y)
    if placement != "place-cores":
        raise InputError(f"no placement is called {placement!r}; there are none, id-order, place-cores")
    from tncc.frontends.tnbin import to_netlist
    from tncc.passes.place_cores import PlaceCores

    netlist = to_netlist(config, metadata)
    found = PlaceCores(seed=seed).run(netlist, netlist.chip)
    return replace(config, core_x=found.core_x, core_y=found.core_y)


class _Model:
    """The arrays under construction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.general: dict[str, Any] = {}
        self.size = 0
        self.crossbars: dict[bytes, int] = {}
        self.axon_types: dict[bytes, int] = {}
        self.prototypes: dict[str, tuple[int, int]] = {}
        self.neuron_types: list[dict[str, Any]] = []
        self.type_names: list[str] = []
        self.type_rows: dict[int, int] = {}  # the number in a neuron type's name: its row
        self.core_rows: dict[int, dict[str, Any]] = {}

    def set_general(self, value: Any) -> None:
        at = f"{self.path}: model"
        if self.general:
            raise FormatError("is there twice", at)
        self.general = as_object(value, at)
        for key, known in (("neuronclass", "NeuronGeneral"), ("crossbarclass", "CrossbarBinary")):
            if value.get(key, known) != known:
                raise FormatError(f"{key} is {str(value[key])[:40]!r}; only {known!r} is known", at)
        self.size = as_integer(value.get("crossbarSize", MAX_AXONS), "crossbarSize", 1, MAX_AXONS, at)

    def add_prototype(self, value: Any) -> None:
        at = f"{self.path}: crossbar type {len(self.prototypes)}"
        entry = as_object(value, at)
        name = as_name(entry.get("name"), "name", at)
        if name in self.prototypes:
            raise FormatError(f"crossbar type {name!r} is there twice", self.path)
        self.prototypes[name] = self.crossbar(entry.get("crossbar"), f"{self.path}: crossbar type {name!r}")

    def crossbar(self, value: Any, at: str) -> tuple[int, int]:
        """Indices of the crossbar and of the axon types that {rows} or {name} stands for."""
        entry = as_object(value, f"{at}: crossbar")
        if "rows" not in entry:
            name = as_name(entry.get("name"), "crossbar name", at)
            if name not in self.prototypes:
                raise FormatError(f"crossbar type {name!r} is not in crossbarTypes", at)
            return self.prototypes[name]
        if not self.size:
            raise FormatError("the key 'model' must come before crossbars", at)
        rows = entry["rows"]
        if not isinstance(rows, list) or len(rows) != self.size:
            count = len(rows) if isinstance(rows, list) else "no list of"
            raise FormatError(f"the crossbar has {count} rows; expected {self.size}", at)
        types, synapses = bytearray(), bytearray()
        row_bytes = -(-self.size // 8)
        for axon, row in enumerate(rows):
            kind = row.get("type") if isinstance(row, dict) else None
            if not isinstance(kind, str) or kind not in _AXON_TYPES:
                raise FormatError(f"axon {axon}: type is {str(kind)[:20]!r}; expected 'S0' to 'S3'", at)
            types.append(_AXON_TYPES[kind])
            try:
                bits = bytes.fromhex(row["synapses"])
            except (KeyError, TypeError, ValueError):
                bits = b""
            if len(bits) != row_bytes:
                raise FormatError(f"axon {axon}: synapses are not {row_bytes} bytes in hexadecimal", at)
            synapses += bits
        packed = REVERSED_BITS[np.frombuffer(bytes(synapses), np.uint8)].tobytes()
        return (
            self.crossbars.setdefault(packed, len(self.crossbars)),
            self.axon_types.setdefault(bytes(types), len(self.axon_types)),
        )

    def add_neuron_type(self, value: Any) -> None:
        entry = as_object(value, f"{self.path}: neuron type {len(self.type_names)}")
        name = as_name(entry.get("name"), "name", f"{self.path}: neuron type {len(self.type_names)}")
        match = TYPE_NAME.fullmatch(name)
        if not match:
            raise FormatError(f"neuron type {name!r}: a name is N and a hexadecimal number", self.path)
        number = int(match[1], 16)
        if number in self.type_rows:
            raise FormatError(f"neuron type {name!r} is there twice", self.path)
        self.type_rows[number] = len(self.type_names)
        self.type_names.append(name)
        self.neuron_types.append(neuron_parameters(entry, f"{self.path}: neuron type {name!r}"))

    def add_core(self, value: Any) -> None:
        entry = as_object(value, f"{self.path}: core {len(self.core_rows)} of the file")
        core_id = as_integer(
            entry.get("id"), "id", 0, MAX_CORES - 1, f"{self.path}: core {len(self.core_rows)} of the file"
        )
        at = f"{self.path}: core {core_id}"
        if core_id in self.core_rows:
            raise FormatError("is there twice", at)
        as_integer(entry.get("timeScaleExponent", 0), "timeScaleExponent", 0, 0, at)
        crossbar, axon_types = self.crossbar(entry.get("crossbar"), at)
        neuron_type, target_core, target_axon, target_delay = self.neurons(entry.get("neurons"), at)
        metadata = as_object(entry.get("metadata", {}), f"{at}: metadata")
        if len(json.dumps(metadata)) > MAX_METADATA_BYTES:
            raise FormatError(f"metadata is longer than {MAX_METADATA_BYTES} bytes", at)
        self.core_rows[core_id] = {
            "crossbar_index": crossbar,
            "axon_types_index": axon_types,
            "neuron_type": neuron_type,
            "target_core": target_core,
            "target_axon": target_axon,
            "target_delay": target_delay,
            "seed": as_integer(entry.get("rngSeed", 0), "rngSeed", 0, (1 << 32) - 1, at),
            "metadata": metadata,
        }

    def neurons(self, value: Any, at: str) -> tuple[Array, Array, Array, Array]:
        """int32 [M] neuron types, target cores, axons (or pins), uint8 [M] delays; neuron j is dendrite j."""
        dendrite, number, target, axon, delay = self.neuron_columns(value, at)
        in_range = (dendrite >= 0) & (dendrite < self.size)
        _all(in_range, dendrite, dendrite, f"dendrite; expected 0..{self.size - 1}", at)
        if len(np.unique(dendrite)) != len(dendrite):
            raise FormatError("two neurons have the same dendrite", at)
        routed, output = target >= 0, target <= FIRST_OUTPUT
        _all(
            routed | output | (target == -1) | (target == -2),
            target,
            dendrite,
            "destCore; expected a core id, -1 (unconnected), -2 (disabled) or -32 and below (an output)",
            at,
        )
        _all(~routed | ((axon >= 0) & (axon < self.size)), axon, dendrite, f"destAxon; expected 0..{self.size - 1}", at)
        _all(~output | ((axon >= 0) & (axon < PINS_A_CONNECTOR_CORE)), axon, dendrite, "destAxon; expected 0..255", at)
        _all(~routed | ((delay >= 1) & (delay <= 15)), delay, dendrite, "destDelay; expected 1..15", at)
        pin = (FIRST_OUTPUT - target) * PINS_A_CONNECTOR_CORE + axon
        _all(pin < MAX_OUTPUT_PINS, target, dendrite, "destCore; outputs end at pin 2^24 - 1", at)
        rows = np.array([self.type_rows.get(n, -1 if n == 0 else -2) for n in number.tolist()], np.int32)
        _all(rows >= -1, number, dendrite, "type; no neuron type has that number", at)
        columns = (
            (-1, np.int32, rows),
            (UNCONNECTED, np.int32, np.where(output, OUTPUT, np.where(target == -2, DISABLED, target))),
            (0, np.int32, np.where(output, pin, np.where(routed, axon, 0))),
            (0, np.uint8, np.where(routed, delay, 0)),
        )
        found = []
        for empty, dtype, column in columns:
            spread = np.full(self.size, empty, dtype)
            spread[dendrite] = column
            found.append(spread)
        return found[0], found[1], found[2], found[3]

    def neuron_columns(self, value: Any, at: str) -> Array:
        """int64 [5, neurons]: dendrite, type number, destCore, destAxon, delay."""
        if isinstance(value, list):
            if len(value) > self.size:
                raise FormatError(f"{len(value)} neurons; a core has {self.size}", at)
            rows = [_neuron_row(neuron, i, at) for i, neuron in enumerate(value)]
            return np.array(rows, np.int64).reshape(-1, len(_NEURON_ENTRY)).T
        entry = as_object(value, f"{at}: neurons")
        columns = []
        for key in _NEURON_LISTS:
            try:
                columns.append(expand(entry.get(key), self.size))
            except ValueError as error:
                raise FormatError(f"{key}: {error}", at) from None
            if max(map(abs, columns[-1]), default=0) > _MAX_NUMBER:
                raise FormatError(f"{key}: a number is out of range", at)
            if len(columns[-1]) != len(columns[0]):
                raise FormatError(f"{len(columns[0])} dendrites but {len(columns[-1])} {key}", at)
        return np.array(columns, np.int64)

    def finish(self) -> tuple[ChipConfig, dict[str, Any]]:
        n, size = len(self.core_rows), self.size
        if not self.general:
            raise FormatError("the key 'model' is missing", self.path)
        count = as_integer(self.general.get("coreCount", n), "coreCount", 0, MAX_CORES, f"{self.path}: model")
        if count != n:
            raise FormatError(f"coreCount is {count} but the file holds {n} cores (truncated?)", self.path)
        missing = next((i for i in range(n) if i not in self.core_rows), None)
        if missing is not None:
            raise FormatError(f"no core has id {missing}; the ids of {n} cores must be 0..{n - 1}", self.path)
        rows = [self.core_rows[i] for i in range(n)]
        target_core = _stacked(rows, "target_core", np.int32, size)
        bad = np.argwhere(target_core >= n)
        if bad.size:
            core, neuron = bad[0]
            raise FormatError(
                f"destCore is {target_core[core, neuron]}, but the ids are 0..{n - 1}",
                f"{self.path}: core {core}, neuron {neuron}",
            )
        target_axon = _stacked(rows, "target_axon", np.int32, size)
        pins = int(target_axon[target_core == OUTPUT].max(initial=-1)) + 1
        metadata = [row["metadata"] for row in rows]
        layers, layer = _layers(metadata)
        none = np.zeros(0, np.int32)
        config = ChipConfig(
            axons=size,
            neurons=size,
            mesh=smallest_mesh(n),
            crossbars=np.frombuffer(b"".join(self.crossbars), np.uint8).reshape(-1, size, -(-size // 8)),
            crossbar_index=_stacked(rows, "crossbar_index", np.int32),
            axon_types=np.frombuffer(b"".join(self.axon_types), np.uint8).reshape(-1, size),
            axon_types_index=_stacked(rows, "axon_types_index", np.int32),
            neuron_types={
                name: np.array([entry[name] for entry in self.neuron_types], dtype).reshape(-1, *shape)
                for name, (dtype, shape, _, _) in NEURON_FIELDS.items()
            },
            neuron_type=_stacked(rows, "neuron_type", np.int32, size),
            target_core=target_core,
            target_axon=target_axon,
            target_delay=_stacked(rows, "target_delay", np.uint8, size),
            seed=_stacked(rows, "seed", np.uint32),
            core_x=np.full(n, -1, np.int32),
            core_y=np.full(n, -1, np.int32),
            layer=layer,
            input_pin=none,
            input_core=none,
            input_axon=none,
            input_delay=none.astype(np.uint8),
            output_latency=np.zeros(pins, np.int32),
            input_pins=0,
            output_pins=pins,
        )
        names = [self.type_names[row] for row in neuron_types_in_use(config)[0]]
        config = canonical(config)
        try:
            config.check()
        except Error as error:
            raise FormatError(error.message, self.path) from None
        truenorth = {"model": self.general, "core_metadata": metadata, "neuron_type_names": names}
        return config, {
            "inputs": [],
            "outputs": [],
            "defects": [],
            "layers": layers,
            "source": {"name": self.path.name, "sha256": _sha256(self.path), "format": "truenorth"},
            "truenorth": truenorth,
        }


def _neuron_row(neuron: Any, i: int, at: str) -> list[int]:
    """The numbers of one entry of the list form, in the order of _NEURON_ENTRY."""
    if isinstance(neuron, dict):
        row = [value for key in _NEURON_ENTRY if type(value := neuron.get(key)) is int and abs(value) <= _MAX_NUMBER]
        if len(row) == len(_NEURON_ENTRY):
            return row
    entry = as_object(neuron, f"{at}, neuron {i}")  # something is wrong: say what
    return [as_integer(entry.get(key), key, -_MAX_NUMBER, _MAX_NUMBER, f"{at}, neuron {i}") for key in _NEURON_ENTRY]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def smallest_mesh(cores: int) -> tuple[int, int, int, int]:
    """The array of 64 x 64 chips, as square as can be, that holds `cores` cores; in ChipConfig.mesh's form."""
    chips = max(1, -(-cores // (CHIP_SIDE * CHIP_SIDE)))
    side = int(np.ceil(np.sqrt(chips)))
    return CHIP_SIDE, CHIP_SIDE, side, -(-chips // side)


def _layers(metadata: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Array]:
    """Layers in order of first use, and int32 [N] each core's: by layerNumber and layerType, else by coreletClass."""
    found: dict[tuple[str, str], int] = {}
    layer = np.zeros(len(metadata), np.int32)
    for i, entry in enumerate(metadata):
        number, kind = entry.get("layerNumber"), entry.get("layerType")
        corelet = str(entry.get("coreletClass", "cores"))
        name = f"layer {number}" + (f" ({kind})" if kind is not None else "") if number is not None else corelet
        layer[i] = found.setdefault((_clean(name), _clean(corelet)), len(found))
    layers = [{"name": name, "kind": "import", "location": corelet, "note": {}} for name, corelet in found]
    return layers, layer


def _stacked(rows: list[dict[str, Any]], key: str, dtype: npt.DTypeLike, *shape: int) -> Array:
    return np.array([row[key] for row in rows], dtype).reshape(-1, *shape)


def _all(ok: Array, values: Array, dendrite: Array, what: str, at: str) -> None:
    bad = np.flatnonzero(~ok)
    if bad.size:
        raise FormatError(f"{values[bad[0]]} is no {what}", f"{at}, neuron {dendrite[bad[0]]}")


def _clean(text: str) -> str:
    """`text` without lone surrogates, which no file can hold, and not overlong."""
    return text.encode("utf-8", "replace").decode()[:200]
