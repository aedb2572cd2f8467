"""`tncc inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tncc.cli.options import echo_json, existing
from tncc.errors import InputError

PIPE_WIDTH = 240  # characters a table may take where no terminal limits it


@click.command("inspect")
@click.argument("chip", type=existing, default="chip.tnbin")
@click.option("--placement", is_flag=True, help="Draw the mesh: which layer sits on which core.")
@click.option("--svg", type=existing, metavar="FILE", help="With --placement or --traffic: write the picture as SVG.")
@click.option("--cores", is_flag=True, help="Table of cores: place, layer, axons, neurons, synapses.")
@click.option("--layers", is_flag=True, help="Table of layers: cores, tiles, copies, use of axons and neurons.")
@click.option("--traffic", is_flag=True, help="Hop histogram and link loads.")
@click.option("--cost", is_flag=True, help="Predicted frames/s and power.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    chip: Path, placement: bool, svg: Path | None, cores: bool, layers: bool, traffic: bool, cost: bool, as_json: bool
) -> None:
    """Show what a compiled CHIP holds (default: ./chip.tnbin)."""
    import tncc
    from tncc.runtime.files import write_text

    if cost:
        raise InputError("--cost is not available yet: this version has no calibrated cost model")
    if svg and not (placement or traffic):
        raise InputError("--svg goes with --placement or --traffic")
    program = tncc.load(chip)
    if as_json:
        echo_json(program.report())
        return
    from rich.console import Console

    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    if placement:
        from tncc.placement import mesh_of, terminal
        from tncc.placement import svg as draw

        mesh = mesh_of(program)
        console.print(terminal(mesh))
        if svg:
            write_text(svg, draw(mesh, f"{chip.name}: {program.config.n_cores:,} cores"))
            click.echo(f"wrote {svg}", err=True)
    if traffic:
        from tncc.traffic import svg as draw_traffic
        from tncc.traffic import terminal as traffic_view

        console.print(traffic_view(program))
        if svg and not placement:
            write_text(svg, draw_traffic(program, chip.name))
            click.echo(f"wrote {svg}", err=True)
    if layers:
        from tncc.tables import layer_table

        console.print(layer_table(program))
    if cores:
        from tncc.tables import core_table

        console.print(core_table(program))
    if not (placement or layers or cores or traffic):
        _summary(console, program.report())


def _summary(console: Any, report: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for key, value in report.items():
        if key == "cores_by_layer":
            text = "\n".join(f"{entry['cores']:>6,}  {entry['layer']}" for entry in value)
        elif isinstance(value, float):
            text = f"{value:,.3f}"
        elif isinstance(value, int) and not isinstance(value, bool):
            text = f"{value:,}"
        else:
            text = "-" if value is None else str(value)
        table.add_row(key.replace("_", " "), text)
    console.print(table)
