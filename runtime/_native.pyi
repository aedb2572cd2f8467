"""The C extension. Arrays are C-contiguous, aligned and of exactly the given type and size.

Raises TypeError for a wrong element type, ValueError for a wrong size or a value out of range, BufferError for an array
that is not contiguous or, where it is written to, not writable; RuntimeError when a handle is used by two threads at
once.
"""

from typing import Any

import numpy.typing as npt

from tncc.runtime.config import ChipConfig

_Array = npt.NDArray[Any]

class EngineHandle: ...
class _Tick(EngineHandle): ...
class _Batch(EngineHandle): ...

def variants() -> dict[str, int]:
    """The instruction sets that the engines can use on this processor, slowest first, by name."""

def reset(engine: EngineHandle, /) -> None:
    """Back to tick 0: initial potentials, no spike in flight, counts zero."""

def recorded_count(engine: EngineHandle, /) -> int:
    """How many spikes the last run recorded."""

def recorded(engine: EngineHandle, tick: _Array, core: _Array, neuron: _Array, /) -> None:
    """Copies them to int64, int32, int32 arrays of that length, in no order to rely on."""

def stats(engine: EngineHandle, core_spikes: _Array, core_synaptic_events: _Array, peaks: _Array, /) -> int:
    """Fills int64 [cores] each with the totals since reset, and int64 [cores, 2] with the most spikes and synaptic
    events of a core in one sampled tick; returns the mesh hops."""

def tick_new(config: ChipConfig, hops: _Array, threads: int, variant: int, /) -> _Tick:
    """Compiles a chip; hops is int32 [cores, neurons]. Nothing of the config is kept."""

def tick_run(
    engine: _Tick,
    ticks: int,
    pins: _Array | None,
    events: tuple[_Array, _Array, _Array, _Array] | None,
    outputs: _Array,
    record: _Array | None,
    sampled: _Array,
    probes: _Array | None,
    potentials: _Array | None,
    /,
) -> None:
    """Evaluates `ticks` ticks.

    pins uint8 [ticks, input pins]; events int64 tick, int32 core, int32 axon, uint8 delay, sorted by tick; outputs
    uint8 [ticks, output pins], zeroed; record bool [cores, neurons]; sampled int64 [sampled ticks, 3], to which the
    chip's spikes, synaptic events and hops in each are added (runtime/engine.py: samples_before); probes int32 [n, 2]
    sorted by core; potentials int32 [ticks, n].
    """

def batch_new(config: ChipConfig, hops: _Array, threads: int, variant: int, /) -> _Batch:
    """Compiles a chip of memoryless neurons and no loops (ValueError otherwise); hops is int32 [cores, neurons]."""

def batch_run(
    engine: _Batch, ticks: int, pins: _Array | None, outputs: _Array, record: _Array | None, sampled: _Array, /
) -> None:
    """Evaluates `ticks` ticks: pins uint8 [ticks, input pins], outputs uint8 [ticks, output pins], record bool
    [cores, neurons], sampled as for the tick engine."""

def batch_flight_count(engine: _Batch, /) -> tuple[int, int]:
    """How many words hold the spikes in flight, and how many of them, the first, are those of input pins."""

def batch_get_flight(engine: _Batch, flight: _Array, /) -> None: ...
def batch_set_flight(engine: _Batch, flight: _Array, tick: int, /) -> None:
    """Copies the spikes in flight, uint16, out of the engine or back into one of the same chip, to go on at `tick`;
    chips that differ only in input connections have the same words for their neurons."""

def stages(config: ChipConfig, hops: _Array, stage: _Array, /) -> None:
    """Fills int32 [cores]: even for the batch engine, odd for the tick engine; spikes never go to an earlier stage."""

def place_anneal(
    first: _Array,
    neighbor: _Array,
    weight: _Array,
    column_at: _Array,
    row_at: _Array,
    grid: _Array,
    place: _Array,
    at: _Array,
    random: _Array,
    moves: int,
    temperature: float,
    window: int,
    /,
) -> tuple[int, int]:
    """(moves accepted, cost afterwards) of simulated annealing at one temperature; passes/csrc/place.h.

    first int64 [cores + 1], neighbor and weight int32 [edges]; column_at int32 [width], row_at int32 [height]; changed
    in place: grid int32 [height * width], place int32 [cores], at int16 [2 * cores], random int64 [1].
    """

def roofline(variant: int, threads: int, rounds: int, /) -> float:
    """Does nothing but full adders over rows in the first cache level; returns how many, one a bit of time."""
