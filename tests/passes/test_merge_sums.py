"""merge-sums and threshold-before-pool on random geometries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.nets import CHIP, at, finish, start
from tncc.ir import ops
from tncc.ir.builder import Builder
from tncc.ir.graph import Graph
from tncc.ir.interpreter import run
from tncc.ir.verify import verify
from tncc.passes.merge_sums import MergeSums


def layer(
    build: Builder, rng: np.random.Generator, name: str, x: str, window: dict[str, Any], groups: int, step: float = 0.5
) -> str:
    out, channels = 4, build.types[x].shape[0]
    kernel = window.pop("kernel")
    weight = rng.integers(-1, 2, (out, channels // groups, *kernel)).astype(np.int8)
    scale = np.full(out, step, np.float32)
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


def sum_with_its_input(step: float) -> Graph:
    """A layer of this scale, plus the spikes it reads."""
    build = start((4, 3, 3))
    window: dict[str, Any] = {"kernel": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    a = layer(build, np.random.default_rng(0), "a", "x", window, 1, step)
    return finish(build, build.add(ops.Binary, (a, "x"), "y", at("Sum"), kind="add"))


@pytest.mark.parametrize(("step", "scale"), [(0.5, 0.5), (3.0, 1.0), (0.75, 0.25), (1.0, 1.0)])
def test_scales_that_are_multiples_of_one_become_weights(step: float, scale: float) -> None:
    graph = sum_with_its_input(step)
    merged = MergeSums().run(graph, CHIP)
    assert isinstance(merged, Graph)
    (found,) = [op for op in merged.ops if isinstance(op, ops.TrinaryConv2d)]
    assert np.all(found.scale == scale) and found.tolerance == 0
    x = {"x": np.random.default_rng(1).integers(0, 2, (8, 4, 3, 3))}
    np.testing.assert_array_equal(run(merged, x)["y"], run(graph, x)["y"])


@pytest.mark.parametrize("step", [0.12345, 257.0, 1 / 300])
def test_other_scales_are_left_alone(step: float) -> None:
    graph = sum_with_its_input(step)
    assert MergeSums().run(graph, CHIP) == graph


def test_straight_through_estimators_are_no_residual_connections() -> None:
    build = start((4, 3, 3))
    window: dict[str, Any] = {"kernel": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    sums = layer(build, np.random.default_rng(0), "a", "x", window, 1)
    level = build.constant(0.75, "level", at("level"))
    hard = build.add(ops.Binary, (sums, level), "hard", at("Greater"), kind="gt")
    difference = build.add(ops.Binary, (hard, sums), "difference", at("Sub"), kind="sub")
    build.add(ops.Binary, (sums, difference), "y", at("Add"), kind="add")
    nothing = build.add(ops.Binary, (sums, sums), "nothing", at("Sub_2"), kind="sub")
    build.add(ops.Binary, (hard, nothing), "z", at("Add_2"), kind="add")
    graph = finish(build, "y", "z")
    assert MergeSums().run(graph, CHIP) == graph
