"""Runs a program on data: host prefix, simulated chip, host suffix, in bounded memory.

Frames enter the chip one per tick; the answer to a frame leaves `latency_ticks` later, while later frames are under
way. So a batch of n frames takes n + latency ticks, and batches follow each other without draining the pipeline.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import FormatError, InputError
from tncc.host import HostModel
from tncc.program import Program
from tncc.runtime.engine import Engine, Stats
from tncc.runtime.engines import make_engine

Array = npt.NDArray[Any]
Data = Array | Mapping[str, Array]
Results = Array | dict[str, Array]

_STRETCH_BYTES = 1 << 18  # floats at once, so that they stay in the cache
BATCH_FRAMES = 1024  # the batch engine evaluates 1,024 ticks at a time


@dataclass(frozen=True)
class InputPort:
    """A model input: name, dtype the model wants, shape of one frame."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Session:
    """A program switched on. One run at a time: threads that call `run` wait for each other.

    Attributes:
        engine: name of the engine that runs the chip: batch, tick or numpy.
        threads: worker threads of the engine and of ONNX Runtime.
        stats: exact totals of the last run (spikes, synaptic events, hops).
        ticks, seconds: of the last run; seconds is the time in the chip's simulation alone.
    """

    def __init__(self, program: Program, threads: int = 1, engine: str = "auto") -> None:
        """Raises InputError for an unknown engine or a thread count below 1."""
        self.program = program
        self.threads = threads
        self._engine = make_engine(engine, program.config, threads)
        self._prefix = HostModel(program.prefix, "host-side prefix", threads) if program.prefix else None
        self._suffix = HostModel(program.suffix, "host-side suffix", threads) if program.suffix else None
        self._check_joints()
        self._lock = threading.RLock()
        self._runs = 0
        self.ticks = 0
        self.seconds = 0.0

    def _check_joints(self) -> None:
        """Raises FormatError where the host models do not fit the chip's ports: a file put together wrongly."""
        entering = {port.name for port in self.inputs}.union(self._prefix.outputs if self._prefix else ())
        leaving = {port["name"] for port in self.program.metadata.get("outputs", [])}
        for have, needed in (
            (entering, {port["name"] for port in self.program.metadata.get("inputs", [])}),
            ({port.name for port in self.inputs}, set(self._prefix.inputs) if self._prefix else set()),
            (leaving, set(self._suffix.inputs) if self._suffix else set()),
            (leaving | set(self._suffix.outputs if self._suffix else ()), set(self.outputs)),
        ):
            if missing := sorted(needed - have):
                raise FormatError(f"host models and chip do not fit together: nothing computes {missing[0]}")

    @property
    def engine(self) -> str:
        return self._engine.name

    @property
    def chip(self) -> Engine:
        """The engine itself, for runs tick by tick: see tncc.runtime.engine."""
        return self._engine

    @property
    def stats(self) -> Stats:
        return self._engine.stats

    @property
    def inputs(self) -> list[InputPort]:
        """The model's inputs, in its order."""
        return [
            InputPort(i["name"], i["dtype"], tuple(i["shape"])) for i in self.program.metadata.get("model_inputs", [])
        ]

    @property
    def outputs(self) -> list[str]:
        """Names of the model's outputs, in its order."""
        return list(self.program.metadata.get("model_outputs", []))

    def run(self, x: Data, progress: Callable[[int], None] | None = None) -> Results:
        """The model's outputs for x: see Program.run. `progress` is called with the frames done so far."""
        with self._lock:
            parts = list(self.stream(x, progress=progress))
        joined = {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}
        return joined[self.outputs[0]] if len(self.outputs) == 1 else joined

    def stream(
        self, x: Data, batch: int = BATCH_FRAMES, progress: Callable[[int], None] | None = None
    ) -> Iterator[dict[str, Array]]:
        """Yields the outputs batch by batch, so that neither x (say a memory map) nor they must fit in memory.

        Raises:
            InputError: x does not fit the model: names, shape, dtype, NaN, numbers that the model's dtype cannot hold,
                or not {0, 1} where the chip takes spikes; a batch below 1; another run began before this one ended.
        """
        if batch < 1:
            raise InputError(f"batches of {batch} frames; at least 1 is needed")
        feeds = self.feeds(x)
        frames = len(next(iter(feeds.values())))
        latency = self.program.config.latency_ticks
        run = self._begin()
        aligned = _Aligned(self.program.config.output_latency, min(batch, frames))
        done = 0
        for start in range(0, max(frames, 1), batch):
            part = {name: np.asarray(array[start : start + batch]) for name, array in feeds.items()}
            last = start + batch >= frames
            pins = self._pins(part, start, latency if last else 0)
            self._simulate(pins, aligned.room(len(pins)), run)
            ready = aligned.take(frames - done if last else None)
            done += len(ready)
            if len(ready) or last:
                yield self._answers(ready)
            if progress:
                progress(done)

    def encode(self, x: Data, frames: int | None = None) -> Array:
        """uint8 [frames, input pins]: the spikes that the first `frames` frames of x (all by default) send in.

        Raises InputError where x does not fit the model, as `stream` does.
        """
        return self._pins({name: np.asarray(array[:frames]) for name, array in self.feeds(x).items()}, 0)

    def _begin(self) -> int:
        """Resets the chip for a new run; returns its number."""
        with self._lock:
            self._engine.reset()
            self.ticks, self.seconds = 0, 0.0
            self._runs += 1
            return self._runs

    def _simulate(self, pins: Array, out: Array, run: int) -> None:
        with self._lock:
            if run != self._runs:  # the chip's state is the other run's now
                raise InputError(
                    "another run of this session began before this one ended", hint="use a session for each of them"
                )
            began = time.perf_counter()
            self._engine.run(len(pins), pins.view(np.bool_), out=out)  # zeros and ones: they need no check
            self.seconds += time.perf_counter() - began
            self.ticks += len(pins)

    def feeds(self, x: Data) -> dict[str, Array]:
        """x as {input name: array}, checked for names, shapes and dtypes (values are checked batch by batch).

        Raises InputError.
        """
        ports = self.inputs
        if not ports:
            raise InputError(
                "this chip has no model inputs: it was not compiled from a model", hint="use tncc run --spikes"
            )
        names = [port.name for port in ports]
        if not isinstance(x, Mapping):
            if len(ports) > 1:
                raise InputError(
                    f"the model has {len(ports)} inputs; pass a dictionary with the keys {', '.join(names)}"
                )
            x = {names[0]: x}
        if x.keys() != set(names):
            given = f"got the inputs {', '.join(sorted(map(str, x)))}" if x else "got no input"
            raise InputError(f"{given}; the model's are {', '.join(names)}")
        feeds = {port.name: fitting(x[port.name], port) for port in ports}
        counts = {name: len(array) for name, array in feeds.items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"the inputs have different numbers of frames: {counts}")
        return feeds

    def _pins(self, part: dict[str, Array], start: int, idle: int = 0) -> Array:
        """uint8 [frames + idle, input pins]: the spikes that enter the chip, and `idle` ticks without any."""
        part = {port.name: _cast(part[port.name], port, start) for port in self.inputs}
        values = part | self._prefix.run(part) if self._prefix else part
        frames = len(next(iter(part.values())))
        pins = np.zeros((frames + idle, self.program.config.input_pins), np.uint8)
        for port in self.program.metadata["inputs"]:
            value = values[port["name"]]
            if value.shape != (frames, *port["shape"]):
                raise FormatError(
                    f"{port['name']} has shape {list(value.shape[1:])} a frame, but its chip port {port['shape']}"
                )
            value = value.reshape(frames, math.prod(port["shape"]))
            end = port["first_pin"] + value.shape[1]
            wrong = _spikes_of(value, pins[:frames, port["first_pin"] : end].view(np.bool_))
            if wrong is not None:
                hint = (
                    ""
                    if port["name"] not in part
                    else (
                        "the model's first layer has trinary weights, so it runs on the chip and takes {0, 1}; "
                        "to run it on the host, compile with --pipeline and partition-host{inputs=real}"
                    )
                )
                raise InputError(
                    f"{port['name']} takes spikes (0 or 1), but frame {start + wrong[0]} holds "
                    f"{value[wrong]} at element {wrong[1]}",
                    hint=hint,
                )
        return pins

    def _answers(self, pins: Array) -> dict[str, Array]:
        """The model's outputs from the chip's output pins, aligned: uint8 [frames, output pins]."""
        frames = len(pins)
        tensors = {}
        for port in self.program.metadata["outputs"]:
            size = math.prod(port["shape"])
            part = pins[:, port["first_pin"] : port["first_pin"] + size]
            tensors[port["name"]] = part.reshape(frames, *port["shape"]).astype(np.float32)
        if self._suffix:
            tensors |= self._suffix.run(tensors)
        dtypes = self.program.metadata["model_output_dtypes"]
        return {name: tensors[name].astype(dtypes[name], copy=False) for name in self.outputs}


