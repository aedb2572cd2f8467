"""Spike files: what is read, what is written byte for byte, and the message for everything that can be wrong."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.engines import ENGINES

from tncc.builder import ChipBuilder, Neuron
from tncc.errors import FormatError, InputError
from tncc.runtime.engine import Spikes
from tncc.runtime.spikefiles import monitored, read_events, read_recording, run_spikes, write_spikes


def chip(pins=2, first_pin=0):
    """Two cores of 4 x 4: input pin p on axon p of both cores; core 0 relays to core 1, whose neurons are outputs."""
    builder = ChipBuilder(axons=4, neurons=4)
    a, b = builder.core(), builder.core()
    for core in (a, b):
        core.crossbar[:] = np.eye(4)
        core.neuron([0, 1, 2], Neuron())
        builder.connect_input([0, 1], core, [0, 1], [1, 3] if core is b else 1)
    builder.connect(a, [0, 1], b, [2, 3], 4)
    builder.connect_output(b, [0, 1, 2], first_pin + np.arange(3))
    return builder.build()


CHIP = chip()
TEXT = b'{"class":"SpikeWriter","encoding":"TEXT"}\n{"version":"sfti1.0","defaultDestinationDelay":2}\n'


def binary(encoding, entries, body):
    return json.dumps({"class": "SpikeWriter", "encoding": encoding}).encode() + b"\n" + entries + b"\n\xff" + body


CONNECTORS = b"""{"connectors": [
    {"ID": 3, "csize": 1, "bpp": 8, "delayMode": 1, "defaultDestinationDelay": 1},
    {"ID": 1, "csize": 1, "bpp": 16, "delayMode": 0, "defaultDestinationDelay": 2}]}"""
SYNC = bytes.fromhex("fefcfefc")


def record(tick, *blocks):
    return SYNC + struct.pack(">I", tick) + bytes(8) + b"".join(blocks)


END = record(0xFFFFFFFF)


def read(tmp_path, data, config=CHIP):
    (tmp_path / "in").write_bytes(data)
    events = read_events(tmp_path / "in", config)
    return list(
        zip(*(column.tolist() for column in (events.tick, events.core, events.axon, events.delay)), strict=True)
    )


def test_text(tmp_path):
    body = b'{"spike":{"srcTime":0,"destCore":1,"destAxon":3}}\n\n{"spike":{"srcTime":7,"destCore":0,"destAxon":2}}'
    assert read(tmp_path, TEXT + body) == [(0, 1, 3, 2), (7, 0, 2, 2)]
    assert read(tmp_path, TEXT) == []


def test_long_text(tmp_path, monkeypatch):
    from tncc.runtime import spikefiles

    lines = [b'{"spike":{"srcTime":%d,"destCore":1,"destAxon":%d}}\r\n' % (i, i % 4) for i in range(7)]
    monkeypatch.setattr(spikefiles, "_ROWS_AT_ONCE", 3)
    assert read(tmp_path, TEXT + b"".join(lines)) == [(i, 1, i % 4, 2) for i in range(7)]


def test_rawi3(tmp_path):
    body = struct.pack(">6I", 5, 1, 3, 0, 0, 2)
    assert read(tmp_path, binary("RAWI3", b'{"defaultDestinationDelay":1}', body)) == [(5, 1, 3, 1), (0, 0, 2, 1)]
    assert read(tmp_path, binary("RAWI3", b"", body)) == [(5, 1, 3, 1), (0, 0, 2, 1)]


def test_connpin(tmp_path):
    """Connector 3 is pin 0, connector 1 pin 1; a pin's spikes go to all its axons, its own delay beyond 1 adds."""
    blocks = (b"\0\3\0\1\0\5", b"\0\1\0\1\0\0")
    body = record(4, *blocks) + record(5) + record(6, blocks[0]) + END
    assert read(tmp_path, binary("CONNPIN", CONNECTORS, body)) == [
        (8, 0, 0, 1), (8, 1, 0, 1), (5, 0, 1, 1), (5, 1, 1, 3), (10, 0, 0, 1), (10, 1, 0, 1),
    ]  # fmt: skip


