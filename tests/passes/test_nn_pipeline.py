"""Every nn pass keeps the meaning of random networks, element for element."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.nets import CHIP, NN_PASSES, random_network
from tncc.errors import CompileError
from tncc.ir.graph import Graph
from tncc.ir.interpreter import run
from tncc.ir.ops import WIRING, SpikingConv2d
from tncc.ir.verify import verify


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1 << 32))
def test_every_pass_keeps_the_meaning(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_network(rng)
    x = rng.integers(0, 2, (6, *graph.inputs[0].type.shape))
    expected = run(graph, {"x": x})
    for each in NN_PASSES:
        try:
            rewritten = each.run(graph, CHIP)
        except CompileError as error:
            assert "rounding decides" in str(error)  # a random level that hits a sum of inexact products
            return
        assert isinstance(rewritten, Graph)
        verify(rewritten)
        assert rewritten.outputs == graph.outputs
        found = run(rewritten, {"x": x})
        for name in graph.outputs:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=f"{each.name} changes {name}")
        graph = rewritten
    assert all(isinstance(op, (SpikingConv2d, *WIRING)) for op in graph.ops)
