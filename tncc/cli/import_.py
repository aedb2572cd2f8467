"""`tncc import`."""

from __future__ import annotations

from pathlib import Path

import click

from tncc.cli.options import file


@click.command("import")
@click.argument("model", type=file)
@click.option("-o", "--output", type=file, default="chip.tnbin", show_default=True, help="File to write.")
@click.option(
    "--placement",
    type=click.Choice(["id-order", "place-cores", "none"]),
    default="id-order",
    show_default=True,
    help="Coordinates: row by row in core id order, by the placer, or none.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), metavar="N", default=0, show_default=True, help="Seed of the placer."
)
def command(model: Path, output: Path, placement: str, seed: int) -> None:
    """Import an IBM TrueNorth MODEL file (.json) as a chip configuration (.tnbin)."""
    from tncc.frontends import truenorth
    from tncc.program import Program

    config, metadata = truenorth.load(model)
    program = Program(truenorth.placed(config, metadata, placement, seed), metadata | {"seed": seed})
    program.save(output)
    report = program.report()
    click.echo(f"{output}: {report['cores_used']:,} cores, {report['neurons_used']:,} neurons")
