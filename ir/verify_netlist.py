"""Well-formedness of a netlist: shapes, dtypes, indices and ranges of every array, named by core and neuron."""

from __future__ import annotations

from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from tncc.errors import ModuleInvalid
from tncc.ir.chip import Chip
from tncc.ir.netlist import NEURON_FIELDS, OUTPUT, Netlist
from tncc.ir.types import Domain

Array = npt.NDArray[Any]

THRESHOLD_MAX = (1 << 18) - 1
POTENTIAL_MIN, POTENTIAL_MAX = -(1 << 19), (1 << 19) - 1
RANDOM_BITS_MAX = 18
MAX_PINS = 1 << 24  # one for every neuron of 65,536 cores


def neuron_ranges(chip: Chip) -> dict[str, tuple[int, int]]:
    """(least, greatest) legal value of every neuron parameter."""
    ranges = {
        "weights": (-chip.max_weight, chip.max_weight),
        "leak": (-chip.max_weight, chip.max_weight),
        "threshold": (0, THRESHOLD_MAX),
        "negative_threshold": (0, THRESHOLD_MAX),
        "threshold_random_bits": (0, RANDOM_BITS_MAX),
        "reset_mode": (0, 2),
        "reset_potential": (POTENTIAL_MIN, POTENTIAL_MAX),
        "initial_potential": (POTENTIAL_MIN, POTENTIAL_MAX),
    }
    return {name: ranges.get(name, (0, 1)) for name in NEURON_FIELDS}


def draws(netlist: Netlist) -> Array:
    """bool [T]: whether a neuron of that type ever draws a random number."""
    types = netlist.neuron_types
    found: Array = (
        (types["threshold_random_bits"] > 0)
        | (types["stochastic_leak"] > 0)
        | (types["stochastic_weights"] > 0).any(axis=1)
    )
    return found


def core_name(netlist: Netlist, core: SupportsIndex, neuron: SupportsIndex | None = None) -> str:
    """`core 3, neuron 5 (Conv_0)`: a place for an error, with the layer's source location where it is known."""
    place = f"core {core}" if neuron is None else f"core {core}, neuron {neuron}"
    layer = int(netlist.layer[core])
    return f"{place} ({netlist.layers[layer].location})" if 0 <= layer < len(netlist.layers) else place


def verify_netlist(netlist: Netlist) -> None:
    """Raises CompileError naming the array and the place where the netlist is not well formed."""
    _verify_shapes(netlist)
    _verify_tables(netlist)
    _verify_neurons(netlist)
    _verify_ports(netlist)
    _verify_inputs(netlist)
    _verify_coordinates(netlist)


