"""`tncc opt`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tncc.cli.options import existing


@click.command("opt")
@click.argument("file", type=existing)
@click.option("--pipeline", required=True, metavar="TEXT", help="Passes to run, as in 'canonicalize, place-cores{seed=1}'.")
@click.option("-o", "--output", type=existing, metavar="FILE.tn", help="Write here instead of stdout.")
@click.option("--print-ir-after", multiple=True, metavar="PASS|all", help="Print the IR on stderr after a pass.")
@click.option("--check-semantics", is_flag=True, help="Compare outputs before and after every exact pass.")
@click.option("--time-passes", is_flag=True, help="Print the time of every pass on stderr.")
def command(
    file: Path,
    pipeline: str,
    output: Path | None,
    print_ir_after: tuple[str, ...],
    check_semantics: bool,
    time_passes: bool,
) -> None:
    """Run passes on the textual IR in FILE.tn."""
    from tncc.cli.compile import print_pass_times
    from tncc.ir.text import format_module, load_module
    from tncc.passes.manager import run_pipeline
    from tncc.runtime.tnbin import write_atomically

    result = run_pipeline(
        load_module(file),
        pipeline=pipeline,
        print_ir_after=print_ir_after,
        check_semantics=check_semantics,
        stream=sys.stderr,
    )
    if time_passes:
        print_pass_times(result.seconds)
    text = format_module(result.module)
    if output:
        write_atomically(output, text.encode())
    else:
        click.echo(text, nl=False)
