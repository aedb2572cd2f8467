"""The chip one neuron, one synapse at a time, in plain Python integers: the specification as code, for small chips."""

from __future__ import annotations

from tncc.runtime.config import OUTPUT, ChipConfig
from tncc.runtime.engine import Events


def sign(value):
    return (value > 0) - (value < 0)


def saturate(value):
    return max(-(1 << 19), min((1 << 19) - 1, value))


def xorshift(x):
    x ^= (x << 13) & 0xFFFFFFFF
    x ^= x >> 17
    return x ^ ((x << 5) & 0xFFFFFFFF)


class ScalarChip:
    def __init__(self, config: ChipConfig):
        self.config, self.tick = config, 0
        self.random = [int(s) for s in config.seed]
        self.due = set()  # (tick, core, axon)
        self.potential = {}
        for core in range(config.n_cores):
            for neuron in range(config.neurons):
                row = config.neuron_type[core, neuron]
                self.potential[core, neuron] = int(config.neuron_types["initial_potential"][row]) if row >= 0 else 0

    def draw(self, core):
        x = self.random[core]
        self.random[core] = xorshift(x)
        return x

    def run(self, ticks, events: Events | None = None):
        """Spikes as a list of (tick, core, neuron), potentials as one dictionary a tick."""
        for i in range(0 if events is None else len(events.tick)):
            due = int(events.tick[i]) + int(events.delay[i])
            self.due.add((due, int(events.core[i]), int(events.axon[i])))
        spikes, potentials = [], []
        for _ in range(ticks):
            fired = [key for key in self.potential if self.evaluate(*key)]
            for core, neuron in fired:
                spikes.append((self.tick, core, neuron))
                target = int(self.config.target_core[core, neuron])
                if target >= 0:
                    due = self.tick + int(self.config.target_delay[core, neuron])
                    self.due.add((due, target, int(self.config.target_axon[core, neuron])))
            potentials.append(dict(self.potential))
            self.tick += 1
        return spikes, potentials

    def evaluate(self, core, j):
        config = self.config
        row = int(config.neuron_type[core, j])
        if row < 0:
            return False
        p = {name: values[row].tolist() for name, values in config.neuron_types.items()}
        v = self.potential[core, j]
        crossbar = config.crossbars[config.crossbar_index[core]]
        for axon in range(config.axons):
            if (self.tick, core, axon) in self.due and crossbar[axon, j // 8] >> (j % 8) & 1:
                g = config.axon_types[config.axon_types_index[core], axon]
                s = p["weights"][g]
                if p["stochastic_weights"][g]:
                    v += sign(s) if abs(s) >= (self.draw(core) & 255) else 0
                else:
                    v += s
        leak = p["leak"]
        omega = sign(v) if p["leak_reversal"] else 1
        if p["stochastic_leak"]:
            leak = sign(leak) if abs(leak) >= (self.draw(core) & 255) else 0
        v = saturate(v + omega * leak)
        bits = p["threshold_random_bits"]
        eta = self.draw(core) & ((1 << bits) - 1) if bits else 0
        alpha, beta, kappa = p["threshold"], p["negative_threshold"], p["negative_saturate"]
        fires = v >= alpha + eta
        if fires:
            v = [p["reset_potential"], v - alpha - eta, min(v, alpha + (1 << bits) - 1)][p["reset_mode"]]
        elif v < -(beta * kappa + (beta + eta) * (1 - kappa)):
            v = -beta if kappa else [-p["reset_potential"], v + beta + eta, v][p["reset_mode"]]
        self.potential[core, j] = saturate(v)
        return fires


def output_pins(config: ChipConfig, spikes):
    """{(tick, pin)} of a list of (tick, core, neuron)."""
    return {
        (tick, int(config.target_axon[core, neuron]))
        for tick, core, neuron in spikes
        if config.target_core[core, neuron] == OUTPUT
    }
