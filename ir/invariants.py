"""Named invariants: what passes require and ensure. Each is a documented generator of every violation.

Adding one is writing one function here; its name in a pipeline is the function's with hyphens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tncc.errors import InvariantBroken
from tncc.ir.axon_code import axon_code
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.netlist import OUTPUT, Netlist
from tncc.ir.ops import WIRING, SpikingConv2d
from tncc.ir.types import Domain
from tncc.ir.verify import ssa_violations
from tncc.ir.verify_netlist import core_name

Array = npt.NDArray[Any]
Module = TypeVar("Module", Graph, Netlist)
SHOWN = 3  # violations quoted in an error


@dataclass(frozen=True)
class Invariant:
    """A property of one IR level. `violations(module, chip)` yields one string a violation; none means it holds."""

    name: str
    level: type[Graph] | type[Netlist]
    doc: str
    violations: Callable[[Any, Chip], Iterator[str]]


_REGISTRY: dict[str, Invariant] = {}


def invariant(
    level: type[Module],
) -> Callable[[Callable[[Module, Chip], Iterator[str]]], Callable[[Module, Chip], Iterator[str]]]:
    """Registers a generator as the invariant of its name."""

    def register(violations: Callable[[Module, Chip], Iterator[str]]) -> Callable[[Module, Chip], Iterator[str]]:
        name = violations.__name__.replace("_", "-")
        _REGISTRY[name] = Invariant(name, level, violations.__doc__ or "", violations)
        return violations

    return register


def invariants() -> dict[str, Invariant]:
    """Every invariant by name."""
    return dict(_REGISTRY)


def applies(name: str, module: Graph | Netlist) -> bool:
    """Whether the invariant speaks of the module's level."""
    return isinstance(module, _REGISTRY[name].level)


def check(name: str, module: Graph | Netlist, chip: Chip, context: str, hint: str = "") -> None:
    """Raises CompileError, starting with `context`, when the invariant is violated or speaks of the other level."""
    found = _REGISTRY[name]
    if not isinstance(module, found.level):
        level = "an nn graph" if found.level is Graph else "a core netlist"
        raise InvariantBroken(f"{context} {name}, which speaks of {level}", hint=hint)
    violations = found.violations(module, chip)
    shown = [text for text, _ in zip(violations, range(SHOWN), strict=False)]
    if shown:
        more = sum(1 for _ in violations)
        shown += [f"and {more} more"] if more else []
        raise InvariantBroken(f"{context} {name}, which does not hold:" + "".join(f"\n  {v}" for v in shown), hint=hint)


# --- nn level ------------------------------------------------------------------------------------------------------


@invariant(Graph)
def ssa(graph: Graph, chip: Chip) -> Iterator[str]:
    """Every value is defined once and before its use, and every output exists."""
    for location, complaint in ssa_violations(graph):
        yield f"{location}: {complaint}"


@invariant(Graph)
def no_real_on_chip(graph: Graph, chip: Chip) -> Iterator[str]:
    """Only spiking convolutions and wiring are left, and every value is spikes."""
    for value in graph.inputs:
        if value.type.domain is not Domain.SPIKES:
            yield f"input {value.name} is {value.type}"
    for op in graph.ops:
        if not isinstance(op, (SpikingConv2d, *WIRING)):
            yield f"{op.location}: {op.mnemonic()} is left between spiking layers"
        elif op.type.domain is not Domain.SPIKES:
            yield f"{op.location}: {op.output} is {op.type}"


@invariant(Graph)
def filters_fit(graph: Graph, chip: Chip) -> Iterator[str]:
    """The features that share cores need, at one position, no more axons than a core has."""
    for op in graph.ops:
        if isinstance(op, SpikingConv2d):
            for label, axons in enumerate(group_axons(op, chip)):
                if axons > chip.axons:
                    yield f"{op.location}: feature group {label} needs {axons} axons; a core has {chip.axons}"


def filter_axons(op: SpikingConv2d, chip: Chip) -> Array:
    """bool [features, axons]: which axons each feature needs at one position: for every input in reach of its
    convolution group those that make up its weight. Features of one convolution group with the same column set share
    that axon."""
    bits = axon_code(op, chip).bits(op.weight).reshape(op.weight.shape[0], -1)
    digits = int(np.bitwise_or.reduce(bits, axis=None, initial=0)).bit_length()
    return np.concatenate([bits >> d & 1 > 0 for d in range(max(1, digits))], axis=1)


