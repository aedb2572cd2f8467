"""How a program looks in a notebook."""

from __future__ import annotations

from html import escape

from tncc.placement import mesh_of, svg
from tncc.program import Program
from tncc.tables import LAYER_COLUMNS, layer_rows


def program_html(program: Program) -> str:
    """A headline, the placement as inline SVG where the chip is placed, and the table of layers."""
    report = program.report()
    headline = (
        f"{report['cores_used']:,} of {report['cores_available']:,} cores, {report['synapses']:,} synapses, "
        f"latency {report['latency_ticks']} ticks"
    )
    if report["mean_hops"] is not None:
        headline += f", {report['mean_hops']:.2f} mean hops"
    picture = ""
    if report["mean_hops"] is not None:
        picture = f'<div style="max-width: 48em; overflow: auto">{svg(mesh_of(program), "placement")}</div>'
    head = "".join(f"<th>{escape(title)}</th>" for title in LAYER_COLUMNS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in layer_rows(program)
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return (
        f"<div><p><b>tncc.Program</b>: {escape(headline)}</p>{picture}"
        f"<details><summary>layers</summary>{table}</details></div>"
    )
