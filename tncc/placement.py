"""Pictures of the mesh: which layer sits on which core, in the terminal and as SVG."""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from tncc.errors import InputError
from tncc.program import Program

Array = npt.NDArray[Any]

FREE, DEFECT = -1, -2
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Mesh:
    """The mesh as a grid.

    Attributes:
        layer: int32 [height, width]: the layer on each core, or FREE or DEFECT.
        names: layer names; counts: cores of each.
        chip: cores along x and y of one chip.
    """

    layer: Array
    names: list[str]
    counts: list[int]
    chip: tuple[int, int]


def mesh_of(program: Program) -> Mesh:
    """The placement of a program. Raises InputError where it has none."""
    config, metadata = program.config, program.metadata
    if config.n_cores and np.any(config.core_x < 0):
        raise InputError("the chip's cores have no coordinates: it was not placed")
    mesh_x, mesh_y, chips_x, chips_y = config.mesh
    layer = np.full((mesh_y * chips_y, mesh_x * chips_x), FREE, np.int32)
    layer[config.core_y, config.core_x] = config.layer
    for x, y in metadata.get("defects", []):
        layer[y, x] = DEFECT
    names = [entry["name"] for entry in program.layers]
    counts = np.bincount(config.layer, minlength=len(names)).tolist()
    return Mesh(layer, names, counts, (mesh_x, mesh_y))


def color(index: int, total: int) -> str:
    """#rrggbb for layer `index`: hues spread in order of depth, lightness alternating so that neighbours differ."""
    r, g, b = colorsys.hls_to_rgb(0.92 * index / max(total, 1), (0.55, 0.40)[index % 2], 0.65)
    return f"#{round(255 * r):02x}{round(255 * g):02x}{round(255 * b):02x}"


def terminal(mesh: Mesh) -> Any:
    """A rich renderable: a letter and a colour a layer, `.` free, `x` defective; two characters a core."""
    from rich.console import Group
    from rich.text import Text

    total = len(mesh.names)
    styles = {i: f"black on {color(i, total)}" for i in range(total)} | {FREE: "dim", DEFECT: "red"}
    marks = {i: LETTERS[i % len(LETTERS)] for i in range(total)} | {FREE: ".", DEFECT: "x"}
    rows = []
    for y, row in enumerate(mesh.layer):
        if y and y % mesh.chip[1] == 0:
            rows.append(Text("-" * (2 * len(row)), style="dim"))
        line = Text(no_wrap=True, overflow="ignore")
        for x, index in enumerate(row.tolist()):
            if x and x % mesh.chip[0] == 0:
                line.append("|", style="dim")
            line.append(f"{marks[index]} ", style=styles[index])
        rows.append(line)
    legend = [Text("")]
    for i, (name, count) in enumerate(zip(mesh.names, mesh.counts, strict=True)):
        legend.append(Text.assemble((f" {marks[i]} ", styles[i]), f" {name}: {count:,} cores"))
    used = int((mesh.layer >= 0).sum())
    legend.append(Text(f" .  free: {mesh.layer.size - used - int((mesh.layer == DEFECT).sum()):,} cores"))
    if np.any(mesh.layer == DEFECT):
        legend.append(Text(f" x  defective: {int((mesh.layer == DEFECT).sum()):,} cores"))
    return Group(*rows, *legend)


def svg(mesh: Mesh, title: str) -> str:
    """The mesh as an SVG document: cores coloured by layer, chip borders, legend with core counts."""
    height, width = mesh.layer.shape
    cell = max(2, min(12, 1024 // max(height, width)))
    gap = 1 if cell > 3 else 0  # a hairline between cores, where there is room
    total = len(mesh.names)
    left, top = 16, 44
    entries = [
        (color(i, total), f"{name} ({count:,})")
        for i, (name, count) in enumerate(zip(mesh.names, mesh.counts, strict=True))
    ]
    free = int((mesh.layer == FREE).sum())
    entries.append(("#e8e8e8", f"free ({free:,})"))
    if np.any(mesh.layer == DEFECT):
        entries.append(("#000000", f"defective ({int((mesh.layer == DEFECT).sum()):,})"))
    legend_x = left + width * cell + 24
    longest = max(len(text) for _, text in entries)
    full_width = legend_x + 24 + 7 * longest + 16
    full_height = max(top + height * cell + 20, top + 18 * len(entries) + 20)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{full_width}" height="{full_height}" '
        f'viewBox="0 0 {full_width} {full_height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{full_width}" height="{full_height}" fill="#ffffff"/>',
        f'<text x="{left}" y="26" font-size="16">{xml_text(title)}</text>',
        f'<rect x="{left}" y="{top}" width="{width * cell}" height="{height * cell}" fill="#e8e8e8"/>',
    ]
    for i in range(total):
        out.append(f'<path fill="{color(i, total)}" d="{squares(mesh.layer == i, left, top, cell, gap)}"/>')
    if np.any(mesh.layer == DEFECT):
        out.append(f'<path fill="#000000" d="{squares(mesh.layer == DEFECT, left, top, cell, gap)}"/>')
    out.append(f'<path stroke="#404040" fill="none" d="{chip_borders(mesh.layer.shape, mesh.chip, left, top, cell)}"/>')
    for i, (fill, text) in enumerate(entries):
        y = top + 18 * i
        out.append(f'<rect x="{legend_x}" y="{y}" width="12" height="12" fill="{fill}"/>')
        out.append(f'<text x="{legend_x + 20}" y="{y + 10}">{xml_text(text)}</text>')
    return "\n".join([*out, "</svg>", ""])


def xml_text(text: str) -> str:
    """`text` as an XML document can hold it: characters that are none in XML become escapes like \\x1b."""
    return escape(_NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text))


def squares(mask: Array, left: int, top: int, cell: int, gap: int = 0) -> str:
    """SVG path data: a square of side `cell - gap` for every set element of mask [height, width], in units of cell."""
    side = cell - gap
    return "".join(f"M{left + x * cell} {top + y * cell}h{side}v{side}h{-side}z" for y, x in np.argwhere(mask).tolist())


def chip_borders(shape: tuple[int, ...], chip: tuple[int, int], left: int, top: int, cell: int) -> str:
    """SVG path data: the lines around and between chips of `chip` (x, y) cores on a mesh of shape (height, width)."""
    height, width = shape
    lines = [f"M{left + x * cell} {top}v{height * cell}" for x in range(0, width + 1, chip[0])]
    lines += [f"M{left} {top + y * cell}h{width * cell}" for y in range(0, height + 1, chip[1])]
    return "".join(lines)
