"""The pass manager: checks, runs, verifies, times, prints and dumps each pass of a pipeline."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from tncc.errors import CompileError, InputError, MeaningChanged, ModuleInvalid, PassMisplaced, PipelineInvalid
from tncc.ir import invariants
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.netlist import Netlist
from tncc.ir.printer import to_text
from tncc.ir.text_files import load_text, save_text
from tncc.ir.verify import verify
from tncc.passes.base import Module, Pass
from tncc.passes.pipeline import DEFAULT_PIPELINE, parse_pipeline, passes, print_pass, print_pipeline
from tncc.passes.semantics import compare_meaning

_AFTER = re.compile(r"// after pass (\d+) of: (.*)")


@dataclass
class PipelineResult:
    """What a pipeline run yields.

    Attributes:
        module: after the last pass that ran.
        pipeline: the whole pipeline as text, with options that differ from their defaults.
        seconds: wall time of each pass that ran, by pass name; runs of one pass add up.
        ensured: the invariants that hold of `module`.
        semantics: with check_semantics, by pass name: "equal", or why it was not compared.
    """

    module: Module
    pipeline: str
    seconds: dict[str, float] = field(default_factory=dict)
    ensured: set[str] = field(default_factory=set)
    semantics: dict[str, str] = field(default_factory=dict)


def run_pipeline(
    module: Module | None,
    chip: Chip,
    pipeline: str | Sequence[Pass] = DEFAULT_PIPELINE,
    *,
    start_from: Path | None = None,
    stop_after: str | None = None,
    print_ir_after: Collection[str] = (),
    print_ir: Callable[[str], object] = print,
    dump_dir: Path | None = None,
    check_semantics: bool = False,
    semantics_seed: int = 0,
    progress: Callable[[str, int, int], object] | None = None,
) -> PipelineResult:
    """Runs a pipeline.

    Args:
        module: what to rewrite; None with `start_from`.
        chip: the target.
        pipeline: its text, or the passes themselves.
        start_from: a .tn file to start from instead. One that `dump_dir` wrote goes on after the pass it was written
            after; any other goes through the whole pipeline.
        stop_after: name of the last pass to run.
        print_ir_after: pass names, or {"all"}: `print_ir` gets the IR's text after each, large tensors left out.
        dump_dir: folder for NN-pass.tn after every pass (and 00-input.tn); created where missing.
        check_semantics: run the reference interpreter before and after every exact pass on random inputs and
            compare all outputs bit for bit. Where they differ, what the passes after it say of the module goes before.
        progress: called before each pass with its name, its index and the number of passes to run.

    Raises:
        CompileError: an unknown pass or option, an invariant that does not hold, whatever a pass refuses, or outputs
            that an exact pass changed.
    """
    steps = parse_pipeline(pipeline) if isinstance(pipeline, str) else tuple(pipeline)
    text = print_pipeline(steps)
    first = 0
    if start_from is not None:
        module, first = _resume(start_from, steps)
    if module is None:
        raise PassMisplaced("there is no module to run the pipeline on")
    _check_chip(module, chip)
    end = _end(steps, stop_after)
    _check_names(print_ir_after, steps)
    verify(module)
    result = PipelineResult(module, text)
    if dump_dir is not None:
        try:
            dump_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the folder cannot be made: {error.strerror or error}", dump_dir) from error
        _dump(dump_dir, first, "input" if first == 0 else steps[first - 1].name, module, text)
    for index in range(first, end):
        step = steps[index]
        if progress is not None:
            progress(step.name, index - first, end - first)
        before = result.module
        _run_step(step, chip, result)
        if check_semantics:
            later = steps[index + 1 : end]
            result.semantics[step.name] = _meaning(step, before, result, later, chip, semantics_seed)
        if "all" in print_ir_after or step.name in print_ir_after:
            print_ir(f"// after {print_pass(step)}\n{to_text(result.module, tensors={})}")
        if dump_dir is not None:
            _dump(dump_dir, index + 1, step.name, result.module, text)
    return result


def _run_step(step: Pass, chip: Chip, result: PipelineResult) -> None:
    if step.takes is not None and not isinstance(result.module, step.takes):
        levels = {Graph: "an nn graph", Netlist: "a core netlist"}
        hints = {
            Graph: "cores are placed and routed by the pipeline place-cores, route-spikes",
            Netlist: "run partition-cores before it",
        }
        raise PassMisplaced(
            f"{step.name} takes {levels[step.takes]}, not {levels[type(result.module)]}", "pipeline", hints[step.takes]
        )
    for name in step.requires:
        ensuring = sorted(cls.name for cls in passes().values() if name in cls.ensures)
        hint = f"run {' or '.join(ensuring)} before it" if ensuring else ""
        invariants.check(name, result.module, chip, f"{step.name} requires", hint)
    started = time.perf_counter()
    module = step.run(result.module, chip)
    # what is not exact stays so, whatever a pass builds anew
    lost = tuple(reason for reason in result.module.approximations if reason not in module.approximations)
    module = replace(module, approximations=(*lost, *module.approximations)) if lost else module
    result.seconds[step.name] = result.seconds.get(step.name, 0.0) + time.perf_counter() - started
    try:
        verify(module)
    except CompileError as error:
        raise ModuleInvalid(f"after {step.name}: {error.message}", error.location, error.hint) from error
    kept = {n for n in result.ensured if n not in step.invalidates and invariants.applies(n, module)}
    for name in step.ensures:
        invariants.check(name, module, chip, f"{step.name} ensures")
    for name in sorted(kept.difference(step.ensures)):
        invariants.check(name, module, chip, f"{step.name} broke")
    result.module, result.ensured = module, kept | set(step.ensures)


def _meaning(step: Pass, before: Module, result: PipelineResult, later: Sequence[Pass], chip: Chip, seed: int) -> str:
    """What --check-semantics says of `step`, which made result.module of `before`; `later`: the passes still to run."""
    if not step.exact:
        return "not exact"
    if reasons := [reason for reason in result.module.approximations if reason not in before.approximations]:
        return f"not exact: {reasons[0]}"
    try:
        return compare_meaning(before, result.module, step.name, seed)
    except MeaningChanged:
        # exact passes may add in another order; where that matters a later one refuses the model, or marks it
        trial = replace(result, seconds={})
        for following in later:
            _run_step(following, chip, trial)
        if reasons := [reason for reason in trial.module.approximations if reason not in before.approximations]:
            return f"not exact: {reasons[0]}"
        raise


def _end(steps: Sequence[Pass], stop_after: str | None) -> int:
    """How many passes to run."""
    if stop_after is None:
        return len(steps)
    _check_names([stop_after], steps)
    return max(i for i, step in enumerate(steps) if step.name == stop_after) + 1


def _check_chip(module: Module, chip: Chip) -> None:
    """A netlist is for one chip; for another it has to be partitioned again."""
    if isinstance(module, Netlist) and module.chip != chip:
        differ = [f.name for f in fields(Chip) if getattr(module.chip, f.name) != getattr(chip, f.name)]
        raise PassMisplaced(
            f"the netlist is for another chip: they differ in {', '.join(differ)}",
            "pipeline",
            "start from the graph that partition-cores takes",
        )


def _check_names(names: Collection[str], steps: Sequence[Pass]) -> None:
    present = [step.name for step in steps]
    for name in names:
        if name != "all" and name not in present:
            raise PipelineInvalid(f"there is no pass {name!r} in the pipeline", hint=f"it is: {', '.join(present)}")


def _resume(path: Path, steps: Sequence[Pass]) -> tuple[Module, int]:
    """The module of a .tn file and the index of the first pass still to run on it."""
    module = load_text(path)
    with path.open(encoding="utf-8") as file:
        match = _AFTER.match(file.readline())
    if match is None:
        return module, 0
    done, ran = int(match[1]), match[2].strip()
    if parse_pipeline(ran)[:done] != tuple(steps[:done]) or done > len(steps):
        raise PipelineInvalid(
            f"was written after {done} passes of another pipeline: {ran}",
            path,
            "use that pipeline, or delete the file's first line to run all of this one",
        )
    return module, done


def _dump(folder: Path, number: int, name: str, module: Module, pipeline: str) -> None:
    save_text(module, folder / f"{number:02d}-{name}.tn", header=f"after pass {number} of: {pipeline}")
