"""Where spikes travel: hop histogram and link loads, in the terminal and as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tncc.errors import InputError
from tncc.ir.routing import Routes, port_loads
from tncc.placement import chip_borders, squares, xml_text
from tncc.program import Program
from tncc.report import routes_of

if TYPE_CHECKING:
    from tncc.cost.activity import Activity

Array = npt.NDArray[Any]

SHADES = " .:-=+*#%@"
BAR = 40
HOTTEST = 5


def placed_routes(program: Program) -> Routes:
    """The program's routes. Raises InputError where it is not placed."""
    found = routes_of(program)
    if found is None:
        raise InputError("the chip's cores have no coordinates: it was not placed")
    return found


def loads(program: Program, activity: Activity | None) -> tuple[Routes, float, str]:
    """Routes, and what to multiply their loads by to get them in the unit named: connections, or packets a tick."""
    if activity is not None and activity.routes is not None:
        return activity.routes, 1 / activity.ticks, "packets a tick"
    return placed_routes(program), 1.0, "connections"


def core_load(found: Routes, height: int, width: int) -> Array:
    """float64 [height, width]: load of the busiest link that leaves each core's router."""
    load = np.zeros((height, width))
    load[:, :-1] = np.maximum(load[:, :-1], found.east)
    load[:, 1:] = np.maximum(load[:, 1:], found.west)
    load[:-1] = np.maximum(load[:-1], found.north)
    load[1:] = np.maximum(load[1:], found.south)
    return load


def _mesh(program: Program) -> tuple[int, int]:
    mesh_x, mesh_y, chips_x, chips_y = program.config.mesh
    return mesh_y * chips_y, mesh_x * chips_x


def terminal(program: Program, activity: Activity | None = None) -> Any:
    """A rich renderable: summary, use of every chip of an array and loads of the ports between them, histogram of
    route lengths, heat map of link loads, the busiest links.

    Connections count 1 each; with an `activity`, they count the spikes that they carried in it.
    """
    from rich.console import Group
    from rich.text import Text

    found = placed_routes(program)
    lines = [
        f"connections {found.connections:,}   mean hops {found.mean_hops:.2f}   longest {found.max_hops}   "
        f"busiest link {found.max_link_load:,.0f}   chip crossings {found.crossings:,.0f}",
    ]
    unit = "connections"
    if activity is not None and activity.routes is not None:
        found, unit = activity.routes, "spikes"
        lines.append(
            f"spikes sent to cores in {activity.ticks} ticks {found.weight:,.0f}   mean hops of a spike "
            f"{found.mean_hops:.2f}   busiest link {found.max_link_load:,.0f}   chip crossings {found.crossings:,.0f}"
        )
    if program.config.mesh[2] * program.config.mesh[3] > 1:
        lines += ["", *_chips(program, found, unit)]
    lines += ["", f"hops  {unit:>11}"]
    top = found.histogram.max(initial=1.0)
    for hops, count in enumerate(found.histogram.tolist()):
        if count:
            lines.append(f"{hops:>4}  {count:>11,.0f}  {'#' * max(1, round(BAR * count / top))}")
    load = core_load(found, *_mesh(program))
    most = load.max(initial=0.0)
    lines += ["", f"load of the busiest link out of each router: '{SHADES}' from 0 to {most:,.0f}"]
    shade = np.ceil(load / (most or 1.0) * (len(SHADES) - 1)).astype(int)
    lines += ["".join(SHADES[i] for i in row) for row in shade.tolist()]
    lines += ["", "busiest links"]
    lines += [f"{weight:>8,.0f}  {start} -> {end}" for weight, start, end in found.hottest(HOTTEST)]
    return Group(*(Text(line, no_wrap=True, overflow="ignore") for line in lines))


def entries(program: Program, activity: Activity | None = None) -> dict[str, Any]:
    """What `terminal` shows, for JSON; `load` is in the unit named: connections, or packets a tick."""
    found, scale, unit = loads(program, activity)
    return {
        "unit": unit,
        "mean_hops": found.mean_hops,
        "max_hops": found.max_hops,
        "hops_histogram": (found.histogram * scale).tolist(),
        "max_link_load": found.max_link_load * scale,
        "chip_crossings": found.crossings * scale,
        "busiest_links": [
            {"load": load * scale, "from": list(start), "to": list(end)} for load, start, end in found.hottest(HOTTEST)
        ],
    }


def _chips(program: Program, found: Routes, unit: str) -> list[str]:
    """Cores in use on every chip of an array, and the load of every port between two chips."""
    config = program.config
    mesh_x, mesh_y, chips_x, chips_y = config.mesh
    chip = config.core_y // mesh_y * chips_x + config.core_x // mesh_x
    used = np.bincount(chip, minlength=chips_x * chips_y).reshape(chips_y, chips_x)
    lines = [f"cores in use on each of {chips_x} x {chips_y} chips, of {mesh_x * mesh_y:,}"]
    lines += ["".join(f"{count:>8,}" for count in row) for row in used.tolist()]
    lines += ["", f"ports between chips, {unit}"]
    ports = port_loads(found, config.mesh)
    return lines + [f"{load:>8,.0f}  chip {start} -> chip {end}" for load, start, end in ports]


def svg(program: Program, title: str, activity: Activity | None = None) -> str:
    """Heat map of link loads as an SVG document: of connections, or of the packets in an `activity`."""
    found, scale, unit = loads(program, activity)
    height, width = _mesh(program)
    load = core_load(found, height, width) * scale
    most = load.max(initial=0.0) or 1.0
    cell = max(2, min(12, 1024 // max(height, width)))
    left, top = 16, 44
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left * 2 + width * cell}" '
        f'height="{top + height * cell + 40}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{left}" y="26" font-size="16">{xml_text(title)}: link loads</text>',
    ]
    levels = np.ceil(load / most * 16).astype(int)
    for level in range(17):
        here = levels == level
        if here.any():
            fill = f"#{255 - 6 * level:02x}{245 - 14 * level:02x}{235 - 14 * level:02x}"
            out.append(f'<path fill="{fill}" d="{squares(here, left, top, cell)}"/>')
    borders = chip_borders(load.shape, program.config.mesh[:2], left, top, cell)
    out.append(f'<path stroke="#404040" fill="none" d="{borders}"/>')
    caption = f"0 (light) to {most:,.0f} {unit} (dark); mean {found.mean_hops:.2f} hops"
    out.append(f'<text x="{left}" y="{top + height * cell + 24}">{caption}</text>')
    return "\n".join([*out, "</svg>", ""])
