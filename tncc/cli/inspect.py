"""`tncc inspect`."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tncc.cli.options import echo_json, file
from tncc.errors import InputError

if TYPE_CHECKING:
    from tncc.cost.activity import Activity
    from tncc.cost.estimate import Cost
    from tncc.program import Program

PIPE_WIDTH = 240  # characters a table may take where no terminal limits it


@click.command("inspect")
@click.argument("chip", type=file, default="chip.tnbin")
@click.option("--placement", is_flag=True, help="Draw the mesh: which layer sits on which core.")
@click.option("--svg", type=file, metavar="FILE", help="With --placement or --traffic: write the picture as SVG.")
@click.option("--png", type=file, metavar="FILE", help="As --svg, as PNG (extra: viz).")
@click.option("--cores", is_flag=True, help="Table of cores: place, layer, axons, neurons, synapses.")
@click.option("--layers", is_flag=True, help="Table of layers: cores, tiles, copies, use of axons and neurons.")
@click.option("--traffic", is_flag=True, help="Hop histogram and link loads.")
@click.option("--cost", is_flag=True, help="Predicted frames/s and power (docs/cost.md).")
@click.option(
    "--input",
    "data",
    multiple=True,
    metavar="[NAME=]DATA.npy",
    help="With --cost, --traffic or --html: frames to run; as for tncc run.",
)
@click.option("--tick-rate", type=float, metavar="HZ", help="With --cost or --html: ticks/s; default the highest.")
@click.option("--voltage", type=float, metavar="V", help="With --cost or --html: the supply; default 1.0.")
@click.option(
    "--like",
    type=click.Choice(["vision", "speech"]),
    help="With --cost or --html, without --input: whose published activity to assume; default by the input's shape.",
)
@click.option("--html", type=file, metavar="FILE", help="Write a report with pictures: one self-contained page.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    chip: Path,
    placement: bool,
    svg: Path | None,
    png: Path | None,
    cores: bool,
    layers: bool,
    traffic: bool,
    cost: bool,
    data: tuple[str, ...],
    tick_rate: float | None,
    voltage: float | None,
    like: str | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Show what a compiled CHIP holds (default: ./chip.tnbin)."""
    import tncc
    from tncc import tables
    from tncc import traffic as links
    from tncc.files import write_text

    wanted = {"--input": data or None, "--tick-rate": tick_rate, "--voltage": voltage, "--like": like}
    given = [name for name, value in wanted.items() if value is not None]
    if given and not (cost or html or (traffic and given == ["--input"])):
        traffic_too = ", --traffic" if given == ["--input"] else ""
        raise InputError(f"{given[0]} goes with --cost{traffic_too} or --html")
    if like and data:
        raise InputError("--like assumes an activity, --input measures it: give one of them")
    for name, target in (("--svg", svg), ("--png", png)):
        if target and not (placement or traffic):
            raise InputError(f"{name} goes with --placement or --traffic")
    program = tncc.load(chip)
    found = _cost(program, data, tick_rate, voltage, like) if cost or html else None
    activity = found.activity if found else _activity(program, data) if data else None
    if html and found:
        from tncc.html_report import html_report

        write_text(html, html_report(program, chip.name, found))
        click.echo(f"wrote {html}", err=True)
    _write_pictures(program, chip.name, svg, png, placement, activity)
    if as_json:
        document = program.report() | (found.to_json() if found and cost else {})
        if layers:
            document["layers"] = tables.layer_entries(program)
        if cores:
            document["cores"] = tables.core_entries(program)
        if traffic:
            document["traffic"] = links.entries(program, activity)
        echo_json(document)
        return
    from rich.console import Console

    console = Console(soft_wrap=True, markup=False, emoji=False)  # names may hold brackets and colons
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    if placement:
        from tncc.placement import mesh_of, terminal

        console.print(terminal(mesh_of(program)))
    if traffic:
        console.print(links.terminal(program, activity))
    if layers:
        console.print(tables.layer_table(program))
    if cores:
        console.print(tables.core_table(program))
    if cost and found:
        _print_cost(console, found)
    if not (placement or layers or cores or traffic or cost or html):
        _summary(program.report())


def _write_pictures(
    program: Program, name: str, svg: Path | None, png: Path | None, placement: bool, activity: Activity | None
) -> None:
    """The mesh where --placement asks for it, else the traffic."""
    from tncc import placement as mesh
    from tncc import traffic
    from tncc.files import replacing, write_text

    if svg:
        title = f"{name}: {program.config.n_cores:,} cores"
        write_text(svg, mesh.svg(mesh.mesh_of(program), title) if placement else traffic.svg(program, name, activity))
        click.echo(f"wrote {svg}", err=True)
    if png:
        from tncc import plot

        picture = plot.png(plot.placement(program) if placement else plot.link_loads(program, activity))
        with replacing(png) as stream:
            stream.write(picture)
        click.echo(f"wrote {png}", err=True)


def _activity(program: Program, data: tuple[str, ...]) -> Activity:
    from tncc.cli.options import reading
    from tncc.cli.ports import load_frames
    from tncc.cost.activity import measure

    frames = load_frames(data, program)
    with reading(frames.source):
        return measure(program, frames.data)


def _cost(
    program: Program, data: tuple[str, ...], tick_rate: float | None, voltage: float | None, like: str | None
) -> Cost:
    from tncc.cli.options import reading
    from tncc.cli.ports import load_frames
    from tncc.cost.estimate import estimate
    from tncc.cost.physics import NOMINAL_VOLTAGE

    volts = NOMINAL_VOLTAGE if voltage is None else voltage
    if not data:
        return estimate(program, kind=like, tick_rate_hz=tick_rate, voltage=volts)
    frames = load_frames(data, program)
    with reading(frames.source):
        return estimate(program, frames.data, kind=like, tick_rate_hz=tick_rate, voltage=volts)


def _print_cost(console: Any, found: Cost) -> None:
    from rich.table import Table

    from tncc.cost.tables import cost_table

    content = cost_table(found.prediction, found.cores, found.cpu_energy_per_frame_uj)
    table = Table(*content.head)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in content.rows:
        table.add_row(*row)
    console.print(table)
    for note in content.notes:
        console.print(note, highlight=False)


def _summary(report: dict[str, Any]) -> None:
    for key, value in report.items():
        if key == "cores_by_layer":
            lines = [f"{entry['cores']:>6,}  {entry['layer']}" for entry in value]
        elif isinstance(value, list):
            lines = [_text(entry) for entry in value]
        elif key == "trinarization" and value:
            parts = {part: found if isinstance(found, list) else [found] for part, found in value.items()}
            lines = [f"{part.replace('_', ' ')}: {_text(entry)}" for part, found in parts.items() for entry in found]
        else:
            lines = [_text(value)]
        for name, line in zip_longest([key.replace("_", " ")], lines or ["-"], fillvalue=""):
            click.echo(f"{name:20}{line}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_text(entry)}" for key, entry in value.items())
    if isinstance(value, float):
        return f"{value:,.3f}"
    return (
        "-" if value is None else f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    )
