"""Chooses for every layer a tiling, a feature split and a fan-out so that the whole network takes few cores.

Layers are visited in reverse topological order: when a layer's turn comes, all its consumers are decided, so the
copies that each of its outputs needs are known. A state is a set of decisions; it is described by what it cost so
far and by the copies that it asks of sources not yet visited (its pending demand). Of states with the same pending
decisions only the cheapest lives; a state that costs no less than another and asks no less of every source dies. On a
chain the pending demand stems from one layer alone, so this is dynamic programming and exact over the candidates; on
a general graph `beam` bounds the number of states and the result is a heuristic.

Units are packed only where the state could be the cheapest of its kind by the axons and neurons that it takes at least,
and its demand is summed up only if it is among the cheapest of its layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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
NEVER = 1 << 48  # cores of what no number of cores can hold
TOTALS = 64  # sums by which pending demands are compared first
MAX_TILINGS = 24  # tilings tried for every feature split, the coarsest that fit, besides single positions


_Origin = tuple[tuple[int, int], ...]  # (layer, option) that pending demand stems from


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
    pending: dict[int, Array] = field(repr=False)  # source -> int32 [size], copies asked for; of sources in demand
    origin: _Origin
    decision: Decision | None = None
    before: _State | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _Start:
    """A state with the fan-out of the layer at hand decided. rest: what its demand on other sources stems from."""

    state: _State
    rest: _Origin
    levels: int
    copies: Array = field(repr=False)
    splitters: int

    @property
    def cores(self) -> int:
        return self.state.cores + self.splitters


class _Found(NamedTuple):
    """A start with an option for the layer at hand; ordered by cost, equal ones by when they were found."""

    cores: int
    axons: int
    number: int  # of the option
    start: int  # index
    origin: _Origin
    option: _Option


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
    """Copies that the graph's outputs ask, by source: one for each pin."""
    starts = np.array([source.first for source in network.sources])
    demand: dict[int, Array] = {}
    for port in network.outputs:
        owner = np.searchsorted(starts, port.elements, side="right") - 1
        for k in np.unique(owner).tolist():
            asked = np.bincount(port.elements[owner == k] - starts[k], minlength=network.sources[k].size)
            demand[k] = demand.get(k, 0) + asked.astype(np.int32)
    return demand


def search(network: Network, chip: Chip, beam: int, input_levels: int) -> list[Decision]:
    """The decisions, one a layer. input_levels: splitter levels that fan inputs out on the chip; 0: the host does."""
    costly = range(0 if input_levels else len(network.inputs), len(network.sources))  # the host copies for nothing
    demand = {k: copies for k, copies in output_demand(network).items() if k in costly}
    states = [_State(0, 0, demand, ())]
    for layer in reversed(network.layers):
        states = _Visit(network, chip, layer, costly, states).best(beam)
    best = min(states, key=lambda state: _final_cost(network, chip, state, input_levels))
    decisions = []
    walk: _State | None = best
    while walk is not None and walk.decision is not None:
        decisions.append(walk.decision)
        walk = walk.before
    return decisions


def _final_cost(network: Network, chip: Chip, state: _State, input_levels: int) -> tuple[int, int]:
    inputs = [copies for k, copies in state.pending.items() if k < len(network.inputs)]
    return state.cores + sum(fanout_tree(copies, input_levels, chip)[1] for copies in inputs), state.axons


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
    too_large: list[tuple[int, int]] = []
    for tiling in candidates(model.layer, 2 * chip.neurons, floor, chip.axons, limit, copies, too_large):
        if tiling.tiles == model.layer.positions:
            break
        direct = tiling.largest * copies <= limit  # else its neurons need splitters
        if taken[direct] == MAX_TILINGS:
            if direct:
                break
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


