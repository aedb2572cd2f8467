"""The text form: parse(print(x)) == x at both levels, and errors that name the place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ir.example import TEXT as NETLIST
from tests.ir.strategies import graphs, netlists, tensors
from tests.passes.nets import random_network
from tncc.errors import CompileError
from tncc.ir.chip import Chip
from tncc.ir.core_interpreter import not_interpreted, run_frames
from tncc.ir.encoding import NumberError, decode, encode
from tncc.ir.graph import Graph, Value
from tncc.ir.invariants import invariants
from tncc.ir.location import Location
from tncc.ir.netlist import Netlist
from tncc.ir.ops import Constant
from tncc.ir.parser import parse
from tncc.ir.printer import to_text
from tncc.ir.text_files import load_text, save_text
from tncc.ir.types import Domain, TensorType
from tncc.ir.verify import verify

GRAPH = to_text(random_network(np.random.default_rng(4)))

slow = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@slow
@given(graphs)
def test_graph_round_trip(graph: Graph) -> None:
    assert parse(to_text(graph)) == graph


@slow
@given(netlists())
def test_netlist_round_trip(netlist: Netlist) -> None:
    assert parse(to_text(netlist)) == netlist


@slow
@given(netlists())
def test_netlist_round_trip_array_by_array(netlist: Netlist) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tncc.ir.printer.BLOCK_NEURONS", -1)
        text = to_text(netlist)
    assert "core 0" not in text
    assert parse(text) == netlist


@slow
@given(tensors)
def test_numbers_round_trip_bit_for_bit(tensor: np.ndarray) -> None:
    back = decode(f"[{', '.join(encode(tensor))}]", tensor.dtype, tensor.size)
    assert back.tobytes() == tensor.tobytes()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 3, 255]), max_size=30))
def test_integer_runs_round_trip(numbers: list[int]) -> None:
    array = np.array(numbers, np.uint8)
    assert decode(f"[{','.join(encode(array))}]", np.uint8).tolist() == numbers


def test_runs_and_ranges_are_short() -> None:
    assert encode(np.array([7, 7, 7, 7, 1, 2, 3, 4, 9, 9, 0])) == ["7*4", "1..4", "9", "9", "0"]
    assert encode(np.array([1.0, -0.0, 0.0, np.inf, np.nan, 0.1], np.float32)) == [
        "1.0",
        "-0.0",
        "0.0",
        "inf",
        "nan",
        "0.1",
    ]
    assert encode(np.array([0x7FC00001], np.uint32).view(np.float32)) == ["0x7fc00001"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2", "expected a comma"),
        ("[1 2]", "expected a comma"),
        ("[1,,2]", "'' is not a list item; expected 7, 7*3 or 3..9"),
        ("[300]", "300 does not fit u8; the range is 0..255"),
        ("[250..256]", "256 does not fit u8; the range is 0..255"),
        ("[9..3]", "9..3 is not a range of integers that counts up"),
        ("[0*99999999999999]", "99999999999999 elements are too many to write inline; the limit is 67108864"),
        ("[1.5]", "1.5 is not an integer"),
    ],
)
def test_number_list_errors(text: str, message: str) -> None:
    with pytest.raises(NumberError) as caught:
        decode(text if text.endswith("]") else text + "x]", np.uint8)
    assert str(caught.value) == message


def large_graph() -> Graph:
    value = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)
    kind = TensorType(Domain.REAL, value.shape)
    constant = Constant(inputs=(), output="w:0", type=kind, location=Location.of("w"), value=value)
    return Graph("g", (Value("x", kind),), (constant,), ("w:0",))


def test_large_tensors_go_beside_the_file(tmp_path: Path) -> None:
    graph, path = large_graph(), tmp_path / "g.tn"
    save_text(graph, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g.tn", "g.tn.npz"]
    assert path.stat().st_size < 500
    assert load_text(path) == graph
    with np.load(tmp_path / "g.tn.npz", allow_pickle=False) as arrays:
        assert arrays["w_0.value"].shape == (40, 50)
    first = (path.read_bytes(), (tmp_path / "g.tn.npz").read_bytes())
    save_text(graph, path)
    assert first == (path.read_bytes(), (tmp_path / "g.tn.npz").read_bytes())


def test_a_sidecar_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.tn"
    save_text(large_graph(), path)
    sidecar = tmp_path / "g.tn.npz"
    data = bytearray(sidecar.read_bytes())
    data[len(data) // 2] ^= 1
    sidecar.write_bytes(data)
    with pytest.raises(CompileError, match="its checksum differs"):
        load_text(path)
    sidecar.unlink()
    with pytest.raises(CompileError, match="cannot be read: No such file"):
        load_text(path)


def test_a_hostile_sidecar_is_refused(tmp_path: Path) -> None:
    """The checksum can be made to fit by whoever wrote both files, so the content is checked as well."""
    import hashlib
    import io
    import zipfile

    def load(content: bytes) -> None:
        (tmp_path / "g.tn.npz").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        (tmp_path / "g.tn").write_text(
            f'sidecar "g.tn.npz" "{digest}"\n'
            'nn.graph @g { %c = constant() {value = f32[9999] @t} : real[9999] loc("c") return %c }'
        )
        load_text(tmp_path / "g.tn")

    def archive(entry: bytes, compression: int) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as file:
            file.writestr("t.npy", entry)
        return buffer.getvalue()

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50,)})
    pickled = io.BytesIO()
    np.lib.format.write_array(pickled, np.array([{}], object), allow_pickle=True)
    for content in (
        b"not a zip",
        archive(b"not an npy", zipfile.ZIP_STORED),
        archive(b"\0" * 100_000, zipfile.ZIP_DEFLATED),
        archive(header.getvalue(), zipfile.ZIP_STORED),
        archive(pickled.getvalue(), zipfile.ZIP_STORED),
    ):
        with pytest.raises(CompileError, match=r"g\.tn\.npz: is not an \.npz file: "):
            load(content)


def test_too_many_numbers_for_one_text() -> None:
    value = np.random.default_rng(0).integers(0, 2, 1 << 21).astype(np.int8)
    kind = TensorType(Domain.SPIKES, value.shape)
    graph = Graph(
        "g", (), (Constant(inputs=(), output="w", type=kind, location=Location.of("w"), value=value),), ("w",)
    )
    with pytest.raises(CompileError, match="more than 1,048,576 numbers are too many for one text\n  hint: write the"):
        to_text(graph)
    assert "i8[2097152] @w.value" in to_text(graph, tensors={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t:1:1: unexpected the end of the text\n  hint: expected 'core.netlist' or 'nn.graph' or 'sidecar'"),
        (
            "nn.graph @g {",
            "t:1:13: unexpected the end of the text\n  hint: expected 'approximate' or 'input' or 'return' or a %name",
        ),
        (
            "core.netlist { chip {} %% }",
            "t:1:24: unexpected '%'\n  hint: expected 'approximate' or '}' or a \"string\" or a word",
        ),
        ("nn.graph @g {\n  return $ }", "t:2:10: unexpected '$'\n  hint: expected '}' or a %name"),
        (
            'nn.graph @g {\n  %c = cilp(%x) {low = 0.0} : real[] loc("a")\n  return %c }',
            "t:2:8: there is no op 'cilp'\n  hint: did you mean clip?",
        ),
        (
            'nn.graph @g { %c = clip(%x) {low = 0.0, hihg = 1.0} : real[] loc("a") return %c }',
            "t:1:41: clip has no attribute 'hihg'\n  hint: did you mean high?",
        ),
        (
            'nn.graph @g { %c = clip(%x) {low = 0.0} : real[] loc("a") return %c }',
            "t:1:20: clip lacks attribute 'high'",
        ),
        (
            'nn.graph @g { %c = clip(%x) {low = "a", high = 1} : real[] loc("a") return %c }',
            "t:1:36: expected a number",
        ),
        (
            "nn.graph @g { input %x : spikey[3] return %x }",
            "t:1:26: there is no domain 'spikey'\n  hint: did you mean spikes?",
        ),
        (
            'nn.graph @g {\n  %c = constant() {value = i8[4] [1,\n 2, 999,\n 3]} : int[4] loc("a") return %c }',
            "t:3:5: 999 does not fit i8; the range is -128..127",
        ),
        (
            'nn.graph @g { %c = constant() {value = i8[4] @t} : int[4] loc("a") return %c }',
            "t:1:46: there is no tensor 't' beside this file\n  hint: the text was printed without them",
        ),
        ("core.netlist { }", "t:1:1: the netlist lacks a chip statement\n  hint: chip {} is the default chip"),
        (
            "core.netlist { chip {axon = 3} }",
            "t:1:22: chip has no 'axon'\n  hint: did you mean axons?",
        ),
        (
            "core.netlist { chip {axons = 2} axon_types 0 {types = [0*3]} }",
            "t:1:55: the list has 3 elements; expected 2",
        ),
        (
            'core.netlist { chip {axons = 2, neurons = 4} crossbar 0 {rows = ["0f", "f"]} }',
            "t:1:72: this row is not hex",
        ),
        ("core.netlist { chip {} core 1 {} }", "t:1:29: expected core 0: they count up from 0"),
        ("core.netlist { chip {} seed = u32[0] [] }", "t:1:1: the netlist lacks array crossbars"),
    ],
)
def test_parse_errors(text: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        parse(text, "t")
    assert str(caught.value) == message


JUNK = ["", "%", '"', "[", "]", "{", "9" * 5000, "99999999", "-1", "i8[", "0x", "*", "..", "\\", "4294967296"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(graphs.map(to_text), st.just(NETLIST), st.just(GRAPH)), st.data())
def test_damaged_text_is_well_formed_or_a_compile_error(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    cut = data.draw(st.integers(0, 3))
    text = text[:at] + data.draw(st.sampled_from(JUNK)) + text[at + cut :]
    try:
        module = parse(text)
    except CompileError as error:
        assert error.location.startswith("<text>:")
        return
    try:
        verify(module)
    except CompileError:
        return
    for found in invariants().values():
        if isinstance(module, found.level):
            list(found.violations(module, module.chip if isinstance(module, Netlist) else Chip()))
    if isinstance(module, Netlist) and not not_interpreted(module):
        run_frames(module, {port.name: np.ones((2, *port.type.shape)) for port in module.inputs})


def test_deep_nesting_is_refused() -> None:
    note = "(" * 5000 + "1" + ")" * 5000
    with pytest.raises(CompileError, match="nested more than 16 deep"):
        parse('core.netlist { chip {} layer 0 {name = "a", kind = "b", location = "c", note = {x = ' + note + "}} }")
