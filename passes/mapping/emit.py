"""Writes the netlist: cores, crossbars, neuron copies and connections for the decisions that the search took.

Layers are emitted in reverse topological order, like the search: the consumers' axons are known before the neurons
that drive them. Core numbers are provisional until `finish` reverses them into topological order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import ChipLimit
from tncc.ir.chip import Chip
from tncc.ir.interpreter import reachable_thresholds
from tncc.ir.netlist import OUTPUT, Netlist, Port
from tncc.passes.mapping.bound import least_cores
from tncc.passes.mapping.builder import Builder, CoreBlock
from tncc.passes.mapping.connections import Connections, Schedule
from tncc.passes.mapping.crossbars import conv_crossbars
from tncc.passes.mapping.fanout import fan_out
from tncc.passes.mapping.model import LayerModel, Subsets
from tncc.passes.mapping.packing import pack
from tncc.passes.mapping.search import Decision
from tncc.passes.mapping.tilings import Tiling
from tncc.passes.mapping.wiring import Network, SpikingLayer

Array = npt.NDArray[Any]


def schedule(network: Network, decisions: list[Decision], input_levels: int) -> Schedule:
    """Every layer fires as soon as its last operand has arrived."""
    fires = [0] * len(network.inputs)
    levels = [input_levels] * len(network.inputs) + [decision.fanout_levels for decision in decisions]
    for layer in network.layers:
        fires.append(1 + max((fires[k] + levels[k] for k in layer.sources), default=0))
    starts = np.array([source.first for source in network.sources])
    port = []
    for output in network.outputs:
        sources = np.unique(np.searchsorted(starts, output.elements, side="right") - 1)
        port.append(max((max(fires[k] + levels[k], 1) for k in sources), default=0))
    return Schedule(tuple(fires), tuple(levels), tuple(port))


def emit(network: Network, chip: Chip, decisions: list[Decision], input_levels: int) -> Netlist:
    """The netlist, not yet placed. Raises CompileError where the chip has too few cores or a leak is out of range."""
    times = schedule(network, decisions, input_levels)
    builder = Builder(chip)
    demands = _port_demands(network, times)
    least = least_cores(network, chip)
    for layer in reversed(network.layers):
        k = len(network.inputs) + layer.index
        wanted = fan_out(builder, network.sources[k].name, Connections.join(demands.pop(k)), times, k)
        _emit_layer(network, builder, layer, decisions[layer.index], wanted, times, least[layer.index], demands)
    pins = []
    for k in reversed(range(len(network.inputs))):
        pins.append(fan_out(builder, network.sources[k].name, Connections.join(demands.pop(k)), times, k))
    inputs = tuple(
        Port(value.name, value.type, source.first)
        for value, source in zip(network.inputs, network.sources, strict=False)
    )
    outputs = []
    first = 0
    for port, latency in zip(network.outputs, times.port, strict=True):
        outputs.append(Port(port.value.name, port.value.type, first, latency))
        first += port.elements.size
    return builder.finish(Connections.join(pins), inputs, tuple(outputs))


def _port_demands(network: Network, times: Schedule) -> dict[int, list[Connections]]:
    demands: dict[int, list[Connections]] = {k: [] for k in range(len(network.sources))}
    first = 0
    for port, due in zip(network.outputs, times.port, strict=True):
        pins = first + np.arange(port.elements.size)
        _ask(network, demands, Connections.of(port.elements, OUTPUT, pins, due))
        first += port.elements.size
    return demands


def _ask(network: Network, demands: dict[int, list[Connections]], wanted: Connections) -> None:
    """Files connections under their sources."""
    starts = np.array([source.first for source in network.sources])
    source = np.searchsorted(starts, wanted.element, side="right") - 1
    for k in np.unique(source):
        demands[int(k)].append(wanted.take(source == k))


def _live_model(layer: SpikingLayer, copies: Array) -> LayerModel:
    """The layer's model; features that nobody needs have their weights cleared, so that they ask for no input."""
    dead = copies.reshape(-1, layer.positions).sum(axis=1) == 0
    if not dead.any():
        return LayerModel(layer)
    weight = layer.op.weight.copy()
    weight[dead] = 0
    return LayerModel(replace(layer, op=replace(layer.op, weight=weight)))


