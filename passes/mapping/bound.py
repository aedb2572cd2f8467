"""A lower bound on the cores of a network, from axons and neurons alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.chip import Chip
from tncc.passes.mapping.model import LayerModel
from tncc.passes.mapping.search import output_demand
from tncc.passes.mapping.wiring import Network, SpikingLayer

Array = npt.NDArray[Any]


def least_cores(network: Network, chip: Chip) -> list[int]:
    """For each layer, a number of cores below which no mapping can go while cores hold one layer each.

    Every operand element takes at least one axon for each digit of the layer's weights on it, and every output one
    neuron for each such axon in all its consumers, or for each output pin. (Splitters do not help: they hold as
    many neurons again.) A core has so many of each. That all axons and neurons of a core go together, and that
    inputs may be read by several cores, is left out.
    """
    wanted = {k: copies.astype(np.int64) for k, copies in output_demand(network).items()}
    found = [0] * len(network.layers)
    for layer in reversed(network.layers):
        neurons = int(wanted.pop(len(network.inputs) + layer.index, np.zeros(0)).sum())
        axons = _digits(layer) if neurons else np.zeros(layer.operand.size, np.int64)
        found[layer.index] = max(-(-int(axons.sum()) // chip.axons), -(-neurons // chip.neurons))
        for k in layer.sources:
            asked = network.asked_of(k, layer, axons)
            wanted[k] = wanted[k] + asked if k in wanted else asked
    return found


def _digits(layer: SpikingLayer) -> Array:
    """int64 [operand elements]: how many digits the layer's weights on each have."""
    subsets = LayerModel(layer).subsets(1)
    positions = layer.in_shape[1] * layer.in_shape[2]
    inputs = layer.input_positions
    found = np.zeros((layer.in_shape[0], positions), np.int64)
    for digit in range(layer.code.digits):
        taps = np.zeros((layer.in_shape[0], inputs.shape[1]), bool)
        rows = subsets.row_digit == digit
        np.logical_or.at(taps, subsets.row_channel[rows], subsets.masks[subsets.row_mask[rows]])
        for tap in range(inputs.shape[1]):
            under = np.unique(inputs[:, tap][inputs[:, tap] >= 0])
            reached = np.zeros(positions, bool)
            reached[under] = True
            found |= (taps[:, tap, None] & reached).astype(np.int64) << digit
    counts: Array = np.bitwise_count(found).astype(np.int64).reshape(-1)
    return counts
