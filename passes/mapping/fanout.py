"""Splitter and relay cores, for the connections that a source cannot make itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.netlist import OUTPUT
from tncc.passes.mapping.builder import Builder
from tncc.passes.mapping.connections import Connections, Schedule
from tncc.passes.mapping.crossbars import splitter_crossbars
from tncc.passes.mapping.packing import pack

Array = npt.NDArray[Any]


def fan_out(builder: Builder, name: str, wanted: Connections, times: Schedule, source: int) -> Connections:
    """The connections that the source itself makes, once splitter and relay cores are built for all others."""
    fires = times.fires[source]  # inputs fire in tick 0, every layer later
    return _fan_out(builder, name, wanted, fires, times.levels[source], fires > 0)


def _fan_out(builder: Builder, name: str, wanted: Connections, fires: int, levels: int, is_neuron: bool) -> Connections:
    """Connections for a source that fires in tick `fires`; see fan_out. Inputs (not is_neuron) reach no output pin."""
    if not wanted.size:
        return wanted
    pin = wanted.core == OUTPUT
    delay = wanted.due - fires
    longest = builder.chip.max_delay_ticks
    direct = np.where(pin, (delay == 0) & is_neuron, delay <= longest)
    # when the stage fires that serves a connection the source does not serve: a pin's exactly when it is due
    stage = np.where(pin, np.minimum(wanted.due, fires + longest), fires + longest)
    if levels:
        first = np.unique(wanted.element, return_inverse=True, return_counts=True)
        many = first[2][first[1].reshape(-1)] > 1
        direct &= ~many
        stage = np.where(many, fires + 1, stage)
    kept = [wanted.take(direct)]
    for tick in np.unique(stage[~direct]):
        part = wanted.take(~direct & (stage == tick))
        below = _fan_out(builder, name, part, int(tick), max(0, levels - 1) if tick == fires + 1 else 0, True)
        kept.append(_build_stage(builder, name, below, int(tick), "splitter" if levels else "relay"))
    return Connections.join(kept)


def _build_stage(builder: Builder, name: str, wanted: Connections, fires: int, kind: str) -> Connections:
    """Cores whose neurons fire in tick `fires` and make the connections `wanted`; returns what drives them."""
    chip = builder.chip
    wanted = wanted.sorted()
    rank = np.arange(wanted.size) - np.searchsorted(wanted.element, wanted.element)
    starts = np.flatnonzero(rank % chip.neurons == 0)  # an item: connections of one element, at most a core's neurons
    item = np.cumsum(rank % chip.neurons == 0) - 1
    order = np.lexsort((wanted.element[starts], wanted.core[starts]))  # near targets share a core
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    item_size = np.bincount(item)[order]
    core, count = pack(np.ones(order.size, np.int64), item_size, chip.axons, chip.neurons)
    by_core = np.argsort(core, kind="stable")
    axon = np.empty(order.size, np.int64)
    sorted_core = core[by_core]
    axon[by_core] = np.arange(order.size) - np.searchsorted(sorted_core, sorted_core)
    sizes = np.zeros((count, chip.axons), np.int64)
    sizes[core, axon] = item_size
    first_neuron = (np.cumsum(sizes, axis=1) - sizes)[core, axon]

    mine = place[item]
    slot = core[mine] * chip.neurons + first_neuron[mine] + rank % chip.neurons
    first_core = builder.cores
    builder.add_fanout(f"{kind}s of {name}", kind, sizes, splitter_crossbars(sizes, chip.neurons), wanted, slot, fires)
    return Connections.of(wanted.element[starts][order], first_core + core, axon, fires)
