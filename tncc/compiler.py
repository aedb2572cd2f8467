"""ONNX model -> Program: frontend, pipeline, backend, in that order."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

import tncc
from tncc.errors import InputError, ModelTooLarge, PassMisplaced
from tncc.host import HostModel
from tncc.ir.chip import Chip
from tncc.ir.netlist import Netlist
from tncc.program import Program

Array = npt.NDArray[Any]

if TYPE_CHECKING:
    import onnx

    from tncc.frontends.onnx import OnnxModel
    from tncc.passes.base import Module, Pass

    Source = str | Path | bytes | onnx.ModelProto


@dataclass(frozen=True)
class Debugging:
    """How to look into a compilation; every field has an option of `tncc compile` of its name.

    Attributes:
        print_ir_after: pass names after which to print the module; "all" for every pass.
        dump_dir: folder that gets one NN-pass.tn a pass.
        start_from: .tn file to start from, in place of the model's own graph.
        stop_after: pass after which to stop.
        check_semantics: compare the reference interpreter's outputs before and after every exact pass.
        print_ir: what prints it.
    """

    print_ir_after: Collection[str] = ()
    dump_dir: Path | None = None
    start_from: Path | None = None
    stop_after: str | None = None
    check_semantics: bool = False
    print_ir: Callable[[str], object] = print


@dataclass(frozen=True)
class Options:
    """What `tncc.compile` takes beside the model; see there."""

    input_fanout: str = "host"
    chips: tuple[int, int] = (1, 1)
    defects: Collection[tuple[int, int]] = ()
    effort: str = "default"
    seed: int = 0
    traffic: str | Path | None = None
    threads: int = 1
    rounding: str = "exact"
    trinarize: str = "exact"
    calibrate: Array | None = None
    labels: Array | None = None
    allow_partial_sums: bool = False
    pipeline: str | None = None

    def chip(self) -> Chip:
        """The target these options describe. Raises InputError where `chips` or `defects` are no pairs of integers."""
        try:
            columns, rows = (operator.index(n) for n in self.chips)
        except (TypeError, ValueError):
            raise InputError(f"chips is {self.chips!r}; expected two integers, (columns, rows)") from None
        try:
            defects = frozenset((operator.index(x), operator.index(y)) for x, y in self.defects)
        except (TypeError, ValueError):
            raise InputError("defects holds something else than pairs of integers, (x, y)") from None
        return Chip(chips_x=columns, chips_y=rows, defects=defects)

    def passes(self) -> tuple[Pass, ...]:
        """The pipeline these options stand for.

        Raises InputError where they contradict an explicit pipeline or ask for what is not there yet.
        """
        from tncc.passes.pipeline import DEFAULT_PIPELINE, parse_pipeline, with_options

        if self.trinarize not in ("exact", "twn"):
            raise InputError(f"trinarize is {self.trinarize!r}; it is exact or twn")
        if (self.trinarize == "twn") != (self.calibrate is not None):
            raise InputError(
                "--trinarize twn and --calibrate DATA.npy go together",
                hint="give data like that which the network will see; or train with trinary weights (tncc.train)",
            )
        if self.labels is not None and self.calibrate is None:
            raise InputError(
                "--labels goes with --trinarize twn --calibrate DATA.npy",
                hint="an exact chip's accuracy is what tncc run --labels measures",
            )
        if self.pipeline is None:
            return with_options(
                parse_pipeline(DEFAULT_PIPELINE),
                rounding=self.rounding,
                input_fanout=self.input_fanout,
                effort=self.effort,
                seed=self.seed,
                traffic=str(self.traffic or ""),
                allow_partial_sums=self.allow_partial_sums,
            )
        given = (
            self.rounding,
            self.input_fanout,
            self.effort,
            self.seed,
            self.traffic,
            self.allow_partial_sums,
        )
        if given != ("exact", "host", "default", 0, None, False):
            raise InputError(
                "a pipeline of your own cannot be combined with the options input-fanout, effort, seed, traffic, "
                "rounding and allow-partial-sums",
                hint="write them into the pipeline, as in place-cores{effort=high seed=1}",
            )
        return parse_pipeline(self.pipeline)


@dataclass(frozen=True)
class Compilation:
    """What came of it: a program and the module it was made from; only the module where `stop_after` was given.

    `source` is the model as `tncc.explain.explain` takes it; `pass_seconds` are those of the passes that ran.
    """

    program: Program | None
    module: Module
    source: OnnxModel
    pass_seconds: dict[str, float]


def compile(
    model: Source,
    *,
    input_fanout: str = "host",
    chips: tuple[int, int] = (1, 1),
    defects: Collection[tuple[int, int]] = (),
    effort: str = "default",
    seed: int = 0,
    traffic: str | Path | None = None,
    threads: int = 1,
    rounding: str = "exact",
    trinarize: str = "exact",
    calibrate: Array | None = None,
    labels: Array | None = None,
    allow_partial_sums: bool = False,
    pipeline: str | None = None,
) -> Program:
    """Compiles an ONNX model for the chip.

    Args:
        model: path of an .onnx file, its bytes, or an onnx.ModelProto.
        input_fanout: "host" (the host drives every copy of an input) or "splitters" (cores on the chip do).
        chips: array of chips, (columns, rows).
        defects: global (x, y) of cores that must not be used.
        effort: of the placement: "low", "default" or "high".
        seed: of the placement; same model, options and seed give the same bytes.
        traffic: file of measured spikes, by which the placement weighs connections: what `tncc run --stats --json`
            printed for this network, compiled with the same input_fanout.
        threads: of the compiler; the result does not depend on it.
        rounding: "exact" refuses a threshold that hangs on float32 rounding; "nearest" takes the model as written
            and marks the program as not exact.
        trinarize: "exact" refuses weights that are not trinary; "twn" makes a trinary, spiking model of a float one and
            marks the program as not exact.
        calibrate: [frames, ...input shape], data for "twn": the first 1,024 frames are fitted to, all are measured.
        labels: integers [frames], the classes of that data: the report then holds both models' accuracy.
        allow_partial_sums: computes filters that no core holds in stages, exactly, for more cores and ticks.
        pipeline: passes to run in place of the default.

    Raises:
        CompileError: the model cannot run on the chip as asked; names the ONNX node and what would work.
        InputError: the file cannot be read, or the options contradict each other.
    """
    options = Options(
        input_fanout=input_fanout,
        chips=chips,
        defects=defects,
        effort=effort,
        seed=seed,
        traffic=traffic,
        threads=threads,
        rounding=rounding,
        trinarize=trinarize,
        calibrate=calibrate,
        labels=labels,
        allow_partial_sums=allow_partial_sums,
        pipeline=pipeline,
    )
    program = compile_model(model, options).program
    assert program is not None  # nothing asked to stop before
    return program


def compile_model(
    model: Source,
    options: Options,
    debugging: Debugging | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> Compilation:
    """Compiles with every option and debugging aid of the command line; `progress` gets (pass, index, passes).

    Raises:
        CompileError: as `compile`; also where memory, or Python's stack, does not suffice.
    """
    at = "reading the model"

    def reached(name: str, index: int, total: int) -> None:
        nonlocal at
        at = name
        if progress is not None:
            progress(name, index, total)

    try:
        return _compile(model, options, debugging or Debugging(), reached)
    except MemoryError as error:
        wanted = str(error).strip().partition("\n")[0]
        raise ModelTooLarge(
            f"there is not enough memory{f' ({wanted})' if wanted else ''}", at, "a smaller model, or more memory"
        ) from None
    except RecursionError:
        raise ModelTooLarge(
            "the model is nested too deeply", at, "fewer layers, or fewer nodes between layers"
        ) from None


def _compile(
    model: Source, options: Options, debugging: Debugging, progress: Callable[[str, int, int], object]
) -> Compilation:
    from tncc.backends.tnbin import describe, to_config
    from tncc.frontends.onnx import load, split_host, visible
    from tncc.passes.manager import run_pipeline
    from tncc.passes.pipeline import print_pipeline, with_options
    from tncc.passes.place_cores import PlaceCores
    from tncc.twn import trinarize

    passes, chip = options.passes(), options.chip()
    source = load(model)
    graph = source.graph
    trinarization: dict[str, Any] = {}
    if options.calibrate is not None:
        found = trinarize(source.model, options.calibrate, options.labels)
        names, kept = ({node.name for node in model.graph.node} for model in (source.model, found.model))
        source = replace(source, model=found.model, graph=load(found.model).graph, approximated=frozenset(names - kept))
        graph = replace(source.graph, name=source.name, approximations=found.fidelity.sentences())
        trinarization = {"trinarization": found.fidelity.as_json()}
    result = run_pipeline(
        graph,
        chip,
        with_options(passes, threads=options.threads),
        start_from=debugging.start_from,
        stop_after=debugging.stop_after,
        print_ir_after=debugging.print_ir_after,
        print_ir=debugging.print_ir,
        dump_dir=debugging.dump_dir,
        check_semantics=debugging.check_semantics,
        progress=progress,
    )
    netlist = result.module
    if debugging.stop_after is not None:
        return Compilation(None, netlist, source, result.seconds)
    if not isinstance(netlist, Netlist) or not netlist.placed:
        raise PassMisplaced(
            "the pipeline ends before the chip is complete",
            "pipeline",
            "end it with partition-cores, place-cores, route-spikes; --stop-after PASS writes the IR's text",
        )
    netlist = replace(netlist, outputs=tuple(visible(source.model, source.graph, port) for port in netlist.outputs))
    entering, leaving = [p.name for p in netlist.inputs], [p.name for p in netlist.outputs]
    prefix, suffix = split_host(source.model, entering, leaving)
    for part, what in ((prefix, "prefix"), (suffix, "suffix")):
        if part is not None:
            HostModel(
                part, f"host-side {what} of {source.name}"
            )  # what ONNX Runtime refuses fails here, not in the field
    metadata: dict[str, Any] = {
        **describe(netlist),
        "source": {"name": source.name, "sha256": source.sha256},
        "pipeline": print_pipeline(passes),
        "seed": next((step.seed for step in passes if isinstance(step, PlaceCores)), 0),
        "tncc": tncc.__version__,
        "approximations": list(netlist.approximations),
        **trinarization,
        **_interface(source.model),
    }
    program = Program(to_config(netlist), metadata, prefix, suffix, result.seconds)
    return Compilation(program, netlist, source, result.seconds)


def _interface(model: onnx.ModelProto) -> dict[str, Any]:
    """The metadata entries that tell a session the model's own inputs and outputs."""
    from onnx.helper import tensor_dtype_to_np_dtype

    constants = {initializer.name for initializer in model.graph.initializer}
    inputs, outputs = [v for v in model.graph.input if v.name not in constants], list(model.graph.output)
    dtypes = {v.name: tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type).name for v in (*inputs, *outputs)}
    return {
        "model_inputs": [
            {
                "name": v.name,
                "dtype": dtypes[v.name],
                "shape": [d.dim_value for d in v.type.tensor_type.shape.dim[1:]],
            }
            for v in inputs
        ],
        "model_outputs": [v.name for v in outputs],
        "model_output_dtypes": {v.name: dtypes[v.name] for v in outputs},
    }