HEAD = b'{"class":"SpikeWriter","encoding":"RAWI3"}\n'
BAD = [
    (b"", "not a spike file: it does not begin with a header that names its encoding"),
    (b"spikes", "not a spike file"),
    (b"[1]\xff", "not a spike file"),
    (b'{"encoding":1}\n{}\n\xff', "not a spike file: its header is malformed"),
    (b'{"encoding":"RAWI3"}\n[]\n\xff', "not a spike file: its header is malformed"),
    (HEAD, "the header does not end (no byte ff; truncated?)"),
    (HEAD + b"{}", "the header does not end (no byte ff; truncated?)"),
    (binary("RAWX", b"{}", b""), "encoding 'RAWX' holds no input spikes; TEXT, RAWI3 and CONNPIN do"),
    (binary("RAWO6", b"{}", b""), "encoding 'RAWO6' holds no input spikes"),
    (binary("RAWI3", b"{}", bytes(13)), "RAWI3 holds 12 bytes a spike, but 13 follow the header (truncated?)"),
    (binary("RAWI3", b'{"defaultDestinationDelay":16}', b""), "defaultDestinationDelay is 16; expected 1..15"),
    (binary("RAWI3", b"{}", struct.pack(">3I", 0, 2, 0)), "spike 0: core is 2; the chip takes 0..1"),
    (binary("RAWI3", b"{}", struct.pack(">3I", 0, 1, 4)), "spike 0: axon is 4; the chip takes 0..3"),
    (binary("RAWI3", b"{}", struct.pack(">3I", 0xFFFFFFFF, 1, 0)), "spike 0: source tick is 4294967295"),
    (TEXT + b"{}", 'line 3 is no spike; expected {"spike":{"srcTime":0,"destCore":0,"destAxon":0}}'),
    (TEXT + b'{"spike":{"srcTime":0,"destCore":0}}', "line 3 is no spike"),
    (TEXT + b'{"spike":{"srcTime":0.5,"destCore":0,"destAxon":0}}', "line 3 is no spike"),
    (TEXT + b'{"spike":{"srcTime":-1,"destCore":0,"destAxon":0}}', "spike 0: source tick is -1"),
    (TEXT + b'{"spike":{"srcTime":0,"destCore":0,"destAxon":0,"destDelay":0}}', "spike 0: delay is 0"),
    (binary("CONNPIN", b"{}", END), "the header lists no connectors"),
    (binary("CONNPIN", b'{"connectors":[1]}', END), "a connector of the header is not an object"),
    (binary("CONNPIN", b'{"connectors":[{"ID":0,"csize":0,"bpp":8}]}', END), "connector csize is 0; expected 1..65536"),
    (binary("CONNPIN", b'{"connectors":[{"ID":0,"csize":1,"bpp":9}]}', END), "connector bpp is 9; expected 8..16"),
    (binary("CONNPIN", CONNECTORS.replace(b'"ID": 1', b'"ID": 3'), END), "connector 3 is there twice"),
    (binary("CONNPIN", CONNECTORS, b""), "the file ends in the middle of a record, or without its end record"),
    (binary("CONNPIN", CONNECTORS, record(0)), "the file ends in the middle of a block (truncated?)"),
    (binary("CONNPIN", CONNECTORS, b"abcd" + END), "byte 0 behind the header: expected the start of a record"),
    (binary("CONNPIN", CONNECTORS, END + b"x"), "1 bytes follow the end record"),
    (binary("CONNPIN", CONNECTORS, record(9, b"\0\7\0\0") + END), "tick 9: connector 7 is not in the header"),
    (binary("CONNPIN", CONNECTORS, record(9, b"\0\3\0\1\2\1") + END), "tick 9: pin 2 of a connector with 1 pins"),
    (binary("CONNPIN", CONNECTORS, record(9, b"\0\3\0\1\0\0") + END), "tick 9: delay 0; expected 1..15"),
    (binary("CONNPIN", CONNECTORS.replace(b'"csize": 1, "bpp": 8', b'"csize": 5, "bpp": 8'),
            record(9, b"\0\3\0\1\4\1") + END), "a spike on input pin 4, but the chip has 2 input pins"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_errors(tmp_path, data, message):
    with pytest.raises(FormatError) as caught:
        read(tmp_path, data)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "in"))


def test_file_that_is_not_there(tmp_path):
    for reader in (lambda path: read_events(path, CHIP), read_recording, lambda path: monitored(CHIP, str(path))):
        with pytest.raises(InputError, match="cannot read the file: No such file"):
            reader(tmp_path / "none")


