"""Writes IBM's model files (docs/truenorth-files.md): what the importer reads, laid out as IBM's own tools do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import FormatError, InputError
from tncc.files import replacing
from tncc.frontends.truenorth import REVERSED_BITS, smallest_mesh
from tncc.frontends.truenorth_fields import FIRST_OUTPUT, MAX_OUTPUT_PINS, PINS_A_CONNECTOR_CORE, TYPE_NAME
from tncc.runtime.canonical import canonical, neuron_types_in_use
from tncc.runtime.config import DISABLED, OUTPUT, ChipConfig
from tncc.runtime.runlength import compress

Array = npt.NDArray[Any]


_GENERAL = {
    "coreCount": 0,
    "neuronclass": "NeuronGeneral",
    "crossbarSize": 0,
    "crossbarclass": "CrossbarBinary",
    "networking": "INTRA",
    "useCrossbarPrototypes": True,
}


def save(config: ChipConfig, metadata: dict[str, Any], path: str | Path) -> None:
    """Writes the chip as an IBM model file; importing it gives `exportable(config)` again.

    Of the metadata, `truenorth` (as the importer makes it) is written back; a chip from another source gets its layers'
    names, numbers and kinds. Raises InputError naming core and neuron where the format cannot hold the chip.
    """
    imported = _imported(metadata)
    names = _type_names(config, imported)
    config = canonical(config)
    _check(config, path)
    with replacing(path) as file:
        for part in _parts(config, metadata, imported, names):
            file.write(part.encode())


def exportable(config: ChipConfig) -> ChipConfig:
    """The part of a chip that a model file holds, in canonical form.

    Lost are coordinates, layers, the input pins' connections, output latencies, and output pins above the last in use.
    """
    n = config.n_cores
    pins = int(config.target_axon[config.target_core == OUTPUT].max(initial=-1)) + 1
    none = np.zeros(0, np.int32)
    held = {
        "core_x": np.full(n, -1, np.int32),
        "core_y": np.full(n, -1, np.int32),
        "layer": np.zeros(n, np.int32),
        "input_pin": none,
        "input_core": none,
        "input_axon": none,
        "input_delay": none.astype(np.uint8),
        "output_latency": np.zeros(pins, np.int32),
        "input_pins": 0,
        "output_pins": pins,
        "mesh": smallest_mesh(n),
    }
    fields = {name: getattr(config, name) for name in config.__dataclass_fields__}
    return canonical(ChipConfig(**(fields | held)))


def _check(config: ChipConfig, path: str | Path) -> None:
    if config.axons != config.neurons:
        raise InputError(
            f"{config.axons} axons but {config.neurons} neurons a core; the format has one crossbarSize", path
        )
    if config.output_pins > MAX_OUTPUT_PINS:
        raise InputError(f"{config.output_pins} output pins; the format takes {MAX_OUTPUT_PINS}", path)
    reset = np.abs(config.neuron_types["reset_potential"].astype(np.int64))
    bad = np.flatnonzero((reset & (reset + 1)) != 0)
    if bad.size:
        core, neuron = np.argwhere(config.neuron_type == bad[0])[0]
        value = config.neuron_types["reset_potential"][bad[0]]
        raise InputError(
            f"core {core}, neuron {neuron}: the reset potential is {value}; the format holds 0 and +-(2^n - 1) only",
            path,
        )


def _imported(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the importer kept, each entry of the type it gave it."""
    found = metadata.get("truenorth", {})
    expected = (("model", dict, dict), ("core_metadata", list, dict), ("neuron_type_names", list, str))
    for key, kind, element in expected:
        value = found.get(key, kind()) if isinstance(found, dict) else None
        if not isinstance(value, kind) or (kind is list and not all(isinstance(entry, element) for entry in value)):
            raise FormatError(f"the chip's metadata entry truenorth.{key} is malformed")
    return dict(found)


def _type_names(config: ChipConfig, imported: dict[str, Any]) -> list[str]:
    """A name for each row of the canonical neuron types: the imported ones where they still fit, else numbered."""
    count = len(neuron_types_in_use(config)[0])
    names = imported.get("neuron_type_names", [])
    matches = [TYPE_NAME.fullmatch(name) for name in names]
    numbers = {int(match[1], 16) for match in matches if match}
    # Number 0 must stay free where it marks unused neurons.
    if len(names) == count == len(numbers) and not (0 in numbers and np.any(config.neuron_type < 0)):
        return list(names)
    return [f"N{i + 1:08X}" for i in range(count)]


