"""Dimension-order routes of placed cores, from plain arrays: hops, link loads and crossings between chips.

A packet goes along x first, then along y (docs/chip-semantics.md). A link joins two neighbouring routers in one
direction. Loads are connection counts (static) or any weight a connection is given, such as its spikes in a run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Routes:
    """Where the connections between cores go.

    Attributes:
        connections: how many there are.
        weight: their total weight; equal to `connections` where none is given.
        mean_hops: weighted mean length, |dx| + |dy|; 0 where nothing is connected.
        max_hops: the longest.
        histogram: float64 [max_hops + 1], weight of the connections of each length.
        east, west: float64 [height, width - 1], load of the link between columns x and x + 1, by direction.
        north, south: float64 [height - 1, width], load of the link between rows y and y + 1: north goes up in y.
        crossings: weight of chip edges crossed, every edge of a route counted.
        crossing_connections: connections whose route crosses at least one chip edge.
        port_load: the greatest load of all links of one pair of neighbouring chips together, in one direction.
    """

    connections: int
    weight: float
    mean_hops: float
    max_hops: int
    histogram: Array
    east: Array
    west: Array
    north: Array
    south: Array
    crossings: float
    crossing_connections: int
    port_load: float

    @property
    def max_link_load(self) -> float:
        """Load of the busiest link; 0 on a mesh of one core."""
        return max(float(links.max(initial=0.0)) for links in (self.east, self.west, self.north, self.south))

    def hottest(self, count: int) -> list[tuple[float, tuple[int, int], tuple[int, int]]]:
        """The `count` busiest links with any load, as (load, (x, y) from, (x, y) to), busiest first."""
        found = []
        for links, start, step in (
            (self.east, (0, 0), (1, 0)),
            (self.west, (1, 0), (-1, 0)),
            (self.north, (0, 0), (0, 1)),
            (self.south, (0, 1), (0, -1)),
        ):
            for flat in np.argsort(-links, axis=None, kind="stable")[:count]:
                y, x = (int(v) for v in np.unravel_index(int(flat), links.shape))
                if links[y, x] > 0:
                    here = (x + start[0], y + start[1])
                    found.append((float(links[y, x]), here, (here[0] + step[0], here[1] + step[1])))
        return sorted(found, key=lambda link: (-link[0], link[1], link[2]))[:count]


def routes(
    core_x: Array,
    core_y: Array,
    target_core: Array,
    mesh: tuple[int, int, int, int],
    weight: Array | None = None,
) -> Routes:
    """Routes of all connections of a placed netlist.

    Args:
        core_x, core_y: int [cores], mesh coordinates over all chips.
        target_core: int [cores, neurons]; negative where a neuron has no target core.
        mesh: cores along x and y of one chip, chips along x and y.
        weight: [cores, neurons], what each neuron's connection counts; 1 where None.
    """
    mesh_x, mesh_y, chips_x, chips_y = mesh
    width, height = mesh_x * chips_x, mesh_y * chips_y
    core, neuron = np.nonzero(target_core >= 0)
    target = target_core[core, neuron]
    loads = np.ones(core.size) if weight is None else weight[core, neuron].astype(np.float64)
    x0, y0 = core_x[core].astype(np.int64), core_y[core].astype(np.int64)
    x1, y1 = core_x[target].astype(np.int64), core_y[target].astype(np.int64)
    hops = np.abs(x1 - x0) + np.abs(y1 - y0)
    total = float(loads.sum())
    across = np.abs(x1 // mesh_x - x0 // mesh_x) + np.abs(y1 // mesh_y - y0 // mesh_y)
    east = _swept(y0, x0, x1, loads, height, width)
    west = _swept(y0, x1, x0, loads, height, width)
    north = _swept(x1, y0, y1, loads, width, height).T
    south = _swept(x1, y1, y0, loads, width, height).T
    return Routes(
        connections=int(core.size),
        weight=total,
        mean_hops=float((hops * loads).sum() / total) if total else 0.0,
        max_hops=int(hops.max(initial=0)),
        histogram=np.bincount(hops, weights=loads, minlength=1),
        east=east,
        west=west,
        north=north,
        south=south,
        crossings=float((across * loads).sum()),
        crossing_connections=int(np.count_nonzero(across)),
        port_load=max(
            float(_across(east, mesh_y, mesh_x).max(initial=0.0)),
            float(_across(west, mesh_y, mesh_x).max(initial=0.0)),
            float(_across(north.T, mesh_x, mesh_y).max(initial=0.0)),
            float(_across(south.T, mesh_x, mesh_y).max(initial=0.0)),
        ),
    )


def wiring_sha256(target_core: Array, target_axon: Array, target_delay: Array) -> str:
    """A digest of what every neuron drives, int [cores, neurons] each: the same for a netlist and its chip wherever the
    cores are placed, so that counts by core can be matched with a later compilation."""
    digest = hashlib.sha256(np.array(target_core.shape, "<i8").tobytes())
    for part in (target_core, target_axon, target_delay):
        digest.update(np.ascontiguousarray(part, "<i4").tobytes())
    return digest.hexdigest()


def _swept(line: Array, start: Array, stop: Array, loads: Array, lines: int, length: int) -> Array:
    """float64 [lines, length - 1]: load of link i - i + 1 of every line from routes going up from start to stop."""
    up = stop > start
    steps = np.bincount(line[up] * length + start[up], weights=loads[up], minlength=lines * length)
    steps = steps - np.bincount(line[up] * length + stop[up], weights=loads[up], minlength=lines * length)
    found: Array = np.cumsum(steps.reshape(lines, length), axis=1)[:, :-1]
    return np.rint(found) if np.all(loads == np.rint(loads)) else np.maximum(found, 0.0)


def _across(links: Array, per_line: int, per_step: int) -> Array:
    """float64 [chips along, edges]: sums over the links across each edge between chips. links: [lines, length - 1]."""
    edges = links[:, per_step - 1 :: per_step]
    found: Array = edges.reshape(links.shape[0] // per_line, per_line, edges.shape[1]).sum(axis=1)
    return found


def port_loads(found: Routes, mesh: tuple[int, int, int, int]) -> list[tuple[float, tuple[int, int], tuple[int, int]]]:
    """Every pair of neighbouring chips between which something travels, as (load, (x, y) of the chip that sends,
    (x, y) of the chip that receives), busiest first."""
    mesh_x, mesh_y = mesh[:2]
    ports = []
    for links, start, step, along_x in (
        (found.east, (0, 0), (1, 0), True),
        (found.west, (1, 0), (-1, 0), True),
        (found.north.T, (0, 0), (0, 1), False),
        (found.south.T, (0, 1), (0, -1), False),
    ):
        loads = _across(links, mesh_y, mesh_x) if along_x else _across(links, mesh_x, mesh_y)
        for line, edge in np.argwhere(loads > 0).tolist():
            x, y = (edge, line) if along_x else (line, edge)
            here = (x + start[0], y + start[1])
            ports.append((float(loads[line, edge]), here, (here[0] + step[0], here[1] + step[1])))
    return sorted(ports, key=lambda port: (-port[0], port[1], port[2]))