def expected_arrays(netlist: Netlist) -> dict[str, tuple[str, tuple[int, ...]]]:
    """(dtype, shape) that every array must have, given the chip and the lengths of the tables."""
    chip, n, k = netlist.chip, len(netlist.neuron_type), len(netlist.input_pin)
    types = len(netlist.neuron_types["leak"]) if "leak" in netlist.neuron_types else 0
    return {
        "crossbars": ("uint8", (len(netlist.crossbars), chip.axons, (chip.neurons + 7) // 8)),
        "axon_types": ("uint8", (len(netlist.axon_types), chip.axons)),
        **dict.fromkeys(("crossbar_index", "axon_types_index", "core_x", "core_y", "layer"), ("int32", (n,))),
        "seed": ("uint32", (n,)),
        **dict.fromkeys(("neuron_type", "target_core", "target_axon"), ("int32", (n, chip.neurons))),
        "target_delay": ("uint8", (n, chip.neurons)),
        **dict.fromkeys(("input_pin", "input_core", "input_axon"), ("int32", (k,))),
        "input_delay": ("uint8", (k,)),
        **{f"neuron_types.{name}": (dtype, (types, *tail)) for name, (dtype, tail) in NEURON_FIELDS.items()},
    }


def _verify_shapes(netlist: Netlist) -> None:
    arrays = netlist.arrays()
    for name in ("crossbars", "axon_types", "neuron_type", "input_pin"):
        if arrays[name].ndim == 0:
            raise ModuleInvalid(f"array {name} is a scalar")
    expected = expected_arrays(netlist)
    for name in sorted(expected.keys() ^ arrays.keys()):
        raise ModuleInvalid(
            f"array {name} is missing" if name in expected else f"array {name} is not part of a netlist"
        )
    for name, (dtype, shape) in expected.items():
        array = arrays[name]
        if array.dtype != np.dtype(dtype) or array.shape != shape:
            raise ModuleInvalid(f"array {name} is {array.dtype}{list(array.shape)}; expected {dtype}{list(shape)}")
        if not array.flags.c_contiguous:
            raise ModuleInvalid(f"array {name} is not C-contiguous")


def _verify_tables(netlist: Netlist) -> None:
    chip, types = netlist.chip, netlist.neuron_types
    for name, (low, high) in neuron_ranges(chip).items():
        wrong = ((types[name] < low) | (types[name] > high)).reshape(len(types[name]), -1).any(axis=1)
        if wrong.any():
            row = int(np.argmax(wrong))
            users = np.argwhere(netlist.neuron_type == row)
            user = core_name(netlist, *map(int, users[0])) if users.size else "used by no neuron"
            raise ModuleInvalid(
                f"neuron type {row}: {name} is {types[name][row].tolist()}; the range is {low}..{high}", user
            )
    for column in range(chip.axon_types, 4):
        if np.any(types["weights"][:, column]):
            raise ModuleInvalid(f"a neuron type has a weight for axon type {column}; the chip has {chip.axon_types}")
    _in_range("axon_types", netlist.axon_types, 0, chip.axon_types, "axon type vector", "axon")
    used = np.packbits(np.arange(8 * netlist.crossbars.shape[2]) < chip.neurons, bitorder="little")
    beyond = np.argwhere(netlist.crossbars & ~used)
    if beyond.size:
        raise ModuleInvalid(
            f"crossbar {beyond[0][0]}, axon {beyond[0][1]}: a bit is set beyond the {chip.neurons} neurons of a core"
        )
    _in_range("crossbar_index", netlist.crossbar_index, 0, len(netlist.crossbars), "core")
    _in_range("axon_types_index", netlist.axon_types_index, 0, len(netlist.axon_types), "core")
    _in_range("layer", netlist.layer, 0, len(netlist.layers), "core")


def _verify_neurons(netlist: Netlist) -> None:
    chip = netlist.chip
    _in_range("neuron_type", netlist.neuron_type, -1, len(netlist.neuron_types["leak"]), "core", "neuron")
    _in_range("target_core", netlist.target_core, OUTPUT, netlist.n_cores, "core", "neuron")
    routed, output = netlist.target_core >= 0, netlist.target_core == OUTPUT
    end = np.where(routed, chip.axons, np.where(output, netlist.output_pins, 1))
    _require(netlist, "target_axon", (netlist.target_axon >= 0) & (netlist.target_axon < end))
    least = routed.astype(np.uint8)
    greatest = np.where(routed, chip.max_delay_ticks, 0)
    _require(netlist, "target_delay", (netlist.target_delay >= least) & (netlist.target_delay <= greatest))
    unseeded = np.flatnonzero(netlist.seed == 0)
    drawing = np.isin(netlist.neuron_type[unseeded], np.flatnonzero(draws(netlist)))
    if drawing.any():
        row, neuron = map(int, np.argwhere(drawing)[0])
        raise ModuleInvalid(
            "the seed is 0, where the random generator stands still, but this neuron draws",
            core_name(netlist, int(unseeded[row]), neuron),
            "any other seed",
        )


def _verify_ports(netlist: Netlist) -> None:
    for kind, ports in (("input", netlist.inputs), ("output", netlist.outputs)):
        next_pin, names = 0, set()
        for port in sorted(ports, key=lambda p: p.first_pin):
            if port.name in names:
                raise ModuleInvalid(f"{kind} {port.name} is defined twice")
            if port.type.domain is not Domain.SPIKES:
                raise ModuleInvalid(f"{kind} {port.name} is {port.type}; only spikes enter and leave the chip")
            if port.first_pin != next_pin:
                raise ModuleInvalid(
                    f"{kind} {port.name} starts at pin {port.first_pin}; the next free pin is {next_pin}"
                )
            if port.latency_ticks < 0:
                raise ModuleInvalid(f"{kind} {port.name} has a latency of {port.latency_ticks} ticks")
            names.add(port.name)
            next_pin += port.type.size
        if next_pin > MAX_PINS:
            raise ModuleInvalid(f"{next_pin:,} {kind} pins are too many; up to {MAX_PINS:,} are legal")


def _verify_inputs(netlist: Netlist) -> None:
    chip = netlist.chip
    _in_range("input_pin", netlist.input_pin, 0, netlist.input_pins, "input connection")
    _in_range("input_core", netlist.input_core, 0, netlist.n_cores, "input connection")
    _in_range("input_axon", netlist.input_axon, 0, chip.axons, "input connection")
    _in_range("input_delay", netlist.input_delay, 1, chip.max_delay_ticks + 1, "input connection")
    order = np.lexsort((netlist.input_axon, netlist.input_core, netlist.input_pin))
    if np.any(order[1:] < order[:-1]):
        raise ModuleInvalid("input connections are not sorted by (pin, core, axon)")


def _verify_coordinates(netlist: Netlist) -> None:
    if np.all(netlist.core_x == -1) and np.all(netlist.core_y == -1):
        return
    chip = netlist.chip
    _in_range("core_x", netlist.core_x, 0, chip.width, "core")
    _in_range("core_y", netlist.core_y, 0, chip.height, "core")
    place = netlist.core_y.astype(np.int64) * chip.width + netlist.core_x
    order = np.argsort(place, kind="stable")
    twice = np.flatnonzero(np.diff(place[order]) == 0)
    if twice.size:
        a, b = (int(core) for core in order[twice[0] : twice[0] + 2])
        raise ModuleInvalid(f"cores {a} and {b} are both at ({netlist.core_x[a]}, {netlist.core_y[a]})")


def _require(netlist: Netlist, name: str, ok: Array) -> None:
    if not np.all(ok):
        core, neuron = map(int, np.argwhere(~ok)[0])
        value = netlist.arrays()[name][core, neuron]
        raise ModuleInvalid(f"{name} is {value}, out of range", core_name(netlist, core, neuron))


def _in_range(name: str, array: Array, low: int, end: int, *axes: str) -> None:
    """Every element in low..end - 1, else an error that names the place by `axes`."""
    if array.size and (int(array.min()) < low or int(array.max()) >= end):
        at = np.argwhere((array < low) | (array >= end))[0]
        where = ", ".join(f"{axis} {i}" for axis, i in zip(axes, at, strict=True))
        expected = f"{low}..{end - 1}" if end > low else "none"
        raise ModuleInvalid(f"{name} is {array[tuple(at)]}; expected {expected}", where)
