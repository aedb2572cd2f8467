"""What every simulator engine offers. Engines differ in speed only: same chip, same input, same spikes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import InputError
from tncc.runtime.config import DELAY_SLOTS, ChipConfig

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Events:
    """Input spikes addressed to axons: spike i, with source tick `tick[i]`, is due at tick[i] + delay[i].

    int64 tick, int32 core, int32 axon, uint8 delay (1..15); any order; source ticks count from the chip's tick 0.
    """

    tick: Array
    core: Array
    axon: Array
    delay: Array


@dataclass(frozen=True)
class Spikes:
    """Recorded spikes, sorted by (tick, core, neuron): int64 tick in which it fired, int32 core, int32 neuron."""

    tick: Array
    core: Array
    neuron: Array


@dataclass
class Stats:
    """Exact totals over the ticks run since reset.

    spikes: neurons fired. synaptic_events: active axons times set crossbar bits on used neurons. hops: mesh hops
    (|dx| + |dy|) of all spikes sent to cores; 0 where the chip is not placed. core_spikes, core_synaptic_events:
    int64 [cores].

    The rest is the most of one tick, over the sampled ticks: those with tick % 64 == 31, in every engine.
    sampled_ticks: how many there were (0: all that follows is 0). max_spikes, max_synaptic_events, max_hops: of the
    whole chip in one tick, each in its own. core_max_spikes, core_max_synaptic_events: int64 [cores], of each core in
    one tick.
    """

    ticks: int = 0
    spikes: int = 0
    synaptic_events: int = 0
    hops: int = 0
    core_spikes: Array = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    core_synaptic_events: Array = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    sampled_ticks: int = 0
    max_spikes: int = 0
    max_synaptic_events: int = 0
    max_hops: int = 0
    core_max_spikes: Array = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    core_max_synaptic_events: Array = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)

    @staticmethod
    def zeros(cores: int) -> Stats:
        """Those of a chip of so many cores before its first tick."""
        found = Stats()
        for name in CORE_STATS:
            setattr(found, name, np.zeros(cores, np.int64))
        return found

    def per_tick_max(self) -> dict[str, int]:
        """What `tncc run --stats --json` reports as `per_tick_max`: of the chip, and (`core_...`) of one core."""
        return {
            "sampled_ticks": self.sampled_ticks,
            "spikes": self.max_spikes,
            "synaptic_events": self.max_synaptic_events,
            "hops": self.max_hops,
            "core_spikes": int(self.core_max_spikes.max(initial=0)),
            "core_synaptic_events": int(self.core_max_synaptic_events.max(initial=0)),
        }


CORE_STATS = ("core_spikes", "core_synaptic_events", "core_max_spikes", "core_max_synaptic_events")

SAMPLE_EVERY, SAMPLE_AT = 64, 31  # csrc/sample.h


def samples_before(tick: int) -> int:
    """How many ticks below `tick` are sampled."""
    return (tick + SAMPLE_EVERY - 1 - SAMPLE_AT) // SAMPLE_EVERY


class SampledTicks:
    """Spikes, synaptic events and hops of the whole chip in the sampled ticks of one run; engines add to `totals`.

    Attributes:
        totals: int64 [sampled ticks, 3].
    """

    def __init__(self, tick: int, ticks: int) -> None:
        """For the run of `ticks` ticks from `tick` on."""
        self._first = samples_before(tick)
        self.totals = np.zeros((samples_before(tick + ticks) - self._first, 3), np.int64)

    def between(self, tick: int, end: int) -> Array:
        """The totals of the ticks tick .. end - 1: a view."""
        found: Array = self.totals[samples_before(tick) - self._first : samples_before(end) - self._first]
        return found


@dataclass(frozen=True)
class RunResult:
    """What `Engine.run` returns.

    outputs: uint8 [ticks, output pins], 1 where the pin spiked in that tick. spikes: the recorded spikes, None unless
    asked for. potentials: int32 [ticks, probes], after each tick.
    """

    outputs: Array
    spikes: Spikes | None = None
    potentials: Array | None = None


class Engine(ABC):
    """A chip that has been switched on: state persists from one `run` to the next, until `reset`.

    Attributes:
        config: the chip.
        threads: worker threads; results never depend on it.
        tick: the next tick to be evaluated; 0 after reset.
        stats: exact totals since reset.
    """

    name: str = ""

    def __init__(self, config: ChipConfig, *, threads: int = 1) -> None:
        self.config = config
        self.threads = threads
        self.tick = 0
        self.stats = Stats()
        self._running = False

    def reset(self) -> None:
        """Back to tick 0: initial potentials, seeds, no spike in flight, stats cleared."""
        self._running = False
        self.tick = 0

    def run(
        self,
        ticks: int,
        pins: Array | None = None,
        events: Events | None = None,
        record: Array | None = None,
        probes: Array | None = None,
        out: Array | None = None,
    ) -> RunResult:
        """Evaluates the next `ticks` ticks.

        Args:
            ticks: how many.
            pins: bool, or uint8 {0, 1} (checked), [ticks, input pins]: row i holds the spikes with source tick
                self.tick + i; each is due input_delay ticks later on every axon its pin connects to.
            events: spikes straight to axons; source ticks must lie in self.tick .. self.tick + ticks - 1.
            record: bool [cores, neurons]: the neurons whose spikes to return.
            probes: int32 [n, 2] of (core, neuron): the neurons whose potentials to return.
            out: uint8 [ticks, output pins], C order: overwritten with the outputs, and returned as them; by default a
                new array. Fresh memory costs a wide chip as much time as its spikes.

        Raises:
            InputError: a shape, dtype or range does not fit the chip, and nothing was evaluated; or the run before this
                one did not end (Ctrl-C, out of memory): what it left is no tick's state, and the engine wants a reset.
        """
        pins = check_run_arguments(self.config, self.tick, ticks, pins, events, record, probes)
        outputs = output_array(self.config, ticks, out)
        if self._running:
            raise InputError(
                "the engine's last run did not end (interrupted, or under way in another thread): reset the engine"
            )
        self._running = True
        found = self._run(pins, events, record, probes, outputs)
        self._running = False
        return found

    @abstractmethod
    def _run(
        self, pins: Array | None, events: Events | None, record: Array | None, probes: Array | None, outputs: Array
    ) -> RunResult:
        """`run` with arguments that were checked; overwrites `outputs`. An exception leaves the state undefined."""


def output_array(config: ChipConfig, ticks: int, out: Array | None) -> Array:
    """Where `ticks` ticks of outputs go, not cleared: `out`, or a new array.

    Raises:
        InputError: `out` is not a writeable uint8 [ticks, output pins] in C order.
    """
    if out is None:
        return np.empty((ticks, config.output_pins), np.uint8)
    if out.dtype != np.uint8 or out.shape != (ticks, config.output_pins):
        raise InputError(
            f"out is {out.dtype}{list(out.shape)}; expected uint8[{ticks}, {config.output_pins}] (ticks, output pins)"
        )
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise InputError("out is not a writeable array in C order")
    return out


def check_run_arguments(
    config: ChipConfig,
    tick: int,
    ticks: int,
    pins: Array | None = None,
    events: Events | None = None,
    record: Array | None = None,
    probes: Array | None = None,
) -> Array | None:
    """The pins as contiguous uint8.

    Raises:
        InputError: an argument of `Engine.run` does not fit the chip.
    """
    if ticks < 0:
        raise InputError(f"{ticks} ticks to run; the least is 0")
    if pins is not None:
        if pins.dtype not in (np.uint8, np.bool_) or pins.shape != (ticks, config.input_pins):
            expected = f"uint8 or bool[{ticks}, {config.input_pins}]"
            raise InputError(f"input pins are {pins.dtype}{list(pins.shape)}; expected {expected} (ticks, input pins)")
        if pins.dtype == np.uint8 and pins.size and int(pins.max()) > 1:
            row, pin = np.argwhere(pins > 1)[0]
            raise InputError(f"tick {tick + row}, input pin {pin}: value {pins[row, pin]}; a spike is 0 or 1")
    if events is not None:
        _check_events(config, tick, ticks, events)
    if record is not None and (record.dtype != np.bool_ or record.shape != config.neuron_type.shape):
        raise InputError(
            f"record is {record.dtype}{list(record.shape)}; "
            f"expected bool{list(config.neuron_type.shape)} (cores, neurons)"
        )
    if probes is not None:
        if probes.ndim != 2 or probes.shape[1] != 2 or not np.issubdtype(probes.dtype, np.integer):
            raise InputError(f"probes are {probes.dtype}{list(probes.shape)}; expected int32[n, 2] of (core, neuron)")
        bad = (probes < 0) | (probes >= np.array(config.neuron_type.shape))
        if bad.any():
            core, neuron = probes[np.argwhere(bad)[0][0]]
            raise InputError(
                f"probe of core {core}, neuron {neuron}; "
                f"the chip has {config.n_cores} cores of {config.neurons} neurons"
            )
    return None if pins is None else np.ascontiguousarray(pins).view(np.uint8)


def _check_events(config: ChipConfig, tick: int, ticks: int, events: Events) -> None:
    shape = np.shape(events.tick)
    limits = (
        ("tick", events.tick, tick, tick + ticks),
        ("core", events.core, 0, config.n_cores),
        ("axon", events.axon, 0, config.axons),
        ("delay", events.delay, 1, DELAY_SLOTS),
    )
    for name, array, _, _ in limits:
        if array.ndim != 1 or array.shape != shape or not np.issubdtype(array.dtype, np.integer):
            raise InputError(
                f"input spikes: {name} is {array.dtype}{list(array.shape)}; expected integers{list(shape)}"
            )
    for name, array, low, end in limits:
        bad = np.flatnonzero((array < low) | (array >= end))
        if bad.size:
            i = bad[0]
            allowed = f"{low}..{end - 1}" if end > low else "none"
            raise InputError(
                f"input spike {i} (tick {events.tick[i]}, core {events.core[i]}, axon {events.axon[i]}, "
                f"delay {events.delay[i]}): {name} is out of range; allowed: {allowed}"
            )


def target_hops(config: ChipConfig) -> Array:
    """int32 [cores, neurons]: mesh hops of a spike to its target core; 0 without one or on an unplaced chip."""
    if not config.n_cores:
        return np.zeros(config.target_core.shape, np.int32)
    target = np.maximum(config.target_core, 0)
    x, y = config.core_x.astype(np.int32), config.core_y.astype(np.int32)
    hops = np.abs(x[target] - x[:, None]) + np.abs(y[target] - y[:, None])
    found: Array = np.where(config.target_core >= 0, hops, 0).astype(np.int32)
    return found
