"""One model everywhere: any options, every interpreter and engine, through files and back."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

import tncc
from tests.hostile.edges import Case
from tests.hostile.judge import Wrong, compare, same
from tests.support.engines import ENGINES
from tncc.backends.truenorth import exportable, save
from tncc.compiler import Compilation, Debugging, Options, compile_model
from tncc.errors import CATALOGUE, CompileError
from tncc.frontends.truenorth import load as load_truenorth
from tncc.host import HostModel
from tncc.ir.chip import Chip
from tncc.ir.core_interpreter import run_frames
from tncc.ir.graph import Graph
from tncc.ir.interpreter import run
from tncc.ir.netlist import Netlist
from tncc.program import Program
from tncc.runtime.canonical import same_chip
from tncc.runtime.config import ChipConfig
from tncc.session import Session

Array = npt.NDArray[Any]

NEVER = ("E103", "E602", "E604", "E605", "E606")  # the models are valid, the compiler's own invariants hold


@dataclass(frozen=True)
class OnChip(Options):
    """Options with a chip of any size."""

    target: Chip = field(default_factory=Chip)

    def chip(self) -> Chip:
        return self.target


def random_options(random: Random) -> OnChip:
    """Any input fan-out, splitting and chip: TrueNorth's with defects, an array, a small one."""
    target = Chip(
        chips_x=random.choice([1, 1, 2]),
        defects=frozenset((random.randrange(64), random.randrange(64)) for _ in range(random.choice([0, 0, 5]))),
    )
    if random.random() < 0.4:
        size = random.choice([4, 8, 8, 16, 16, 40])
        target = Chip(
            mesh_x=random.choice([16, 32]),
            mesh_y=32,
            axons=size,
            neurons=random.choice([size, size, size + 3, 4]),
            chips_y=random.choice([1, 1, 2]),
            axon_types=random.choice([4, 4, 4, 2]),
            max_weight=random.choice([255, 255, 3, 15]),
            max_delay_ticks=random.choice([15, 15, 1, 2]),
        )
    return OnChip(
        input_fanout=random.choice(["host", "splitters"]),
        effort="low",
        seed=random.randrange(3),
        threads=random.choice([1, 2]),
        allow_partial_sums=random.random() < 0.5,
        target=target,
    )


def judge_everywhere(case: Case, random: Random) -> str:
    """ "exact", or the code of the error that the compiler refused the model with. Raises Wrong."""
    options, data = random_options(random), case.model.SerializeToString()
    try:
        compiled = compile_model(data, options)
    except CompileError as error:
        if CATALOGUE.get(error.code) is not type(error) or error.code in NEVER:
            raise Wrong(f"an error that no such model should lead to: {error}") from error
        return error.code
    program = compiled.program
    assert program is not None
    expected = reference(data, case.frames)
    session = Session(program, engine=random.choice(["numpy", "auto"]))
    check(streamed(session, case.frames, 1024), expected, case.frames, "session")
    check(streamed(session, case.frames, random.choice([1, 5, 23])), expected, case.frames, "session in batches")
    check_engines(program.config, session.encode(case.frames), random)
    check_interpreters(compiled, case.frames, expected)
    if random.random() < 0.3:
        check_stages(compiled, data, options, case.frames)
        compile_model(data, options, Debugging(check_semantics=True))
    if random.random() < 0.3:
        check_files(program, case.frames, expected)
        if compile_model(data, replace(options, threads=3 - options.threads)).program != program:
            raise Wrong("compiled twice, the bytes differ")
    return "exact"


def reference(data: bytes, frames: dict[str, Array]) -> dict[str, Array]:
    """ONNX Runtime's outputs, with its optimisations and without. Raises Wrong where the two differ."""
    found = []
    for level in ("ORT_ENABLE_ALL", "ORT_DISABLE_ALL"):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
        names = [value.name for value in session.get_outputs()]
        found.append(dict(zip(names, session.run(names, frames), strict=True)))
    check(found[1], found[0], frames, "compiled, but ONNX Runtime's optimiser changes the answers")
    return found[0]


