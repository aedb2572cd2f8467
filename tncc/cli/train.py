"""`tncc train`."""

from __future__ import annotations

from pathlib import Path

import click

from tncc.cli.options import file


@click.command("train")
@click.argument("config", type=file, metavar="CONFIG.toml")
def command(config: Path) -> None:
    """Train a trinary spiking network as CONFIG.toml says (needs the extra: pip install 'tncc[train]')."""
    from tncc.train.config import run

    result = run(config)
    click.echo(
        f"{result['onnx']}: {result['parameters']:,} parameters, {result['epochs']} epochs, "
        f"test accuracy {100 * result['test_accuracy']:.2f} %"
    )
