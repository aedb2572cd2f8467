"""A run that does not end, by Ctrl-C or for want of memory, leaves an engine that says so until it is reset."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tests.support.engines import ENGINES
from tncc.builder import ChipBuilder, Neuron
from tncc.errors import InputError
from tncc.runtime import _native
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine_batch import BatchEngine
from tncc.runtime.engine_tick import TickEngine

EVER = 1 << 27  # ticks: no engine does so many before it is interrupted


def counting_chip() -> ChipConfig:
    """A neuron that fires in every seventh tick; no pins."""
    builder = ChipBuilder(axons=2, neurons=2)
    core = builder.core(seed=1)
    core.neuron(0, Neuron(weights=(0, 0, 0, 0), leak=1, threshold=7))
    return builder.build()


@contextmanager
def ctrl_c(seconds: float = 0.02) -> Iterator[None]:
    """KeyboardInterrupt after so many seconds."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ENGINES)
def test_an_interrupted_engine_runs_again_only_after_a_reset(name: str) -> None:
    chip = ENGINES[name](counting_chip())
    with pytest.raises(KeyboardInterrupt), ctrl_c():
        chip.run(EVER)
    with pytest.raises(InputError, match=r"did not end .* reset"):
        chip.run(1)
    chip.reset()
    found = chip.run(70, record=np.ones((1, 2), np.bool_))
    assert found.spikes is not None
    assert found.spikes.tick.tolist() == list(range(6, 70, 7))
    assert chip.tick == chip.stats.ticks == 70
    assert chip.stats.spikes == 10


@pytest.mark.parametrize(("make", "function"), [(TickEngine, "tick_run"), (BatchEngine, "batch_run")])
def test_an_engine_that_ran_out_of_memory_runs_again_only_after_a_reset(
    make: type[TickEngine] | type[BatchEngine], function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = counting_chip() if make is TickEngine else ChipBuilder(axons=2, neurons=2).build()
    chip = make(config)
    real = getattr(_native, function)

    def fails_late(*args: object) -> None:
        real(*args)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(_native, function, fails_late)
        with pytest.raises(MemoryError):
            chip.run(5)
    with pytest.raises(InputError, match="reset"):
        chip.run(5)
    chip.reset()
    chip.run(5)
    assert chip.tick == 5


def test_an_argument_that_does_not_fit_leaves_the_engine_as_it_was() -> None:
    chip = TickEngine(counting_chip())
    chip.run(3)
    with pytest.raises(InputError):
        chip.run(3, pins=np.zeros((2, 2), np.uint8))
    chip.run(67)
    assert chip.stats.spikes == 10
