"""The exporter: what it writes is read back as the same chip, and what the format cannot hold is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_text import MODEL
from support.random_chips import seeded_chip

from tncc.backends.truenorth import exportable, save
from tncc.builder import ChipBuilder, Neuron
from tncc.errors import FormatError, InputError
from tncc.frontends.truenorth import load
from tncc.frontends.truenorth_reader import read_values
from tncc.runtime.canonical import canonical, same_chip
from tncc.runtime.engine_numpy import NumpyEngine


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1 << 30), cores=st.integers(1, 6), size=st.integers(1, 20))
def test_import_of_export_is_the_chip(tmp_path_factory, seed, cores, size):
    config = seeded_chip(seed, cores=cores, axons=size, neurons=size, ibm=True)
    path = tmp_path_factory.mktemp("export") / "model.json"
    save(config, {}, path)
    found, _ = load(path)
    assert same_chip(exportable(config), dataclasses.replace(found, layer=np.zeros(cores, np.int32))) == ""
    # and the same machine: every spike of every neuron in 30 ticks
    record = np.ones((cores, size), bool)
    a, b = (NumpyEngine(chip).run(30, record=record).spikes for chip in (exportable(config), found))
    np.testing.assert_array_equal(np.stack([a.tick, a.core, a.neuron]), np.stack([b.tick, b.core, b.neuron]))


def test_a_file_survives_import_and_export(tmp_path):
    (tmp_path / "a.json").write_text(MODEL)
    config, metadata = load(tmp_path / "a.json")
    save(config, metadata, tmp_path / "b.json")
    again, metadata_again = load(tmp_path / "b.json")
    assert same_chip(config, again) == ""
    assert metadata_again["truenorth"] == metadata["truenorth"]
    assert metadata_again["layers"] == metadata["layers"]
    save(again, metadata_again, tmp_path / "c.json")
    assert (tmp_path / "c.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_layers_of_other_chips_become_metadata(tmp_path):
    builder = ChipBuilder(axons=2, neurons=2)
    builder.core()
    builder.core()
    config = dataclasses.replace(builder.build(), layer=np.array([1, 0], np.int32))
    layers = [{"name": "Conv_0", "kind": "conv"}, {"name": "input", "kind": "splitter"}]
    save(config, {"layers": layers}, tmp_path / "model.json")
    cores = [value for key, value in read_values(tmp_path / "model.json", frozenset()) if key == "core"]
    assert cores[0]["metadata"]["coreletClass"] == "input"
    assert (cores[0]["metadata"]["layerNumber"], cores[0]["metadata"]["layerType"]) == (1, "splitter")
    assert (cores[1]["metadata"]["layerNumber"], cores[1]["metadata"]["layerType"]) == (0, "conv")
    assert cores[0]["neurons"]["types"] == [0, 0]


@pytest.mark.parametrize(
    ("axons", "parameters", "message"),
    [
        (3, Neuron(), "3 axons but 2 neurons a core; the format has one crossbarSize"),
        (
            2,
            Neuron(reset_potential=5),
            "core 0, neuron 1: the reset potential is 5; the format holds 0 and +-(2^n - 1)",
        ),
        (2, Neuron(reset_potential=-(1 << 19)), "core 0, neuron 1: the reset potential is -524288"),
    ],
)
def test_what_the_format_cannot_hold(tmp_path, axons, parameters, message):
    builder = ChipBuilder(axons=axons, neurons=2)
    builder.core().neuron(1, parameters)
    with pytest.raises(InputError) as caught:
        save(builder.build(), {}, tmp_path / "model.json")
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("entry", [1, {"model": []}, {"core_metadata": [1]}, {"neuron_type_names": [None]}])
def test_malformed_metadata(tmp_path, entry):
    with pytest.raises(FormatError, match=r"the chip's metadata entry truenorth\.\w+ is malformed"):
        save(ChipBuilder(axons=1, neurons=1).build(), {"truenorth": entry}, tmp_path / "model.json")


def test_unwritable_folder(tmp_path):
    with pytest.raises(InputError, match="cannot write the file: No such file"):
        save(ChipBuilder(axons=1, neurons=1).build(), {}, tmp_path / "none" / "model.json")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_canonical_form_is_the_same_machine_whatever_the_tables(seed):
    config = seeded_chip(seed, cores=4, axons=6, neurons=6)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(config.crossbars))
    kinds = rng.permutation(np.repeat(np.arange(len(config.neuron_types["leak"])), 2))
    place = np.array([np.flatnonzero(kinds == kind)[0] for kind in range(len(config.neuron_types["leak"]))], np.int32)
    shuffled = dataclasses.replace(
        config,
        crossbars=np.ascontiguousarray(config.crossbars[order]),
        crossbar_index=np.argsort(order)[config.crossbar_index].astype(np.int32),
        neuron_types={name: np.ascontiguousarray(values[kinds]) for name, values in config.neuron_types.items()},
        neuron_type=np.where(config.neuron_type < 0, -1, place[config.neuron_type]).astype(np.int32),
    )
    shuffled.check()
    assert same_chip(config, shuffled) == ""
    assert same_chip(config, dataclasses.replace(config, seed=config.seed + np.uint32(1))) == "seed"
    once = canonical(config)
    for name, array in canonical(once).arrays().items():
        np.testing.assert_array_equal(array, once.arrays()[name])
    record = np.ones(config.neuron_type.shape, bool)
    a, b = (NumpyEngine(chip).run(20, record=record).spikes for chip in (config, once))
    np.testing.assert_array_equal(np.stack([a.tick, a.core, a.neuron]), np.stack([b.tick, b.core, b.neuron]))
