"""Measures the engines: prints one JSON line a measurement, then the table of docs/performance.md on stderr.

All rates come from one process run; contestants take turns in rounds, and medians over the rounds (of rates, and of the
ratios within a round) are printed, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.chips import layered_chip, recurrent_chip
from tncc.report import used_axons
from tncc.runtime import _native, tnbin
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import Engine
from tncc.runtime.engine_batch import BatchEngine
from tncc.runtime.engine_numpy import NumpyEngine
from tncc.runtime.engine_tick import TickEngine

Array = npt.NDArray[Any]

FRAMES = 2048  # a run of the batch engine
SILICON_FPS = 1249  # Esser et al. 2016, table 3: the one-chip CIFAR-10 network


class Report:
    """Prints JSON lines as they come and remembers them for the table."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def add(self, what: str, **values: Any) -> None:
        line = {"what": what, **values}
        self.lines.append(line)
        print(json.dumps(line), flush=True)

    def table(self) -> str:
        """Markdown: one row a measurement."""
        rows = ["| measurement | value |", "|---|---|"]
        for line in self.lines:
            values = ", ".join(f"{name} {_short(value)}" for name, value in line.items() if name != "what")
            rows.append(f"| {line['what']} | {values} |")
        return "\n".join(rows)


def _short(value: Any) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and abs(value) < 100
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def rates(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each contestant returns (work done) over the seconds it takes, `rounds` times in turn; one untimed first."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, work in contestants.items():
            started = time.perf_counter()
            done = work()
            seconds = time.perf_counter() - started
            if round_:
                found[name].append(done / seconds)
            time.sleep(0.1)  # ONNX Runtime's threads spin on for a while
    return found


def median(values: list[float]) -> float:
    return float(np.median(values))


def median_ratio(above: list[float], below: list[float]) -> float:
    return float(np.median(np.array(above) / np.array(below)))


def feed(engine: Engine, ticks: int, rng: np.random.Generator, runs: int = 1) -> Callable[[], float]:
    """A contestant: runs `ticks` ticks of random frames, `runs` times, and returns how many that are."""
    pins = rng.random((ticks, engine.config.input_pins)) < 0.4
    out = np.empty((ticks, engine.config.output_pins), np.uint8)  # kept, as who streams would

    def work() -> float:
        for _ in range(runs):
            engine.run(ticks, pins, out=out)
        return ticks * runs

    return work


def additions_a_tick(config: ChipConfig) -> float:
    """Synapses with a nonzero weight from a driven axon to one neuron of each set of copies: what a tick has to add up.

    Equal columns of one core with equal neuron types count once, as the batch engine computes them once; an input that
    occupies two axons counts once."""
    driven = used_axons(config)
    total = 0
    for begin in range(0, config.n_cores, 256):
        here = slice(begin, begin + 256)
        bits = np.unpackbits(
            config.crossbars[config.crossbar_index[here]], axis=2, bitorder="little", count=config.neurons
        )
        columns = np.packbits((bits.astype(np.bool_) & driven[here][:, :, None]).transpose(0, 2, 1), axis=2)
        for column, types in zip(columns, config.neuron_type[here], strict=True):
            used = types >= 0
            keys = np.concatenate([column[used], types[used].astype("<i4").view(np.uint8).reshape(-1, 4)], axis=1)
            unique = np.unique(keys, axis=0)[:, :-4]
            total += int(np.bitwise_count(unique).sum())
    return float(total)


def reference(report: Report, path: Path | None, threads: int, rounds: int, numpy_ticks: int) -> None:
    """The reference network: batch engine, tick engine, NumPy and ONNX Runtime, and the bound on the batch engine."""
    import onnxruntime

    import tncc
    from bench.reference_network import reference_network

    model = reference_network()
    program = tncc.load(path) if path else tncc.compile(model)
    config = program.config
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    pictures = rng.standard_normal((FRAMES, 3, 32, 32)).astype(np.float32)
    images = {session.get_inputs()[0].name: pictures[:64]}
    whole = tncc.Session(program, threads=threads)

    def infer() -> float:
        for _ in range(4):
            session.run(None, images)
        return 4 * 64

    def infer_whole() -> float:
        whole.run(pictures)
        return FRAMES

    batch, variants = BatchEngine(config, threads=threads), _native.variants()
    adders = additions_a_tick(config)

    def roofline(n: int) -> Callable[[], float]:
        return lambda: _native.roofline(variants[batch.variant], n, 10_000_000)  # as long as the engines run

    contestants = {
        "batch": feed(batch, FRAMES, rng, 8),
        "roofline": roofline(threads),
        "onnxruntime": infer,
        "session": infer_whole,
        "tick": feed(TickEngine(config, threads=threads), 256, rng),
        "one thread": feed(BatchEngine(config), FRAMES, rng, 4),
        "roofline of one": roofline(1),
    }
    found = rates(contestants, rounds)
    fps = found["batch"]
    report.add("reference network, batch engine", frames_per_second=median(fps), threads=threads, variant=batch.variant)
    report.add(
        "reference network, ONNX Runtime",
        frames_per_second=median(found["onnxruntime"]),
        threads=threads,
        batch_engine_over_it=median_ratio(fps, found["onnxruntime"]),
    )
    report.add(
        "reference network, session: real pictures to scores",
        frames_per_second=median(found["session"]),
        threads=threads,
        over_onnxruntime=median_ratio(found["session"], found["onnxruntime"]),
    )
    report.add("reference network, tick engine", frames_per_second=median(found["tick"]), threads=threads)
    report.add("the silicon", frames_per_second=float(SILICON_FPS), batch_engine_over_it=median(fps) / SILICON_FPS)
    for what, engine, limit in (
        ("", fps, found["roofline"]),
        (", one thread", found["one thread"], found["roofline of one"]),
    ):
        report.add(
            f"full adders from the first cache level{what}",
            additions_per_ns=median(limit) / 1e9,
            batch_engine_per_ns=median(engine) * adders / 1e9,
            share_reached=median_ratio([adders * f for f in engine], limit),
        )
    report.add(
        f"batch engine, {'two' if threads == 2 else threads} threads over one",
        ratio=median_ratio(fps, found["one thread"]),
        of_the_full_adders=median_ratio(found["roofline"], found["roofline of one"]),
    )
    by_variant = rates(
        {v: feed(BatchEngine(config, threads=threads, variant=v), FRAMES, rng, 2) for v in variants}, rounds
    )
    for variant in variants:
        report.add(
            f"batch engine, {variant}",
            frames_per_second=median(by_variant[variant]),
            of_fastest=median_ratio(by_variant[variant], by_variant[batch.variant]),
        )
    slow = rates({"numpy": feed(NumpyEngine(config), numpy_ticks, rng)}, 1)
    report.add("reference network, NumPy interpreter", frames_per_second=median(slow["numpy"]))


def stream(memory: Array, threads: int) -> Callable[[], float]:
    """A contestant: reads `memory` once, in order, a part of it in each thread, and returns the bytes."""
    parts = np.array_split(memory, threads)

    def work() -> float:
        readers = [threading.Thread(target=part.max) for part in parts]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        return memory.nbytes

    return work


def bytes_a_core_tick(rate: float) -> float:
    """What the tick engine has to move between memory and the caches for one tick of one core of the recurrent chip,
    whose neurons and axons are active at `rate`, where nothing of a core stays in the caches: 64-byte lines."""
    rows = 128 * (1 - (1 - rate) ** 2)  # two rows of the crossbar share a line
    targets, hops, types, header = 16, 4, 1, 2
    potentials, palette_index = 8, 4
    lists = 3 * 256 * rate * 4 / 64  # four bytes a spike: the line comes, goes, and comes when the spike is due
    written_back = potentials + header
    return 64 * (rows + targets + hops + types + header + potentials + palette_index + lists + written_back)


def recurrent(report: Report, threads: int, rounds: int, numpy_ticks: int) -> None:
    """The full recurrent chip of bench/chips.py, and the memory bandwidth that bounds it."""
    config = recurrent_chip()
    engine = TickEngine(config, threads=threads)
    rng = np.random.default_rng(0)
    warm = engine.run(64)
    assert warm.outputs.shape == (64, 0)
    memory = np.ones(1 << 25, np.int64)
    found = rates(
        {"tick": feed(engine, 128, rng), "one": feed(TickEngine(config), 128, rng)}
        | {"memory": stream(memory, threads), "memory, one": stream(memory, 1)}
        | {"numpy": feed(NumpyEngine(config), numpy_ticks, rng)},
        rounds,
    )
    stats = engine.stats
    rate = stats.spikes / stats.ticks / config.n_cores / config.neurons
    traffic = bytes_a_core_tick(rate) * config.n_cores
    report.add(
        "recurrent full chip, tick engine",
        ticks_per_second=median(found["tick"]),
        threads=threads,
        variant=engine.variant,
        neuron_rate=rate,
        synaptic_events_per_second=median(found["tick"]) * stats.synaptic_events / stats.ticks,
        over_one_thread=median_ratio(found["tick"], found["one"]),
    )
    report.add(
        "memory read in order",
        gigabytes_per_second=median(found["memory"]) / 1e9,
        one_thread=median(found["memory, one"]) / 1e9,
        over_one_thread=median_ratio(found["memory"], found["memory, one"]),
        tick_engine_megabytes_a_tick=traffic / 1e6,
        bound_ticks_per_second=median(found["memory"]) / traffic,
        tick_engine_of_it=median_ratio([traffic * r for r in found["tick"]], found["memory"]),
        one_thread_of_it=median_ratio([traffic * r for r in found["one"]], found["memory, one"]),
    )
    report.add(
        "recurrent full chip, NumPy interpreter",
        ticks_per_second=median(found["numpy"]),
        tick_engine_over_it=median_ratio(found["tick"], found["numpy"]),
    )


def scaling(report: Report, threads: int, rounds: int, most_chips: int) -> None:
    """Cost of a core's tick on 1, 2, 4 ... chips of the recurrent network, and over threads beside the memory's."""
    engines: dict[str, Engine] = {}
    chips = 1
    while chips <= most_chips:
        config = recurrent_chip(64, 64 * chips, unique=4096)
        engines[f"{chips} chips"] = TickEngine(config, threads=threads)
        engines[f"{chips} chips"].run(32)
        chips *= 2
    rng = np.random.default_rng(0)
    # as many core ticks for each, so that what else the machine does falls on all alike
    found = rates(
        {name: feed(engine, 16 * most_chips >> i, rng) for i, (name, engine) in enumerate(engines.items())}, rounds
    )
    first = found["1 chips"]
    for name, engine in engines.items():
        cores = engine.config.n_cores
        report.add(
            f"tick engine, {name}",
            ticks_per_second=median(found[name]),
            ns_a_core_tick=1e9 / (median(found[name]) * cores),
            cost_over_one_chip=median_ratio([f * 4096 for f in first], [f * cores for f in found[name]]),
        )
    engines.clear()
    config, memory = recurrent_chip(), np.ones(1 << 25, np.int64)
    counts = sorted({1, 2, *(1 << i for i in range(1, 11) if 1 << i <= (os.cpu_count() or 1))})
    by_threads = rates(
        {f"tick {n}": feed(TickEngine(config, threads=n), 64, rng) for n in counts}
        | {f"memory {n}": stream(memory, n) for n in counts},
        rounds,
    )
    for n in counts:
        report.add(
            f"tick engine, {n} threads",
            ticks_per_second=median(by_threads[f"tick {n}"]),
            over_one_thread=median_ratio(by_threads[f"tick {n}"], by_threads["tick 1"]),
            memory_over_one_thread=median_ratio(by_threads[f"memory {n}"], by_threads["memory 1"]),
        )


def batch_scaling(report: Report, threads: int, rounds: int, most_chips: int) -> None:
    """Cost of a core's tick on 1, 2, 4 ... chips' worth of cores in the batch engine: wider layers, as many of them.

    Eight cores of a layer have one crossbar, whatever its width, and all sizes do as many core ticks a round."""
    engines = {}
    for i in range(most_chips.bit_length()):
        engines[1 << i] = BatchEngine(layered_chip(16, 256 << i, unique=32 << i), threads=threads)
    rng = np.random.default_rng(0)
    found = rates(
        {str(chips): feed(engine, 1024, rng, most_chips // chips) for chips, engine in engines.items()}, rounds
    )
    for chips, engine in engines.items():
        cores = engine.config.n_cores
        report.add(
            f"batch engine, {chips} chips",
            frames_per_second=median(found[str(chips)]),
            ns_a_core_tick=1e9 / (median(found[str(chips)]) * cores),
            cost_over_one_chip=median_ratio([f * 4096 for f in found["1"]], [f * cores for f in found[str(chips)]]),
        )


def load(report: Report) -> None:
    """Seconds from a full chip's file to an engine, and the memory to run it, in a process of its own."""
    config = recurrent_chip()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "full.tnbin"
        tnbin.write(path, tnbin.TnBin(config, {}))
        done = subprocess.run(
            [sys.executable, "-m", "bench.engines", "--load", path], stdout=subprocess.PIPE, check=True
        )
        report.add("full chip from its file", **json.loads(done.stdout), file_mb=path.stat().st_size / 1e6)


def load_in_this_process(path: Path) -> None:
    started = time.perf_counter()
    config = tnbin.read(path).config
    read = time.perf_counter()
    engine = TickEngine(config, threads=2)
    ready = time.perf_counter()
    engine.run(64)
    # not getrusage: its peak is inherited from the process that started this one
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    seconds = {"seconds": ready - started, "read_seconds": read - started, "engine_seconds": ready - read}
    print(json.dumps(seconds | {"peak_mb": peak}))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, help="the reference network, compiled; compiled anew where not given")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--chips", type=int, default=16, help="most chips of the scaling test")
    parser.add_argument(
        "--only", choices=["reference", "recurrent", "load", "batch-scaling", "scaling"], help="one part"
    )
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.load:
        load_in_this_process(args.load)
        return
    report = Report()
    report.add("machine", processor=_processor(), cores=os.cpu_count() or 1, load_average=round(os.getloadavg()[0], 2))
    parts: dict[str, Callable[[], None]] = {
        "reference": lambda: reference(report, args.program, args.threads, args.rounds, 8),
        "recurrent": lambda: recurrent(report, args.threads, args.rounds, 1),
        "load": lambda: load(report),
        "batch-scaling": lambda: batch_scaling(report, args.threads, args.rounds, args.chips),
        "scaling": lambda: scaling(report, args.threads, args.rounds, args.chips),
    }
    for name, part in parts.items():
        if args.only in (None, name):
            part()
    print(report.table(), file=sys.stderr)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