def fitting(x: object, port: InputPort) -> Array:
    """x as an array of frames for the port. Raises InputError where its shape or dtype does not fit."""
    try:
        array = np.asanyarray(x)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists; tensors that NumPy cannot read
        raise InputError(f"input {port.name} is no array: {str(error).partition(chr(10))[0]}") from error
    if isinstance(array, np.ma.MaskedArray):
        raise InputError(f"input {port.name} is a masked array", hint="fill it: x.filled(0)")
    if array.shape[1:] != port.shape or array.ndim == 0:
        expected = f"[N, {', '.join(map(str, port.shape))}]" if port.shape else "[N]"
        hint = ""
        if array.shape == port.shape:
            hint = "a single frame is a batch of one: x[None]"
        elif array.ndim and len(array) and array[0].size == math.prod(port.shape):
            hint = f"as many numbers a frame, so it may be a matter of x.reshape{(-1, *port.shape)} or of transposing"
        raise InputError(f"input {port.name} has shape {list(array.shape)}; the model takes {expected}", hint=hint)
    if array.dtype.kind not in "fuib":
        raise InputError(f"input {port.name} is {array.dtype}; the model takes {port.dtype} (or uint8)")
    if array.dtype.kind == "f" and port.dtype.startswith(("int", "uint", "bool")):
        raise InputError(f"input {port.name} is {array.dtype}; the model takes {port.dtype}")
    return array


