"""One neuron, tick by tick, worked out by hand for every reset mode, sign, kappa, epsilon and TM case.

A case is the neuron's parameters, the axon types that are active in each tick ("01": one axon of type 0, one of type
1; nothing can be active in tick 0), and what must come out: the potential after each tick, with a * where the neuron
fired. The sums are in comments; alpha is the threshold, beta the negative threshold, R the reset potential, eta the
random part of the threshold.

The core's generator starts at 5. xorshift32 gives 5 ^ 5 << 13 = a005, ^ >> 17 = a005, ^ << 5 = 14a0a5, and so on:
00000005 0014a0a5 14091e05 cefd19c1 d564eb43 499947e5 4ddf3db7. Low bytes: 5 165 5 193 67 229 183; low three bits:
5 5 5 1 3 5 7.
"""

from __future__ import annotations

import numpy as np
import pytest
from support.engines import ENGINES

from tncc.builder import ChipBuilder, Neuron
from tncc.runtime.engine import Events

W = (3, -2, 7, -5)  # the weights of axon types 0..3 where a case does not say otherwise

CASES = {
    # --- integration: four weights with their signs; the sum of all active synapses counts at once
    "four weights": (
        Neuron(weights=W, threshold=100, negative_threshold=100),
        ["", "0", "1", "2", "3", "0123", "", "02"],
        # +3, -2, +7, -5, +3-2+7-5 = +3, 0, +10
        "0 3 1 8 3 6 6 16",
    ),
    "threshold is reached, not exceeded": (
        Neuron(weights=W, threshold=10, negative_threshold=100),
        ["", "2", "0", "2"],
        # 7 < 10; 7 + 3 = 10 >= 10 fires, R = 0; 7
        "0 7 0* 7",
    ),
    # --- gamma = 0, reset to R
    "gamma 0, R > 0": (
        Neuron(weights=W, threshold=10, negative_threshold=100, reset_potential=4),
        ["", "2", "2", "2", ""],
        # 7; 14 fires -> 4; 11 fires -> 4; 4
        "0 7 4* 4* 4",
    ),
    "gamma 0, R < 0": (
        Neuron(weights=W, threshold=7, negative_threshold=100, reset_potential=-15),
        ["", "2", "2", "2", "2"],
        # 7 fires -> -15; -8; -1; 6
        "0 -15* -8 -1 6",
    ),
    "gamma 0, R above the threshold fires in every tick": (
        Neuron(weights=W, threshold=3, negative_threshold=100, reset_potential=3),
        ["", "0", "", ""],
        "0 3* 3* 3*",
    ),
    # --- gamma = 1, subtract the threshold: the remainder stays
    "gamma 1": (
        Neuron(weights=W, threshold=4, negative_threshold=100, reset_mode=1),
        ["", "2", "", "2", "02", "", "", ""],
        # 7 - 4 = 3; 3; 3 + 7 - 4 = 6; 6 + 10 - 4 = 12; 8; 4; 0
        "0 3* 3 6* 12* 8* 4* 0*",
    ),
    # --- gamma = 2, hold: V = min(V, alpha + 2^TM - 1), here alpha
    "gamma 2": (
        Neuron(weights=W, threshold=4, negative_threshold=100, reset_mode=2),
        ["", "0", "2", "", "1", "0", "3", ""],
        # 3; 10 -> 4; 4; 2 below; 5 -> 4; -1; -1
        "0 3 4* 4* 2 4* -1 -1",
    ),
    # --- kappa = 1: the potential stops at -beta
    "kappa 1": (
        Neuron(weights=W, threshold=100, negative_threshold=6, negative_saturate=1),
        ["", "3", "1", "3", "0"],
        # -5; -7 < -6 -> -6; -11 -> -6; -3
        "0 -5 -6 -6 -3",
    ),
    "kappa 1 ignores gamma and R": (
        Neuron(weights=W, threshold=100, negative_threshold=6, negative_saturate=1, reset_mode=1, reset_potential=50),
        ["", "3", "3"],
        "0 -5 -6",
    ),
    "kappa 1, beta 0: never below 0": (
        Neuron(weights=W, threshold=100, negative_threshold=0),
        ["", "3", "03", "2"],
        "0 0 0 7",
    ),
    # --- kappa = 0: below -beta the neuron resets; -beta itself is not below
    "kappa 0, gamma 0: V = -R": (
        Neuron(weights=W, threshold=100, negative_threshold=5, negative_saturate=0, reset_potential=2),
        ["", "3", "1", "1", "3"],
        # -5 is not < -5; -7 -> -2; -4; -9 -> -2
        "0 -5 -2 -4 -2",
    ),
    "kappa 0, gamma 0, R < 0: V = -R is positive and may fire next": (
        Neuron(weights=W, threshold=8, negative_threshold=5, negative_saturate=0, reset_potential=-9),
        ["", "13", "", "0"],
        # -7 -> 9 (no spike in that tick); 9 >= 8 fires -> -9; -9 + 3 = -6 < -5 -> 9
        "0 9 -9* 9",
    ),
    "kappa 0, gamma 1: V += beta": (
        Neuron(weights=W, threshold=100, negative_threshold=4, negative_saturate=0, reset_mode=1),
        ["", "3", "33", ""],
        # -5 + 4 = -1; -1 - 5 = -6 -> -2 (two spikes on one axon merge); -2
        "0 -1 -2 -2",
    ),
    "kappa 0, gamma 2: no reset below": (
        Neuron(weights=W, threshold=100, negative_threshold=4, negative_saturate=0, reset_mode=2),
        ["", "3", "3", "3"],
        "0 -5 -10 -15",
    ),
    # --- leak: in every tick from tick 0 on, before the comparison
    "leak up fires by itself": (
        Neuron(weights=W, leak=3, threshold=7),
        ["", "", "", "", ""],
        # 3; 6; 9 fires -> 0; 3; 6
        "3 6 0* 3 6",
    ),
    "leak down, epsilon 0, runs into the floor": (
        Neuron(weights=W, leak=-3, threshold=100, negative_threshold=5),
        ["", "2", "", "", ""],
        # -3; -3 + 7 - 3 = 1; -2; -5; -8 -> -5
        "-3 1 -2 -5 -5",
    ),
    "leak counts before the threshold": (
        Neuron(weights=W, leak=-1, threshold=3),
        ["", "0", "2"],
        # -1 -> 0 (floor); 3 - 1 = 2 < 3; 2 + 7 - 1 = 8 fires
        "0 2 0*",
    ),
    "epsilon 1, leak down: towards 0 from both sides": (
        Neuron(weights=W, leak=-2, leak_reversal=1, threshold=100, negative_threshold=100),
        ["", "2", "", "", "", "3", "", "", ""],
        # 0 (sign(0) = 0); 7-2 = 5; 3; 1; 1-2 = -1 (steps over 0); -1-5 = -6, +2 = -4; -2; 0; stays
        "0 5 3 1 -1 -4 -2 0 0",
    ),
    "epsilon 1, leak up: away from 0, still at 0": (
        Neuron(weights=W, leak=2, leak_reversal=1, threshold=100, negative_threshold=100),
        ["", "0", "", "3", "3", "", ""],
        # 0; 3+2 = 5; 7; 7-5 = 2, +2 = 4; 4-5 = -1, -2 = -3; -5; -7
        "0 5 7 4 -3 -5 -7",
    ),
    "epsilon takes the sign after integration": (
        Neuron(weights=W, leak=-1, leak_reversal=1, threshold=100, negative_threshold=100, initial_potential=2),
        ["", "3"],
        # 2 is positive: 1; 1 - 5 = -4 is negative: -3
        "1 -3",
    ),
    # --- initial potential
    "initial potential above the threshold": (
        Neuron(weights=W, threshold=5, reset_potential=1, initial_potential=9),
        ["", ""],
        "1* 1",
    ),
    "alpha 0 fires at 0": (Neuron(weights=W, threshold=0, negative_threshold=9), ["", "3", "0"], "0* -5 -2"),
    # --- 20 bits: the register stays at its ends
    "saturates above": (
        Neuron(weights=W, leak=255, threshold=(1 << 18) - 1, reset_mode=2, initial_potential=(1 << 19) - 1),
        [""],
        # 524287 + 255 stays 524287; fires; min(V, alpha) = 262143
        "262143*",
    ),
    "saturates below": (
        Neuron(
            weights=W,
            leak=-255,
            threshold=9,
            negative_threshold=100,
            negative_saturate=0,
            reset_mode=2,
            initial_potential=-(1 << 19) + 3,
        ),
        ["", "2"],
        # -524285 - 255 stops at -524288; -524288 + 7 - 255 again
        "-524288 -524288",
    ),
    "reset to -R = 2^19 saturates": (
        Neuron(weights=W, threshold=100, negative_threshold=0, negative_saturate=0, reset_potential=-(1 << 19)),
        ["", "3"],
        "0 524287",
    ),
    # --- TM: eta = x & (2^TM - 1)
    "TM 2, gamma 0": (
        Neuron(weights=W, threshold=5, threshold_random_bits=2),
        ["", "2", "2", "2", "2"],
        # eta 1, 1, 1, 1, 3: 0; 7 >= 6 fires; again; again; 7 < 8
        "0 0* 0* 0* 7",
    ),
    "TM 3, gamma 0": (
        Neuron(weights=W, threshold=3, threshold_random_bits=3),
        ["", "2", "2", "2", "2"],
        # eta 5, 5, 5, 1, 3: 0; 7 < 8; 14 >= 8 fires; 7 >= 4 fires; 7 >= 6 fires
        "0 7 0* 0* 0*",
    ),
    "TM 3, gamma 1 subtracts eta too": (
        Neuron(weights=W, threshold=3, threshold_random_bits=3, reset_mode=1),
        ["", "2", "2", "", ""],
        # 0; eta 5: 7 < 8; eta 5: 14 - 8 = 6; eta 1: 6 - 4 = 2; eta 3: 2 < 6
        "0 7 6* 2* 2",
    ),
    "TM 3, gamma 2 holds at alpha + 2^TM - 1": (
        Neuron(weights=W, threshold=3, threshold_random_bits=3, reset_mode=2),
        ["", "2", "2", "", "3"],
        # 0; eta 5: 7 < 8; eta 5: 14 -> min(14, 3 + 7) = 10; eta 1: 10 stays 10; eta 3: 10 - 5 = 5 < 6
        "0 7 10* 10* 5",
    ),
    "TM 3, kappa 0, gamma 1: eta widens the floor": (
        Neuron(
            weights=W,
            threshold=90,
            negative_threshold=1,
            threshold_random_bits=3,
            negative_saturate=0,
            reset_mode=1,
        ),
        ["", "3", "3", "", ""],
        # 0; eta 5: -5 is not < -6; eta 5: -10 + 6 = -4; eta 1: -4 < -2, -4 + 2 = -2; eta 3: -2 is not < -4
        "0 -5 -4 -2 -2",
    ),
    "TM 3, kappa 0, gamma 0": (
        Neuron(weights=W, threshold=90, negative_threshold=1, threshold_random_bits=3, negative_saturate=0),
        ["", "3", "3", ""],
        # 0; -5; -10 < -6 -> -R = 0; 0
        "0 -5 0 0",
    ),
    "TM 3, kappa 0, gamma 2": (
        Neuron(
            weights=W,
            threshold=90,
            negative_threshold=1,
            threshold_random_bits=3,
            negative_saturate=0,
            reset_mode=2,
        ),
        ["", "3", "3", ""],
        "0 -5 -10 -10",
    ),
    "TM 3, kappa 1: eta does not move the floor": (
        Neuron(weights=W, threshold=90, negative_threshold=1, threshold_random_bits=3),
        ["", "3", ""],
        "0 -1 -1",
    ),
    # --- stochastic leak: rho is the low byte of the draw, which comes before eta's
    "stochastic leak": (
        Neuron(weights=W, leak=100, stochastic_leak=1, threshold=50),
        ["", "", "", "", ""],
        # 100 >= 5: 1; not >= 165: 1; >= 5: 2; not >= 193: 2; >= 67: 3
        "1 1 2 2 3",
    ),
    "stochastic leak down, epsilon 1": (
        Neuron(weights=W, leak=-100, stochastic_leak=1, leak_reversal=1, threshold=50, negative_threshold=50),
        ["", "3", "", "", ""],
        # sign(0) = 0; -5, and 100 < 165; -5 + 1 = -4 (5); -4 (193); -3 (67)
        "0 -5 -4 -4 -3",
    ),
    "stochastic leak draws before the threshold": (
        Neuron(weights=W, leak=100, stochastic_leak=1, threshold=2, threshold_random_bits=1),
        ["", "", ""],
        # rho 5: 1, eta = 165 & 1 = 1: 1 < 3; rho 5: 2, eta = 193 & 1: 2 < 3; rho 67: 3, eta = 229 & 1: fires
        "1 2 0*",
    ),
    # --- stochastic synapses: one draw an active synapse, in axon order
    "stochastic synapses": (
        Neuron(weights=(100, -170, 7, 2), stochastic_weights=(1, 1, 0, 0), threshold=50, negative_threshold=50),
        ["", "0", "1", "01", "2", "01"],
        # no synapse, no draw; 100 >= 5: +1; 170 >= 165: -1; 100 >= 5: +1 and 170 < 193; type 2 is not stochastic: +7
        # and no draw; 100 >= 67: +1 and 170 < 229
        "0 1 0 1 8 9",
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_case(case, engine):
    neuron, active, expected = CASES[case]
    builder = ChipBuilder(axons=4, neurons=1)
    core = builder.core(seed=5)
    core.crossbar[:] = True
    core.axon_types[:] = range(4)
    core.neuron(0, neuron)
    spikes_in = [(tick, int(axon)) for tick, axons in enumerate(active) for axon in axons]
    due, axon = np.array(spikes_in, np.int64).reshape(-1, 2).T
    events = Events(due - 1, np.zeros_like(due), axon, np.ones_like(due))
    record, probes = np.ones((1, 1), bool), np.zeros((1, 2), np.int32)
    engine = ENGINES[engine](builder.build())
    result = engine.run(len(active), events=events, record=record, probes=probes)
    found = " ".join(f"{v}{'*' if t in result.spikes.tick else ''}" for t, v in enumerate(result.potentials[:, 0]))
    assert found == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_draws_go_in_neuron_order_and_unused_neurons_draw_nothing(engine):
    """Neuron 0 draws though its spikes go nowhere, neuron 1 is unused, neuron 2 gets every second state."""
    builder = ChipBuilder(axons=1, neurons=3)
    for seed in (5, 0x0014A0A5):  # each core has its own generator: the second core is one state ahead
        core = builder.core(seed=seed)
        core.neuron(0, Neuron(threshold=1 << 17, threshold_random_bits=8))
        core.neuron(2, Neuron(threshold=0, threshold_random_bits=3, reset_mode=1, leak=7))
    probes = np.array([[0, 2], [1, 2]], np.int32)
    found = ENGINES[engine](builder.build()).run(3, probes=probes).potentials
    # core 0: eta 5 (165), 1 (193), 5 (229): 7 - 5 = 2; 2 + 7 - 1 = 8; 8 + 7 - 5 = 10
    # core 1: eta 5 (5), 3 (67), 7 (183): 7 - 5 = 2; 2 + 7 - 3 = 6; 6 + 7 - 7 = 6
    assert found.tolist() == [[2, 2], [8, 6], [10, 6]]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_delay_and_merging(engine):
    """Neuron d - 1 sends its spike of tick 0 to axon d - 1, due at tick d; two spikes due on one axon are one."""
    builder = ChipBuilder(axons=16, neurons=32)
    source, target = builder.core(), builder.core()
    delays = np.arange(1, 16)
    source.neuron(np.arange(15), Neuron(threshold=5, initial_potential=5))  # fires once, in tick 0
    builder.connect(source, np.arange(15), target, delays - 1, delays)
    source.neuron([20, 21], Neuron(threshold=5, initial_potential=5))
    builder.connect(source, [20, 21], target, 15, 4)
    target.crossbar[np.arange(16), np.arange(16)] = True
    target.neuron(np.arange(16), Neuron(weights=(1, 0, 0, 0), threshold=100))
    probes = np.array([[target.index, j] for j in range(16)], np.int32)
    found = ENGINES[engine](builder.build()).run(18, probes=probes).potentials
    for d in range(1, 16):
        assert found[:, d - 1].tolist() == [0] * d + [1] * (18 - d)
    assert found[:, 15].tolist() == [0] * 4 + [1] * 14


@pytest.mark.parametrize("engine", ENGINES)
def test_statistics_are_exact(engine):
    """Two placed cores: axon 0 of core 0 drives neurons 0 and 1 (and unused neuron 2); neuron 0 reaches core 1."""
    builder = ChipBuilder(axons=2, neurons=3)
    a, b = builder.core(place=(1, 2)), builder.core(place=(4, 0))
    a.crossbar[0, :] = True
    a.neuron([0, 1], Neuron())
    builder.connect(a, 0, b, 1)
    b.crossbar[1, 0] = True
    b.neuron(0, Neuron())
    builder.connect_input(0, a, 0)
    builder.connect_output(b, 0, 3)
    engine = ENGINES[engine](builder.build())
    outputs = engine.run(4, np.array([[1], [1], [0], [0]], np.uint8)).outputs
    # spikes in at ticks 1 and 2: two synapses on used neurons each, both fire; hops |4 - 1| + |0 - 2| = 5 for neuron 0;
    # core 1 sees them at ticks 2 and 3: one synapse, one spike, on output pin 3
    assert outputs.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    stats = engine.stats
    assert (stats.ticks, stats.spikes, stats.synaptic_events, stats.hops) == (4, 6, 6, 10)
    assert stats.core_spikes.tolist() == [4, 2]
    assert stats.core_synaptic_events.tolist() == [4, 2]
