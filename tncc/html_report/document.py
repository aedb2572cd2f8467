"""What the HTML report shows, as one JSON document; arrays are little-endian bytes, zlib-compressed, base64."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.cost.activity import Activity, incoming_hops
from tncc.cost.estimate import Cost
from tncc.cost.raster import layered_rows, of_the_frame
from tncc.cost.tables import cost_table
from tncc.errors import InputError
from tncc.html_report.crossbars import packed_crossbars
from tncc.ir.routing import Routes, routes
from tncc.placement import color
from tncc.program import Program
from tncc.report import synapses_by_core, used_axons
from tncc.runtime.config import OUTPUT, ChipConfig
from tncc.tables import LAYER_COLUMNS, layer_rows

Array = npt.NDArray[Any]

MOST_RASTER_ROWS = 1200
SHOWN_NOTES = ("tile", "tiles", "limit")  # of a layer, beside each of its cores


def pack(array: Array) -> dict[str, str]:
    """{dtype, data} of an array; 64-bit numbers are not packed: the page reads 32 bits at most."""
    if array.dtype.itemsize > 4:
        raise TypeError(f"cannot pack {array.dtype}")
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {"dtype": array.dtype.name, "data": base64.b64encode(zlib.compress(data.tobytes(), 6)).decode()}


def document(program: Program, title: str, cost: Cost) -> dict[str, Any]:
    """The report's data. Raises InputError where the chip is not placed."""
    config, metadata, activity = program.config, program.metadata, cost.activity
    targets = config.used_targets()
    if config.n_cores and config.core_x.min() < 0:
        raise InputError("the chip's cores have no coordinates: it was not placed", hint="run place-cores on it first")
    layers = program.layers
    counts = np.bincount(config.layer, minlength=len(layers))
    arrays: dict[str, Array] = {
        "x": config.core_x.astype(np.uint32),
        "y": config.core_y.astype(np.uint32),
        "layer": config.layer.astype(np.uint32),
        "crossbar_index": config.crossbar_index.astype(np.uint32),
        "inputs": np.bincount(config.input_core, minlength=config.n_cores).astype(np.uint32),
        "outputs": (targets == OUTPUT).sum(axis=1).astype(np.uint32),
        **_neighbours(targets),
    }
    maps = _maps(config, targets, activity, arrays)
    crossbars, crossbar = packed_crossbars(config)
    arrays["crossbars"] = crossbars
    raster = None
    if activity is not None:
        raster = _raster(config, layers, activity, arrays)
    table = cost_table(cost.prediction, config.n_cores, cost.cpu_energy_per_frame_uj)
    report = program.report()
    return {
        "title": title,
        "subtitle": _subtitle(report),
        "cores": config.n_cores,
        "mesh": list(config.mesh),
        "defects": [list(place) for place in metadata.get("defects", [])],
        "layers": [
            {
                "name": layer["name"],
                "kind": layer["kind"],
                "cores": int(count),
                "color": color(i, len(layers)),
                "notes": [[key, _note(layer["note"][key])] for key in SHOWN_NOTES if key in layer.get("note", {})],
            }
            for i, (layer, count) in enumerate(zip(layers, counts, strict=False))
        ],
        "maps": maps,
        "crossbar": crossbar,
        "raster": raster,
        "layer_table": {"head": LAYER_COLUMNS, "rows": layer_rows(program)},
        "cost": {"head": table.head, "rows": table.rows, "notes": table.notes},
        "passes": [[name, seconds] for name, seconds in report.get("pass_seconds", {}).items()],
        "facts": [[key.replace("_", " "), _fact(value)] for key, value in report.items() if not _own_table(key)],
        "arrays": {name: pack(array) for name, array in arrays.items()},
    }


def _subtitle(report: dict[str, Any]) -> str:
    chips = f"{report['chips']} chip{'s' if report['chips'] > 1 else ''}"
    return (
        f"{report['cores_used']:,} of {report['cores_available']:,} cores on {chips}, "
        f"latency {report['latency_ticks']} ticks"
    )


def _own_table(key: str) -> bool:
    return key in ("cores_by_layer", "pass_seconds")


