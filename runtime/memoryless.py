"""Which neurons are memoryless: their potential after every tick is the same whatever the input.

Write c for that potential. The state a tick leaves is one of (chip semantics, steps 5 and 6)

- fired: R with gamma = 0; V - alpha - eta with gamma = 1; min(V, alpha + 2^TM - 1) with gamma = 2,
- below: -beta with kappa = 1; else -R with gamma = 0, V + beta + eta with gamma = 1, V with gamma = 2,
- neither: V itself, anything in -beta .. alpha - 1.

All have to be c for every V that some input can give, so the last range holds one value or none: alpha + beta <= 1,
and gamma = 1 is out, as V - alpha varies. gamma = 2 with alpha = 0, beta = 0, kappa = 1 leaves c = 0 always. With
gamma = 0, both `fired` and `below` are met, so R = -beta (kappa = 1) or R = -R (kappa = 0). alpha = 0, beta = 1 would
leave -1 below and in between, so R = -1 with kappa = 1 qualifies too, with c = -1; the engines, though, fold the start
into the threshold on the understanding that c = 0, and no network uses it: it counts as stateful here. That leaves
alpha <= 1, beta = 0, R = 0. The start has to be c as well: V(0) = 0.

The output is then a function of this tick's axons unless something is drawn: TM = 0 and no stochastic flag. Leak
reversal makes the sum S turn into S + sign(S) lambda, which a threshold on S cannot express for lambda < 0, so epsilon
= 1 counts only with lambda = 0. Weights of 255 on 256 axons stay far from saturation. So the neuron fires exactly when
S + lambda >= alpha.

The C engine applies the same rule (csrc/memoryless.c); a test holds the two together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.runtime.config import ChipConfig

Array = npt.NDArray[Any]


def memoryless_types(types: dict[str, Array]) -> Array:
    """bool [T]: whether a neuron of that type is memoryless."""
    deterministic = (
        ~(types["stochastic_weights"] > 0).any(axis=1)
        & (types["stochastic_leak"] == 0)
        & (types["threshold_random_bits"] == 0)
    )
    at_rest = (types["initial_potential"] == 0) & (types["negative_threshold"] == 0)
    plain_leak = (types["leak_reversal"] == 0) | (types["leak"] == 0)
    reset = (types["reset_mode"] == 0) & (types["threshold"] <= 1) & (types["reset_potential"] == 0)
    held = (types["reset_mode"] == 2) & (types["threshold"] == 0) & (types["negative_saturate"] > 0)
    found: Array = deterministic & at_rest & plain_leak & (reset | held)
    return found


def memoryless_neurons(config: ChipConfig) -> Array:
    """bool [cores, neurons]: used neurons that are memoryless."""
    used = config.neuron_type >= 0
    if not len(config.neuron_types["leak"]):
        return np.zeros_like(used)
    found: Array = used & memoryless_types(config.neuron_types)[np.maximum(config.neuron_type, 0)]
    return found
