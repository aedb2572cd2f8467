"""A configured chip as the simulator sees it: plain arrays, checked before anything runs.

The arrays are those of a .tnbin file (docs/config-format.md), under the same names. N cores, A axons and M neurons
a core, U unique crossbars, V unique axon type vectors, T neuron types, K input connections.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import FormatError

Array = npt.NDArray[Any]

UNCONNECTED = -1  # the neuron computes, its spikes go nowhere
DISABLED = -2  # as UNCONNECTED; how IBM's model files mark neurons outside the network
OUTPUT = -3  # the neuron's spikes leave the chip on output pin target_axon

MAX_CORES = 1 << 20
MAX_PLACES = 1 << 22  # of the mesh of all chips
MAX_AXONS = 256
MAX_NEURONS = 256
MAX_PINS = 1 << 28
DELAY_SLOTS = 16
POTENTIAL_MIN = -(1 << 19)
POTENTIAL_MAX = (1 << 19) - 1

# name: (dtype, trailing shape, least, greatest); the units and symbols are chip.md's
NEURON_FIELDS: dict[str, tuple[str, tuple[int, ...], int, int]] = {
    "weights": ("int16", (4,), -255, 255),  # s_j[g]
    "stochastic_weights": ("uint8", (4,), 0, 1),  # b_j[g]
    "leak": ("int16", (), -255, 255),  # lambda
    "stochastic_leak": ("uint8", (), 0, 1),  # c
    "leak_reversal": ("uint8", (), 0, 1),  # epsilon
    "threshold": ("int32", (), 0, (1 << 18) - 1),  # alpha
    "negative_threshold": ("int32", (), 0, (1 << 18) - 1),  # beta
    "threshold_random_bits": ("uint8", (), 0, 18),  # TM
    "reset_mode": ("uint8", (), 0, 2),  # gamma
    "negative_saturate": ("uint8", (), 0, 1),  # kappa
    "reset_potential": ("int32", (), POTENTIAL_MIN, POTENTIAL_MAX),  # R
    "initial_potential": ("int32", (), POTENTIAL_MIN, POTENTIAL_MAX),  # V(0)
}


@dataclass(frozen=True)
class ChipConfig:
    """Everything the hardware holds. `check()` has passed on every config that an engine is given."""

    axons: int
    neurons: int
    mesh: tuple[int, int, int, int]  # cores along x and y of one chip, chips along x and y
    crossbars: Array  # uint8 [U, A, ceil(M / 8)]: bit j % 8 (least significant first) of byte j // 8 is W[axon, j]
    crossbar_index: Array  # int32 [N]
    axon_types: Array  # uint8 [V, A]
    axon_types_index: Array  # int32 [N]
    neuron_types: dict[str, Array]  # NEURON_FIELDS, each [T, ...]
    neuron_type: Array  # int32 [N, M]; -1 unused: never computes, never draws
    target_core: Array  # int32 [N, M]: a core, or UNCONNECTED, DISABLED, OUTPUT
    target_axon: Array  # int32 [N, M]: an axon, or with OUTPUT a pin; else 0
    target_delay: Array  # uint8 [N, M]: 1..15 where target_core >= 0; else 0
    seed: Array  # uint32 [N]
    core_x: Array  # int32 [N]: mesh coordinates over all chips; all -1 where the chip is not placed
    core_y: Array  # int32 [N]
    layer: Array  # int32 [N]: index into metadata's layers
    input_pin: Array  # int32 [K]: sorted
    input_core: Array  # int32 [K]
    input_axon: Array  # int32 [K]
    input_delay: Array  # uint8 [K]: 1..15; a spike with source tick t is due at t + delay
    output_latency: Array  # int32 [output pins]: ticks from a frame's source tick to its spike on that pin
    input_pins: int
    output_pins: int

    @property
    def n_cores(self) -> int:
        return int(self.neuron_type.shape[0])

    @property
    def latency_ticks(self) -> int:
        """Ticks from a frame's source tick to the tick in which its last output fires."""
        return int(self.output_latency.max(initial=0))

    def used_targets(self) -> Array:
        """int32 [N, M]: target_core, and UNCONNECTED of neurons that are unused, whatever target they are given."""
        found: Array = np.where(self.neuron_type >= 0, self.target_core, np.int32(UNCONNECTED))
        return found

    def arrays(self) -> dict[str, Array]:
        """All arrays by name, neuron type fields as `neuron_types.weights` and so on."""
        found: dict[str, Array] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                found[f.name] = value
        return found | {f"neuron_types.{name}": value for name, value in self.neuron_types.items()}

    def check(self) -> None:
        """Raises FormatError naming the array, core and neuron where a shape, dtype, index or range is illegal."""
        if not (1 <= self.axons <= MAX_AXONS and 1 <= self.neurons <= MAX_NEURONS):
            raise FormatError(
                f"{self.axons} axons and {self.neurons} neurons a core; this simulator takes 1 to {MAX_AXONS} of each"
            )
        if not (0 <= self.input_pins <= MAX_PINS and 0 <= self.output_pins <= MAX_PINS):
            raise FormatError(f"{self.input_pins} input and {self.output_pins} output pins: out of range")
        if len(self.mesh) != 4 or min(self.mesh) < 1 or math.prod(self.mesh) > MAX_PLACES:
            raise FormatError(
                f"mesh is {self.mesh}; expected cores per chip and chips, each along x and y, "
                f"of up to {MAX_PLACES} places"
            )
        self._check_shapes()
        self._check_tables()
        self._check_neurons()
        self._check_pins()
        self._check_coordinates()

    def _check_shapes(self) -> None:
        if self.neuron_type.ndim != 2:
            raise FormatError(f"neuron_type has shape {self.neuron_type.shape}; expected [cores, neurons]")
        n, types = self.n_cores, _length(self.neuron_types.get("leak"), "neuron_types.leak")
        if n > MAX_CORES:
            raise FormatError(f"{n} cores; this simulator takes at most {MAX_CORES}")
        per_core, connections = (n, self.neurons), (_length(self.input_pin, "input_pin"),)
        expected: dict[str, tuple[str, tuple[int, ...]]] = {
            "crossbars": ("uint8", (_length(self.crossbars, "crossbars"), self.axons, (self.neurons + 7) // 8)),
            "axon_types": ("uint8", (_length(self.axon_types, "axon_types"), self.axons)),
            **dict.fromkeys(("crossbar_index", "axon_types_index", "core_x", "core_y", "layer"), ("int32", (n,))),
            "seed": ("uint32", (n,)),
            **dict.fromkeys(("neuron_type", "target_core", "target_axon"), ("int32", per_core)),
            "target_delay": ("uint8", per_core),
            **dict.fromkeys(("input_pin", "input_core", "input_axon"), ("int32", connections)),
            "input_delay": ("uint8", connections),
            "output_latency": ("int32", (self.output_pins,)),
            **{f"neuron_types.{name}": (dtype, (types, *tail)) for name, (dtype, tail, *_) in NEURON_FIELDS.items()},
        }
        arrays = self.arrays()
        if missing := sorted(expected.keys() - arrays.keys()):
            raise FormatError(f"array {missing[0]} is missing")
        for name, (dtype, shape) in expected.items():
            array = arrays[name]
            if array.dtype != np.dtype(dtype) or array.shape != shape:
                raise FormatError(f"array {name} is {array.dtype}{list(array.shape)}; expected {dtype}{list(shape)}")
            if not array.flags.c_contiguous:
                raise FormatError(f"array {name} is not C-contiguous")

    def _check_tables(self) -> None:
        for name, (_, _, low, high) in NEURON_FIELDS.items():
            outside = (self.neuron_types[name] < low) | (self.neuron_types[name] > high)
            bad = np.flatnonzero(outside.any(axis=tuple(range(1, outside.ndim))))
            if bad.size:
                where = np.argwhere(self.neuron_type == bad[0])
                user = f"core {where[0][0]}, neuron {where[0][1]}" if where.size else "no neuron"
                value = self.neuron_types[name][bad[0]]
                raise FormatError(
                    f"neuron type {bad[0]} (used by {user}): {name} is {value.tolist()}; the range is {low}..{high}"
                )
        _in_range("axon_types", self.axon_types, 0, 4, "axon type table", "axon")
        _in_range("crossbar_index", self.crossbar_index, 0, len(self.crossbars), "core")
        _in_range("axon_types_index", self.axon_types_index, 0, len(self.axon_types), "core")
        _in_range("layer", self.layer, 0, 1 << 31, "core")

    def _check_neurons(self) -> None:
        n = self.n_cores
        _in_range("neuron_type", self.neuron_type, -1, len(self.neuron_types["leak"]), "core", "neuron")
        _in_range("target_core", self.target_core, OUTPUT, n, "core", "neuron")
        routed, output = self.target_core >= 0, self.target_core == OUTPUT
        limit = np.where(routed, self.axons, np.where(output, self.output_pins, 1))
        _require("target_axon", self.target_axon, (self.target_axon >= 0) & (self.target_axon < limit))
        delay_ok = np.where(
            routed, (self.target_delay >= 1) & (self.target_delay < DELAY_SLOTS), self.target_delay == 0
        )
        _require("target_delay", self.target_delay, delay_ok)
        draws = np.flatnonzero(self._draws())
        if draws.size and np.any(self.seed == 0):
            unseeded = np.flatnonzero(self.seed == 0)
            hit = np.isin(self.neuron_type[unseeded], draws)
            if hit.any():
                core, neuron = np.argwhere(hit)[0]
                raise FormatError(
                    f"core {unseeded[core]} has seed 0, where the random generator stands still, "
                    f"but its neuron {neuron} draws"
                )

    def _draws(self) -> Array:
        """bool [T]: whether a neuron of that type ever draws a random number."""
        types = self.neuron_types
        found: Array = (
            (types["threshold_random_bits"] > 0)
            | (types["stochastic_leak"] > 0)
            | (types["stochastic_weights"] > 0).any(axis=1)
        )
        return found

    def _check_pins(self) -> None:
        _in_range("input_pin", self.input_pin, 0, self.input_pins, "input connection")
        _in_range("input_core", self.input_core, 0, self.n_cores, "input connection")
        _in_range("input_axon", self.input_axon, 0, self.axons, "input connection")
        _in_range("input_delay", self.input_delay, 1, DELAY_SLOTS, "input connection")
        _in_range("output_latency", self.output_latency, 0, 1 << 20, "output pin")
        if self.input_pin.size and np.any(np.diff(self.input_pin) < 0):
            raise FormatError("array input_pin is not sorted")

    def _check_coordinates(self) -> None:
        mesh_x, mesh_y, chips_x, chips_y = self.mesh
        width, height = mesh_x * chips_x, mesh_y * chips_y
        if self.n_cores and np.all(self.core_x == -1) and np.all(self.core_y == -1):
            return
        _in_range("core_x", self.core_x, 0, width, "core")
        _in_range("core_y", self.core_y, 0, height, "core")
        place = self.core_y.astype(np.int64) * width + self.core_x
        order = np.argsort(place, kind="stable")
        twice = np.flatnonzero(np.diff(place[order]) == 0)
        if twice.size:
            a, b = order[twice[0]], order[twice[0] + 1]
            raise FormatError(f"cores {a} and {b} are both at ({self.core_x[a]}, {self.core_y[a]})")


def _length(array: Array | None, name: str) -> int:
    if array is None:
        raise FormatError(f"array {name} is missing")
    if array.ndim < 1:
        raise FormatError(f"array {name} is a scalar")
    return int(array.shape[0])


def _require(name: str, array: Array, ok: Array) -> None:
    if not np.all(ok):
        core, neuron = np.argwhere(~ok)[0]
        raise FormatError(f"core {core}, neuron {neuron}: {name} is {array[core, neuron]}, out of range")


def _in_range(name: str, array: Array, low: int, end: int, *axes: str) -> None:
    """Every element in low..end - 1, else an error that names the place by `axes`."""
    if array.size and (int(array.min()) < low or int(array.max()) >= end):
        at = np.argwhere((array < low) | (array >= end))[0]
        where = ", ".join(f"{axis} {i}" for axis, i in zip(axes, at, strict=True))
        raise FormatError(f"{where}: {name} is {array[tuple(at)]}; expected {low}..{end - 1}")
