"""ChipConfig -> core netlist: takes a chip file back to the IR, where passes can work on it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tncc.errors import FormatError
from tncc.ir.chip import Chip
from tncc.ir.netlist import Layer, Netlist, Port
from tncc.ir.types import Domain, TensorType
from tncc.runtime.config import ChipConfig


def to_netlist(config: ChipConfig, metadata: dict[str, Any]) -> Netlist:
    """The netlist of a chip; backends.tnbin.to_config is the way back.

    metadata: `inputs`, `outputs`, `layers`, `defects` as backends.tnbin.describe gives them. Where it names no ports,
    all pins become one port. Raises FormatError where it does not fit the chip.
    """
    try:
        mesh_x, mesh_y, chips_x, chips_y = config.mesh
        chip = Chip(
            mesh_x=mesh_x,
            mesh_y=mesh_y,
            axons=config.axons,
            neurons=config.neurons,
            chips_x=chips_x,
            chips_y=chips_y,
            defects=frozenset((int(x), int(y)) for x, y in metadata.get("defects", [])),
        )
        layers = tuple(
            Layer(str(entry["name"]), str(entry["kind"]), str(entry["location"]), dict(entry.get("note", {})))
            for entry in metadata.get("layers", [])
        ) or (Layer("cores", "import", "cores"),)
        inputs = _ports(metadata.get("inputs", []), config.input_pins)
        outputs = _ports(metadata.get("outputs", []), config.output_pins)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"the metadata of the chip is malformed ({error})") from error
    if int(config.layer.max(initial=0)) >= len(layers):
        raise FormatError(f"a core belongs to layer {config.layer.max()}, but there are {len(layers)} layers")
    shared = {f.name for f in fields(Netlist)} & {f.name for f in fields(ChipConfig)}
    arrays = {name: getattr(config, name) for name in shared}
    return Netlist(chip=chip, layers=layers, inputs=inputs, outputs=outputs, **arrays)


def _ports(entries: list[dict[str, Any]], pins: int) -> tuple[Port, ...]:
    ports = tuple(
        Port(
            str(entry["name"]),
            TensorType(Domain.SPIKES, tuple(int(n) for n in entry["shape"])),
            int(entry["first_pin"]),
            int(entry.get("latency_ticks", 0)),
        )
        for entry in entries
    )
    if not ports and pins:
        ports = (Port("pins", TensorType(Domain.SPIKES, (pins,)), 0),)
    if sum(port.type.size for port in ports) != pins:
        raise ValueError(f"the ports have {sum(port.type.size for port in ports)} pins, the chip {pins}")
    return ports
