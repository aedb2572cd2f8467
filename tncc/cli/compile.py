"""`tncc compile`."""

from __future__ import annotations

from pathlib import Path

import click

from tncc.cli.options import echo_json, file, grid, load_array, load_defects
from tncc.errors import InputError


@click.command("compile")
@click.argument("model", type=file)
@click.option("-o", "--output", type=file, help="File to write.  [default: chip.tnbin; with --stop-after, chip.tn]")
@click.option(
    "--input-fanout",
    type=click.Choice(["host", "splitters"]),
    default="host",
    show_default=True,
    help="Who fans input spikes out: the host, or splitter cores on the chip.",
)
@click.option(
    "--chips", callback=grid, default="1x1", metavar="CxR", show_default=True, help="Array of chips, columns x rows."
)
@click.option("--defects", type=file, help="File of cores not to use: 'x y' or 'chip_x chip_y x y' a line.")
@click.option(
    "--effort",
    type=click.Choice(["low", "default", "high"]),
    default="default",
    show_default=True,
    help="How long to search for a placement.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    metavar="N",
    default=0,
    show_default=True,
    help="Seed of the placement.",
)
@click.option("--traffic", type=file, metavar="FILE", help="Place by measured spikes: what run --stats --json printed.")
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    metavar="N",
    default=1,
    show_default=True,
    help="Of the placement; the result does not depend on it.",
)
@click.option(
    "--trinarize",
    type=click.Choice(["exact", "twn"]),
    default="exact",
    show_default=True,
    help="exact refuses weights that are not trinary; twn approximates them.",
)
@click.option("--calibrate", type=file, metavar="DATA.npy", help="Data for --trinarize twn.")
@click.option("--labels", type=file, metavar="LABELS.npy", help="Classes of that data: report both accuracies.")
@click.option(
    "--rounding",
    type=click.Choice(["exact", "nearest"]),
    default="exact",
    show_default=True,
    help="exact refuses thresholds that hang on float rounding; nearest takes the model as written.",
)
@click.option(
    "--allow-partial-sums",
    is_flag=True,
    help="Compute filters of more than 256 nonzero weights in stages, exactly, for more cores and ticks.",
)
@click.option("--pipeline", metavar="TEXT", help="Passes to run, in place of the default pipeline.")
@click.option("--print-ir-after", multiple=True, metavar="PASS|all", help="Print the IR on stderr after a pass.")
@click.option("--dump-dir", type=file, metavar="DIR", help="Folder that gets the IR after every pass.")
@click.option("--start-from", type=file, metavar="FILE.tn", help="Start from this IR instead of the model's graph.")
@click.option("--stop-after", metavar="PASS", help="Stop after a pass; the output is then the IR's text (.tn).")
@click.option("--check-semantics", is_flag=True, help="Compare outputs before and after every exact pass.")
@click.option("--time-passes", is_flag=True, help="Print the time of every pass on stderr.")
@click.option("--explain", is_flag=True, help="Print on stderr what became of every ONNX node.")
@click.option("--html", type=file, metavar="FILE", help="Write a report with pictures, as inspect --html does.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(
    model: Path,
    output: Path | None,
    input_fanout: str,
    chips: tuple[int, int],
    defects: Path | None,
    effort: str,
    seed: int,
    traffic: Path | None,
    threads: int,
    trinarize: str,
    calibrate: Path | None,
    labels: Path | None,
    rounding: str,
    allow_partial_sums: bool,
    pipeline: str | None,
    print_ir_after: tuple[str, ...],
    dump_dir: Path | None,
    start_from: Path | None,
    stop_after: str | None,
    check_semantics: bool,
    time_passes: bool,
    explain: bool,
    html: Path | None,
    as_json: bool,
) -> None:
    """Compile an ONNX MODEL into a chip configuration (.tnbin)."""
    from tncc.compiler import Debugging, Options, compile_model
    from tncc.files import check_writable, write_text
    from tncc.ir.chip import Chip
    from tncc.ir.text_files import save_text
    from tncc.progress import progress

    for name, asked in (("--json", as_json), ("--html", html), ("--explain", explain)):
        if stop_after and asked:
            raise InputError(f"{name} is about the finished chip: it does not go with --stop-after")
    options = Options(
        input_fanout=input_fanout,
        chips=chips,
        defects=load_defects(defects, Chip.mesh_x, Chip.mesh_y) if defects else (),
        effort=effort,
        seed=seed,
        traffic=traffic,
        threads=threads,
        rounding=rounding,
        trinarize=trinarize,
        calibrate=load_array(calibrate) if calibrate else None,
        labels=load_array(labels) if labels else None,
        allow_partial_sums=allow_partial_sums,
        pipeline=pipeline,
    )
    debugging = Debugging(
        print_ir_after, dump_dir, start_from, stop_after, check_semantics, lambda text: click.echo(text, err=True)
    )
    output = output or Path("chip.tn" if stop_after else "chip.tnbin")
    for target in (output, html):
        if target:
            check_writable(target)
    with progress("compiling", len(options.passes())) as update:
        result = compile_model(model, options, debugging, lambda name, index, total: update(index, name))
    if time_passes:
        print_pass_times(result.pass_seconds)
    if result.program is None:
        save_text(result.module, output)
        click.echo(f"stopped after {stop_after}: wrote {output}", err=True)
        return
    result.program.save(output)
    for warning in result.program.metadata.get("approximations", []):
        click.echo(f"warning: not exact: {warning}", err=True)
    if explain:
        from tncc.explain import explain as fates

        rows = fates(result.source, result.program)
        widths = [
            max(len(text) for text in column) for column in zip(*((r.node, r.operator) for r in rows), strict=True)
        ]
        for row in rows:
            click.echo(f"{row.node:{widths[0]}}  {row.operator:{widths[1]}}  {row.became}", err=True)
    if html:
        from tncc.cost.estimate import estimate
        from tncc.html_report import html_report

        write_text(html, html_report(result.program, output.name, estimate(result.program)))
        click.echo(f"wrote {html}", err=True)
    report = result.program.report()
    if as_json:
        echo_json(report)
        return
    for entry in report["partial_sums"]:
        cores = f"{entry['cores']:,} core{'s' * (entry['cores'] != 1)}"
        click.echo(f"{entry['layer']}: {cores} and {entry['ticks']} ticks, by {entry['remark']}", err=True)
    hops = "" if report["mean_hops"] is None else f", {report['mean_hops']:.2f} mean hops"
    click.echo(
        f"{output}: {report['cores_used']:,} of {report['cores_available']:,} cores, "
        f"{report['latency_ticks']} ticks latency{hops}"
    )


def print_pass_times(seconds: dict[str, float]) -> None:
    """A table on stderr: pass, seconds, share."""
    total = sum(seconds.values()) or 1.0
    for name, value in seconds.items():
        click.echo(f"{name:24}{value:9.3f} s {100 * value / total:5.1f} %", err=True)
    click.echo(f"{'total':24}{total:9.3f} s", err=True)
