"""Chooses for every layer a tiling, a feature split and a fan-out so that the whole network takes few cores.

Layers are visited in reverse topological order: when a layer's turn comes, all its consumers are decided, so the
copies that each of its outputs needs are known. A state is a set of decisions; it is described by what it cost so
far and by the copies that it asks of sources not yet visited (its pending demand). Of states with the same pending
decisions only the cheapest lives; a state that costs no less than another and asks no less of every source dies. On a
chain the pending demand stems from one layer alone, so this is dynamic programming and exact over the candidates; on
a general graph `beam` bounds the number of states and the result is a heuristic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import ChipLimit, FilterTooLarge
from tncc.ir.chip import Chip
from tncc.passes.mapping.model import LayerModel, Subsets
from tncc.passes.mapping.packing import count_cores
from tncc.passes.mapping.tilings import Tiling, candidates, single_positions
from tncc.passes.mapping.wiring import Network, SpikingLayer

Array = npt.NDArray[Any]

MAX_FANOUT_LEVELS = 3  # splitter levels after one layer: 256^3 axons are more than any chip array has
MAX_TILINGS = 24  # tilings tried for every feature split, the coarsest that fit, besides single positions


@dataclass(frozen=True)
class Decision:
    """How one layer is mapped. fanout_levels: 0 where copies in its own cores serve all axons, else splitter levels."""

    tiling: Tiling
    split: int
    fanout_levels: int
    cores: int
    splitter_cores: int


@dataclass(frozen=True)
class _Option:
    model: LayerModel
    tiling: Tiling
    subsets: Subsets
    axons: Array = field(repr=False)  # int64 [subsets, tiles]

    @property
    def total_axons(self) -> int:
        return int(self.axons.sum())


@dataclass(frozen=True)
class _State:
    cores: int
    axons: int  # breaks ties: fewer axons are fewer wires
    pending: dict[int, Array] = field(repr=False)  # source -> int32 [size], copies asked for
    origin: tuple[tuple[int, int], ...]  # (layer, option) that the pending demand stems from
    decision: Decision | None = None
    before: _State | None = field(default=None, repr=False)

    @property
    def cost(self) -> tuple[int, int]:
        return self.cores, self.axons


def fanout_tree(copies: Array, levels: int, chip: Chip) -> tuple[Array, int]:
    """(copies left to the source, splitter cores) with `levels` of splitters. Copies 0 and 1 pass untouched."""
    cores = 0
    for _ in range(levels):
        if chip.neurons < 2:
            break
        many = copies > 1
        whole, rest = np.divmod(copies[many], chip.neurons)
        sizes = np.concatenate((np.full(int(whole.sum()), chip.neurons), rest[rest > 0]))
        cores += count_cores(np.ones(sizes.size, np.int64), sizes, chip.axons, chip.neurons)
        copies = np.where(many, -(-copies // chip.neurons), copies)
    return copies, cores


def output_demand(network: Network) -> dict[int, Array]:
    """Copies that the graph's outputs ask of every source: one for each pin."""
    flat = np.zeros(network.size, np.int32)
    for port in network.outputs:
        flat += np.bincount(port.elements, minlength=network.size).astype(np.int32)
    return {k: flat[source.first : source.first + source.size] for k, source in enumerate(network.sources)}


def search(network: Network, chip: Chip, beam: int, input_levels: int) -> list[Decision]:
    """The decisions, one a layer. input_levels: splitter levels that fan inputs out on the chip; 0: the host does."""
    states = [_State(0, 0, output_demand(network), ())]
    for layer in reversed(network.layers):
        states = _visit(network, chip, layer, states)
        states = _prune(states, beam)
    best = min(states, key=lambda state: _final_cost(network, chip, state, input_levels))
    decisions = []
    walk: _State | None = best
    while walk is not None and walk.decision is not None:
        decisions.append(walk.decision)
        walk = walk.before
    return decisions


def _final_cost(network: Network, chip: Chip, state: _State, input_levels: int) -> tuple[int, int]:
    extra = 0
    if input_levels:
        for k in range(len(network.inputs)):
            extra += fanout_tree(state.pending[k], input_levels, chip)[1]
    return state.cores + extra, state.axons


