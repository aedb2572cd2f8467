"""The core level's text: every way to write it wrong, with the place and the whole message."""

from __future__ import annotations

import pytest

from tests.ir.example import TEXT
from tncc.errors import CompileError
from tncc.ir.netlist import Netlist
from tncc.ir.parser import parse
from tncc.ir.printer import to_text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layer 0 {", "layr 0 {", "3:3: there is no statement 'layr'\n  hint: did you mean layer?"),
        ("layer 0 {", "layer {", "3:3: this layer statement is malformed\n  hint: write layer 0 {...}"),
        (
            'input "x" : spikes[2] {',
            'input "x" {',
            '4:3: this input statement is malformed\n  hint: write input "x" : spikes[1x8x8] {...}',
        ),
        ("layer 0 {", "layer 1 {", "3:9: expected layer 0: they count up from 0"),
        ("layer 0 {", "layer 0.5 {", "3:9: expected an integer"),
        ("  connections", "  chip {}\n  connections", "24:3: there is a second chip statement"),
        (
            'kind = "conv"',
            "kind = conv",
            "3:31: unexpected word 'conv'\n  hint: strings stand in double quotes; or true, false",
        ),
        (', kind = "conv"', "", '3:3: the layer lacks kind = "..."'),
        ('"Conv_0"}', '"Conv_0", note = [1]}', "3:3: the layer's note is not in braces"),
        (" {first_pin = 0}", " {}", "4:3: the port lacks first_pin = ..."),
        ("weights = [-1, 1, 0, 0]", "weights = [-1, 1]", "6:28: the list has 2 elements; expected 4"),
        ("threshold = 1,", "threshold = 4294967296,", "6:55: 4294967296 does not fit int32"),
        ("threshold = 1,", "threshold = 1.5,", "6:55: expected an integer"),
        ("threshold = 1,", "threshold = 1, threshold = 2,", "6:58: threshold is set twice"),
        ("types = [0, 1, 0, 1]", "", "7:3: the block lacks types = [...]"),
        ('"03"', '"0303"', "11:7: a row is 2 hex digits, this has 4"),
        ('"03"', '"03" * 3', "12:7: more than 4 rows"),
        ('      "03",\n', "", "8:3: the crossbar has 3 rows; the chip has 4 axons"),
        ('"03"', "3", '11:7: expected rows in hex: ["00ff", "0001" * 3]'),
        ("at = (1, 0)", "at = 3", "16:10: expected a coordinate: (3, 1)"),
        ("    crossbar = 0,\n", "", "15:3: the core lacks crossbar = ..."),
        ("target_axon = [0, 1]", "target_axon = 0", "22:19: expected a list of numbers in brackets"),
        ("delay = [1*4]", "delay = [1*3]", "24:73: the list has 3 elements; expected 4"),
        (", delay = [1*4]", "", "24:3: the connections lack delay"),
        ("mesh_x = 2", "mesh_x = 0", "2:3: chip.mesh_x is 0; it must be at least 1"),
        ("mesh_x = 2", "mesh_x = 99999", "2:18: 99999 is out of range; 0..65536 is legal"),
        (
            "mesh_x = 2",
            "mesh_x = 65536, chips_x = 65536",
            "2:3: a mesh of 4294967296 x 2 cores of 4 axons and 2 neurons is out of range; up to 4,194,304 cores of up "
            "to 4,096 axons and neurons are legal",
        ),
        (
            "mesh_x = 2",
            "defects = [(9, 9)], mesh_x = 2",
            "2:3: defective core (9, 9) lies outside the 2 x 2 mesh",
        ),
        ("mesh_x = 2", "defects = [1], mesh_x = 2", "2:19: expected a list of coordinates: [(0, 0), (3, 1)]"),
        (
            "  connections",
            "  seed = u32[1] [0]\n  connections",
            "6:3: a netlist is written as arrays or as blocks, not both: neuron_type",
        ),
    ],
)
def test_faults(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(CompileError) as caught:
        parse(TEXT.replace(old, new), "t")
    assert str(caught.value) == f"t:{message}"


def test_faults_of_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    netlist = parse(TEXT)
    monkeypatch.setattr("tncc.ir.printer.BLOCK_NEURONS", -1)
    text = to_text(netlist)
    assert isinstance(netlist, Netlist)
    for old, new, message in (
        ("  seed = u32[1] [0]\n", "", "t:1:1: the netlist lacks array seed"),
        (
            "  seed = u32[1] [0]\n",
            "  seed = [0]\n",
            "array seed is not a tensor\n  hint: write its type first: i32[2] [0, 1]",
        ),
        ("  seed =", "  sed =", "a netlist has no array 'sed'\n  hint: did you mean seed?"),
        ("  seed =", "  seed = u32[1] [0]\n  seed =", "array seed is set twice"),
        ("u32[1] [0]", "u33[1] [0]", "there is no dtype 'u33'\n  hint: did you mean "),
        ("u32[1] [0]", "u32[99999999999999999999] [0]", "the shape is too large"),
        ("u32[1] [0]", "u32[99999999999] [0*99999999999]", "99999999999 elements are too many to write inline"),
    ):
        assert old in text
        with pytest.raises(CompileError) as caught:
            parse(text.replace(old, new), "t")
        assert message in str(caught.value)
