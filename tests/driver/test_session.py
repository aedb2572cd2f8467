"""Programs run on data: the same as ONNX Runtime, whatever the engine, the batch or the shape of the call."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import tncc
from tncc.builder import ChipBuilder, Neuron
from tncc.runtime import tnbin
from tncc.session import Session


@pytest.fixture(scope="module")
def expected(model_path: Path, images: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(str(model_path)).run(None, {"image": images})[0])


@pytest.mark.parametrize("engine", ["auto", "tick", "numpy"])
def test_equal_to_onnx_runtime(program: tncc.Program, images: np.ndarray, expected: np.ndarray, engine: str) -> None:
    np.testing.assert_array_equal(Session(program, engine=engine).run(images), expected)


@pytest.mark.parametrize("batch", [1, 3, 7, 39, 40, 41, 1000])
def test_batches_follow_each_other(program: tncc.Program, images: np.ndarray, expected: np.ndarray, batch: int) -> None:
    session = Session(program)
    parts = [part["scores"] for part in session.stream(images, batch)]
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert session.ticks == len(images) + program.config.latency_ticks


def test_loaded_program_is_the_saved_one(program: tncc.Program, chip_path: Path, images: np.ndarray) -> None:
    loaded = tncc.load(chip_path)
    np.testing.assert_array_equal(loaded.run(images), program.run(images))
    assert loaded.to_bytes() == program.to_bytes()


def test_saving_serialises_once(tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report behind `tncc compile` names the file's digest; it must not build the file again for it."""
    calls = []
    dumps = tnbin.dumps

    def counted(content: tnbin.TnBin) -> bytes:
        calls.append(content)
        return dumps(content)

    monkeypatch.setattr(tnbin, "dumps", counted)
    program = tncc.compile(model_path)
    program.save(tmp_path / "chip.tnbin")
    digest = program.report()["file_sha256"]
    assert len(calls) == 1
    assert digest == hashlib.sha256((tmp_path / "chip.tnbin").read_bytes()).hexdigest()
    assert tncc.load(tmp_path / "chip.tnbin").report()["file_sha256"] == digest


def test_calls_are_independent(program: tncc.Program, images: np.ndarray, expected: np.ndarray) -> None:
    session = Session(program)
    session.run(images[::-1])
    np.testing.assert_array_equal(session.run(images), expected)
    np.testing.assert_array_equal(session.run({"image": images[:1]}), expected[:1])


def test_no_frames(program: tncc.Program, images: np.ndarray) -> None:
    assert np.asarray(program.run(images[:0])).shape == (0, 4)


def test_uint8_frames(program: tncc.Program, model_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 1, 8, 8), np.uint8)
    model = onnxruntime.InferenceSession(str(model_path))
    np.testing.assert_array_equal(program.run(pixels), model.run(None, {"image": pixels.astype(np.float32)})[0])


def test_compiling_twice_gives_the_same_bytes(model_path: Path, program: tncc.Program) -> None:
    assert tncc.compile(model_path, threads=2).to_bytes() == program.to_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trinarize": "ternary"}, "trinarize is 'ternary'; it is exact or twn"),
        ({"chips": 3}, "chips is 3; expected two integers, (columns, rows)"),
        ({"chips": (1.5, 1)}, "chips is (1.5, 1); expected two integers, (columns, rows)"),
        ({"defects": [(1,)]}, "defects holds something else than pairs of integers, (x, y)"),
        ({"seed": 1.5}, "pipeline: option seed of place-cores is '1.5'; expected an integer"),
        ({"seed": -1}, "place-cores: seed is -1; it must be at least 0"),
        ({"threads": "many"}, "pipeline: option threads of place-cores is 'many'; expected an integer"),
        ({"threads": 0}, "place-cores: threads is 0; it must be at least 1"),
        (
            {"allow_partial_sums": "yes"},
            "pipeline: option allow-partial-sums of split-partial-sums is 'yes'; expected true or false",
        ),
    ],
)
def test_options_out_of_range(model_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(tncc.Error) as caught:
        tncc.compile(model_path, **options)
    assert str(caught.value) == message


def test_options_are_numbers_of_any_kind(model_path: Path, program: tncc.Program) -> None:
    """NumPy's too: they end up in a JSON document."""
    chips, defects = np.array([1, 1]), np.array([[63, 63]])
    chip = tncc.compile(model_path, seed=np.int64(3), chips=chips, defects=defects, threads=np.int32(2))
    assert chip == tncc.compile(model_path, seed=3, defects=[(63, 63)])
    assert chip.report()["seed"] == 3
    pipeline = str(chip.metadata["pipeline"])
    assert "place-cores{seed=3}" in pipeline
    assert tncc.compile(model_path, pipeline=pipeline, defects=[(63, 63)]) == chip  # its report names the seed too


def test_verify_tells_a_different_chip(model_path: Path, images: np.ndarray) -> None:
    program = tncc.compile(model_path)
    assert tncc.verify(model_path, program, images).equal
    leak = program.config.neuron_types["leak"].copy()
    leak -= 1
    changed = tncc.Program(
        type(program.config)(**{**vars(program.config), "neuron_types": {**program.config.neuron_types, "leak": leak}}),
        program.metadata,
        program.prefix,
        program.suffix,
    )
    result = tncc.verify(model_path, changed, images)
    assert not result.equal
    assert result.different_frames > 0
    assert result.first_output == "scores"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :, :7], "input image has shape [40, 1, 7, 8]; the model takes [N, 1, 8, 8]"),
        (
            lambda x: x[0],
            "input image has shape [1, 8, 8]; the model takes [N, 1, 8, 8]\n  hint: a single frame is a batch of one: "
            "x[None]",
        ),
        (
            lambda x: x.reshape(40, 64),
            "input image has shape [40, 64]; the model takes [N, 1, 8, 8]\n  hint: as many numbers a frame, so it may "
            "be a matter of x.reshape(-1, 1, 8, 8) or of transposing",
        ),
        (lambda x: x.astype(np.complex64), "input image is complex64; the model takes float32 (or uint8)"),
        (lambda x: x.astype(str), "input image is <U32; the model takes float32 (or uint8)"),
        (
            lambda x: np.where(np.arange(40)[:, None, None, None] == 5, np.nan, x),
            "input image holds NaN or infinity in frame 5",
        ),
        (lambda x: {"picture": x}, "got the inputs picture; the model's are image"),
        (lambda x: {1: x, "image": x}, "got the inputs 1, image; the model's are image"),
        (lambda x: {}, "got no input; the model's are image"),
        (lambda x: np.ma.masked_less(x, 0), "input image is a masked array\n  hint: fill it: x.filled(0)"),
    ],
)
def test_data_that_does_not_fit(program: tncc.Program, images: np.ndarray, change, message: str) -> None:
    with pytest.raises(tncc.InputError) as caught:
        program.run(change(images))
    assert str(caught.value) == message