def _splits(largest: int) -> list[int]:
    found, split = [], 1
    while split < largest:
        found.append(split)
        split = max(split + 1, split * 5 // 4)
    return [*found, largest]


def _options(model: LayerModel, split: int, chip: Chip, copies: int) -> Iterator[_Option]:
    """Every candidate with this feature split whose units fit a core's axons. copies: least copies of any output."""
    subsets = model.subsets(split)
    full = np.flatnonzero(subsets.masks.all(axis=1))
    floor = int(subsets.rows_by_subset[:, full].sum(axis=1).max(initial=0))
    features = int(np.bincount(subsets.subset).max())
    limit = max(1, chip.neurons // features) if split < model.largest_group else chip.neurons
    taken = {True: 0, False: 0}
    too_large: list[tuple[int, int]] = []  # extents of tilings that do not fit: no larger one will
    for tiling in candidates(model.layer, 2 * chip.neurons, floor, chip.axons, limit, copies):
        if tiling.tiles == model.layer.positions:
            break
        direct = tiling.largest * copies <= limit  # else its neurons need splitters
        if taken[direct] == MAX_TILINGS:
            if direct:
                break
            continue
        if any(rows <= tiling.extents[0] and columns <= tiling.extents[1] for rows, columns in too_large):
            continue
        axons = model.axons(tiling, subsets)
        if int(axons.max(initial=0)) <= chip.axons:
            taken[direct] += 1
            yield _Option(model, tiling, subsets, axons)
        elif tiling.extents != (0, 0):
            too_large.append(tiling.extents)
    single = single_positions(model.layer)
    axons = model.axons(single, subsets)
    if int(axons.max(initial=0)) <= chip.axons:
        yield _Option(model, single, subsets, axons)


def _visit(network: Network, chip: Chip, layer: SpikingLayer, states: list[_State]) -> list[_State]:
    model = LayerModel(layer)
    me = len(network.inputs) + layer.index
    fanouts = [_fanouts(state.pending[me], chip) for state in states]
    found: list[_State] = []
    fits, number, enough = False, 0, 0
    copies = min(_least_copies(trees[0][0]) for trees in fanouts)
    for split in _splits(model.largest_group):
        least = 0
        for option in _options(model, split, chip, copies):
            fits = True
            number += 1
            bound = -(-option.total_axons // chip.axons)
            least = min(least or bound, bound)
            if enough and bound > enough:
                continue
            new = _extend(network, chip, model, option, number, states, fanouts)
            found += new
            for state in new:
                assert state.decision is not None
                cores = state.decision.cores + state.decision.splitter_cores
                enough = min(enough or cores * 2 + 8, cores * 2 + 8)
        if enough and least > enough:
            break
    if not fits:
        raise FilterTooLarge(
            f"one filter needs more axons than the {chip.axons} of a core",
            layer.op.location,
            "run split-filter-groups first; it says which filter is too large",
        )
    if not found:
        raise ChipLimit(
            f"one neuron's fan-out does not fit {chip.neurons} neurons a core, even with splitter cores",
            layer.op.location,
            "a chip with more neurons a core",
        )
    return found


def _extend(
    network: Network,
    chip: Chip,
    model: LayerModel,
    option: _Option,
    number: int,
    states: list[_State],
    fanouts: list[list[tuple[Array, int]]],
) -> list[_State]:
    """The cheapest state for every set of pending decisions, with `option` taken for the model's layer."""
    layer = model.layer
    me = len(network.inputs) + layer.index
    best: dict[tuple[tuple[int, int], ...], _State] = {}
    added: dict[int, Array] | None = None
    axon_bound = -(-option.total_axons // chip.axons)
    for state, trees in zip(states, fanouts, strict=True):
        rest = tuple(pair for pair in state.origin if _reads_before(network, pair[0], layer.index))
        origin = (*rest, (layer.index, number))
        known = best.get(origin)
        for levels, (copies, splitters) in enumerate(trees):
            least = max(axon_bound, -(-int(copies.sum()) // chip.neurons)) + splitters + state.cores
            if known is not None and least > known.cores:
                continue
            neurons = model.neurons(option.tiling, option.subsets, copies)
            if int(neurons.max(initial=0)) > chip.neurons:
                continue
            cores = count_cores(option.axons.ravel(), neurons.ravel(), chip.axons, chip.neurons)
            cost = (state.cores + cores + splitters, state.axons + option.total_axons)
            if known is not None and cost >= known.cost:
                continue
            if added is None:
                added = _asked(network, layer, option)
            pending = {k: d for k, d in state.pending.items() if k != me}
            pending |= {k: pending[k] + d for k, d in added.items()}
            decision = Decision(option.tiling, option.subsets.split, levels, cores, splitters)
            known = best[origin] = _State(*cost, pending, origin, decision, state)
    return list(best.values())


def _fanouts(copies: Array, chip: Chip) -> list[tuple[Array, int]]:
    """Copies and splitter cores at 0, 1, ... levels; levels that change nothing are left out."""
    found = [(copies, 0)]
    for levels in range(1, MAX_FANOUT_LEVELS + 1):
        if int(found[-1][0].max(initial=0)) <= 1:
            break
        found.append(fanout_tree(copies, levels, chip))
    return found


def _least_copies(copies: Array) -> int:
    """The fewest copies that any output has; outputs nobody needs do not count."""
    return int(copies[copies > 0].min()) if np.any(copies) else 1


def _reads_before(network: Network, layer: int, visited: int) -> bool:
    """Whether `layer` reads a source that is still to be visited once `visited` is."""
    return any(k < len(network.inputs) + visited for k in network.layers[layer].sources)


def _asked(network: Network, layer: SpikingLayer, option: _Option) -> dict[int, Array]:
    """The option's demand, by source."""
    flat = np.bincount(
        layer.operand, weights=option.model.demand(option.tiling, option.subsets), minlength=network.size
    ).astype(np.int32)
    return {
        k: flat[network.sources[k].first : network.sources[k].first + network.sources[k].size] for k in layer.sources
    }


def _prune(states: list[_State], beam: int) -> list[_State]:
    """The undominated states, the `beam` cheapest of them."""
    kept: list[_State] = []
    for state in sorted(states, key=lambda state: state.cost):
        if not any(_asks_no_more(other, state) for other in kept):
            kept.append(state)
            if len(kept) == beam:
                break
    return kept


def _asks_no_more(one: _State, other: _State) -> bool:
    return all(one.pending[k] is d or bool(np.all(one.pending[k] <= d)) for k, d in other.pending.items())
