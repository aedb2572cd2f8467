"""The graph of cores that a placement works on: which cores talk to each other, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

GREATEST_WEIGHT = 1 << 20  # weights are integers, so that costs are exact


@dataclass(frozen=True)
class Edges:
    """Weighted edges between cores, each stored in both directions, by core: neighbours of core c are
    neighbor[first[c]:first[c + 1]]. first: int64 [cores + 1]; neighbor, weight: int32 [edges]."""

    first: Array
    neighbor: Array
    weight: Array

    @property
    def cores(self) -> int:
        return int(self.first.size) - 1


def core_edges(target_core: Array, weight: Array | None = None) -> Edges:
    """The edges behind int [cores, neurons] targets; weight, [cores, neurons], counts a connection, 1 where None.

    Weights above GREATEST_WEIGHT scale all weights down. Connections of a core to itself have no length and are left
    out.
    """
    cores = target_core.shape[0]
    source, neuron = np.nonzero(target_core >= 0)
    target = target_core[source, neuron].astype(np.int64)
    counts = np.ones(source.size) if weight is None else weight[source, neuron].astype(np.float64)
    wired = (source != target) & (counts > 0)
    source, target, counts = source[wired].astype(np.int64), target[wired], counts[wired]
    keys, edge = np.unique(np.concatenate((source * cores + target, target * cores + source)), return_inverse=True)
    sums = np.bincount(edge.reshape(-1), weights=np.concatenate((counts, counts)), minlength=keys.size)
    greatest = float(sums.max(initial=0.0))
    if greatest > GREATEST_WEIGHT or np.any(sums != np.rint(sums)):
        sums = np.maximum(np.rint(sums / greatest * GREATEST_WEIGHT), 1.0)
    first = np.searchsorted(keys, np.arange(cores + 1) * cores).astype(np.int64)
    return Edges(first, (keys % max(cores, 1)).astype(np.int32), sums.astype(np.int32))


def least_mean_hops(edges: Edges, connections: int) -> float:
    """A lower bound on the mean hops of any placement of cores whose connections count 1 each.

    A core's neighbours sit on different places, of which 4 are one hop away, 8 two, 12 three: at best the strongest
    edges are the shortest. Summed over cores, every edge counts twice. connections: all neuron-to-axon connections.
    """
    if not edges.neighbor.size or not connections:
        return 0.0
    core = np.repeat(np.arange(edges.cores), np.diff(edges.first))
    order = np.lexsort((-edges.weight, core))
    rank = np.arange(order.size) - edges.first[core]
    hops = np.ceil((np.sqrt(1 + 2 * (rank + 1)) - 1) / 2)  # the first k rings hold 2 k (k + 1) places
    return float((edges.weight[order] * hops).sum() / 2 / connections)