def test_ragged_lists(program: tncc.Program) -> None:
    with pytest.raises(tncc.InputError, match="input image is no array: setting an array element with a sequence"):
        program.run([[1], [1, 2]])


@pytest.mark.parametrize("batch", [0, -1])
def test_batches_of_no_frame(program: tncc.Program, images: np.ndarray, batch: int) -> None:
    with pytest.raises(tncc.InputError, match=f"batches of {batch} frames; at least 1 is needed"):
        list(Session(program).stream(images, batch))


def test_threads_share_a_program(program: tncc.Program, images: np.ndarray, expected: np.ndarray) -> None:
    shares = [slice(i, None) for i in range(8)]
    frames = np.tile(images, (40, 1, 1, 1))  # more than one batch

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda share: program.run(frames[share]), shares))
    for share, got in zip(shares, found, strict=True):
        np.testing.assert_array_equal(got, np.tile(expected, (40, 1))[share])


def test_streams_do_not_share_a_session(program: tncc.Program, images: np.ndarray) -> None:
    session = Session(program)
    first, second = session.stream(images, 7), session.stream(images, 7)
    next(first)
    next(second)
    with pytest.raises(tncc.InputError, match="another run of this session began before this one ended"):
        next(first)
    assert sum(len(part["scores"]) for part in second) + 5 == len(images)  # 7 less the latency came before


def test_programs_compare_copy_pickle_and_print(program: tncc.Program, chip_path: Path, images: np.ndarray) -> None:
    scores = program.run(images)
    loaded, copied, pickled = tncc.load(chip_path), copy.deepcopy(program), pickle.loads(pickle.dumps(program))
    assert loaded == copied == pickled == program
    assert len({loaded, copied, pickled, program}) == 1
    assert program != dataclasses.replace(program, metadata=program.metadata | {"seed": 1})
    assert program != 3
    np.testing.assert_array_equal(pickled.run(images), scores)
    assert repr(program) == f"<tncc.Program small: {program.config.n_cores} cores, 2 ticks latency>"
    assert len(repr(Session(program).stats)) < 200


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": 3},
        {"inputs": [{"name": "x", "shape": [1, 8, 8], "first_pin": 10**6}]},
        {"outputs": [{"name": "x", "shape": ["8"], "first_pin": 0}]},
        {"layers": [{"kind": "conv"}]},
        {"layers": [{"kind": "conv", "name": "Conv_0", "location": None}] * 3},
        {"model_inputs": [{"name": "image", "dtype": None, "shape": [1, 8, 8]}]},
        {"model_inputs": [{"name": "image", "dtype": "object", "shape": [1, 8, 8]}]},
        {"outputs": [{"name": "x", "shape": [True], "first_pin": 0}]},
        {"inputs": []},
        {"layers": []},
        {"source": "small.onnx"},
        {"trinarization": [1]},
        {"model_inputs": None},
        {"model_outputs": []},
        {"model_inputs": [{"name": "image", "dtype": "nonsense", "shape": [1, 8, 8]}]},
        {"defects": [[1, 2, 3]]},
        {"defects": [[64, 0]]},
    ],
)
def test_malformed_metadata_is_one_error(program: tncc.Program, tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "chip.tnbin"
    tncc.Program(program.config, program.metadata | change, program.prefix, program.suffix).save(path)
    with pytest.raises(tncc.FormatError, match=r"chip\.tnbin: the metadata is malformed"):
        tncc.load(path)


def test_layers_that_no_memory_could_list(tmp_path: Path) -> None:
    """A chip made by hand names no layers: its file may number one core's beyond all that could be shown."""
    builder = ChipBuilder(axons=1, neurons=1)
    builder.core().neuron(0, Neuron())
    config = builder.build()
    for number, fits in ((1000, True), (2**31 - 2, False)):
        program = tncc.Program(dataclasses.replace(config, layer=np.array([number], np.int32)), {})
        program.save(tmp_path / "chip.tnbin")
        if fits:
            assert len(tncc.load(tmp_path / "chip.tnbin").layers) == number + 1
        else:
            with pytest.raises(tncc.FormatError, match="a core belongs to layer 2147483646 of 1048576"):
                tncc.load(tmp_path / "chip.tnbin")