def _fact(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    return value if isinstance(value, int | float) else str(value)


def _note(value: Any) -> str:
    return " x ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _maps(
    config: ChipConfig, targets: Array, activity: Activity | None, arrays: dict[str, Array]
) -> list[dict[str, Any]]:
    """The heat maps on offer; their values go into `arrays`."""
    axons = used_axons(config)
    ones = np.ones(config.neuron_type.shape, np.int64)
    static = routes(config.core_x, config.core_y, targets, config.mesh)
    connections = np.bincount(targets[targets >= 0], minlength=config.n_cores)
    values = {
        "axons": ("Axons used", "axons", axons.sum(axis=1)),
        "neurons": ("Neurons used", "neurons", (config.neuron_type >= 0).sum(axis=1)),
        "synapses": ("Synapses", "synapses", synapses_by_core(config, axons)),
        "incoming": (
            "Mean hops of incoming connections",
            "hops",
            incoming_hops(config, ones) / np.maximum(connections, 1),
        ),
    }
    links = {"link_connections": ("Links: connections routed over", "connections", _link_grid(config, static))}
    if activity is not None:
        values |= {
            "spikes": ("Spikes per tick", "spikes a tick", activity.core_spikes),
            "events": ("Synaptic events per tick", "events a tick", activity.core_synaptic_events),
            "hops": ("Incoming hops per tick", "hops a tick", activity.core_incoming_hops),
        }
        if activity.routes is not None:
            packets = _link_grid(config, activity.routes) / activity.ticks
            links["link_packets"] = ("Links: packets per tick", "packets a tick", packets)
    maps: list[dict[str, Any]] = [{"id": "layer", "label": "Layer", "kind": "layer"}]
    for kind, found in (("value", values), ("link", links)):
        for name, (label, unit, array) in found.items():
            most = float(array.max(initial=0))
            whole = array.dtype.kind in "iu" or name == "link_connections"
            maps.append(
                {
                    "id": name,
                    "label": label,
                    "unit": unit,
                    "kind": kind,
                    "array": name,
                    "max": int(most) if whole else most,
                }
            )
            arrays[name] = array.astype(np.uint32 if array.dtype.kind in "iu" else np.float32)
    return maps


def _link_grid(config: ChipConfig, loads: Routes) -> Array:
    """float64 [4, height, width]: load of the link that leaves router (x, y) towards +x, -x, +y, -y."""
    mesh_x, mesh_y, chips_x, chips_y = config.mesh
    grid = np.zeros((4, mesh_y * chips_y, mesh_x * chips_x))
    grid[0, :, :-1], grid[1, :, 1:] = loads.east, loads.west
    grid[2, :-1], grid[3, 1:] = loads.north, loads.south
    return grid


def _neighbours(targets: Array) -> dict[str, Array]:
    """Cores that each core sends to (out_*) and receives from (in_*), with the number of connections: CSR arrays."""
    n = len(targets)
    routed = targets >= 0
    source, _ = np.nonzero(routed)
    key, count = np.unique(source * np.int64(n) + targets[routed], return_counts=True)
    source, target = np.divmod(key, max(n, 1))
    back = np.lexsort((source, target))

    def start(of: Array) -> Array:
        return np.concatenate([[0], np.cumsum(np.bincount(of, minlength=n))]).astype(np.uint32)

    return {
        "out_start": start(source),
        "out_core": target.astype(np.uint32),
        "out_count": count.astype(np.uint16),
        "in_start": start(target),
        "in_core": source[back].astype(np.uint32),
        "in_count": count[back].astype(np.uint16),
    }


def _raster(
    config: ChipConfig, layers: list[dict[str, Any]], activity: Activity, arrays: dict[str, Array]
) -> dict[str, Any]:
    """Spikes of one frame: neurons in order of layer down, evenly thinned to MOST_RASTER_ROWS, ticks across."""
    row_of, ends = layered_rows(config, len(layers), MOST_RASTER_ROWS)
    spikes = activity.raster
    row = row_of[spikes.core, spikes.neuron]
    keep = row >= 0
    arrays["raster_frame"] = of_the_frame(activity, config)[keep].astype(np.uint8)
    arrays["raster_row"] = row[keep].astype(np.uint16)
    arrays["raster_tick"] = spikes.tick[keep].astype(np.uint32)
    arrays["raster_layer"] = config.layer[spikes.core[keep]].astype(np.uint32)
    shown, used = int((row_of >= 0).sum()), int((config.neuron_type >= 0).sum())
    sizes = np.diff(ends, prepend=0)
    share = "all" if shown == used else f"{shown:,} of the {used:,}"
    return {
        "ticks": config.latency_ticks + 2,
        "rows": shown,
        "bands": [
            {"name": layer["name"], "start": int(end - size), "end": int(end)}
            for layer, size, end in zip(layers, sizes, ends, strict=False)
            if size
        ],
        "caption": (
            "The first frame enters an empty chip at tick 0; nothing follows it. Bold: spikes that would not be there "
            "without the frame; pale: neurons that fire without input. Neurons in order of their layer from top to "
            f"bottom ({share} used ones), ticks from left to right."
        ),
    }