def _emit_layer(
    network: Network,
    builder: Builder,
    layer: SpikingLayer,
    decision: Decision,
    wanted: Connections,
    times: Schedule,
    least: int,
    demands: dict[int, list[Connections]],
) -> None:
    source = network.source_of(layer.index)
    copies = np.bincount(wanted.element - source.first, minlength=source.size)
    model = _live_model(layer, copies)
    subsets = model.subsets(decision.split)
    tiling = decision.tiling
    axons = model.axons(tiling, subsets)
    neurons = model.neurons(tiling, subsets, copies)
    chip = builder.chip
    # by tile first: units that share a core lie at one place of the feature map, so their wires go the same way
    cores, count = pack(axons.T.ravel(), neurons.T.ravel(), chip.axons, chip.neurons)
    core_of_unit = np.ascontiguousarray(cores.reshape(axons.T.shape).T)

    first_core = builder.cores
    axon_core, axon_digit, axon_input, axon = _axons(model, tiling, subsets, core_of_unit)
    core_of_output = core_of_unit[subsets.subset[:, None], tiling.tile[None, :]].reshape(-1)
    alive = np.flatnonzero(copies)
    alive = alive[np.argsort(core_of_output[alive], kind="stable")]
    core = np.repeat(core_of_output[alive], copies[alive])
    output = np.repeat(alive, copies[alive])
    neuron = np.arange(core.size) - np.searchsorted(core, core)

    base = np.full(source.size, -1, np.int64)  # of each output's first copy, in the flat [core, neuron] space
    base[alive] = (core * chip.neurons + neuron)[np.cumsum(copies[alive]) - copies[alive]]
    wanted = wanted.sorted()
    rank = np.arange(wanted.size) - np.searchsorted(wanted.element, wanted.element)
    slot = base[wanted.element - source.first] + rank

    axon_table = np.full((count, chip.axons), -1, np.int64)
    axon_table[axon_core, axon] = axon_input * layer.code.digits + axon_digit
    axon_types = np.zeros((count, chip.axons), np.uint8)
    axon_types[axon_core, axon] = np.array(layer.code.types, np.uint8)[axon_digit]
    neuron_table = np.full((count, chip.neurons), -1, np.int64)
    neuron_table[core, neuron] = output
    crossbars, crossbar_index = conv_crossbars(layer, axon_table, neuron_table)

    leak = np.zeros((count, chip.neurons), np.int64)
    leak[core, neuron] = _leaks(layer, chip)[output]
    weighting = np.zeros((count, chip.neurons), np.int64)
    weighting[core, neuron] = layer.code.kind[output // layer.positions]
    builder.add(
        CoreBlock(
            name=layer.op.location.nodes[0],
            kind="conv",
            location=str(layer.op.location),
            note=_note(layer, decision, subsets, copies, count, axon_core.size, core.size, least, chip),
            crossbars=crossbars,
            crossbar_index=crossbar_index,
            axon_types=axon_types,
            leak=leak,
            weighting=weighting,
            strengths=layer.code.strengths,
            used=neuron_table >= 0,
        ),
        wanted,
        slot,
        times.fires[len(network.inputs) + layer.index],
    )
    fires = times.fires[len(network.inputs) + layer.index]
    _ask(network, demands, Connections.of(layer.operand[axon_input], first_core + axon_core, axon, fires))


def _axons(
    model: LayerModel, tiling: Tiling, subsets: Subsets, core_of_unit: Array
) -> tuple[Array, Array, Array, Array]:
    """(core, digit, operand element, axon) of every axon in use, sorted by core and axon; low types come first."""
    tile, position, taps = model.windows(tiling)
    size = model.layer.in_shape[0] * model.in_positions
    digits = model.layer.code.digits
    keys = []
    for m, mask in enumerate(subsets.masks):
        used = taps[:, mask].any(axis=1)
        rows = np.flatnonzero(subsets.row_mask == m)
        core = core_of_unit[subsets.row_subset[rows][:, None], tile[used][None, :]]
        element = subsets.row_channel[rows][:, None] * model.in_positions + position[used][None, :]
        key = (core * digits + subsets.row_digit[rows][:, None]) * size + element
        keys.append(key[core >= 0])
    key = np.sort(np.concatenate(keys)) if keys else np.zeros(0, np.int64)
    key = key[np.concatenate(([True], key[1:] != key[:-1]))[: key.size]]
    core, digit, element = key // size // digits, key // size % digits, key % size
    return core, digit, element, np.arange(core.size) - np.searchsorted(core, core)


def _leaks(layer: SpikingLayer, chip: Chip) -> Array:
    """int64 [outputs]: 1 - threshold."""
    leak = 1 - np.broadcast_to(reachable_thresholds(layer.op), layer.op.type.shape).reshape(-1)
    worst = int(np.abs(leak).argmax()) if leak.size else 0
    if leak.size and abs(int(leak[worst])) > chip.max_weight:
        raise ChipLimit(
            f"output feature {worst // layer.positions} needs a leak of {leak[worst]}; "
            f"the chip holds -{chip.max_weight}..{chip.max_weight}",
            layer.op.location,
        )
    return leak


def _note(
    layer: SpikingLayer,
    decision: Decision,
    subsets: Subsets,
    copies: Array,
    cores: int,
    axons: int,
    neurons: int,
    least: int,
    chip: Chip,
) -> dict[str, Any]:
    """What inspect --layers shows; docs/mapping.md says what each entry means."""
    live = copies[copies > 0]
    axon_use, neuron_use = axons / max(1, cores * chip.axons), neurons / max(1, cores * chip.neurons)
    return {
        **({"remark": layer.op.remark} if layer.op.remark else {}),
        "weights": f"{layer.op.weight.min(initial=0)}..{layer.op.weight.max(initial=0)}",
        "axons_per_input": layer.code.digits,
        "tile": decision.tiling.label,
        "tiles": decision.tiling.tiles,
        "feature_subsets": subsets.count,
        "units_per_core": round(decision.tiling.tiles * subsets.count / max(1, cores), 3),
        "copies_min": int(live.min()) if live.size else 0,
        "copies_max": int(live.max(initial=0)),
        "fanout_levels": decision.fanout_levels,
        "least_cores": least,
        "axons": axons,
        "neurons": neurons,
        "limit": "axons" if axon_use >= neuron_use else "neurons",
    }
