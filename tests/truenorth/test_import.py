"""The importer: every feature of the format, and the message for everything that can be wrong with a file."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_text import MODEL, neuron_type

from tncc.errors import FormatError, InputError
from tncc.frontends import truenorth_reader
from tncc.frontends.truenorth import load
from tncc.runtime.config import DISABLED, OUTPUT, UNCONNECTED


def loaded(tmp_path, text):
    path = tmp_path / "model.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path)


def test_every_feature(tmp_path):
    config, metadata = loaded(tmp_path, MODEL)
    assert (config.n_cores, config.axons, config.neurons, config.output_pins) == (2, 4, 4, 259)
    # hexadecimal, most significant bit first: axon i drives neuron i, axon 3 drives all four
    bits = np.unpackbits(config.crossbars[config.crossbar_index], axis=2, bitorder="little")[:, :, :4]
    assert bits[0].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 1, 1, 1]]
    assert bits[1, 3].tolist() == [0, 0, 0, 0]  # "0f" sets padding only
    assert config.axon_types[config.axon_types_index].tolist() == [[0, 1, 2, 3], [0, 1, 2, 0]]
    # 30 is hexadecimal 1E, the first neuron type; 0 names none: unused; in the list form neurons 1 and 3 are not listed
    assert config.neuron_type.tolist() == [[0, 0, 1, -1], [0, -1, 1, -1]]
    assert config.target_core.tolist() == [[1, OUTPUT, DISABLED, UNCONNECTED], [UNCONNECTED, -1, 0, -1]]
    assert config.target_axon.tolist() == [[3, 256 + 2, 0, 0], [0, 0, 1, 0]]  # -33 is the second 256 pins
    assert config.target_delay.tolist() == [[15, 0, 0, 0], [0, 0, 2, 0]]
    assert config.seed.tolist() == [0xFFFFFFFF, 1]
    first = {name: values[0].tolist() for name, values in config.neuron_types.items()}
    assert first == {
        "weights": [1, -200, 7, 1],
        "stochastic_weights": [0, 0, 0, 1],
        "leak": 9,
        "stochastic_leak": 1,
        "leak_reversal": 1,
        "threshold": 62,
        "negative_threshold": 3,
        "threshold_random_bits": 8,
        "reset_mode": 2,
        "negative_saturate": 0,
        "reset_potential": -31,
        "initial_potential": -17,
    }
    assert (config.core_x < 0).all()
    assert metadata["truenorth"]["model"]["buildKey64"] == "a /* not a comment */ key"
    assert metadata["truenorth"]["neuron_type_names"] == ["N0000001E", "N00000002"]
    assert [layer["name"] for layer in metadata["layers"]] == ["first", "layer 3 (conv)"]
    assert config.layer.tolist() == [0, 1]


def replaced(old, new, count=1):
    assert MODEL.count(old) >= 1, old
    return MODEL.replace(old, new, count)


BAD = [
    ("", "byte 0: not a model file: it does not start with '{'"),
    ("[]", "byte 0: not a model file: it does not start with '{'"),
    ("{}", "the key 'model' is missing"),
    ('{"model":{}} x', "there is text behind the end of the model"),
    ('{"model":{},}', "expected a key in double quotes"),
    ('{"model" {}}', "expected ':' behind key 'model'"),
    ('{"model":{"a":1,"a":2}}', "not JSON: key 'a' is there twice in one object"),
    ('{"model":{"a":NaN}}', "not JSON: NaN is not a finite number"),
    ('{"model":{"a":-1e999}}', "not JSON: -1e999 is not a finite number"),
    ('{"model":{"a":"\\ud800"}}', "not JSON: 'utf-8' codec can't encode character"),
    ('{"model":{"a":' + "1" * 5000 + "}}", "not JSON: Exceeds the limit"),
    ('{"model":{}, /* no end', "a comment does not end"),
    ('{"model":' + "[" * 99, "values are nested deeper than 16"),
    ('{"model":{}, "cores":1}', "unknown key 'cores'; known are model, crossbarTypes, neuronTypes, core"),
    (replaced('"coreCount":2', '"coreCount":3'), "coreCount is 3 but the file holds 2 cores (truncated?)"),
    (replaced('"crossbarSize":4', '"crossbarSize":0'), "model: crossbarSize is 0; expected an integer in 1..256"),
    (replaced('"crossbarSize":4', '"crossbarSize":8'), "'coreProt0000001': the crossbar has 4 rows; expected 8"),
    (replaced("NeuronGeneral", "Other"), "model: neuronclass is 'Other'; only 'NeuronGeneral' is known"),
    (replaced('"synapses":"40"', '"synapses":"4"'), "axon 1: synapses are not 1 bytes in hexadecimal"),
    (replaced('"synapses":"40"', '"synapses":"40 00"'), "axon 1: synapses are not 1 bytes in hexadecimal"),
    (replaced('"synapses":"40"', '"synapses":4'), "axon 1: synapses are not 1 bytes in hexadecimal"),
    (replaced('"type":"S2"', '"type":"S4"'), "axon 2: type is 'S4'; expected 'S0' to 'S3'"),
    (replaced('"name":"N00000002"', '"name":"N0000001e"'), "neuron type 'N0000001e' is there twice"),
    (replaced('"name":"N00000002"', '"name":"two"'), "neuron type 'two': a name is N and a hexadecimal number"),
    (replaced('"s1":200', '"s1":256'), "neuron type 'N0000001E': s1 is 256; expected an integer in 0..255"),
    (replaced('"s1":200', '"s1":true'), "neuron type 'N0000001E': s1 is True; expected an integer in 0..255"),
    (replaced('"sigma1":-1', '"sigma1":0'), "neuron type 'N0000001E': sigma1 is 0; expected 1 or -1"),
    (replaced('"gamma":2', '"gamma":3'), "neuron type 'N0000001E': gamma is 3; expected an integer in 0..2"),
    (replaced('"VR":5', '"VR":20'), "neuron type 'N0000001E': VR is 20; expected an integer in 0..19"),
    (replaced('"kappa":false,', ""), "neuron type 'N0000001E': kappa is missing; expected an integer in 0..1"),
    (replaced('"crossbar":{"name":"coreProt0000001"}', '"crossbar":{"name":"x"}'),
     "core 0: crossbar type 'x' is not in crossbarTypes"),
    (replaced('"coreletClass":"first"', '"coreletClass":"' + "x" * 70_000 + '"'), "core 0: metadata is longer"),
    (replaced('"id":1', '"id":0'), "core 0: is there twice"),
    (replaced('"id":1', '"id":2'), "no core has id 1; the ids of 2 cores must be 0..1"),
    (replaced('"id":1', '"id":1.5'), "core 1 of the file: id is 1.5; expected an integer"),
    (replaced('"timeScaleExponent":0', '"timeScaleExponent":1'), "core 0: timeScaleExponent is 1; expected"),
    (replaced("4294967295", "4294967296"), "core 0: rngSeed is 4294967296; expected an integer in 0..4294967295"),
    (replaced("4294967295", "0"), "core 0 has seed 0, where the random generator stands still, but its neuron 0 draws"),
    (replaced('"30x2"', '"30x3"'), "core 0: types: the list holds more than 4 values"),
    (replaced('"30x2"', '"30x9999999999"'), "'30x9999999999' stands for 9999999999 values; at most 4"),
    (replaced('"30x2"', '"30x"'), "core 0: types: '30x' is neither an integer nor a run"),
    (replaced('"30x2"', "30"), "core 0: 4 dendrites but 3 types"),
    (replaced('"30x2"', '"31x2"'), "core 0, neuron 0: 31 is no type; no neuron type has that number"),
    (replaced('["0:3"]', '["0:2",2]'), "core 0: two neurons have the same dendrite"),
    (replaced('["0:3"]', '["0:2",4]'), "core 0, neuron 4: 4 is no dendrite; expected 0..3"),
    (replaced("[1,-33,", "[2,-33,"), "core 0, neuron 0: destCore is 2, but the ids are 0..1"),
    (replaced("[1,-33,", "[1,-31,"), "core 0, neuron 1: -31 is no destCore; expected a core id, -1 (unconnected)"),
    (replaced("[1,-33,", "[1,-99999999,"), "core 0, neuron 1: -99999999 is no destCore; outputs end at pin 2^24 - 1"),
    (replaced('"3:-1:2"', '"4:-1:3"'), "core 0, neuron 0: 4 is no destAxon; expected 0..3"),
    (replaced('"3:-1:2"', '"3:253:256"'), "core 0, neuron 1: 256 is no destAxon; expected 0..255"),
    (replaced("[15,1,", "[16,1,"), "core 0, neuron 0: 16 is no destDelay; expected 1..15"),
    (replaced("[15,1,", "[0,1,"), "core 0, neuron 0: 0 is no destDelay; expected 1..15"),
    (replaced('"dendrite":2,', ""), "core 1, neuron 0: dendrite is missing"),
    (replaced('"delay":2', '"delay":2.0'), "core 1, neuron 0: delay is 2.0; expected an integer"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message[:50] for _, message in BAD])
def test_errors_name_the_place(tmp_path, text, message):
    with pytest.raises(FormatError) as caught:
        loaded(tmp_path, text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "model.json"))


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot read the file: No such file"):
        load(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot read the file: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("phase", [0, 1])
def test_truncated_files_are_errors(tmp_path, phase):
    text = MODEL.rstrip()
    for length in range(phase, len(text), 4):
        with pytest.raises(FormatError):
            loaded(tmp_path, text[:length])


DAMAGE = [b'"', b"\\", b"/*", b"*/", b"[", b"}", b",", b"1e999", b"-", b"x99999999"]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_files_give_errors_or_chips(tmp_path_factory, data):
    text = bytearray(MODEL.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        span = data.draw(st.integers(0, 12))
        text[at : at + span] = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from(DAMAGE)))
    try:
        config, _ = loaded(tmp_path_factory.mktemp("fuzz"), bytes(text))
    except FormatError:
        return
    config.check()


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_result_does_not_depend_on_how_the_file_is_read(tmp_path, monkeypatch, chunk):
    expected, metadata = loaded(tmp_path, MODEL)
    monkeypatch.setattr(truenorth_reader, "_CHUNK_BYTES", chunk)
    found, found_metadata = loaded(tmp_path, MODEL)
    for name, array in expected.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array)
    assert found_metadata == metadata


HOSTILE = {
    "one endless string": b'{"model":"' + b"a" * (6 << 20),
    "one endless comment": b"/*" + b"*" * (6 << 20),
    "escaped quotes without end": b'{"model":"' + b'\\"' * (3 << 20),
    "quotes without end": b'{"model":{' + b'"' * (6 << 20),
    "slashes": b'{"model":{' + b"/" * (6 << 20),
    "one endless number": b'{"model":' + b"1" * (6 << 20),
    "spaces": b'{"model":' + b" " * (6 << 20),
    "a long value": b'{"model":[' + b"1," * (3 << 20),
    "empty comments": b"{" + b"/**/" * (3 << 19),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_end_soon(tmp_path, case):
    started = time.process_time()
    with pytest.raises(FormatError):
        loaded(tmp_path, HOSTILE[case])
    assert time.process_time() - started < 20  # well below a second; quadratic behaviour takes hours


def test_import_time_is_linear(tmp_path):
    first, second = MODEL.index('"core":'), MODEL.rindex('"core":')
    core = MODEL[first:second].rstrip().rstrip(",")

    def seconds(cores):
        head = MODEL[:first].replace('"coreCount":2', f'"coreCount":{cores}')
        text = head + ",".join(core.replace('"id":0', f'"id":{i}') for i in range(cores)) + "}"
        return min(_timed(tmp_path, text) for _ in range(3))

    # 10 times the cores: linear is 10, quadratic 100
    assert seconds(1500) < 40 * seconds(150)


def _timed(tmp_path, text):
    started = time.process_time()
    loaded(tmp_path, text)
    return time.process_time() - started


def test_flags_may_be_numbers(tmp_path):
    text = MODEL.replace(neuron_type("N00000002"), neuron_type("N00000002", epsilon="1", kappa="0"))
    config, _ = loaded(tmp_path, text)
    assert config.neuron_types["leak_reversal"].tolist() == [1, 1]
    assert json.dumps(config.neuron_types["negative_saturate"].tolist()) == "[0, 0]"
