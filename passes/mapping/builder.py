"""Collects blocks of cores with provisional numbers and turns them into a netlist."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.chip import Chip
from tncc.ir.netlist import AXON_TYPES, NEURON_FIELDS, OUTPUT, UNCONNECTED, Layer, Netlist, Port
from tncc.passes.mapping.connections import Connections
from tncc.passes.mapping.crossbars import unique_rows

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class CoreBlock:
    """Cores that implement one layer, or a stage of splitters or relays.

    crossbars: uint8 [different, axons, bytes]; crossbar_index: int64 [cores]; axon_types: uint8 [cores, axons];
    leak: int64 [cores, neurons]; weighting: int64 [cores, neurons], the row of strengths: int16 [kinds, AXON_TYPES];
    used: bool [cores, neurons].
    """

    name: str
    kind: str
    location: str
    note: dict[str, Any]
    crossbars: Array = field(repr=False)
    crossbar_index: Array = field(repr=False)
    axon_types: Array = field(repr=False)
    leak: Array = field(repr=False)
    weighting: Array = field(repr=False)
    strengths: Array = field(repr=False)
    used: Array = field(repr=False)

    @property
    def cores(self) -> int:
        return int(self.used.shape[0])


@dataclass(frozen=True)
class _Wires:
    """Connections of a block: flat [core, neuron] slots in the block, and what each drives."""

    slot: Array
    core: Array
    axon: Array
    delay: Array


class Builder:
    """Blocks are added consumers first; core numbers handed out meanwhile are provisional."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.cores = 0
        self._blocks: list[CoreBlock] = []
        self._wires: list[_Wires] = []

    def add(self, block: CoreBlock, wanted: Connections, slot: Array, fires: int) -> None:
        """Adds a block whose neuron slot[i] (flat within the block) makes connection i, firing in tick `fires`."""
        delay = np.where(wanted.core == OUTPUT, 0, wanted.due - fires)
        self._blocks.append(block)
        self._wires.append(_Wires(slot, wanted.core, wanted.axon, delay))
        self.cores += block.cores

    def add_fanout(
        self,
        name: str,
        kind: str,
        sizes: Array,
        crossbars: tuple[Array, Array],
        wanted: Connections,
        slot: Array,
        fires: int,
    ) -> None:
        """Adds splitter or relay cores: axon a of a core repeats its spikes on sizes[core, a] neurons."""
        used = np.arange(self.chip.neurons) < sizes.sum(axis=1)[:, None]
        note = {"fires_tick": fires, "axons": int((sizes > 0).sum()), "neurons": int(sizes.sum()), "limit": "neurons"}
        block = CoreBlock(
            name=name,
            kind=kind,
            location=name,
            note=note,
            crossbars=crossbars[0],
            crossbar_index=crossbars[1],
            axon_types=np.zeros(sizes.shape, np.uint8),
            leak=np.zeros(used.shape, np.int64),
            weighting=np.zeros(used.shape, np.int64),
            strengths=np.eye(1, AXON_TYPES, dtype=np.int16),
            used=used,
        )
        self.add(block, wanted, slot, fires)

    def finish(self, pins: Connections, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Netlist:
        """The netlist; pins are the connections that the host makes, by input element."""
        chip = self.chip
        blocks, wires = self._blocks[::-1], self._wires[::-1]
        sizes = [block.cores for block in blocks]
        first_final = np.cumsum([0, *sizes])
        number = np.empty(self.cores, np.int64)  # final number of every provisional one
        first_provisional = self.cores
        for size, first in zip(sizes, first_final[:-1], strict=True):
            first_provisional -= size
            number[first_provisional : first_provisional + size] = first + np.arange(size)

        shape = (self.cores, chip.neurons)
        target_core = np.full(shape, UNCONNECTED, np.int32)
        target_axon = np.zeros(shape, np.int32)
        target_delay = np.zeros(shape, np.uint8)
        for wire, first in zip(wires, first_final[:-1], strict=True):
            slot = first * chip.neurons + wire.slot
            target_core.reshape(-1)[slot] = np.where(wire.core >= 0, number[np.maximum(wire.core, 0)], wire.core)
            target_axon.reshape(-1)[slot] = wire.axon
            target_delay.reshape(-1)[slot] = wire.delay
        crossbars, crossbar_index = _merge(
            [block.crossbars for block in blocks], [block.crossbar_index for block in blocks], chip
        )
        axon_types, axon_types_index = _axon_types(blocks, chip)
        neuron_types, neuron_type = _neuron_types(blocks, shape)
        input_core = number[pins.core]
        order = np.lexsort((pins.axon, input_core, pins.element))
        return Netlist(
            chip=chip,
            crossbars=crossbars,
            crossbar_index=crossbar_index,
            axon_types=axon_types,
            axon_types_index=axon_types_index,
            neuron_types=neuron_types,
            neuron_type=neuron_type,
            target_core=target_core,
            target_axon=target_axon,
            target_delay=target_delay,
            seed=np.arange(1, self.cores + 1, dtype=np.uint32),
            core_x=np.full(self.cores, -1, np.int32),
            core_y=np.full(self.cores, -1, np.int32),
            layer=np.repeat(np.arange(len(blocks)), sizes).astype(np.int32),
            layers=tuple(Layer(block.name, block.kind, block.location, block.note) for block in blocks),
            input_pin=pins.element[order].astype(np.int32),
            input_core=input_core[order].astype(np.int32),
            input_axon=pins.axon[order].astype(np.int32),
            input_delay=pins.due[order].astype(np.uint8),
            inputs=inputs,
            outputs=outputs,
        )


def _merge(tables: list[Array], indices: list[Array], chip: Chip) -> tuple[Array, Array]:
    """One crossbar table for all blocks."""
    width = (chip.neurons + 7) // 8
    if not tables:
        return np.zeros((0, chip.axons, width), np.uint8), np.zeros(0, np.int32)
    firsts = np.cumsum([0] + [len(table) for table in tables])
    joined = np.concatenate(tables)
    representatives, rank = unique_rows(joined.reshape(len(joined), -1))
    index = np.concatenate([rank[index + first] for index, first in zip(indices, firsts[:-1], strict=True)])
    return np.ascontiguousarray(joined[representatives]), index.astype(np.int32)


def _axon_types(blocks: list[CoreBlock], chip: Chip) -> tuple[Array, Array]:
    if not blocks:
        return np.zeros((0, chip.axons), np.uint8), np.zeros(0, np.int32)
    rows = np.concatenate([block.axon_types for block in blocks])
    representatives, index = unique_rows(rows)
    return np.ascontiguousarray(rows[representatives]), index.astype(np.int32)


def _neuron_types(blocks: list[CoreBlock], shape: tuple[int, int]) -> tuple[dict[str, Array], Array]:
    """One neuron type for every different leak and strengths: chip.md's trinary neuron, with other strengths."""
    leak = np.concatenate([block.leak for block in blocks]) if blocks else np.zeros(shape, np.int64)
    used = np.concatenate([block.used for block in blocks]) if blocks else np.zeros(shape, bool)
    tables = np.concatenate([block.strengths for block in blocks]) if blocks else np.zeros((0, AXON_TYPES), np.int16)
    strengths, row = np.unique(tables, axis=0, return_inverse=True)
    firsts = np.cumsum([0] + [len(block.strengths) for block in blocks])
    kinds = [row.reshape(-1)[first + block.weighting] for block, first in zip(blocks, firsts, strict=False)]
    kind = np.concatenate(kinds) if blocks else np.zeros(shape, np.int64)
    span = 1 << 20  # more than leaks there are
    key = np.where(used, kind * span + leak + span // 2, 0)
    keys = np.unique(key[used])
    types = {name: np.zeros((keys.size, *tail), np.dtype(dtype)) for name, (dtype, tail) in NEURON_FIELDS.items()}
    types["weights"][:] = strengths[keys // span]
    types["leak"][:] = keys % span - span // 2
    types["threshold"][:] = 1
    types["negative_saturate"][:] = 1
    index = np.where(used, np.searchsorted(keys, key), -1).astype(np.int32)
    return types, index
