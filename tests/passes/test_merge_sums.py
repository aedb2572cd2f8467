"""merge-sums and threshold-before-pool on random geometries."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.nets import CHIP, at, finish, start
from tncc.ir import ops
from tncc.ir.builder import Builder
from tncc.ir.graph import Graph
from tncc.ir.interpreter import run
from tncc.ir.verify import verify
from tncc.passes.merge_sums import MergeSums


def layer(build: Builder, rng: np.random.Generator, name: str, x: str, window: dict[str, Any], groups: int) -> str:
    out, channels = 4, build.types[x].shape[0]
    kernel = window.pop("kernel")
    weight = rng.integers(-1, 2, (out, channels // groups, *kernel)).astype(np.int8)
    scale = np.full(out, 0.5, np.float32)
    return build.add(
        ops.TrinaryConv2d, (x,), name, at(f"Conv_{name}"), weight=weight, scale=scale, groups=groups, **window
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_two_layers_with_windows_of_their_own(data: st.DataObject) -> None:
    """Kernels, pads and groups differ; both results have one size."""
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    draw = data.draw
    size, stride = draw(st.integers(5, 7)), draw(st.integers(1, 2))
    build = start((4, size, size))
    y = build.add(ops.Gather, ("x",), "moved", at("Gather"), indices=np.array([2, 0, 3, 1]), axis=0)
    names = []
    for name, operand in (("a", "x"), ("b", y)):
        before = [draw(st.integers(0, 2)) for _ in range(2)]
        kernel = [before[i] + draw(st.integers(1, 2)) for i in range(2)]
        after = [k - 1 - pad for k, pad in zip(kernel, before, strict=True)]  # the size is kept, but for the stride
        window = {"kernel": kernel, "strides": (stride, stride), "pads": (*before, *after), "dilations": (1, 1)}
        names.append(layer(build, rng, name, operand, window, draw(st.sampled_from([1, 2, 4]))))
    total = build.add(ops.Binary, tuple(names), "y", at("Sum"), kind=draw(st.sampled_from(["add", "sub"])))
    graph = finish(build, total)
    merged = MergeSums().run(graph, CHIP)
    assert isinstance(merged, Graph)
    verify(merged)
    assert [op.output for op in merged.ops if isinstance(op, ops.TrinaryConv2d)] == ["y"]
    x = rng.integers(0, 2, (4, 4, size, size))
    np.testing.assert_array_equal(run(merged, {"x": x})["y"], run(graph, {"x": x})["y"])


def test_different_scales_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    build = start((4, 3, 3))
    window: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    a = layer(build, rng, "a", "x", {"kernel": (1, 1), **window}, 1)
    total = build.add(ops.Binary, (a, "x"), "y", at("Sum"), kind="add")  # 0.5 and 1
    graph = finish(build, total)
    assert MergeSums().run(graph, CHIP) == graph
