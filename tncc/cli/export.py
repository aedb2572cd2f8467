"""`tncc export`."""

from __future__ import annotations

from pathlib import Path

import click

from tncc.cli.options import file


@click.command("export")
@click.argument("chip", type=file)
@click.option("-o", "--output", type=file, required=True, help="File to write.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["truenorth"]),
    default="truenorth",
    show_default=True,
    help="IBM's model file.",
)
def command(chip: Path, output: Path, format_: str) -> None:
    """Export a compiled CHIP as an IBM TrueNorth model file (.json)."""
    import tncc
    from tncc.backends import truenorth

    program = tncc.load(chip)
    truenorth.save(program.config, program.metadata, output)
    click.echo(f"wrote {output}", err=True)
