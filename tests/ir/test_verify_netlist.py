"""The netlist verifier, its invariants and its text: one fault at a time, with the whole message."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.ir.example import TEXT, example
from tncc.errors import CompileError
from tncc.ir.chip import Chip
from tncc.ir.core_interpreter import run_frames
from tncc.ir.invariants import check, invariants
from tncc.ir.printer import to_text
from tncc.ir.verify import verify

AT, CORE = "at = (1, 0),\n    ", "core 0 {"
SECOND = (
    "  core 1 {at = (0, 1), layer = 0, crossbar = 0, axon_types = 0, neuron_type = [0, 0], target_core = [0, -1], "
    "target_axon = [2, 0], target_delay = [1, 0]}\n  connections"
)


def test_the_example_means_what_it_says() -> None:
    netlist = example()
    verify(netlist)
    assert to_text(netlist) == TEXT
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert run_frames(netlist, {"x": x})["y"].tolist() == [[0, 0], [1, 0], [1, 1], [1, 0]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[-1, 1, 0, 0]",
            "[-300, 1, 0, 0]",
            "core 0, neuron 0 (Conv_0): neuron type 0: weights is [-300, 1, 0, 0]; the range is -255..255",
        ),
        (
            "threshold = 1,",
            "threshold = 262144,",
            "core 0, neuron 0 (Conv_0): neuron type 0: threshold is 262144; the range is 0..262143",
        ),
        ("[0, 1, 0, 1]", "[0, 1, 0, 4]", "axon type vector 0, axon 3: axon_types is 4; expected 0..3"),
        ('"03"', '"07"', "crossbar 0, axon 1: a bit is set beyond the 2 neurons of a core"),
        ("crossbar = 0", "crossbar = 1", "core 0: crossbar_index is 1; expected 0..0"),
        ("layer = 0", "layer = 2", "core 0: layer is 2; expected 0..0"),
        ("neuron_type = [0, 0]", "neuron_type = [0, 1]", "core 0, neuron 1: neuron_type is 1; expected -1..0"),
        ("target_core = [-3, -3]", "target_core = [-4, -3]", "core 0, neuron 0: target_core is -4; expected -3..0"),
        ("target_axon = [0, 1]", "target_axon = [0, 2]", "core 0, neuron 1 (Conv_0): target_axon is 2, out of range"),
        (
            "target_core = [-3, -3]",
            "target_core = [0, -3]",
            "core 0, neuron 0 (Conv_0): target_delay is 0, out of range",
        ),
        (
            "weights = [",
            "stochastic_leak = 1, weights = [",
            "core 0, neuron 0 (Conv_0): the seed is 0, where the random generator stands still, but this neuron draws\n"
            "  hint: any other seed",
        ),
        ("first_pin = 0}", "first_pin = 1}", "input x starts at pin 1; the next free pin is 0"),
        (
            "spikes[2] {first_pin = 0}",
            "real[2] {first_pin = 0}",
            "input x is real[2]; only spikes enter and leave the chip",
        ),
        ("latency_ticks = 1", "latency_ticks = -1", "output y has a latency of -1 ticks"),
        ("delay = [1*4]", "delay = [1*3, 16]", "input connection 3: input_delay is 16; expected 1..15"),
        ("pin = [0, 0, 1, 1]", "pin = [0, 0, 1, 0]", "input connections are not sorted by (pin, core, axon)"),
        ("pin = [0, 0, 1, 1]", "pin = [0, 0, 1, 2]", "input connection 3: input_pin is 2; expected 0..1"),
        ("at = (1, 0)", "at = (1, 2)", "core 0: core_y is 2; expected 0..1"),
        ("at = (1, 0)", "at = (-1, 0)", "core 0: core_x is -1; expected 0..1"),
    ],
)
def test_faults(old: str, new: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        verify(example((old, new)))
    assert str(caught.value) == message


def test_wrong_dtype_and_shape() -> None:
    netlist = example()
    with pytest.raises(CompileError, match=r"array seed is int64\[1\]; expected uint32\[1\]"):
        verify(replace(netlist, seed=netlist.seed.astype(np.int64)))
    with pytest.raises(CompileError, match=r"array target_core is int32\[1, 1\]; expected int32\[1, 2\]"):
        verify(replace(netlist, target_core=netlist.target_core[:, :1].copy()))
    with pytest.raises(CompileError, match=r"array neuron_types\.leak is missing"):
        verify(replace(netlist, neuron_types={k: v for k, v in netlist.neuron_types.items() if k != "leak"}))
    with pytest.raises(CompileError, match="array crossbars is not C-contiguous"):
        verify(replace(netlist, crossbars=np.asfortranarray(np.zeros((2, 4, 1), np.uint8))))


def test_two_cores_at_one_place() -> None:
    netlist = example(("  connections", SECOND), ("(0, 1)", "(1, 0)"))
    with pytest.raises(CompileError, match=r"^cores 0 and 1 are both at \(1, 0\)$"):
        verify(netlist)


@pytest.mark.parametrize(
    ("name", "changes", "chip", "violations"),
    [
        ("cores-fit", [], Chip(mesh_x=1, mesh_y=1), []),
        (
            "cores-fit",
            [("  connections", SECOND)],
            Chip(mesh_x=1, mesh_y=1),
            ["needs 2 cores, the chip has 1; Conv_0 uses 2"],
        ),
        ("placed", [], Chip(mesh_x=2, mesh_y=2), []),
        ("placed", [(AT, "")], Chip(mesh_x=2, mesh_y=2), ["core 0 (Conv_0) is at (-1, -1), not on the 2 x 2 mesh"]),
        (
            "placed",
            [],
            Chip(mesh_x=2, mesh_y=2, defects=frozenset({(1, 0)})),
            ["core 0 (Conv_0) is at (1, 0), which is defective"],
        ),
        ("routes-in-range", [("  connections", SECOND)], Chip(), []),
        ("routes-in-range", [(AT, "")], Chip(), ["the cores are not placed"]),
        (
            "routes-in-range",
            [("  connections", SECOND)],
            Chip(max_hop=0),
            ["core 1, neuron 0 (Conv_0) sends 1 hops along x to core 0; a packet goes -1..0"],
        ),
        (
            "axons-driven-once",
            [("  connections", SECOND)],
            Chip(),
            ["core 0 (Conv_0): axon 2 is driven 2 times"],
        ),
        (
            "outputs-driven-once",
            [("target_axon = [0, 1]", "target_axon = [0, 0]")],
            Chip(),
            ["output y, element 0: driven by 2 neurons", "output y, element 1: driven by 0 neurons"],
        ),
    ],
)
def test_invariants(name: str, changes: list[tuple[str, str]], chip: Chip, violations: list[str]) -> None:
    chip = replace(chip, axons=4, neurons=2)
    netlist = example(*changes)
    assert list(invariants()[name].violations(netlist, chip)) == violations
    if violations:
        with pytest.raises(CompileError, match=f"^this requires {name}, which does not hold:\n  "):
            check(name, netlist, chip, "this requires")
    else:
        check(name, netlist, chip, "this requires")


def test_every_invariant_is_documented() -> None:
    for found in invariants().values():
        assert found.doc.strip().endswith("."), found.name
