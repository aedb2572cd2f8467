"""What a configured chip amounts to, in numbers: the inspect --json dictionary."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.routing import Routes, routes
from tncc.program import Program
from tncc.runtime.config import ChipConfig
from tncc.runtime.memoryless import memoryless_neurons

Array = npt.NDArray[Any]


def report(program: Program) -> dict[str, Any]:
    """Sizes, hops and provenance of a program; the fields are the contract of docs/cli.md.

    axons_used counts axons that some neuron or input pin drives (see used_axons); synapses, crossbar bits between a
    used axon and a used neuron; mean_hops is over all neuron-to-axon connections (None where the chip is not placed).
    """
    config, metadata = program.config, program.metadata
    layers = program.layers
    by_layer = np.bincount(config.layer, minlength=len(layers))[: len(layers)].tolist()
    mesh_x, mesh_y, chips_x, chips_y = config.mesh
    axons = used_axons(config)
    found: dict[str, Any] = {
        "cores_used": config.n_cores,
        "cores_available": mesh_x * mesh_y * chips_x * chips_y - len(metadata.get("defects", [])),
        "chips": chips_x * chips_y,
        "cores_by_layer": [{"layer": layer["name"], "cores": n} for layer, n in zip(layers, by_layer, strict=True)],
        "splitter_cores": sum(n for layer, n in zip(layers, by_layer, strict=True) if layer["kind"] == "splitter"),
        "partial_sums": partial_sums(program),
        "neurons_used": int((config.neuron_type >= 0).sum()),
        "memoryless_neurons": int(memoryless_neurons(config).sum()),
        "axons_used": int(axons.sum()),
        "synapses": int(synapses_by_core(config, axons).sum()),
        "latency_ticks": config.latency_ticks,
        **_hops(program),
        "exact": not metadata.get("approximations"),
        "trinarization": metadata.get("trinarization"),
        "seed": metadata.get("seed"),
        "pipeline": metadata.get("pipeline"),
        "source": metadata.get("source"),
        "file_sha256": program.file_sha256,
    }
    if program.pass_seconds:
        found["pass_seconds"] = {name: round(seconds, 6) for name, seconds in program.pass_seconds.items()}
    return found


def partial_sums(program: Program) -> list[dict[str, Any]]:
    """Layers whose filters no core holds: `{layer, remark, cores, ticks}` of all their stages together."""
    found: dict[str, dict[str, Any]] = {}
    for number, layer in enumerate(program.layers):
        if "split-partial-sums" not in layer["location"].partition(" via ")[2].split(", "):
            continue
        entry = found.setdefault(layer["name"], {"layer": layer["name"], "remark": "", "cores": 0, "ticks": 0})
        entry["cores"] += int((program.config.layer == number).sum())
        if remark := layer["note"].get("remark"):
            entry["ticks"] += 1
            entry["remark"] = remark  # the last stage's: layers are in topological order
    return list(found.values())


def used_axons(config: ChipConfig) -> Array:
    """bool [cores, axons]: driven by a used neuron or an input pin; all where spike files are the only input."""
    used = np.full((config.n_cores, config.axons), config.input_pins == 0)
    used[config.input_core, config.input_axon] = True
    target = config.used_targets()
    routed = target >= 0
    used[target[routed], config.target_axon[routed]] = True
    return used


def synapses_by_core(config: ChipConfig, axons: Array) -> Array:
    """int64 [cores]: crossbar bits between used axons (bool [cores, axons]) and used neurons."""
    neurons = np.packbits(config.neuron_type >= 0, axis=1, bitorder="little")
    found = np.zeros(config.n_cores, np.int64)
    for start in range(0, config.n_cores, 1024):  # bounded memory on arrays of chips
        part = slice(start, start + 1024)
        bits = config.crossbars[config.crossbar_index[part]] & neurons[part, None, :] & (axons[part, :, None] * 255)
        found[part] = np.bitwise_count(bits.astype(np.uint8)).sum(axis=(1, 2), dtype=np.int64)
    return found


def routes_of(program: Program) -> Routes | None:
    """Routes of all connections, each counted once; None where the chip is not placed."""
    config = program.config
    if np.any(config.core_x < 0):
        return None
    return routes(config.core_x, config.core_y, config.used_targets(), config.mesh)


def _hops(program: Program) -> dict[str, Any]:
    found = routes_of(program)
    if found is None:
        return {"mean_hops": None, "max_hops": None, "max_link_load": None, "chip_crossings": None}
    return {
        "mean_hops": found.mean_hops,
        "max_hops": found.max_hops,
        "max_link_load": int(found.max_link_load),
        "chip_crossings": int(found.crossings),
    }
