"""Chips built by hand: the arrays that come out, the messages for mistakes, the example in the documentation."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from support.engines import ENGINES

from tncc.builder import ChipBuilder, Neuron
from tncc.errors import InputError
from tncc.runtime.config import DISABLED, OUTPUT, UNCONNECTED
from tncc.runtime.engines import make_engine

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "tonic_burster.py"


def test_arrays():
    builder = ChipBuilder(axons=3, neurons=10)
    a, b = builder.core(seed=7, place=(2, 3)), builder.core(seed=9, place=(4, 5))
    a.crossbar[1, [0, 9]] = True
    a.axon_types[:] = [0, 3, 1]
    a.neuron([0, 4], Neuron(threshold=5))
    b.neuron(0, Neuron(threshold=5))
    b.neuron(1, Neuron(weights=(1, 2, 3, -4)))
    builder.connect(a, [0, 4], b, [2, 1], [3, 15])
    builder.connect_output(b, 1, 6)
    builder.connect_input([1, 0], b, [0, 2], 4)
    config = builder.build()
    assert config.n_cores == 2
    assert config.crossbars[config.crossbar_index[0]].tolist() == [[0, 0], [1, 2], [0, 0]]  # neuron 9: bit 1 of byte 1
    assert config.axon_types[config.axon_types_index].tolist() == [[0, 3, 1], [0, 0, 0]]
    assert len(config.neuron_types["leak"]) == 2  # equal neurons share a row
    assert np.argwhere(config.neuron_type >= 0).tolist() == [[0, 0], [0, 4], [1, 0], [1, 1]]
    assert config.target_core[0, [0, 1, 4]].tolist() == [1, UNCONNECTED, 1]
    assert config.target_axon[0, [0, 4]].tolist() == [2, 1]
    assert config.target_delay[0, [0, 4]].tolist() == [3, 15]
    assert (config.target_core[1, 1], config.target_axon[1, 1], config.output_pins) == (OUTPUT, 6, 7)
    assert DISABLED not in config.target_core
    assert config.seed.tolist() == [7, 9]
    assert (config.core_x.tolist(), config.core_y.tolist()) == ([2, 4], [3, 5])
    assert config.input_pins == 2
    inputs = zip(config.input_pin, config.input_core, config.input_axon, config.input_delay, strict=True)
    assert list(inputs) == [(0, 1, 2, 4), (1, 1, 0, 4)]


def test_a_core_may_be_reconnected():
    builder = ChipBuilder(axons=2, neurons=2)
    core = builder.core()
    core.neuron(0, Neuron())
    builder.connect_output(core, 0, 3)
    builder.connect(core, 0, core, 1, 2)
    config = builder.build()
    assert (config.target_core[0, 0], config.target_axon[0, 0], config.target_delay[0, 0]) == (0, 1, 2)
    assert config.output_pins == 0


def _built(action, **core):
    builder = ChipBuilder(axons=3, neurons=2)
    action(builder, builder.core(**core))
    return builder.build()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda b, c: c.neuron(2, Neuron()), "core 0: neuron 2: out of range; expected 0..1"),
        (lambda b, c: c.neuron(0.5, Neuron()), "core 0: neuron: expected an index or a list of indices"),
        (lambda b, c: b.connect(c, 0, c, 3), "core 0: axon 3: out of range; expected 0..2"),
        (lambda b, c: b.connect(c, 0, c, 0, 16), "delay_ticks is 16; expected 1..15"),
        (lambda b, c: b.connect(c, 0, c, 0, [0]), "delay_ticks is [0]; expected 1..15"),
        (lambda b, c: b.connect(c, [0, 1], c, [0, 1, 2]), "made pairwise, but 2 and 3 ends are given"),
        (lambda b, c: b.connect_output(c, 0, -1), "output pin -1: out of range"),
        (lambda b, c: b.connect_input(0, c, [0, 5]), "core 0: axon 5: out of range"),
        (lambda b, c: b.core(seed=-1), "core 1: seed is -1; expected 0..4294967295"),
        (lambda b, c: b.core(place=(1, 1)), "core 0: core_x is -1; expected 0..63"),
        (lambda b, c: c.axon_types.fill(4), "axon_types is 4; expected 0..3"),
        (lambda b, c: Neuron(threshold=-1), "neuron parameter threshold is -1; expected an integer in 0..262143"),
        (lambda b, c: Neuron(leak=0.5), "neuron parameter leak is 0.5; expected an integer in -255..255"),
        (lambda b, c: Neuron(weights=(1, 2)), "neuron parameter weights is (1, 2); expected 4 integers in -255..255"),
        (lambda b, c: Neuron(weights=(1, 2, 3, 256)), "expected 4 integers in -255..255"),
    ],
)
def test_mistakes(action, message):
    with pytest.raises(InputError) as caught:
        _built(action)
    assert message in str(caught.value)


def test_a_seed_of_zero_is_refused_where_a_neuron_draws():
    with pytest.raises(
        InputError, match="core 0 has seed 0, where the random generator stands still, but its neuron 1"
    ):
        _built(lambda b, c: c.neuron(1, Neuron(threshold_random_bits=1)), seed=0)
    _built(lambda b, c: c.neuron(1, Neuron()), seed=0)


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("tonic_burster", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("engine", ["numpy", "tick"])
def test_tonic_burster(example, engine, tmp_path):
    result = example.run(120, engine)
    # five spikes two ticks apart; then from -60 + 4 + 4 = -52 at tick 12 up by 4 a tick: 8 at tick 27
    bursts = [tick for first in range(2, 120, 25) for tick in range(first, first + 10, 2)]
    assert np.flatnonzero(result.outputs[:, 0]).tolist() == bursts
    assert result.potentials[12:28, 0].tolist() == [*range(-52, 8, 4), 0]
    example.plot(result, str(tmp_path / "a.svg"))
    example.plot(result, str(tmp_path / "b.svg"))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize("engine", ENGINES)
def test_module_documentation(engine):
    builder = ChipBuilder(axons=4, neurons=4)
    core = builder.core(seed=1)
    core.crossbar[0, 0] = True
    core.neuron(0, Neuron(weights=(3, 0, 0, 0), threshold=9))
    builder.connect_input(0, core, 0)
    builder.connect_output(core, 0, 0)
    outputs = ENGINES[engine](builder.build()).run(8, pins=np.ones((8, 1), np.uint8)).outputs
    assert outputs[:, 0].tolist() == [0, 0, 0, 1, 0, 0, 1, 0]  # 3, 6, 9 fires, from tick 1 on
    assert make_engine("numpy", builder.build()).run(0).outputs.shape == (0, 1)