GOOD = [
    TEXT + b'{"spike":{"srcTime":0,"destCore":1,"destAxon":3}}\n{"spike":{"srcTime":7,"destCore":0,"destAxon":2}}\n',
    binary("RAWI3", b'{"defaultDestinationDelay":1}', struct.pack(">6I", 5, 1, 3, 0, 0, 2)),
    binary("CONNPIN", CONNECTORS, record(4, b"\0\3\0\1\0\5", b"\0\1\0\1\0\0") + record(5) + END),
    binary("RAWO6", b"{}", struct.pack(">6i", 5, 1, 3, -32, 2, 1)),
]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_and_truncated_files_give_errors_or_spikes(tmp_path_factory, data):
    text = bytearray(data.draw(st.sampled_from(GOOD)))
    for _ in range(data.draw(st.integers(0, 3))):
        at, span = data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 8))
        text[at : at + span] = data.draw(st.binary(max_size=6))
    if data.draw(st.booleans()):
        del text[data.draw(st.integers(0, len(text))) :]
    path = tmp_path_factory.mktemp("fuzz") / "in"
    path.write_bytes(bytes(text))
    for reader in (lambda: read_events(path, CHIP), lambda: read_recording(path)):
        try:
            reader()
        except FormatError:
            continue


def spikes_of(config, monitor="outputs", engine="numpy", ticks=12):
    events = Spikes(np.array([0, 0, 2, 11, 40]), np.array([0, 1, 0, 1, 0]), np.array([0, 0, 1, 2, 0]))
    from tncc.runtime.engine import Events

    events = Events(events.tick, events.core.astype(np.int32), events.neuron.astype(np.int32), np.ones(5, np.uint8))
    return run_spikes(config, events, ticks, monitor, ENGINES[engine](config))


@pytest.mark.parametrize("engine", ENGINES)
def test_run(engine):
    """Axon 0 of both cores at tick 1, axon 1 of core 0 at 3; core 0 reaches axons 2 and 3 of core 1 four ticks on."""
    found = spikes_of(CHIP, "all", engine)
    assert list(zip(found.tick, found.core, found.neuron, strict=True)) == [(1, 0, 0), (1, 1, 0), (3, 0, 1), (5, 1, 2)]
    found = spikes_of(CHIP, "outputs", engine)
    assert list(zip(found.tick, found.core, found.neuron, strict=True)) == [(1, 1, 0), (5, 1, 2)]


def test_run_in_pieces_is_one_run(monkeypatch):
    from tncc.runtime import spikefiles

    expected = spikes_of(CHIP, "all")
    monkeypatch.setattr(spikefiles, "_TICKS_A_RUN", 2)
    found = spikes_of(CHIP, "all")
    assert (found.tick.tolist(), found.neuron.tolist()) == (expected.tick.tolist(), expected.neuron.tolist())


def test_filter_file(tmp_path):
    path = tmp_path / "filter.json"
    path.write_text(
        '[{"version":"1.0","MonitorFilterSpecs":[{"cores":[0],"neurons":["0:1"]},{"cores":["0:1"],"neurons":[2]}]}]'
    )
    assert np.argwhere(monitored(CHIP, str(path))).tolist() == [[0, 0], [0, 1], [0, 2], [1, 2]]
    path.write_text('{"MonitorFilterSpecs":[]}')
    assert not monitored(CHIP, str(path)).any()


def test_filter_file_that_repeats_itself_by_the_million(tmp_path):
    path = tmp_path / "filter.json"
    path.write_text('{"MonitorFilterSpecs":[{"cores":["1x1000000"],"neurons":["2x1000000"]}]}')
    assert np.argwhere(monitored(CHIP, str(path))).tolist() == [[1, 2]]


def test_filter_file_of_many_lists_that_repeat_themselves(tmp_path, monkeypatch):
    """5 MB could ask for hours otherwise."""
    from tncc.runtime import spikefiles

    path = tmp_path / "filter.json"
    path.write_text(json.dumps({"MonitorFilterSpecs": [{"cores": ["1x30"], "neurons": ["2x20"]}] * 2}))
    monkeypatch.setattr(spikefiles, "_MOST_IN_A_FILTER", 100)
    assert np.argwhere(monitored(CHIP, str(path))).tolist() == [[1, 2]]
    monkeypatch.setattr(spikefiles, "_MOST_IN_A_FILTER", 99)
    with pytest.raises(FormatError, match="lists of cores and neurons stand for more than 99 values"):
        monitored(CHIP, str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{}", "not a filter file"),
        ("[1]", "not a filter file"),
        ('[{"MonitorFilterSpecs":[{"cores":[1' + 30 * "0" + '],"neurons":[0]}]}]', "out of range"),
        ('[{"MonitorFilterSpecs":[{"cores":[0],"neurons":["0x9999999999"]}]}]', "at most"),
        ('[{"MonitorFilterSpecs":[1]}]', "not a filter file"),
        ('[{"MonitorFilterSpecs":[{"cores":[0]}]}]', "expected a list of integers and run-length strings, found None"),
        ('[{"MonitorFilterSpecs":[{"cores":[2],"neurons":[0]}]}]', "selects core 2; the chip has cores 0..1"),
        ('[{"MonitorFilterSpecs":[{"cores":[0],"neurons":["1:0"]}]}]', "'1:0' stands for nothing: steps of 1"),
        ('[{"MonitorFilterSpecs":[{"cores":[0],"neurons":["0:3*1000000000000"]}]}]', "neither an integer nor a run"),
        ('[{"MonitorFilterSpecs":[{"cores":[0],"neurons":["3:4"]}]}]', "selects neuron 4; the chip has neurons 0..3"),
        ('[{"MonitorFilterSpecs":[{"cores":["0:9999999"],"neurons":[]}]}]', "stands for 10000000 values"),
    ],
)
def test_bad_filter_files(tmp_path, text, message):
    (tmp_path / "filter.json").write_text(text)
    with pytest.raises(FormatError) as caught:
        monitored(CHIP, str(tmp_path / "filter.json"))
    assert message in str(caught.value)