def streamed(session: Session, frames: dict[str, Array], batch: int) -> dict[str, Array]:
    parts = list(session.stream(frames, batch))
    return {name: np.concatenate([part[name] for part in parts]) for name in session.outputs}


def check(found: dict[str, Array], expected: dict[str, Array], frames: dict[str, Array], what: str) -> None:
    for name, wanted in expected.items():
        try:
            compare(name, found[name], wanted, frames)
        except Wrong as error:
            raise Wrong(f"{what}: {error}") from None


def check_engines(config: ChipConfig, pins: Array, random: Random) -> None:
    """Every engine gives the NumPy engine's spikes, potentials and totals, also where the run is cut."""
    pins = np.concatenate([pins, np.zeros((config.latency_ticks + 1, config.input_pins), np.uint8)])
    record = np.ones(config.neuron_type.shape, bool)
    probes = np.argwhere(config.neuron_type >= 0).astype(np.int32)
    probes = probes[:: max(1, len(probes) // 50)]
    cut = random.randrange(len(pins) + 1)
    wanted = None
    for name, make in ENGINES.items():
        engine = make(config)
        halves = [engine.run(len(part), part, None, record, probes) for part in (pins[:cut], pins[cut:])]
        found: list[Any] = [np.concatenate([half.outputs for half in halves])]
        found.append(np.concatenate([half.potentials for half in halves]))
        found += [np.concatenate([getattr(half.spikes, key) for half in halves]) for key in ("tick", "core", "neuron")]
        found += [getattr(engine.stats, each.name) for each in fields(engine.stats)]
        wanted = wanted or found
        for index, (a, b) in enumerate(zip(found, wanted, strict=True)):
            if not np.array_equal(a, b):
                raise Wrong(f"engine {name}: result {index} differs from the NumPy engine's")


def check_interpreters(compiled: Compilation, frames: dict[str, Array], expected: dict[str, Array]) -> None:
    program, netlist = compiled.program, compiled.module
    assert program is not None and isinstance(netlist, Netlist)
    entering = frames | (HostModel(program.prefix, "prefix").run(frames) if program.prefix else {})
    leaving = {name: a.astype(np.float32) for name, a in run_frames(netlist, entering).items()}
    check(answers(program, leaving), expected, frames, "core interpreter")


def answers(program: Program, leaving: dict[str, Array]) -> dict[str, Array]:
    """The model's outputs from the chip's."""
    return leaving | (HostModel(program.suffix, "suffix").run(leaving) if program.suffix else {})


def check_stages(compiled: Compilation, data: bytes, options: Options, frames: dict[str, Array]) -> None:
    """The nn interpreter on the graph that each later pass leaves gives what the chip gives."""
    program, netlist = compiled.program, compiled.module
    assert program is not None and isinstance(netlist, Netlist)
    entering = frames | (HostModel(program.prefix, "prefix").run(frames) if program.prefix else {})
    wanted = list(run_frames(netlist, entering).values())
    for stop in ("fold-thresholds", "prune-constants", "split-partial-sums", "bias-inputs", "split-filter-groups"):
        graph = compile_model(data, options, Debugging(stop_after=stop)).module
        assert isinstance(graph, Graph)
        found = list(run(graph, entering).values())
        if not all(same(*pair) for pair in zip(found, wanted, strict=True)):
            raise Wrong(f"nn interpreter: after {stop} not what the chip gives")


def check_files(program: Program, frames: dict[str, Array], expected: dict[str, Array]) -> None:
    """Through a .tnbin file and back, and an IBM model file and back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chip.tnbin"
        program.save(path)
        loaded = tncc.load(path)
        if loaded.to_bytes() != path.read_bytes() or loaded != program:
            raise Wrong("loaded and saved, the bytes differ")
        check(streamed(Session(loaded), frames, 1024), expected, frames, "loaded")
        config = program.config
        if config.axons != config.neurons:
            return
        save(config, program.metadata, Path(folder) / "chip.json")
        imported, _ = load_truenorth(Path(folder) / "chip.json")
        layers = np.zeros(config.n_cores, np.int32)
        if what := same_chip(exportable(config), replace(imported, layer=layers)):
            raise Wrong(f"exported and imported, the chip differs: {what}")