def _parts(config: ChipConfig, metadata: dict[str, Any], imported: dict[str, Any], names: list[str]) -> Iterator[str]:
    counts = {"coreCount": config.n_cores, "crossbarSize": config.axons}
    general = _GENERAL | imported.get("model", {}) | counts
    yield f'{{\n\t"model":{json.dumps(general)},\n\t"crossbarTypes":['
    pairs = np.stack([config.crossbar_index, config.axon_types_index], axis=1)
    unique, first, prototype = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    for i, row in enumerate(order):
        crossbar, types = unique[row]
        yield ("," if i else "") + _prototype(i, config.crossbars[crossbar], config.axon_types[types])
    yield '\n\t],\n\t"neuronTypes":['
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    for i, name in enumerate(names):
        yield (
            ("," if i else "")
            + "\n\t\t"
            + _neuron_type(name, {k: v[i].tolist() for k, v in config.neuron_types.items()})
        )
    yield "\n\t]"
    numbers = np.array([*(int(name[1:], 16) for name in names), 0], np.int64)  # the last is row -1: unused
    core_metadata = imported.get("core_metadata", [])
    if len(core_metadata) != config.n_cores:
        core_metadata = _core_metadata(config, metadata)
    for core in range(config.n_cores):
        entry = {
            "metadata": core_metadata[core],
            "id": core,
            "timeScaleExponent": 0,
            "rngSeed": int(config.seed[core]),
            "neurons": _neurons(config, core, numbers),
            "crossbar": {"name": _prototype_name(int(number[prototype.reshape(-1)[core]]))},
        }
        yield f',\n\t"core":{json.dumps(entry, separators=(",", ":"))}'
    yield "\n}\n"


def _prototype_name(number: int) -> str:
    return f"coreProt{number + 1:07d}"


def _prototype(number: int, crossbar: Array, axon_types: Array) -> str:
    rows = (
        f'\n\t\t\t{{"type":"S{kind}","synapses":"{bits.tobytes().hex(" ").upper()}"}}'
        for kind, bits in zip(axon_types.tolist(), REVERSED_BITS[crossbar], strict=True)
    )
    return f'\n\t\t{{"name":"{_prototype_name(number)}","crossbar":{{"rows":[{",".join(rows)}\n\t\t]}}}}'


def _neuron_type(name: str, p: dict[str, Any]) -> str:
    entry: dict[str, Any] = {"name": name, "class": "NeuronGeneral"}
    entry |= {f"sigma{g}": -1 if p["weights"][g] < 0 else 1 for g in range(4)}
    entry |= {f"s{g}": abs(p["weights"][g]) for g in range(4)}
    entry |= {f"b{g}": bool(p["stochastic_weights"][g]) for g in range(4)}
    entry |= {
        "sigma_lambda": 1 if p["leak"] > 0 else -1,
        "lambda": abs(p["leak"]),
        "c_lambda": bool(p["stochastic_leak"]),
        "epsilon": bool(p["leak_reversal"]),
        "alpha": p["threshold"],
        "beta": p["negative_threshold"],
        "TM": p["threshold_random_bits"],
        "gamma": p["reset_mode"],
        "kappa": bool(p["negative_saturate"]),
        "sigma_VR": -1 if p["reset_potential"] < 0 else 1,
        "VR": abs(p["reset_potential"]).bit_length(),
        "V": p["initial_potential"],
    }
    return json.dumps(entry, separators=(",", ":"))


def _neurons(config: ChipConfig, core: int, numbers: Array) -> dict[str, Any]:
    target, axon = config.target_core[core].astype(np.int64), config.target_axon[core].astype(np.int64)
    output, routed = target == OUTPUT, target >= 0
    pin_core = FIRST_OUTPUT - axon // PINS_A_CONNECTOR_CORE
    columns = {
        "dendrites": np.arange(config.neurons),
        "types": numbers[config.neuron_type[core]],
        "destCores": np.where(output, pin_core, np.where(target == DISABLED, -2, target)),
        "destAxons": np.where(output, axon % PINS_A_CONNECTOR_CORE, np.where(routed, axon, -1)),
        "destDelays": np.where(routed, config.target_delay[core], 1),
    }
    return {key: compress(values.tolist()) for key, values in columns.items()}


def _core_metadata(config: ChipConfig, metadata: dict[str, Any]) -> list[dict[str, Any]]:
    layers, seen, found = metadata.get("layers", []), dict[int, int](), []
    for layer in config.layer.tolist():
        entry = layers[layer] if layer < len(layers) else {"name": f"layer {layer}", "kind": "cores"}
        seen[layer] = seen.get(layer, -1) + 1
        found.append(
            {
                "coreletClass": str(entry["name"]),
                "coreletId": layer + 1,
                "coreNumber": seen[layer],
                "parentCoreletId": [0],
                "layerNumber": layer,
                "layerType": str(entry["kind"]),
            }
        )
    return found
