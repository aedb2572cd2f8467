"""`tncc opt`."""

from __future__ import annotations

from pathlib import Path

import click

from tncc.cli.options import file


@click.command("opt")
@click.argument("file", type=file)
@click.option(
    "--pipeline", required=True, metavar="TEXT", help="Passes to run, as in 'canonicalize, place-cores{seed=1}'."
)
@click.option("-o", "--output", type=file, metavar="FILE.tn", help="Write here instead of stdout.")
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
    from tncc.ir.chip import Chip
    from tncc.ir.netlist import Netlist
    from tncc.ir.printer import to_text
    from tncc.ir.text_files import load_text, save_text
    from tncc.passes.manager import run_pipeline

    module = load_text(file)
    result = run_pipeline(
        module,
        module.chip if isinstance(module, Netlist) else Chip(),
        pipeline,
        print_ir_after=print_ir_after,
        print_ir=lambda text: click.echo(text, err=True),
        check_semantics=check_semantics,
    )
    if time_passes:
        print_pass_times(result.seconds)
    if output:
        save_text(result.module, output)
    else:
        click.echo(to_text(result.module), nl=False)