def group_axons(op: SpikingConv2d, chip: Chip) -> Array:
    """int64 [labels]: how many axons the features of each label need together at one position."""
    out = op.weight.shape[0]
    used = filter_axons(op, chip)
    # features of one label and one convolution group read the same channels, so their filters overlap
    group = np.arange(out) // (out // op.groups)
    keys, member = np.unique(np.stack([op.feature_groups, group]), axis=1, return_inverse=True)
    union = np.zeros((keys.shape[1], used.shape[1]), bool)
    np.logical_or.at(union, member.reshape(-1), used)
    return np.bincount(keys[0], weights=union.sum(axis=1)).astype(np.int64)


# --- core level ----------------------------------------------------------------------------------------------------


@invariant(Netlist)
def cores_fit(netlist: Netlist, chip: Chip) -> Iterator[str]:
    """The chip has a core for every core of the netlist."""
    if netlist.n_cores > chip.cores:
        counts = np.bincount(netlist.layer, minlength=len(netlist.layers))
        top = [f"{netlist.layers[i].location} uses {counts[i]:,}" for i in np.argsort(-counts, kind="stable")[:SHOWN]]
        yield f"needs {netlist.n_cores:,} cores, the chip has {chip.cores:,}; {', '.join(top)}"


@invariant(Netlist)
def placed(netlist: Netlist, chip: Chip) -> Iterator[str]:
    """Every core sits on one coordinate of the mesh, alone, and not on a defective one."""
    x, y = netlist.core_x, netlist.core_y
    for core in np.flatnonzero((x < 0) | (x >= chip.width) | (y < 0) | (y >= chip.height)):
        yield f"{core_name(netlist, core)} is at ({x[core]}, {y[core]}), not on the {chip.width} x {chip.height} mesh"
    order = np.lexsort((x, y))
    same = (np.diff(x[order]) == 0) & (np.diff(y[order]) == 0) & (x[order][1:] >= 0)
    for i in np.flatnonzero(same):
        yield f"cores {order[i]} and {order[i + 1]} are both at ({x[order[i]]}, {y[order[i]]})"
    if chip.defects:
        defective = np.zeros((chip.height, chip.width), bool)
        defect_x, defect_y = zip(*chip.defects, strict=True)
        defective[list(defect_y), list(defect_x)] = True
        inside = (x >= 0) & (x < chip.width) & (y >= 0) & (y < chip.height)
        for core in np.flatnonzero(inside & defective[np.where(inside, y, 0), np.where(inside, x, 0)]):
            yield f"{core_name(netlist, core)} is at ({x[core]}, {y[core]}), which is defective"


@invariant(Netlist)
def routes_in_range(netlist: Netlist, chip: Chip) -> Iterator[str]:
    """Every spike reaches its axon: hop counts fit the packet, delays the delay ring; the netlist is placed."""
    if not netlist.placed:
        yield "the cores are not placed"
        return
    core, neuron = np.nonzero((netlist.target_core >= 0) & (netlist.neuron_type >= 0))
    target = netlist.target_core[core, neuron]
    for axis, place in (("x", netlist.core_x), ("y", netlist.core_y)):
        hops = place[target] - place[core]
        for i in np.flatnonzero((hops > chip.max_hop) | (hops < -chip.max_hop - 1)):
            yield (
                f"{core_name(netlist, core[i], neuron[i])} sends {hops[i]} hops along {axis} to core {target[i]}; "
                f"a packet goes {-chip.max_hop - 1}..{chip.max_hop}"
            )
    delay = netlist.target_delay[core, neuron]
    for i in np.flatnonzero((delay < 1) | (delay > chip.max_delay_ticks)):
        yield f"{core_name(netlist, core[i], neuron[i])} has a delay of {delay[i]}; 1..{chip.max_delay_ticks} is legal"