class _Visit:
    """One layer's turn: every state goes on with every way to map the layer."""

    def __init__(self, network: Network, chip: Chip, layer: SpikingLayer, costly: range, states: list[_State]) -> None:
        self.network, self.chip, self.layer = network, chip, layer
        self.me = len(network.inputs) + layer.index
        self.model = LayerModel(layer)
        self.reads = [k for k in layer.sources if k in costly]
        nothing = np.zeros(network.sources[self.me].size, np.int32)
        self.starts = []
        trees: dict[bytes, list[tuple[Array, int]]] = {}
        for state in states:
            rest = tuple(pair for pair in state.origin if self._waits(pair[0], costly))
            copies = state.pending.get(self.me, nothing)
            known = trees.setdefault(copies.tobytes(), [])
            known += [] if known else _fanouts(copies, chip)
            self.starts += [_Start(state, rest, levels, *tree) for levels, tree in enumerate(known)]
        self.start_cores = np.array([start.cores for start in self.starts])
        self.start_axons = np.array([start.state.axons for start in self.starts])
        self.neuron_cores = np.array([-(-int(start.copies.sum()) // chip.neurons) for start in self.starts])
        # which outputs are in demand hangs on no decision
        self.live = self.starts[0].copies > 0

    def _waits(self, layer: int, costly: range) -> bool:
        """Whether `layer` reads a source that is still to be visited after this one."""
        return any(k in costly and k < self.me for k in self.network.layers[layer].sources)

    def best(self, beam: int) -> list[_State]:
        """The undominated states, the `beam` cheapest of them."""
        kept: list[_State] = []
        totals: Array = np.zeros((0, TOTALS), np.int64)
        asked: dict[int, tuple[dict[int, Array], Array]] = {}
        before = [_totals({k: c for k, c in start.state.pending.items() if k != self.me}) for start in self.starts]
        for found in sorted(self._candidates()):
            if found.number not in asked:
                demand = self._asked(found.option)
                asked[found.number] = demand, _totals(demand)
            demand, total = asked[found.number]
            total = before[found.start] + total
            state = self._state(found, demand)
            if any(_asks_no_more(kept[k], state) for k in np.flatnonzero((totals <= total).all(axis=1)).tolist()):
                continue
            kept.append(state)
            totals = np.concatenate((totals, total[None]))
            if len(kept) == beam:
                break
        return kept

    def _candidates(self) -> Iterable[_Found]:
        """The cheapest of every origin."""
        best: dict[_Origin, _Found] = {}
        fits, number, enough = False, 0, 0
        copies = min(_least_copies(start.copies) for start in self.starts if not start.levels)
        for split in _splits(self.model.largest_group):
            least = 0
            for option in _options(self.model, split, self.chip, copies):
                fits = True
                number += 1
                bound = -(-option.total_axons // self.chip.axons)
                least = min(least or bound, bound)
                if enough and bound > enough:
                    continue
                for new in self._extend(option, number, best):
                    cores = 2 * (new.cores - self.starts[new.start].state.cores) + 8
                    enough = min(enough or cores, cores)
            if enough and least > enough:
                break
        if not fits:
            raise FilterTooLarge(
                f"one filter needs more axons than the {self.chip.axons} of a core",
                self.layer.op.location,
                "run split-filter-groups first; it says which filter is too large",
            )
        if not best:
            raise ChipLimit(
                f"one neuron's fan-out does not fit {self.chip.neurons} neurons a core, even with splitter cores",
                self.layer.op.location,
                "a chip with more neurons a core",
            )
        return best.values()

    def _extend(self, option: _Option, number: int, best: dict[_Origin, _Found]) -> list[_Found]:
        """Puts into `best` every start with `option` that is cheaper than what is there; returns those that stay."""
        least = np.maximum(self.neuron_cores, self._least_cores(option)) + self.start_cores
        axons = self.start_axons + option.total_axons
        mine = ((self.layer.index, number),) if self.reads else ()
        found: dict[_Origin, _Found] = {}
        packed: dict[int, tuple[int, bool]] = {}  # by the copies' identity: cores, and whether there are not more
        for k in np.lexsort((axons, least)).tolist():
            start = self.starts[k]
            origin = (*start.rest, *mine)
            known = best.get(origin)
            cores, exact = packed.get(id(start.copies), (0, False))
            new = _Found(max(int(least[k]), start.cores + cores), int(axons[k]), number, k, origin, option)
            if known is not None and known < new:
                continue
            if not exact:
                most = None if known is None else known.cores - start.cores
                cores = self._pack(option, start.copies, most)
                packed[id(start.copies)] = cores, most is None or cores <= most
                new = new._replace(cores=start.cores + cores)
            if cores < NEVER and (known is None or new < known):
                best[origin] = found[origin] = new
        return list(found.values())

    def _pack(self, option: _Option, copies: Array, most: int | None) -> int:
        """Cores of the option's units; NEVER where one exceeds a core; where over `most`, some number that is, too."""
        neurons = self.model.neurons(option.tiling, option.subsets, copies)
        if int(neurons.max(initial=0)) > self.chip.neurons:
            return NEVER
        return count_cores(option.axons.ravel(), neurons.ravel(), self.chip.axons, self.chip.neurons, most)

    def _least_cores(self, option: _Option) -> int:
        """Cores that the option's axons take at least; units of more than half a core's do not share it."""
        axons = option.axons
        if not self.live.all():
            axons = axons[self.model.neurons(option.tiling, option.subsets, self.live) > 0]
        return max(-(-int(axons.sum()) // self.chip.axons), int(np.count_nonzero(2 * axons > self.chip.axons)))

    def _asked(self, option: _Option) -> dict[int, Array]:
        """The option's demand, by source."""
        if not self.reads:
            return {}
        demand = self.model.demand(option.tiling, option.subsets)
        return {k: self.network.asked_of(k, self.layer, demand).astype(np.int32) for k in self.reads}

    def _state(self, found: _Found, asked: dict[int, Array]) -> _State:
        start, option = self.starts[found.start], found.option
        pending = {k: copies for k, copies in start.state.pending.items() if k != self.me}
        for k, copies in asked.items():
            pending[k] = pending[k] + copies if k in pending else copies
        cores = found.cores - start.cores
        decision = Decision(option.tiling, option.subsets.split, start.levels, cores, start.splitters)
        return _State(found.cores, found.axons, pending, found.origin, decision, start.state)


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


def _totals(pending: dict[int, Array]) -> Array:
    """int64 [TOTALS]: a pending demand summed up over stretches of its elements, for a first comparison."""
    found = np.zeros(TOTALS, np.int64)
    for copies in pending.values():
        stretches = min(TOTALS, copies.size)
        found[:stretches] += np.add.reduceat(copies, np.arange(stretches) * copies.size // stretches, dtype=np.int64)
    return found


def _asks_no_more(one: _State, other: _State) -> bool:
    """Whether no source has to make more copies for `one`. Both have visited the same layers."""
    return all(
        one.pending[k] is copies or bool((one.pending[k] <= copies).all()) for k, copies in other.pending.items()
    )
