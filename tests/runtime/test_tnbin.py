"""The .tnbin container: round trip, determinism, and damage of every kind told as one clear error."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tncc.errors import FormatError, InputError
from tncc.runtime import tnbin
from tncc.runtime.config import NEURON_FIELDS, OUTPUT, ChipConfig


def small_config() -> ChipConfig:
    """Two cores of 8 axons and 8 neurons: pin 0 -> core 0 -> core 1 -> output pin 0."""
    neuron_types = {name: np.zeros((1, *tail), dtype) for name, (dtype, tail, *_) in NEURON_FIELDS.items()}
    neuron_types["weights"][0] = [1, -1, 0, 0]
    neuron_types["threshold"][0] = 1
    crossbars = np.zeros((1, 8, 1), np.uint8)
    crossbars[0, 0, 0] = 1
    neuron_type = np.full((2, 8), -1, np.int32)
    neuron_type[:, 0] = 0
    target_core, target_axon = np.full((2, 8), -1, np.int32), np.zeros((2, 8), np.int32)
    target_core[:, 0] = [1, OUTPUT]
    target_delay = np.zeros((2, 8), np.uint8)
    target_delay[0, 0] = 1
    return ChipConfig(
        axons=8,
        neurons=8,
        mesh=(2, 2, 1, 1),
        crossbars=crossbars,
        crossbar_index=np.zeros(2, np.int32),
        axon_types=np.zeros((1, 8), np.uint8),
        axon_types_index=np.zeros(2, np.int32),
        neuron_types=neuron_types,
        neuron_type=neuron_type,
        target_core=target_core,
        target_axon=target_axon,
        target_delay=target_delay,
        seed=np.ones(2, np.uint32),
        core_x=np.array([0, 1], np.int32),
        core_y=np.array([0, 0], np.int32),
        layer=np.zeros(2, np.int32),
        input_pin=np.zeros(1, np.int32),
        input_core=np.zeros(1, np.int32),
        input_axon=np.zeros(1, np.int32),
        input_delay=np.ones(1, np.uint8),
        output_latency=np.full(1, 2, np.int32),
        input_pins=1,
        output_pins=1,
    )


CONTENT = tnbin.TnBin(small_config(), {"layers": [{"name": "a", "kind": "conv"}], "seed": 3}, {"prefix": b"onnx bytes"})
DATA = tnbin.dumps(CONTENT)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "chip.tnbin"
    tnbin.write(path, CONTENT)
    read = tnbin.read(path)
    for name, array in CONTENT.config.arrays().items():
        np.testing.assert_array_equal(read.config.arrays()[name], array)
    assert read.metadata == CONTENT.metadata
    assert read.blobs == CONTENT.blobs
    assert [p.name for p in tmp_path.iterdir()] == ["chip.tnbin"]


def test_same_content_gives_same_bytes() -> None:
    assert tnbin.dumps(tnbin.loads(DATA)) == DATA


def test_any_safetensors_reader_opens_it(tmp_path: Path) -> None:
    from safetensors import safe_open

    (tmp_path / "chip.tnbin").write_bytes(DATA)
    with safe_open(tmp_path / "chip.tnbin", framework="np") as file:
        assert "crossbars" in file.keys()  # noqa: SIM118  # safe_open has no __iter__
        assert json.loads(file.metadata()["tncc"])["version"] == tnbin.VERSION


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, len(DATA) // 2, len(DATA) - 1])
def test_truncated(length: int) -> None:
    with pytest.raises(FormatError):
        tnbin.loads(DATA[:length])


def test_every_bit_flip_is_noticed() -> None:
    """Every bit of a sample of bytes, header and tensors alike, and of the first 64."""
    for position in [*range(64), *random.Random(0).sample(range(64, len(DATA)), 300)]:
        for bit in range(8):
            damaged = bytearray(DATA)
            damaged[position] ^= 1 << bit
            with pytest.raises(FormatError):
                tnbin.loads(bytes(damaged))


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(FormatError):
        tnbin.loads(data)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_metadata_with_numbers_that_json_has_not(number: str) -> None:
    """Python reads them and does not write them."""
    text = b'\\"seed\\":' + number.encode()
    odd = DATA.replace(b'\\"seed\\":3', text)
    length = int.from_bytes(DATA[:8], "little") + len(odd) - len(DATA)
    with pytest.raises(FormatError, match="its header is damaged"):
        tnbin.loads(length.to_bytes(8, "little") + odd[8:])


def test_connections_that_are_no_list() -> None:
    pins = ("input_pin", "input_core", "input_axon", "input_delay")
    config = replace(CONTENT.config, **{name: getattr(CONTENT.config, name).reshape(()) for name in pins})
    with pytest.raises(FormatError, match="array input_pin is a scalar"):
        tnbin.loads(tnbin.dumps(tnbin.TnBin(config, {})))


@pytest.mark.parametrize(
    ("add", "drop", "message"),
    [
        ({"foo": np.zeros(3, np.uint8)}, (), "array 'foo' is not known in format version 1"),
        ({"warnings": np.zeros(3, np.uint8)}, (), "array 'warnings' is not known"),
        ({"axons": np.zeros(3, np.uint8)}, (), "array 'axons' is not known"),
        ({}, ("seed",), "array seed is missing"),
        ({}, ("neuron_types.leak",), "array neuron_types.leak is missing"),
    ],
)
def test_arrays_that_are_missing_or_not_known(
    monkeypatch: pytest.MonkeyPatch, add: dict[str, np.ndarray], drop: tuple[str, ...], message: str
) -> None:
    arrays = {name: array for name, array in CONTENT.config.arrays().items() if name not in drop} | add
    with monkeypatch.context() as patch:
        patch.setattr(ChipConfig, "arrays", lambda self: dict(arrays))
        data = tnbin.dumps(CONTENT)
    with pytest.raises(FormatError) as error:
        tnbin.loads(data)
    assert message in str(error.value)
    assert "ChipConfig" not in str(error.value)


def test_wrong_version() -> None:
    old = DATA.replace(b'\\"version\\":1', b'\\"version\\":7')
    assert old != DATA
    with pytest.raises(FormatError) as caught:
        tnbin.loads(old)
    assert str(caught.value) == (
        "format version 7; this tncc reads version 1\n"
        "  hint: compile the model again with this tncc, or install the tncc that wrote the file"
    )


def test_messages_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x07\x12\x07pytorch, and more than eight bytes")
    with pytest.raises(FormatError) as caught:
        tnbin.read(path)
    assert str(caught.value) == (
        f"{path}: not a .tnbin file\n  hint: tncc compile writes .tnbin files; tncc import reads IBM's model files"
    )
    with pytest.raises(InputError) as missing:
        tnbin.read(tmp_path / "absent.tnbin")
    assert str(missing.value) == f"{tmp_path / 'absent.tnbin'}: cannot read the file: No such file or directory"


def test_unwritable_path_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write the file: No such file or directory"):
        tnbin.write(tmp_path / "no-such-folder" / "chip.tnbin", CONTENT)
    target = tmp_path / "folder"
    target.mkdir()
    (target / "kept").touch()
    with pytest.raises(InputError, match="cannot write the file"):
        tnbin.write(target, CONTENT)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder"]


@pytest.mark.parametrize(
    ("name", "index", "value", "message"),
    [
        ("target_core", (0, 0), 2, "core 0, neuron 0: target_core is 2; expected -3..1"),
        ("target_axon", (0, 0), 8, "core 0, neuron 0: target_axon is 8, out of range"),
        ("target_axon", (1, 0), 1, "core 1, neuron 0: target_axon is 1, out of range"),
        ("target_delay", (0, 0), 16, "core 0, neuron 0: target_delay is 16, out of range"),
        ("neuron_type", (1, 3), 1, "core 1, neuron 3: neuron_type is 1; expected -1..0"),
        ("crossbar_index", (1,), 5, "core 1: crossbar_index is 5; expected 0..0"),
        ("input_axon", (0,), 8, "input connection 0: input_axon is 8; expected 0..7"),
        ("core_x", (1,), 0, "cores 0 and 1 are both at (0, 0)"),
    ],
)
def test_illegal_values_name_core_and_neuron(name: str, index: tuple[int, ...], value: int, message: str) -> None:
    content = tnbin.loads(DATA)
    arrays = {key: array.copy() for key, array in content.config.arrays().items() if "." not in key}
    arrays[name][index] = value
    config = ChipConfig(**{**vars(content.config), **arrays})
    with pytest.raises(FormatError) as caught:
        tnbin.loads(tnbin.dumps(tnbin.TnBin(config, content.metadata)))
    assert str(caught.value) == message


@pytest.mark.parametrize("mesh", [(2, 2, 1), (0, 2, 1, 1), (2048, 2048, 2, 1)])
def test_illegal_meshes(mesh: tuple[int, ...]) -> None:
    """A picture of the mesh takes memory for every place."""
    with pytest.raises(FormatError, match="expected cores per chip and chips, each along x and y, of up to 4194304"):
        replace(small_config(), mesh=mesh).check()  # type: ignore[arg-type]


def test_illegal_neuron_parameter_names_its_user() -> None:
    config = small_config()
    config.neuron_types["leak"][0] = 300
    with pytest.raises(FormatError) as caught:
        config.check()
    assert str(caught.value) == "neuron type 0 (used by core 0, neuron 0): leak is 300; the range is -255..255"