@invariant(Netlist)
def axons_driven_once(netlist: Netlist, chip: Chip) -> Iterator[str]:
    """At most one neuron or input pin drives an axon, so no two spikes merge."""
    routed = (netlist.target_core >= 0) & (netlist.neuron_type >= 0)
    cores = np.concatenate([netlist.target_core[routed], netlist.input_core])
    axons = np.concatenate([netlist.target_axon[routed], netlist.input_axon])
    drivers = np.bincount(cores.astype(np.int64) * netlist.chip.axons + axons, minlength=1)
    for slot in np.flatnonzero(drivers > 1):
        place = core_name(netlist, slot // netlist.chip.axons)
        yield f"{place}: axon {slot % netlist.chip.axons} is driven {drivers[slot]} times"


@invariant(Netlist)
def outputs_driven_once(netlist: Netlist, chip: Chip) -> Iterator[str]:
    """Exactly one neuron drives every output pin."""
    pins = netlist.target_axon[(netlist.target_core == OUTPUT) & (netlist.neuron_type >= 0)]
    drivers = np.bincount(pins, minlength=netlist.output_pins)
    for port in netlist.outputs:
        counts = drivers[port.first_pin : port.first_pin + port.type.size]
        for element in np.flatnonzero(counts != 1):
            yield f"output {port.name}, element {element}: driven by {counts[element]} neurons"


@invariant(Netlist)
def synapses_driven(netlist: Netlist, chip: Chip) -> Iterator[str]:
    """Every axon with a synapse is driven by a neuron or an input pin."""
    driven = np.zeros((netlist.n_cores, netlist.chip.axons), bool)
    routed = (netlist.target_core >= 0) & (netlist.neuron_type >= 0)
    driven[netlist.target_core[routed], netlist.target_axon[routed]] = True
    driven[netlist.input_core, netlist.input_axon] = True
    wired: Array = (netlist.crossbars != 0).any(axis=2)
    used = wired[netlist.crossbar_index]
    for core, axon in np.argwhere(used & ~driven):
        yield f"{core_name(netlist, core)}: nothing drives axon {axon}, which has synapses"


@invariant(Netlist)
def frames_aligned(netlist: Netlist, chip: Chip) -> Iterator[str]:
    """All spikes of one frame meet in every core in one tick, and leave on a port's pins in the tick it names.

    Cores that no input reaches, whose neurons hang on their leak alone, may fire at any time.
    """
    fires = firing_ticks(netlist)
    core, neuron = np.nonzero((netlist.target_core >= 0) & (netlist.neuron_type >= 0))
    target = netlist.target_core[core, neuron]
    due = fires[core] + netlist.target_delay[core, neuron]
    for i in np.flatnonzero((fires[core] >= 0) & (due != fires[target])):
        yield (
            f"{core_name(netlist, core[i], neuron[i])}: its spike of a frame is due {due[i]} ticks after the frame, "
            f"but core {target[i]} evaluates that frame after {fires[target[i]]}"
        )
    for i in np.flatnonzero(netlist.input_delay != fires[netlist.input_core]):
        yield (
            f"input pin {netlist.input_pin[i]} reaches core {netlist.input_core[i]} after {netlist.input_delay[i]} "
            f"ticks, but the core evaluates a frame after {fires[netlist.input_core[i]]}"
        )
    pin_latency = np.zeros(netlist.output_pins, np.int64)
    for port in netlist.outputs:
        pin_latency[port.first_pin : port.first_pin + port.type.size] = port.latency_ticks
    core, neuron = np.nonzero((netlist.target_core == OUTPUT) & (netlist.neuron_type >= 0))
    latency = pin_latency[netlist.target_axon[core, neuron]]
    for i in np.flatnonzero((fires[core] >= 0) & (fires[core] != latency)):
        yield (
            f"{core_name(netlist, core[i], neuron[i])} fires {fires[core[i]]} ticks after a frame, "
            f"but its output pin is read after {latency[i]}"
        )


def firing_ticks(netlist: Netlist) -> Array:
    """int64 [cores]: ticks from a frame's source tick to the one in which the core evaluates it; -1 where no input
    reaches. Where paths differ, the first found counts."""
    cores = netlist.n_cores
    source, neuron = np.nonzero((netlist.target_core >= 0) & (netlist.neuron_type >= 0))
    target = netlist.target_core[source, neuron].astype(np.int64)
    delays = netlist.chip.max_delay_ticks + 1
    key = np.sort((source * cores + target) * delays + netlist.target_delay[source, neuron])
    key = key[np.concatenate(([True], key[1:] != key[:-1]))[: key.size]]
    source, target, delay = key // delays // cores, key // delays % cores, key % delays
    late = np.iinfo(np.int64).max
    fires = np.full(cores, late)
    np.minimum.at(fires, netlist.input_core, netlist.input_delay.astype(np.int64))
    first = np.searchsorted(source, np.arange(cores + 1))
    found = np.unique(netlist.input_core)
    while found.size:
        counts = first[found + 1] - first[found]
        edges = np.repeat(first[found] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        edges = edges[fires[target[edges]] == late]
        np.minimum.at(fires, target[edges], fires[source[edges]] + delay[edges])
        found = np.unique(target[edges])
    return np.where(fires == late, -1, fires)
