"""Core netlist -> ChipConfig: the arrays of a .tnbin file."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from tncc.ir.netlist import NEURON_FIELDS, Netlist, Port
from tncc.runtime.config import ChipConfig


def to_config(netlist: Netlist) -> ChipConfig:
    """The chip configuration of a netlist, checked. Raises FormatError where the netlist breaks a hardware range."""
    chip = netlist.chip
    latency = np.concatenate(
        [np.zeros(0, np.int32)] + [np.full(p.type.size, p.latency_ticks, np.int32) for p in netlist.outputs]
    )
    config = ChipConfig(
        axons=chip.axons,
        neurons=chip.neurons,
        mesh=(chip.mesh_x, chip.mesh_y, chip.chips_x, chip.chips_y),
        neuron_types={name: netlist.neuron_types[name] for name in NEURON_FIELDS},
        output_latency=latency,
        input_pins=netlist.input_pins,
        output_pins=netlist.output_pins,
        **{name: getattr(netlist, name) for name in SHARED},
    )
    config.check()
    return config


SHARED = (
    "crossbars",
    "crossbar_index",
    "axon_types",
    "axon_types_index",
    "neuron_type",
    "target_core",
    "target_axon",
    "target_delay",
    "seed",
    "core_x",
    "core_y",
    "layer",
    "input_pin",
    "input_core",
    "input_axon",
    "input_delay",
)


def describe(netlist: Netlist) -> dict[str, Any]:
    """The metadata entries that stem from the netlist: ports, layers, defective cores."""
    return {
        "inputs": [_port(port) for port in netlist.inputs],
        "outputs": [_port(port) for port in netlist.outputs],
        "layers": [asdict(layer) for layer in netlist.layers],
        "defects": [list(place) for place in sorted(netlist.chip.defects)],
    }


def _port(port: Port) -> dict[str, Any]:
    return {
        "name": port.name,
        "shape": list(port.type.shape),
        "first_pin": port.first_pin,
        "latency_ticks": port.latency_ticks,
    }
