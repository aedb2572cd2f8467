"""The pass manager: what it checks, in which order, and every option."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from tests.ir.example import example
from tests.passes.nets import random_network
from tncc.errors import CompileError
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.netlist import Netlist
from tncc.ir.parser import parse
from tncc.ir.text_files import load_text
from tncc.passes import pipeline as pipeline_module
from tncc.passes.base import Module, Pass
from tncc.passes.manager import run_pipeline
from tncc.passes.pipeline import parse_pipeline, passes, print_pipeline, with_options

NN = "canonicalize, partition-host, lower-pools, lower-logic, trinarize-weights, fold-thresholds"
CHIP = Chip()
GRAPH = parse(
    """nn.graph @g {
      input %x : spikes[2]
      %y = unary(%x) {kind = "not"} : spikes[2] loc("Not_0")
      return %y
    }"""
)


@dataclass(frozen=True)
class Do(Pass):
    """Applies a function; stands for any pass."""

    name: ClassVar[str] = "do"
    function: Any = None

    def run(self, module: Module, chip: Chip) -> Module:
        return self.function(module) if self.function else module


def flip(module: Module) -> Module:
    """Another network with the same interface: x instead of not x."""
    assert isinstance(module, Graph)
    return module.with_ops([replace(op, kind="abs") for op in module.ops])


def spoil(module: Module) -> Module:
    """An ill-formed graph."""
    assert isinstance(module, Graph)
    return module.with_ops([replace(op, inputs=("z",)) for op in module.ops])


def run(*steps: Pass, module: Module = GRAPH, **options: Any) -> Any:
    return run_pipeline(module, module.chip if isinstance(module, Netlist) else CHIP, steps, **options)


def named(base: type[Pass], **members: Any) -> type[Pass]:
    return dataclass(frozen=True)(type("Step", (base,), {"__annotations__": {}, **members}))


def test_runs_in_order_times_and_reports_progress() -> None:
    seen: list[Any] = []
    result = run(
        Do(lambda m: seen.append("first") or m),
        named(Do, name="other")(lambda m: seen.append("second") or m),
        progress=lambda *step: seen.append(step),
    )
    assert seen == [("do", 0, 2), "first", ("other", 1, 2), "second"]
    assert list(result.seconds) == ["do", "other"]
    assert all(seconds >= 0 for seconds in result.seconds.values())


def test_the_module_is_verified_before_and_after() -> None:
    with pytest.raises(CompileError, match=r"^Not_0: operand z is not defined$"):
        run(module=spoil(GRAPH))
    with pytest.raises(CompileError, match=r"^Not_0: after do: operand z is not defined$"):
        run(Do(spoil))


def test_requires() -> None:
    needs = named(Do, name="needs", requires=("no-real-on-chip",))
    with pytest.raises(CompileError) as caught:
        run(needs())
    assert str(caught.value) == (
        "needs requires no-real-on-chip, which does not hold:\n"
        "  Not_0: unary is left between spiking layers\n"
        "  hint: run fold-thresholds before it"
    )
    with pytest.raises(CompileError, match=r"^needs requires placed, which speaks of a core netlist"):
        run(named(Do, name="needs", requires=("placed",))())


def test_takes() -> None:
    takes = named(Do, name="takes", takes=Netlist)
    with pytest.raises(
        CompileError,
        match=r"^pipeline: takes takes a core netlist, not an nn graph\n  hint: run partition-cores before it$",
    ):
        run(takes())
    assert run(takes(), module=example()).module == example()


def test_a_netlist_is_for_one_chip() -> None:
    with pytest.raises(CompileError, match=r"the netlist is for another chip: they differ in mesh_x, mesh_y"):
        run_pipeline(example(), replace(example().chip, mesh_x=3, mesh_y=3), [Do()])


def test_ensures() -> None:
    with pytest.raises(CompileError, match=r"^sure ensures no-real-on-chip, which does not hold:\n"):
        run(named(Do, name="sure", ensures=("no-real-on-chip",))())


def test_what_was_ensured_is_checked_again() -> None:
    places = named(Do, name="places", ensures=("placed",))
    unplace = lambda m: replace(m, core_x=m.core_x * 0 - 1, core_y=m.core_y * 0 - 1)  # noqa: E731
    with pytest.raises(CompileError, match=r"^breaks broke placed, which does not hold:\n  core 0"):
        run(places(), named(Do, name="breaks")(unplace), module=example())
    allowed = named(Do, name="breaks", invalidates=("placed",))
    assert run(places(), allowed(unplace), module=example()).ensured == set()
    # an invariant of the other level is not carried along
    ssa = named(Do, name="ssa", ensures=("ssa",))
    assert run(ssa(), Do(lambda m: example()), places()).ensured == {"placed"}


def test_check_semantics() -> None:
    with pytest.raises(CompileError) as caught:
        run(Do(flip), check_semantics=True)
    assert str(caught.value).startswith("do changes what the network computes: 16 of 16 elements of output y; frame 0")
    assert run(named(Do, name="do", exact=False)(flip), check_semantics=True).semantics == {"do": "not exact"}
    assert run(Do(), check_semantics=True).semantics == {"do": "equal"}
    assert run(Do(), check_semantics=True, module=example()).semantics == {"do": "equal"}
    admits = lambda m: replace(flip(m), approximations=("rounded",))  # noqa: E731
    assert run(Do(admits), check_semantics=True).semantics == {"do": "not exact: rounded"}
    wrong = example(("target_axon = [0, 1]", "target_axon = [1, 0]"))
    with pytest.raises(CompileError, match="changes what the network computes"):
        run(Do(lambda m: wrong), check_semantics=True, module=example())


def test_what_later_passes_say_goes_before_a_change_of_meaning() -> None:
    """A sum regrouped in float32 is refused, or marked, by fold-thresholds; that is the error to show."""

    def refuse(module: Module) -> Module:
        raise CompileError("rounding decides")

    def mark(module: Module) -> Module:
        return replace(module, approximations=("rounded",))

    refuses = named(Do, name="refuses")(refuse)
    with pytest.raises(CompileError, match=r"^rounding decides$"):
        run(Do(flip), Do(), refuses, check_semantics=True)
    with pytest.raises(CompileError, match=r"^do changes what the network computes"):
        run(Do(flip), Do(), refuses, check_semantics=True, stop_after="do")
    marked = run(Do(flip), named(Do, name="mark")(mark), check_semantics=True)
    assert marked.semantics == {"do": "not exact: rounded", "mark": "not exact: rounded"}
    assert list(marked.seconds) == ["do", "mark"]


def test_check_semantics_says_what_it_cannot_compare() -> None:
    host = parse('nn.graph @g { input %x : real[2] %y = host_op(%x) {op_type = "T"} : real[2] loc("S") return %y }')
    semantics = run(Do(), check_semantics=True, module=host).semantics
    assert semantics == {"do": "not compared: S is a host op (T)"}


def test_semantics_of_a_part_of_the_module() -> None:
    """As partition-host does: the part's inputs are values of the whole."""
    graph = random_network(np.random.default_rng(5))
    start = next(i for i, op in enumerate(graph.ops) if op.output == "c9")
    (first,) = graph.ops[start].inputs

    def cut(module: Module) -> Module:
        assert isinstance(module, Graph)
        inputs = (replace(module.inputs[0], name=first, type=module.types[first]),)
        return replace(module, inputs=inputs, ops=module.ops[start:])

    assert run(Do(cut), module=graph, check_semantics=True).semantics == {"do": "equal"}


