"""`tncc verify`."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import click

from tncc.cli import EXIT_CHECK_FAILED
from tncc.cli.options import echo_json, file, reading


@click.command("verify")
@click.argument("model", type=file)
@click.argument("chip", type=file)
@click.option(
    "--input",
    "data",
    multiple=True,
    required=True,
    metavar="[NAME=]DATA.npy",
    help="Frames [N, ...]. For a model with several inputs once for each, with its name.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "batch", "tick", "numpy"]),
    default="auto",
    show_default=True,
    help="What simulates the chip; all give the same outputs.",
)
@click.option(
    "--threads", type=click.IntRange(1, 256), metavar="N", default=1, show_default=True, help="Of the engine."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(model: Path, chip: Path, data: tuple[str, ...], engine: str, threads: int, as_json: bool) -> None:
    """Compare CHIP with ONNX Runtime on MODEL, output for output; exit with 1 where they differ."""
    import tncc
    from tncc.cli.ports import load_frames
    from tncc.progress import progress
    from tncc.verification import verify

    program = tncc.load(chip)
    frames = load_frames(data, program)
    with progress("verifying", len(frames), "frames") as update, reading(frames.source):
        result = verify(model, program, frames.data, engine=engine, threads=threads, progress=update)
    if as_json:
        echo_json(result.to_json())
    elif result.equal:
        click.echo(f"equal: {result.frames:,} frames, {result.values:,} output values")
    else:
        click.echo(
            f"NOT equal: {result.different_frames:,} of {result.frames:,} frames differ; first is frame "
            f"{result.first_frame}, output {result.first_output}: ONNX Runtime {result.expected}, chip {result.got}"
        )
    if not result.equal:
        for reason in program.metadata.get("approximations", []):
            click.echo(f"note: the chip is marked as not exact: {reason}", err=True)
        if sha256(model.read_bytes()).hexdigest() != (program.metadata.get("source") or {}).get("sha256"):
            click.echo(f"note: the chip was not compiled from this very file, {model}", err=True)
        raise SystemExit(EXIT_CHECK_FAILED)
