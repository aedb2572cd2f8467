"""prune-constants at the limits of its numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.passes.test_mapping import PIPELINE, conv, spikes
from tncc.ir.chip import Chip
from tncc.ir.core_interpreter import run_frames
from tncc.ir.graph import Graph, Value
from tncc.ir.interpreter import run
from tncc.ir.location import Location
from tncc.ir.netlist import Netlist
from tncc.ir.ops import Gather, SpikingConv2d
from tncc.passes.manager import run_pipeline
from tncc.passes.prune_constants import PruneConstants


@pytest.mark.parametrize(
    ("weight", "repeats"), [(1, 300), (255, 16), (127, 18), (255, 17), (255, 140)], ids=lambda number: str(number)
)
def test_inputs_read_often(weight: int, repeats: int) -> None:
    """Where the weights of one spike add up to what no axons make up, or to more than 16 bits, it is read as often."""
    rng = np.random.default_rng(repeats)
    order = np.r_[np.zeros(repeats, np.int64), 1]
    shape = (order.size, 1, 1)
    where = Location.of("Gather_0")
    gather = Gather(inputs=("x",), output="r", type=spikes(*shape), location=where, indices=order, axis=0)
    layer = conv(rng, "r", shape, "y", 2)
    weights = np.full(layer.weight.shape, weight, np.int16)
    weights[1, -1] = -1
    limit = np.array([weight * repeats // 2, 0], np.int32).reshape(2, 1, 1)
    layer = replace(layer, weight=weights, threshold=limit)
    graph = Graph("often", (Value("x", spikes(2, 1, 1)),), (gather, layer), ("y",))
    x = {"x": np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.uint8).reshape(4, 2, 1, 1)}
    expected = run(graph, x)["y"]
    assert 0 < expected.sum() < expected.size
    netlist = run_pipeline(graph, Chip(), "prune-constants, bias-inputs, " + PIPELINE % "").module
    assert isinstance(netlist, Netlist)
    np.testing.assert_array_equal(run_frames(netlist, x)["y"], expected)


@pytest.mark.parametrize("threshold", [np.iinfo(np.int32).min, np.iinfo(np.int32).max])
def test_constant_inputs_of_thresholds_out_of_reach(threshold: int) -> None:
    """The share of inputs that always spike is taken off a threshold without leaving 32 bits."""
    rng = np.random.default_rng(0)
    always = replace(conv(rng, "x", (3, 1, 1), "a", 3), threshold=np.full((3, 1, 1), -3, np.int32))
    layer = conv(rng, "a", (3, 1, 1), "y", 2)
    weight = np.array([[1, 1, 1], [-1, -1, -1]], np.int8).reshape(2, 3, 1, 1)
    layer = replace(layer, weight=weight, threshold=np.full((2, 1, 1), threshold, np.int32))
    graph = Graph("far", (Value("x", spikes(3, 1, 1)),), (always, layer), ("y",))
    pruned = PruneConstants().run(graph, Chip())
    assert not any(op.weight.any() for op in pruned.ops if isinstance(op, SpikingConv2d))
    x = {"x": np.zeros((1, 3, 1, 1), np.uint8)}
    np.testing.assert_array_equal(run(pruned, x)["y"], run(graph, x)["y"])
