"""The binding refuses every array that is not what C expects, and every index that leaves its table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.random_chips import random_chip

from tncc.errors import InputError
from tncc.runtime import _native
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import Events, SampledTicks, target_hops
from tncc.runtime.engine_batch import BatchEngine
from tncc.runtime.engine_numpy import NumpyEngine
from tncc.runtime.engine_tick import TickEngine

Array = npt.NDArray[Any]
TICKS = 32  # one of them is sampled


@pytest.fixture
def config() -> ChipConfig:
    return random_chip(np.random.default_rng(1), 4, 20, 30, memoryless=1.0, forward_only=True)


def arguments(config: ChipConfig) -> dict[str, Any]:
    return {
        "pins": np.zeros((TICKS, config.input_pins), np.uint8),
        "outputs": np.zeros((TICKS, config.output_pins), np.uint8),
        "record": np.ones(config.neuron_type.shape, np.bool_),
        "sampled": np.zeros((1, 3), np.int64),
        "probes": np.zeros((3, 2), np.int32),
        "potentials": np.zeros((TICKS, 3), np.int32),
    }


def run_tick(config: ChipConfig, ticks: int = TICKS, events: Any = None, **given: Any) -> None:
    engine = _native.tick_new(config, target_hops(config), 1, 0)
    a = arguments(config) | given
    _native.tick_run(
        engine, ticks, a["pins"], events, a["outputs"], a["record"], a["sampled"], a["probes"], a["potentials"]
    )


def run_batch(config: ChipConfig, ticks: int = TICKS, **given: Any) -> None:
    engine = _native.batch_new(config, target_hops(config), 1, 0)
    a = arguments(config) | given
    _native.batch_run(engine, ticks, a["pins"], a["outputs"], a["record"], a["sampled"])


def test_good_arguments_pass(config: ChipConfig) -> None:
    run_tick(config)
    run_batch(config)
    run_tick(config, ticks=0, pins=np.zeros((0, config.input_pins), np.uint8), outputs=np.zeros(0, np.uint8),
             sampled=np.zeros((0, 3), np.int64), potentials=np.zeros(0, np.int32))  # fmt: skip


def read_only(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def strided(array: Array) -> Array:
    return np.repeat(array, 2, axis=-1)[..., ::2]


def misaligned(array: Array) -> Array:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    return raw[1:].view(array.dtype).reshape(array.shape)


BREAKS: dict[str, tuple[Callable[[Array], Any], tuple[type[Exception], ...]]] = {
    "too short": (lambda a: a[:-1].copy(), (ValueError,)),
    "too long": (lambda a: np.concatenate([a, a]), (ValueError,)),
    "not contiguous": (strided, (BufferError, ValueError)),
    "float": (lambda a: a.astype(np.float32), (TypeError,)),
    "wider": (lambda a: a.astype(np.int64 if a.itemsize < 8 else np.longdouble), (TypeError,)),
    "byte order": (lambda a: a.astype(">i4"), (TypeError,)),
    "no buffer": (lambda a: a.tolist(), (TypeError,)),
}


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("name", ["pins", "outputs", "record", "sampled", "potentials"])
def test_wrong_arrays_are_refused(config: ChipConfig, name: str, how: str) -> None:
    change, errors = BREAKS[how]
    wrong = {name: change(arguments(config)[name])}
    with pytest.raises(errors):
        run_tick(config, **wrong)
    if name != "potentials":
        with pytest.raises(errors):
            run_batch(config, **wrong)


@pytest.mark.parametrize("name", ["outputs", "sampled", "potentials"])
def test_read_only_outputs_are_refused(config: ChipConfig, name: str) -> None:
    with pytest.raises((BufferError, ValueError)):
        run_tick(config, **{name: read_only(arguments(config)[name])})
    with pytest.raises((BufferError, ValueError)):
        run_batch(config, outputs=read_only(arguments(config)["outputs"]))


def test_misaligned_arrays_are_refused(config: ChipConfig) -> None:
    with pytest.raises(ValueError, match="not aligned"):
        run_tick(config, potentials=misaligned(arguments(config)["potentials"]))


@pytest.mark.parametrize("ticks", [-1, TICKS - 1, TICKS + 1, 1 << 62])
def test_ticks_that_do_not_fit_the_arrays_are_refused(config: ChipConfig, ticks: int) -> None:
    with pytest.raises(ValueError):
        run_tick(config, ticks=ticks)
    with pytest.raises(ValueError):
        run_batch(config, ticks=ticks)


@pytest.mark.parametrize(
    "event",
    [
        (-1, 0, 0, 1),
        (TICKS, 0, 0, 1),
        (0, -1, 0, 1),
        (0, 4, 0, 1),
        (0, 0, -1, 1),
        (0, 0, 256, 1),
        (0, 0, 0, 0),
        (0, 0, 0, 16),
    ],
)
def test_events_out_of_range_are_refused(config: ChipConfig, event: tuple[int, int, int, int]) -> None:
    columns = tuple(np.array([v], t) for v, t in zip(event, (np.int64, np.int32, np.int32, np.uint8), strict=True))
    with pytest.raises(ValueError, match="event"):
        run_tick(config, events=columns)


@pytest.mark.parametrize("probe", [(-1, 0), (4, 0), (0, -1), (0, 30)])
def test_probes_out_of_range_are_refused(config: ChipConfig, probe: tuple[int, int]) -> None:
    probes, potentials = np.array([probe], np.int32), np.zeros((TICKS, 1), np.int32)
    with pytest.raises(ValueError, match="probe"):
        run_tick(config, probes=probes, potentials=potentials)


CORRUPTIONS: dict[str, tuple[str, int]] = {
    "crossbar": ("crossbar_index", 99),
    "negative crossbar": ("crossbar_index", -1),
    "axon types row": ("axon_types_index", 2),
    "axon type": ("axon_types", 4),
    "neuron type": ("neuron_type", 14),
    "neuron type below -1": ("neuron_type", -2),
    "target core": ("target_core", 4),
    "target core below": ("target_core", -4),
    "input pin": ("input_pin", 1 << 20),
    "input core": ("input_core", 4),
    "input axon": ("input_axon", 20),
    "input delay": ("input_delay", 0),
    "input delay 16": ("input_delay", 16),
}


@pytest.mark.parametrize("what", CORRUPTIONS)
def test_indices_out_of_range_are_refused_without_the_python_check(config: ChipConfig, what: str) -> None:
    name, value = CORRUPTIONS[what]
    broken = getattr(config, name).copy()
    broken.flat[-1] = value
    corrupt = replace(config, **{name: broken})
    for make in (_native.tick_new, _native.batch_new):
        with pytest.raises(ValueError, match="out of range"):
            make(corrupt, target_hops(config), 1, 0)


@pytest.mark.parametrize("field", ["weights", "leak", "threshold", "reset_mode", "threshold_random_bits"])
def test_parameters_out_of_range_are_refused(config: ChipConfig, field: str) -> None:
    values = config.neuron_types[field].copy()
    values.flat[0] = 120 if values.dtype == np.uint8 else 1000 if values.dtype == np.int16 else 1 << 30
    with pytest.raises(ValueError, match="out of range"):
        _native.tick_new(replace(config, neuron_types=config.neuron_types | {field: values}), target_hops(config), 1, 0)


@pytest.mark.parametrize("name", ["crossbar_index", "target_core", "target_axon", "seed", "input_core"])
def test_config_arrays_of_wrong_size_or_type_are_refused(config: ChipConfig, name: str) -> None:
    for wrong in (getattr(config, name).ravel()[:-1].copy(), getattr(config, name).astype(np.float64)):
        with pytest.raises((ValueError, TypeError), match=name):
            _native.tick_new(replace(config, **{name: wrong}), target_hops(config), 1, 0)


def test_only_memoryless_chips_without_loops_enter_the_batch_engine(config: ChipConfig) -> None:
    stateful = replace(config, neuron_types=config.neuron_types | {"leak_reversal": np.ones(14, np.uint8),
                                                                   "leak": np.ones(14, np.int16)})  # fmt: skip
    with pytest.raises(ValueError, match="not memoryless"):
        _native.batch_new(stateful, target_hops(config), 1, 0)
    target_core = np.where(config.target_core >= 0, 3, config.target_core).astype(np.int32)
    target_core[3, 0], target_axon, target_delay = 3, config.target_axon.copy(), config.target_delay.copy()
    target_axon[3, 0], target_delay[3, 0] = 0, 1
    neuron_type = np.maximum(config.neuron_type, 0)
    loop = replace(config, target_core=target_core, target_axon=target_axon, target_delay=target_delay,
                   neuron_type=neuron_type)  # fmt: skip
    loop.check()
    with pytest.raises(ValueError, match="loop"):
        _native.batch_new(loop, target_hops(loop), 1, 0)


def test_a_handle_of_another_engine_is_refused(config: ChipConfig) -> None:
    engine = _native.batch_new(config, target_hops(config), 1, 0)
    nothing, samples = np.zeros((0, config.output_pins), np.uint8), np.zeros((0, 3), np.int64)
    for wrong in (engine, None, 3, b"x"):
        with pytest.raises((ValueError, TypeError)):
            _native.tick_run(wrong, 0, None, None, nothing, None, samples, None, None)  # type: ignore[arg-type]  # that is the point
    for no_engine in (None, 3, b"x"):
        with pytest.raises((ValueError, TypeError)):
            _native.reset(no_engine)  # type: ignore[arg-type]  # that is the point


def test_threads_and_variants_out_of_range_are_refused(config: ChipConfig) -> None:
    for threads, variant in ((0, 0), (-1, 0), (1025, 0), (1, -1), (1, 3)):
        with pytest.raises(ValueError):
            _native.tick_new(config, target_hops(config), threads, variant)
    for make in (TickEngine, BatchEngine):
        with pytest.raises(InputError, match=r"does not run the engine variant 'neon'; it runs scalar"):
            make(config, variant="neon")


def test_one_engine_in_two_threads_at_once_is_refused() -> None:
    config = random_chip(np.random.default_rng(2), 70, 256, 256, density=0.5)
    engine = _native.tick_new(config, target_hops(config), 1, 0)
    started, ticks = threading.Event(), 3000
    outputs = np.zeros((ticks, config.output_pins), np.uint8)

    def long_run() -> None:
        started.set()
        _native.tick_run(engine, ticks, None, None, outputs, None, SampledTicks(0, ticks).totals, None, None)

    thread = threading.Thread(target=long_run)
    thread.start()
    started.wait()
    refused = False
    while thread.is_alive() and not refused:
        try:
            _native.stats(engine, *np.zeros((2, 70), np.int64), np.zeros((70, 2), np.int64))
        except RuntimeError as error:
            refused = "another thread" in str(error)
    thread.join()
    assert refused


def test_pins_may_be_truth_values(config: ChipConfig) -> None:
    pins = np.random.default_rng(0).random((40, 2 * config.input_pins)) < 0.5
    for engine in (TickEngine(config), BatchEngine(config), NumpyEngine(config)):
        found = []
        for given in (pins[:, ::2], pins[:, ::2].astype(np.uint8)):
            engine.reset()
            found.append(engine.run(40, given).outputs)
        assert np.array_equal(*found)
        assert found[0].any()


def test_engines_say_what_does_not_fit(config: ChipConfig) -> None:
    for engine in (TickEngine(config), BatchEngine(config), NumpyEngine(config)):
        for out in (np.zeros((2, config.output_pins), np.uint8), np.zeros((1, config.output_pins), np.int8)):
            with pytest.raises(InputError, match=r"out is u?int8.*; expected uint8"):
                engine.run(1, out=out)
        for out in (
            np.zeros((config.output_pins, 2), np.uint8).T,
            np.broadcast_to(np.uint8(0), (2, config.output_pins)),
        ):
            with pytest.raises(InputError, match="out is not a writeable array in C order"):
                engine.run(2, out=out)
        with pytest.raises(InputError, match="input pins are"):
            engine.run(3, np.zeros((2, config.input_pins), np.uint8))
        with pytest.raises(InputError, match="a spike is 0 or 1"):
            engine.run(1, np.full((1, config.input_pins), 2, np.uint8))
        late = Events(*(np.array([v], t) for v, t in ((5, np.int64), (0, np.int32), (0, np.int32), (1, np.uint8))))
        with pytest.raises(InputError, match="tick is out of range"):
            engine.run(1, None, late)
        assert engine.tick == 0