def test_print_ir_after() -> None:
    printed: list[str] = []
    run(Do(), named(Do, name="other")(flip), print_ir_after={"other"}, print_ir=printed.append)
    assert len(printed) == 1
    assert printed[0].startswith("// after other")
    assert 'kind = "abs"' in printed[0]
    run(Do(), Do(), print_ir_after={"all"}, print_ir=printed.append)
    assert len(printed) == 3
    with pytest.raises(CompileError, match="there is no pass 'othr' in the pipeline\n  hint: it is: do"):
        run(Do(), print_ir_after={"othr"})


def test_stop_after() -> None:
    assert list(run(Do(), named(Do, name="other")(), stop_after="do").seconds) == ["do"]
    with pytest.raises(CompileError, match="there is no pass 'x' in the pipeline"):
        run(Do(), stop_after="x")


def test_dump_and_start_from_any_pass(tmp_path: Path) -> None:
    graph = random_network(np.random.default_rng(7))
    whole = run_pipeline(graph, CHIP, NN, dump_dir=tmp_path)
    names = [f"{i + 1:02d}-{name}.tn" for i, name in enumerate(NN.split(", "))]
    assert sorted(path.name for path in tmp_path.glob("*.tn")) == ["00-input.tn", *names]
    assert load_text(tmp_path / names[-1]) == whole.module
    for index, name in enumerate(names):
        resumed = run_pipeline(None, CHIP, NN, start_from=tmp_path / name)
        assert resumed.module == whole.module
        assert list(resumed.seconds) == list(whole.seconds)[index + 1 :]
    with pytest.raises(CompileError, match=r"lower-pools\.tn: was written after 3 passes of another pipeline: "):
        run_pipeline(None, CHIP, "canonicalize, lower-pools", start_from=tmp_path / names[2])


