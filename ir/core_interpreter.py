"""Reference interpreter of the core level: a netlist tick by tick, in NumPy, straight from the chip's rules.

Independent of the simulator on purpose. It covers every deterministic neuron parameter, all delays and any topology
(loops too); netlists whose neurons draw random numbers are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import InputError, NotInterpretable
from tncc.ir.netlist import OUTPUT, Netlist
from tncc.ir.verify_netlist import POTENTIAL_MAX, POTENTIAL_MIN, core_name, draws

Array = npt.NDArray[Any]
CORES_AT_ONCE = 64  # whose crossbars are unpacked together


def run_frames(netlist: Netlist, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Streams frames through the netlist, one a tick, from tick 0 on.

    Args:
        netlist: verified; placed or not.
        inputs: by input port name, {0, 1} numbers [frames, *port shape].

    Returns:
        By output port name, uint8 [frames, *port shape]: the spikes of frame i are those fired latency_ticks after its
        source tick i.

    Raises:
        InputError: a port is missing, or its frames have another shape, count or values.
        CompileError: a neuron draws random numbers.
    """
    if reason := not_interpreted(netlist):
        raise NotInterpretable(reason, hint="run the compiled chip on a simulator engine")
    frames, pins = _pin_frames(netlist, inputs)
    latency = max((port.latency_ticks for port in netlist.outputs), default=0)
    state = _State(netlist)
    fired = np.zeros((frames + latency, netlist.output_pins), np.uint8)
    silence = np.zeros(netlist.input_pins, bool)
    for tick in range(frames + latency):
        fired[tick] = state.step(pins[tick] if tick < frames else silence)
    return {
        port.name: fired[
            port.latency_ticks : port.latency_ticks + frames, port.first_pin : port.first_pin + port.type.size
        ].reshape(frames, *port.type.shape)
        for port in netlist.outputs
    }


def not_interpreted(netlist: Netlist) -> str:
    """Why the netlist cannot be interpreted; "" when it can."""
    drawing = np.isin(netlist.neuron_type, np.flatnonzero(draws(netlist)))
    if not drawing.any():
        return ""
    core, neuron = np.argwhere(drawing)[0]
    return f"{core_name(netlist, core, neuron)} draws random numbers, which is not interpreted at the IR level"


def _pin_frames(netlist: Netlist, inputs: Mapping[str, Array]) -> tuple[int, Array]:
    """(frames, bool [frames, input pins])."""
    counts = {len(np.atleast_1d(array)) for array in inputs.values()}
    if len(counts) > 1:
        raise InputError(f"inputs differ in their number of frames: {sorted(counts)}")
    frames = counts.pop() if counts else 1
    pins = np.zeros((frames, netlist.input_pins), bool)
    for port in netlist.inputs:
        if port.name not in inputs:
            raise InputError(f"input {port.name!r} is missing")
        given = np.asarray(inputs[port.name])
        if given.shape != (frames, *port.type.shape):
            raise InputError(f"input {port.name!r} has shape {given.shape}, expected {(frames, *port.type.shape)}")
        if not np.all((given == 0) | (given == 1)):
            raise InputError(f"input {port.name!r} holds numbers other than 0 and 1")
        pins[:, port.first_pin : port.first_pin + port.type.size] = given.reshape(frames, -1)
    return frames, pins


class _State:
    """Membrane potentials and spikes in flight."""

    def __init__(self, netlist: Netlist) -> None:
        self.netlist = netlist
        used_core, used_neuron = np.nonzero(netlist.neuron_type >= 0)
        self.core, self.neuron = used_core, used_neuron
        kind = netlist.neuron_type[used_core, used_neuron]
        # one row a used neuron
        self.parameters = {name: table[kind].astype(np.int64) for name, table in netlist.neuron_types.items()}
        self.potential = self.parameters["initial_potential"].copy()
        self.target_core = netlist.target_core[used_core, used_neuron]
        self.target_axon = netlist.target_axon[used_core, used_neuron]
        self.target_delay = netlist.target_delay[used_core, used_neuron].astype(np.int64)
        self.weights = np.zeros((netlist.n_cores, 4, netlist.chip.neurons), np.int64)
        self.weights[used_core, :, used_neuron] = self.parameters["weights"]
        delays = np.concatenate([self.target_delay, netlist.input_delay.astype(np.int64)])
        self.slots = int(delays.max(initial=1)) + 1
        self.due = np.zeros((self.slots, netlist.n_cores, netlist.chip.axons), bool)
        self.tick = 0

    def step(self, pins: Array) -> Array:
        """Evaluates one tick. `pins`: bool [input pins] with this source tick. Returns bool [output pins]."""
        netlist, p = self.netlist, self.parameters
        self._send(
            pins[netlist.input_pin], netlist.input_core, netlist.input_axon, netlist.input_delay.astype(np.int64)
        )
        slot = self.tick % self.slots
        v = self.potential + self._integrate(self.due[slot])[self.core, self.neuron]
        self.due[slot] = False
        v += np.where(p["leak_reversal"] == 1, np.sign(v), 1) * p["leak"]
        v = np.clip(v, POTENTIAL_MIN, POTENTIAL_MAX)
        fires = v >= p["threshold"]
        below = ~fires & (v < -p["negative_threshold"])
        after_spike = np.choose(
            p["reset_mode"], [p["reset_potential"], v - p["threshold"], np.minimum(v, p["threshold"])]
        )
        bounced = np.choose(p["reset_mode"], [-p["reset_potential"], v + p["negative_threshold"], v])
        after_floor = np.where(p["negative_saturate"] == 1, -p["negative_threshold"], bounced)
        v = np.where(fires, after_spike, np.where(below, after_floor, v))
        self.potential = np.clip(v, POTENTIAL_MIN, POTENTIAL_MAX)
        self._send(
            fires & (self.target_core >= 0),
            self.target_core,
            self.target_axon,
            self.target_delay,
        )
        outputs = np.zeros(netlist.output_pins, bool)
        outputs[self.target_axon[fires & (self.target_core == OUTPUT)]] = True
        self.tick += 1
        return outputs

    def _integrate(self, active: Array) -> Array:
        """int64 [cores, neurons]: the weights that arrive over `active`, bool [cores, axons]."""
        netlist = self.netlist
        total = np.zeros(netlist.neuron_type.shape, np.int64)
        busy = np.flatnonzero(active.any(axis=1))
        for start in range(0, busy.size, CORES_AT_ONCE):
            cores = busy[start : start + CORES_AT_ONCE]
            crossbars = np.unpackbits(
                netlist.crossbars[netlist.crossbar_index[cores]], axis=2, count=netlist.chip.neurons, bitorder="little"
            )
            kinds = netlist.axon_types[netlist.axon_types_index[cores]]
            by_kind = active[cores, None, :] & (kinds[:, None, :] == np.arange(4)[:, None])
            # counts of set bits, at most one an axon: exact in float32
            counts = by_kind.astype(np.float32) @ crossbars.astype(np.float32)
            total[cores] = (counts.astype(np.int64) * self.weights[cores]).sum(axis=1)
        return total

    def _send(self, spikes: Array, core: Array, axon: Array, delay: Array) -> None:
        """Marks the axons that `spikes` (bool) reach, `delay` ticks after the current one."""
        self.due[(self.tick + delay[spikes]) % self.slots, core[spikes], axon[spikes]] = True
