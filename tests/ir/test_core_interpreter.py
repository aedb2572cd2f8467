"""The core interpreter against the scalar specification: same outputs, pin for pin, on random deterministic chips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_chips import seeded_chip

from tests.support.scalar_chip import ScalarChip, output_pins
from tncc.errors import CompileError, InputError
from tncc.ir.chip import Chip
from tncc.ir.core_interpreter import run_frames
from tncc.ir.netlist import Layer, Netlist, Port
from tncc.ir.types import Domain, TensorType
from tncc.ir.verify import verify
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import Events


def netlist_of(config: ChipConfig, latencies: tuple[int, ...]) -> Netlist:
    """The same chip as a netlist; its output pins split into ports of those latencies."""
    order = np.lexsort((config.input_axon, config.input_core, config.input_pin))
    per_port = np.array_split(np.arange(config.output_pins), len(latencies))
    outputs = [
        Port(f"y{i}", TensorType(Domain.SPIKES, (len(pins),)), int(pins[0]), latency)
        for i, (pins, latency) in enumerate(zip(per_port, latencies, strict=True))
        if len(pins)
    ]
    names = ("crossbars", "crossbar_index", "axon_types", "axon_types_index", "neuron_types", "neuron_type")
    names += ("target_core", "target_axon", "target_delay", "seed", "core_x", "core_y", "layer")
    return Netlist(
        chip=Chip(axons=config.axons, neurons=config.neurons),
        **{name: getattr(config, name) for name in names},
        layers=(Layer("all", "import", "random"),),
        **{name: getattr(config, name)[order] for name in ("input_pin", "input_core", "input_axon", "input_delay")},
        inputs=(Port("x", TensorType(Domain.SPIKES, (config.input_pins,)), 0),),
        outputs=tuple(outputs),
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32), st.lists(st.integers(0, 6), min_size=1, max_size=3).map(tuple))
def test_equals_the_scalar_specification(seed: int, latencies: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    cores, axons, neurons = (int(n) for n in rng.integers(1, 7, 3))
    config = seeded_chip(seed, cores=cores, axons=axons, neurons=neurons, stochastic=False)
    netlist = netlist_of(config, latencies)
    verify(netlist)
    frames = int(rng.integers(1, 12))
    x = (rng.random((frames, config.input_pins)) < 0.6).astype(np.uint8)
    tick, connection = np.nonzero(x[:, config.input_pin])
    events = Events(tick, config.input_core[connection], config.input_axon[connection], config.input_delay[connection])
    spikes, _ = ScalarChip(config).run(frames + max(latencies), events)
    fired = output_pins(config, spikes)
    for port, got in zip(netlist.outputs, run_frames(netlist, {"x": x}).values(), strict=True):
        expected = [
            [(f + port.latency_ticks, port.first_pin + i) in fired for i in range(port.type.size)]
            for f in range(frames)
        ]
        np.testing.assert_array_equal(got, expected)


def test_random_draws_are_refused() -> None:
    config = seeded_chip(3, cores=2, axons=3, neurons=3)
    types = config.neuron_types | {"threshold_random_bits": np.full_like(config.neuron_types["reset_mode"], 8)}
    netlist = netlist_of(replace(config, neuron_types=types), (1,))
    with pytest.raises(CompileError, match=r"core 0, neuron \d \(random\) draws random numbers"):
        run_frames(netlist, {"x": np.zeros((1, config.input_pins))})


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ({}, "input 'x' is missing"),
        ({"x": np.zeros((2, 99))}, r"input 'x' has shape \(2, 99\), expected \(2, \d+\)"),
        ({"x": None}, "input 'x' holds numbers other than 0 and 1"),
    ],
)
def test_wrong_inputs(frames: dict[str, np.ndarray], message: str) -> None:
    config = seeded_chip(3, cores=2, axons=3, neurons=3, stochastic=False)
    given = {name: np.full((2, config.input_pins), 2) if x is None else x for name, x in frames.items()}
    with pytest.raises(InputError, match=message):
        run_frames(netlist_of(config, (1,)), given)