def test_start_from_a_file_without_history_runs_everything(tmp_path: Path) -> None:
    path = tmp_path / "g.tn"
    path.write_text('nn.graph @g { input %x : spikes[2] %y = unary(%x) {kind = "abs"} : int[2] loc("A") return %x }')
    assert list(run_pipeline(None, CHIP, "canonicalize", start_from=path).seconds) == ["canonicalize"]
    with pytest.raises(CompileError, match=r"missing\.tn: cannot be read: No such file or directory"):
        run_pipeline(None, CHIP, "canonicalize", start_from=tmp_path / "missing.tn")


# --- pipeline text ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tune(Pass):
    """Has an option of every kind."""

    name: ClassVar[str] = "tune"
    seed: int = 0
    max_axons: int | None = None
    ratio: float = 0.5
    effort: Literal["low", "default", "high"] = "default"
    fast: bool = False
    label: str = "a"


@pytest.fixture
def tune(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "passes", lambda: {"tune": Tune, "do": Do})


@pytest.mark.usefixtures("tune")
def test_options_are_typed() -> None:
    text = "tune{seed=-3 max-axons=16 ratio=0.25 effort=high fast=true label=b}, tune"
    found = parse_pipeline(text)
    assert found == (Tune(-3, 16, 0.25, "high", True, "b"), Tune())
    assert print_pipeline(found) == text
    assert parse_pipeline("tune{max-axons=none}") == (Tune(),)
    assert parse_pipeline(" tune { seed = 1 } ,tune ") == (Tune(seed=1), Tune())
    assert with_options(found, seed=9, unknown=1) == (replace(found[0], seed=9), Tune(seed=9))


@pytest.mark.usefixtures("tune")
@pytest.mark.parametrize("label", ["", "a b", 'say "{a=1}, b"', "data/é.npy", "none", "\\", "1"])
def test_strings_round_trip(label: str) -> None:
    steps = (Tune(label=label), Tune())
    assert parse_pipeline(print_pipeline(steps)) == steps


@pytest.mark.usefixtures("tune")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tuna", "pipeline: there is no pass 'tuna'\n  hint: did you mean tune?"),
        ("tune{sed=1}", "pipeline: tune has no option 'sed'\n  hint: did you mean seed?"),
        ("tune{seed=1.5}", "pipeline: option seed of tune is '1.5'; expected an integer"),
        ("tune{ratio=x}", "pipeline: option ratio of tune is 'x'; expected a number"),
        ("tune{fast=yes}", "pipeline: option fast of tune is 'yes'; expected true or false"),
        (
            "tune{effort=hihg}",
            "pipeline: option effort of tune is 'hihg'; expected one of low, default, high\n  hint: did you mean high?",
        ),
        (
            'tune{label="\\x"}',
            "pipeline: option label of tune is '\"\\\\x\"'; expected a string in quotes, with the escapes of JSON",
        ),
        ("tune{seed=1 seed=2}", "pipeline: option seed of tune is set twice"),
        (
            "tune{seed}",
            "pipeline: cannot read the options of tune from 'seed' on\n"
            "  hint: write name=value with spaces between: tune{a=1 b=2}",
        ),
        ("do{function=1}", "pipeline: option function of do cannot be set in a pipeline's text"),
        (
            "tune{seed=1",
            "pipeline:1: cannot read the pipeline from 'tune{seed=1' on\n"
            "  hint: write pass names with commas between, options in braces: place-cores{seed=1}, route-spikes",
        ),
        (
            "tune,, tune",
            "pipeline:6: cannot read the pipeline from ', tune' on\n"
            "  hint: write pass names with commas between, options in braces: place-cores{seed=1}, route-spikes",
        ),
    ],
)
def test_pipeline_errors(text: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        parse_pipeline(text)
    assert str(caught.value) == message


def test_every_pass_is_named_after_its_file_and_class() -> None:
    for name, cls in passes().items():
        assert cls.__module__ == f"tncc.passes.{name.replace('-', '_')}"
        assert cls.__name__ == "".join(word.capitalize() for word in name.split("-"))
        assert cls.takes is not None, f"{name} does not say which level it takes"
        assert parse_pipeline(print_pipeline([cls()])) == (cls(),)