def _cast(array: Array, port: InputPort, start: int) -> Array:
    """The frames in the model's dtype. Raises InputError for NaN, infinity, and what that dtype cannot hold."""
    with np.errstate(over="ignore"):
        cast = array.astype(port.dtype, copy=False)
    if cast.dtype.kind == "f":
        wrong = ~np.isfinite(cast)
    elif cast.dtype != array.dtype:
        wrong = cast != array
    else:
        return cast
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0])
        value, frame = array[where], start + int(where[0])
        if array.dtype.kind == "f" and not np.isfinite(value):
            raise InputError(f"input {port.name} holds NaN or infinity in frame {frame}")
        raise InputError(f"input {port.name} holds {value} in frame {frame}, which {port.dtype} cannot hold")
    return cast


def _spikes_of(value: Array, spikes: Array) -> tuple[int, int] | None:
    """Writes where value [frames, elements] is 1 to spikes (bool, of that shape).

    Returns the first [frame, element] that is neither 0 nor 1; None where all are. Stretch by stretch, so that numbers
    are in the cache when they are looked at again.
    """
    step = max(1, _STRETCH_BYTES // max(1, value[:1].nbytes))
    for begin in range(0, len(value), step):
        stretch, found = value[begin : begin + step], spikes[begin : begin + step]
        np.equal(stretch, 1, out=found)
        known = stretch == 0
        known |= found
        if not known.all():
            frame, element = np.argwhere(~known)[0]
            return begin + int(frame), int(element)
    return None


class _Aligned:
    """Output pins of consecutive ticks -> output pins of consecutive frames: each pin shifted by its latency.

    One buffer holds them all: pages that are fresh for every batch cost a third of the time of its simulation."""

    def __init__(self, latency: Array, batch: int) -> None:
        self._latency = latency
        self._most = int(latency.max(initial=0))
        self._groups = [(int(ticks), np.flatnonzero(latency == ticks)) for ticks in np.unique(latency)]
        self._rows = np.empty((batch + 2 * self._most, latency.size), np.uint8)  # kept, a batch, and the last ones
        self._begin = self._end = 0  # of the rows that hold ticks, from the next frame's source tick on

    def room(self, ticks: int) -> Array:
        """uint8 [ticks, output pins]: where the next ticks' are to be written. What `take` gave is overwritten."""
        kept = self._rows[self._begin : self._end]
        self._rows[: len(kept)] = kept
        self._begin, self._end = 0, len(kept) + ticks
        return self._rows[len(kept) : self._end]

    def take(self, frames: int | None = None) -> Array:
        """The next frames whose every pin is known (or just `frames` of them), until `room` is called again."""
        rows = self._rows[self._begin : self._end]
        if frames is None:
            frames = max(len(rows) - self._most, 0)
        self._begin += frames
        if len(self._groups) == 1:
            return rows[self._most : self._most + frames]
        ready = np.empty((frames, self._latency.size), np.uint8)
        for ticks, pins in self._groups:
            ready[:, pins] = rows[ticks : ticks + frames, pins]
        return ready