def test_rawo6_bytes(tmp_path):
    config = chip(first_pin=300)
    spikes = spikes_of(config, "all")
    write_spikes(tmp_path / "out.sfro", spikes, config, 12)
    data = (tmp_path / "out.sfro").read_bytes()
    words = struct.unpack(">24i", data[data.index(0xFF) + 1 :])
    # pin 300 is (-32 - -33) * 256 + 44
    expected = [*(1, 0, 0, 1, 2, 4), *(1, 1, 0, -33, 44, 1), *(3, 0, 1, 1, 3, 4), *(5, 1, 2, -33, 46, 1)]
    assert list(words) == expected
    found = read_recording(tmp_path / "out.sfro")
    assert (found.tick.tolist(), found.neuron.tolist()) == (spikes.tick.tolist(), spikes.neuron.tolist())


def test_connpin_bytes(tmp_path):
    write_spikes(tmp_path / "out.sfcp", spikes_of(CHIP), CHIP, 6)
    data = (tmp_path / "out.sfcp").read_bytes()
    expected = record(0) + record(1, b"\0\0\0\1\0\1") + record(2) + record(3) + record(4) + record(5, b"\0\0\0\1\2\1")
    assert data[data.index(0xFF) + 1 :] == expected + END


def test_text_round_trip(tmp_path):
    spikes = spikes_of(CHIP, "all")
    write_spikes(tmp_path / "out.txt", spikes, CHIP, 12)
    found = read_recording(tmp_path / "out.txt")
    for name in ("tick", "core", "neuron"):
        np.testing.assert_array_equal(getattr(found, name), getattr(spikes, name))


@pytest.mark.parametrize("pins", [256, 257, 65_536, 65_537, 200_000])
def test_connpin_round_trip_of_many_pins(tmp_path, pins):
    builder = ChipBuilder(axons=1, neurons=256)
    core = builder.core()
    core.neuron(np.arange(256), Neuron(threshold=1, leak=1))
    chosen = np.unique(np.r_[0, np.random.default_rng(0).integers(0, pins, 254), pins - 1])
    builder.connect_output(core, np.arange(len(chosen)), chosen)
    config = builder.build()
    spikes = Spikes(
        np.repeat([2, 4], len(chosen)), np.zeros(2 * len(chosen), np.int32), np.tile(np.arange(len(chosen)), 2)
    )
    write_spikes(tmp_path / "out.sfcp", spikes, config, 6)
    found = read_recording(tmp_path / "out.sfcp")
    assert found.tick.tolist() == spikes.tick.tolist()
    assert found.pin.tolist() == np.tile(chosen, 2).tolist()


def test_unfit_output(tmp_path):
    with pytest.raises(InputError, match="core 0, neuron 0 drives no output pin, and CONNPIN holds nothing else"):
        write_spikes(tmp_path / "out.sfcp", spikes_of(CHIP, "all"), CHIP, 12)
    with pytest.raises(InputError, match=r"known suffixes: \.sfro \(RAWO6\)"):
        write_spikes(tmp_path / "out.dat", spikes_of(CHIP), CHIP, 12)
    with pytest.raises(InputError, match="no spike file is written in the format 'RAWI3'"):
        write_spikes(tmp_path / "out.dat", spikes_of(CHIP), CHIP, 12, "RAWI3")
    with pytest.raises(InputError, match="cannot write the file"):
        write_spikes(tmp_path / "none" / "out.sfro", spikes_of(CHIP), CHIP, 12)
    assert not list(tmp_path.iterdir())
