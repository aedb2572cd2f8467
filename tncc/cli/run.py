"""`tncc run`."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tncc.cli import EXIT_CHECK_FAILED
from tncc.cli.options import echo_json, file, load_array, reading
from tncc.errors import InputError

if TYPE_CHECKING:
    from tncc.program import Program
    from tncc.session import Session


@click.command("run")
@click.argument("chip", type=file)
@click.option(
    "--input",
    "data",
    multiple=True,
    metavar="[NAME=]DATA.npy",
    help="Frames [N, ...]: float32 or uint8. For a model with several inputs once for each, with its name.",
)
@click.option(
    "-o",
    "--output",
    multiple=True,
    metavar="[NAME=]OUT.npy",
    help="Write the model's output; of several outputs those that are named.",
)
@click.option("--labels", type=file, metavar="LABELS.npy", help="Class labels [N]: print the accuracy.")
@click.option(
    "--expect-accuracy",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Exit with 1 where the accuracy (0 to 1) is below P.",
)
@click.option("--spikes", type=file, metavar="IN.sfti", help="Raw spikes in (.sfti, RAWI3, CONNPIN).")
@click.option("--ticks", type=click.IntRange(1, 10**9), metavar="N", help="Ticks to run, with --spikes.")
@click.option("--spikes-out", type=file, metavar="OUT.sfro", help="Recorded spikes out (.sfro, .sfcp, .txt).")
@click.option(
    "--monitor", default="outputs", show_default=True, metavar="all|outputs|FILTER.json", help="What to record."
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
@click.option("--stats", is_flag=True, help="Count spikes, synaptic events and hops; predict the cost.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    chip: Path,
    data: tuple[str, ...],
    output: tuple[str, ...],
    labels: Path | None,
    expect_accuracy: float | None,
    spikes: Path | None,
    ticks: int | None,
    spikes_out: Path | None,
    monitor: str,
    engine: str,
    threads: int,
    stats: bool,
    as_json: bool,
) -> None:
    """Run a compiled CHIP on data (--input) or on raw spikes (--spikes)."""
    import tncc

    if bool(data) == (spikes is not None):
        raise InputError("give either --input DATA.npy or --spikes FILE")
    if expect_accuracy is not None and (labels is None or math.isnan(expect_accuracy)):
        raise InputError("--expect-accuracy takes a number from 0 to 1, and needs --labels")
    if spikes is None and (ticks or spikes_out or monitor != "outputs"):
        raise InputError("--ticks, --spikes-out and --monitor go with --spikes")
    program = tncc.load(chip)
    if spikes is not None:
        if output or labels:
            raise InputError("-o and --labels go with --input; raw spikes are written with --spikes-out")
        from tncc.cli.spikes import run_spikes

        report = run_spikes(program, spikes, ticks, spikes_out, monitor, engine, threads)
        passed = True
    else:
        report, passed = _run_frames(program, data, output, labels, expect_accuracy, engine, threads, stats)
    if not stats:
        for key in ("spikes", "synaptic_events", "hops", "per_tick_max", "predicted", "core_spikes", "wiring_sha256"):
            report.pop(key, None)
    if as_json:
        echo_json(report)
    else:
        _print(report)
    if not passed:
        accuracy = report["accuracy"]
        found = "no frame, so no accuracy" if accuracy is None else f"accuracy {accuracy:.4f}"
        click.echo(f"{found} is below the expected {expect_accuracy}", err=True)
        raise SystemExit(EXIT_CHECK_FAILED)


def _run_frames(
    program: Program,
    data: tuple[str, ...],
    output: tuple[str, ...],
    labels: Path | None,
    expected: float | None,
    engine: str,
    threads: int,
    stats: bool,
) -> tuple[dict[str, Any], bool]:
    from tncc.cli.ports import by_name, load_frames
    from tncc.cli.spikes import measured_traffic
    from tncc.cost.rapl import EnergyMeter
    from tncc.labels import check_labels, count_hits
    from tncc.outputs import OutputFile
    from tncc.progress import progress
    from tncc.session import Session

    frames = load_frames(data, program)
    truth = load_array(labels) if labels else None
    session = Session(program, threads=threads, engine=engine)
    with reading(frames.source):
        session.feeds(frames.data)
    if labels and len(session.outputs) != 1:
        raise InputError(f"the model has {len(session.outputs)} outputs; --labels takes a model with one")
    if labels is not None and truth is not None:
        with reading(labels):
            check_labels(truth, len(frames))
    files = by_name(output, session.outputs, "-o", "outputs")
    hits = done = 0
    with (
        progress("running", len(frames), "frames") as update,
        reading(frames.source),
        ExitStack() as stack,
        EnergyMeter() as meter,
    ):
        sinks = {name: stack.enter_context(OutputFile(path, len(frames))) for name, path in files.items()}
        for part in session.stream(frames.data, progress=update):
            for name, sink in sinks.items():
                sink.write(part[name])
            if labels is not None and truth is not None:
                scores = part[session.outputs[0]]
                with reading(labels):
                    hits += count_hits(scores, truth[done : done + len(scores)])
                done += len(scores)
    accuracy = hits / len(frames) if truth is not None and len(frames) else None
    report: dict[str, Any] = {
        "frames": len(frames),
        "ticks": session.ticks,
        "seconds": session.seconds,
        "frames_per_second": len(frames) / session.seconds if session.seconds else None,
        "engine": session.engine,
        "threads": threads,
        "spikes": int(session.stats.spikes),
        "synaptic_events": int(session.stats.synaptic_events),
        "hops": int(session.stats.hops),
        **measured_traffic(program.config, session.stats),
    }
    if truth is not None:
        report["accuracy"] = accuracy
    if stats:
        report["per_tick_max"] = session.stats.per_tick_max()
        report |= _predicted(session, meter.energy_uj, len(frames))
    return report, expected is None or (accuracy is not None and accuracy >= expected)


def _predicted(session: Session, energy_uj: float | None, frames: int) -> dict[str, Any]:
    """What this run would cost on the chip, and what it took here where the processor tells."""
    from tncc.cost.model import predict
    from tncc.cost.workload import from_stats

    cores = session.program.config.n_cores
    if not cores:
        return {}
    prediction = predict(cores, from_stats(session.stats))
    per_frame = None if energy_uj is None or not frames else energy_uj / frames
    return {"predicted": prediction.to_json()} | ({} if per_frame is None else {"cpu_energy_per_frame_uj": per_frame})


def _print(report: dict[str, Any]) -> None:
    shown = {key: value for key, value in report.items() if key not in ("core_spikes", "wiring_sha256")}
    predicted = shown.pop("predicted", None)
    shown |= {f"per_tick_max_{name}": value for name, value in shown.pop("per_tick_max", {}).items()}
    for key, value in shown.items():
        text = f"{value:,.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
        click.echo(f"{key.replace('_', ' '):38}{text}")
    if predicted:
        from tncc.cost.tables import rounded

        for key, (low, high) in predicted["range"].items():
            name = f"predicted {key.replace('_', ' ')}"
            click.echo(f"{name:38}{rounded(predicted[key])} ({rounded(low)} to {rounded(high)})")
