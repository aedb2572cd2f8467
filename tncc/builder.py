"""Build a chip by hand: cores, crossbars, neurons and connections, without any network model.

builder = ChipBuilder(axons=4, neurons=4)
core = builder.core(seed=1)
core.crossbar[0, 0] = True                             # axon 0 drives neuron 0
core.neuron(0, Neuron(weights=(3, 0, 0, 0), threshold=9))
builder.connect_input(0, core, 0)                      # input pin 0 -> axon 0
builder.connect_output(core, 0, 0)                     # neuron 0 -> output pin 0
config = builder.build()                               # for any engine; builder.program() to save it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import FormatError, InputError
from tncc.runtime.canonical import canonical
from tncc.runtime.config import (
    DELAY_SLOTS,
    MAX_PINS,
    NEURON_FIELDS,
    OUTPUT,
    UNCONNECTED,
    ChipConfig,
)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Neuron:
    """One neuron's parameters (docs/chip-semantics.md). The defaults make a memoryless neuron that fires on any +1.

    Attributes:
        weights: added per active synapse, by the axon's type; each -255..255.
        stochastic_weights: per type, 1: each synapse adds the weight's sign with probability about |weight| / 256.
        leak: added every tick, -255..255.
        stochastic_leak: 1: the leak's sign is added with probability about |leak| / 256.
        leak_reversal: 1: the leak is multiplied by the sign of the potential (towards 0 where it is negative).
        threshold: the neuron fires at or above it; 0..2^18 - 1.
        negative_threshold: the potential's floor is its negative; 0..2^18 - 1.
        threshold_random_bits: that many random low bits are added to the threshold each tick; 0..18.
        reset_mode: on a spike 0: go to reset_potential; 1: subtract the threshold; 2: hold at the threshold.
        negative_saturate: below the floor 1: stay at it; 0: reset as reset_mode says, with opposite sign.
        reset_potential, initial_potential: 20-bit signed.
    """

    weights: tuple[int, int, int, int] = (1, -1, 0, 0)
    stochastic_weights: tuple[int, int, int, int] = (0, 0, 0, 0)
    leak: int = 0
    stochastic_leak: int = 0
    leak_reversal: int = 0
    threshold: int = 1
    negative_threshold: int = 0
    threshold_random_bits: int = 0
    reset_mode: int = 0
    negative_saturate: int = 1
    reset_potential: int = 0
    initial_potential: int = 0

    def __post_init__(self) -> None:
        for name, (_, shape, low, high) in NEURON_FIELDS.items():
            value = getattr(self, name)
            values = value if shape else (value,)
            count = shape[0] if shape else 1
            if len(values) != count or not all(isinstance(v, int | np.integer) and low <= v <= high for v in values):
                expected = f"{count} integers" if shape else "an integer"
                raise InputError(f"neuron parameter {name} is {value}; expected {expected} in {low}..{high}")


class Core:
    """A core under construction.

    Attributes:
        index: its number on the chip.
        crossbar: bool [axons, neurons], to be set by the caller.
        axon_types: uint8 [axons], 0..3, to be set by the caller.
        seed: start state of its random generator.
    """

    def __init__(self, index: int, axons: int, neurons: int, seed: int, place: tuple[int, int]) -> None:
        self.index, self.seed, self.place = index, seed, place
        self.crossbar = np.zeros((axons, neurons), np.bool_)
        self.axon_types = np.zeros(axons, np.uint8)
        self._neurons: list[Neuron] = []
        self._neuron_type = np.full(neurons, -1, np.int32)  # index into _neurons
        self._target_core = np.full(neurons, UNCONNECTED, np.int32)
        self._target_axon = np.zeros(neurons, np.int32)
        self._target_delay = np.zeros(neurons, np.uint8)

    def neuron(self, neurons: npt.ArrayLike, parameters: Neuron) -> None:
        """Gives neuron `neurons`, an index or an array of indices, its parameters. Others stay unused."""
        self._neuron_type[_indices(neurons, len(self._neuron_type), f"core {self.index}: neuron")] = len(self._neurons)
        self._neurons.append(parameters)


class ChipBuilder:
    """A chip under construction."""

    def __init__(self, axons: int = 256, neurons: int = 256, mesh: tuple[int, int, int, int] = (64, 64, 1, 1)) -> None:
        """Sizes of every core; mesh: cores along x and y of one chip, chips along x and y."""
        self.axons, self.neurons, self.mesh = axons, neurons, mesh
        self.cores: list[Core] = []
        self._inputs: list[Array] = []  # [4, n]: pin, core, axon, delay

    def core(self, seed: int = 1, place: tuple[int, int] = (-1, -1)) -> Core:
        """A new core. seed: 1..2^32 - 1 where its neurons draw; place: (x, y), for all cores or for none."""
        if not 0 <= seed < 1 << 32:
            raise InputError(f"core {len(self.cores)}: seed is {seed}; expected 0..{(1 << 32) - 1}")
        self.cores.append(Core(len(self.cores), self.axons, self.neurons, seed, place))
        return self.cores[-1]

    def connect(
        self, core: Core, neurons: npt.ArrayLike, target: Core, axons: npt.ArrayLike, delay_ticks: npt.ArrayLike = 1
    ) -> None:
        """Sends the spikes of neurons of `core` to axons of `target`, pairwise; delays 1..15."""
        index, axon, delay = _pairwise(
            _indices(neurons, self.neurons, f"core {core.index}: neuron"),
            _indices(axons, self.axons, f"core {target.index}: axon"),
            _delays(delay_ticks),
        )
        core._target_core[index] = target.index
        core._target_axon[index] = axon
        core._target_delay[index] = delay

    def connect_output(self, core: Core, neurons: npt.ArrayLike, pins: npt.ArrayLike) -> None:
        """Sends the spikes of neurons of `core` off the chip on output pins, pairwise."""
        index, pin = _pairwise(
            _indices(neurons, self.neurons, f"core {core.index}: neuron"), _indices(pins, MAX_PINS, "output pin")
        )
        core._target_core[index] = OUTPUT
        core._target_axon[index] = pin
        core._target_delay[index] = 0

    def connect_input(
        self, pins: npt.ArrayLike, core: Core, axons: npt.ArrayLike, delay_ticks: npt.ArrayLike = 1
    ) -> None:
        """Connects input pins to axons of `core`, pairwise; a pin may have any number of axons. Delays 1..15."""
        pin, axon = _indices(pins, MAX_PINS, "input pin"), _indices(axons, self.axons, f"core {core.index}: axon")
        columns = _pairwise(np.atleast_1d(pin), np.asarray(core.index), axon, _delays(delay_ticks))
        self._inputs.append(np.stack(columns).astype(np.int64))

    def build(self) -> ChipConfig:
        """The chip's configuration, checked. Raises InputError where something is out of range, and says where."""
        n = len(self.cores)
        rows = [neuron for core in self.cores for neuron in core._neurons]
        first = np.cumsum([0, *(len(core._neurons) for core in self.cores)])[:n]
        inputs = np.concatenate([np.zeros((4, 0), np.int64), *self._inputs], axis=1)
        inputs = inputs[:, np.lexsort(inputs[::-1])]
        neuron_type = _stack([core._neuron_type for core in self.cores], np.int32, self.neurons)
        target_core = _stack([core._target_core for core in self.cores], np.int32, self.neurons)
        target_axon = _stack([core._target_axon for core in self.cores], np.int32, self.neurons)
        output_pins = int(target_axon[target_core == OUTPUT].max(initial=-1)) + 1
        places = np.array([core.place for core in self.cores], np.int32).reshape(n, 2)
        crossbars = [np.packbits(core.crossbar, axis=1, bitorder="little") for core in self.cores]
        config = ChipConfig(
            axons=self.axons,
            neurons=self.neurons,
            mesh=self.mesh,
            crossbars=_stack(crossbars, np.uint8, self.axons, -(-self.neurons // 8)),
            crossbar_index=np.arange(n, dtype=np.int32),
            axon_types=_stack([core.axon_types for core in self.cores], np.uint8, self.axons),
            axon_types_index=np.arange(n, dtype=np.int32),
            neuron_types={
                name: np.array([getattr(row, name) for row in rows], dtype).reshape(-1, *shape)
                for name, (dtype, shape, _, _) in NEURON_FIELDS.items()
            },
            neuron_type=np.where(neuron_type >= 0, neuron_type + first[:, None], -1).astype(np.int32),
            target_core=target_core,
            target_axon=target_axon,
            target_delay=_stack([core._target_delay for core in self.cores], np.uint8, self.neurons),
            seed=np.array([core.seed for core in self.cores], np.uint32),
            core_x=np.ascontiguousarray(places[:, 0]),
            core_y=np.ascontiguousarray(places[:, 1]),
            layer=np.zeros(n, np.int32),
            input_pin=inputs[0].astype(np.int32),
            input_core=inputs[1].astype(np.int32),
            input_axon=inputs[2].astype(np.int32),
            input_delay=inputs[3].astype(np.uint8),
            output_latency=np.zeros(output_pins, np.int32),
            input_pins=int(inputs[0].max(initial=-1)) + 1,
            output_pins=output_pins,
        )
        try:
            config = canonical(config)
            config.check()
        except FormatError as error:
            raise InputError(error.message) from None
        return config


def _indices(values: npt.ArrayLike, count: int, what: str) -> Array:
    found = np.asarray(values)
    if not np.issubdtype(found.dtype, np.integer) or found.ndim > 1:
        raise InputError(f"{what}: expected an index or a list of indices, found {found.dtype}{list(found.shape)}")
    bad = found[(found < 0) | (found >= count)]
    if bad.size:
        raise InputError(f"{what} {bad[0]}: out of range; expected 0..{count - 1}")
    return found


def _pairwise(*arrays: Array) -> tuple[Array, ...]:
    try:
        return tuple(np.broadcast_arrays(*arrays))
    except ValueError:
        sizes = " and ".join(str(array.size) for array in arrays if array.ndim)
        raise InputError(f"connections are made pairwise, but {sizes} ends are given") from None


def _delays(values: npt.ArrayLike) -> Array:
    found = np.asarray(values)
    if np.any((found < 1) | (found >= DELAY_SLOTS)):
        raise InputError(f"delay_ticks is {found.tolist()}; expected 1..{DELAY_SLOTS - 1}")
    return found


def _stack(arrays: list[Array], dtype: npt.DTypeLike, *shape: int) -> Array:
    return np.array(arrays, dtype).reshape(-1, *shape)
