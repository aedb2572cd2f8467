"""The core level: the netlist of cores, as a struct of arrays. It scales to 65,536 cores.

N cores, A axons and M neurons a core. Crossbars, axon type vectors and neuron types are stored once and shared.
The .tnbin file has the same arrays under the same names (docs/config-format.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.chip import Chip
from tncc.ir.types import TensorType

Array = npt.NDArray[Any]

# target_core of a neuron that has no target core
UNCONNECTED = -1  # it computes, its spikes go nowhere
DISABLED = -2  # as IBM's files mark neurons that are not part of the network; computes, goes nowhere
OUTPUT = -3  # its spikes leave the chip on output pin target_axon

AXON_TYPES = 4  # strengths that a neuron type has room for

NEURON_FIELDS: dict[str, tuple[str, tuple[int, ...]]] = {
    # name: (dtype, shape of one entry); chip.md's symbol in the comment
    "weights": ("int16", (AXON_TYPES,)),  # s_j[g], -255..255
    "stochastic_weights": ("uint8", (AXON_TYPES,)),  # b_j[g], 0 or 1
    "leak": ("int16", ()),  # lambda, -255..255
    "stochastic_leak": ("uint8", ()),  # c
    "leak_reversal": ("uint8", ()),  # epsilon
    "threshold": ("int32", ()),  # alpha, 0..2^18 - 1
    "negative_threshold": ("int32", ()),  # beta, 0..2^18 - 1
    "threshold_random_bits": ("uint8", ()),  # TM, 0..18 here; IBM's files use 0 and 8
    "reset_mode": ("uint8", ()),  # gamma: 0 reset to reset_potential, 1 subtract, 2 hold
    "negative_saturate": ("uint8", ()),  # kappa
    "reset_potential": ("int32", ()),  # R = sigma_VR (2^VR - 1)
    "initial_potential": ("int32", ()),  # V(0), 20-bit signed
}


@dataclass(frozen=True)
class Port:
    """A tensor that enters or leaves the chip; element i (row-major) is pin first_pin + i."""

    name: str
    type: TensorType
    first_pin: int
    latency_ticks: int = 0  # outputs: ticks from a frame's source tick to the tick in which its spike fires


@dataclass(frozen=True)
class Layer:
    """What a set of cores implements. kind: conv | splitter | relay | import."""

    name: str
    kind: str
    location: str
    note: dict[str, Any] = field(default_factory=dict)  # tile, copies, ...: shown by inspect --layers


@dataclass(frozen=True, eq=False)
class Netlist:
    """A network of cores; equal to another when every array and every field is.

    All arrays are C-contiguous; see each line for dtype and shape.
    """

    chip: Chip
    crossbars: Array  # uint8 [U, A, ceil(M / 8)]: bit j % 8 (least significant first) of byte j // 8 is W[axon, j]
    crossbar_index: Array  # int32 [N]
    axon_types: Array  # uint8 [V, A]: type G_i of every axon
    axon_types_index: Array  # int32 [N]
    neuron_types: dict[str, Array]  # NEURON_FIELDS, each [T, ...]
    neuron_type: Array  # int32 [N, M]: row of neuron_types; -1 unused (never computes)
    target_core: Array  # int32 [N, M]: >= 0 a core, or UNCONNECTED, DISABLED, OUTPUT
    target_axon: Array  # int32 [N, M]: an axon, or with OUTPUT the output pin; else 0
    target_delay: Array  # uint8 [N, M]: 1..15 where target_core >= 0; else 0
    seed: Array  # uint32 [N]: start state of the core's random generator
    core_x: Array  # int32 [N]: global mesh coordinate, -1 before placement
    core_y: Array  # int32 [N]
    layer: Array  # int32 [N]: index into layers
    layers: tuple[Layer, ...]
    input_pin: Array  # int32 [K]: connections from input pins, sorted by (pin, core, axon)
    input_core: Array  # int32 [K]
    input_axon: Array  # int32 [K]
    input_delay: Array  # uint8 [K]: a spike with source tick t is due at t + delay
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    approximations: tuple[str, ...] = ()  # the graph's: why the chip is not exactly the source model

    def arrays(self) -> dict[str, Array]:
        """All arrays by name, neuron type fields as `neuron_types.weights` and so on."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        found = {name: value for name, value in own.items() if isinstance(value, np.ndarray)}
        return found | {f"neuron_types.{name}": value for name, value in self.neuron_types.items()}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Netlist):
            return NotImplemented
        mine, theirs = self.arrays(), other.arrays()
        rest = [f.name for f in fields(self) if f.name not in mine and f.name != "neuron_types"]
        return (
            all(getattr(self, name) == getattr(other, name) for name in rest)
            and mine.keys() == theirs.keys()
            and all(a.dtype == theirs[name].dtype and np.array_equal(a, theirs[name]) for name, a in mine.items())
        )

    @property
    def n_cores(self) -> int:
        return int(self.neuron_type.shape[0])

    @property
    def input_pins(self) -> int:
        return sum(port.type.size for port in self.inputs)

    @property
    def output_pins(self) -> int:
        return sum(port.type.size for port in self.outputs)

    @property
    def placed(self) -> bool:
        return bool(self.n_cores == 0 or np.all(self.core_x >= 0))
