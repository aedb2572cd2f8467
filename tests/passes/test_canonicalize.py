"""canonicalize: what goes, what keeps its name. Golden cases show whole graphs; these pin the corners."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests.passes.nets import CHIP, at, finish, start
from tncc.ir import ops
from tncc.ir.graph import Graph
from tncc.ir.interpreter import run
from tncc.ir.types import Domain
from tncc.ir.verify import verify
from tncc.passes.canonicalize import Canonicalize
from tncc.passes.lower_logic import LowerLogic


def canonical(graph: Graph) -> Graph:
    found = Canonicalize().run(graph, CHIP)
    assert isinstance(found, Graph)
    verify(found)
    return found


def test_an_identity_at_the_output_keeps_the_outputs_name() -> None:
    build = start((4,))
    build.reshape("x", (2, 2), "square", at("Reshape_0"))
    build.reshape("square", (4,), "y", at("Reshape_1"))
    found = canonical(finish(build, "y"))
    assert [(op.output, op.inputs) for op in found.ops] == [("y", ("x",))]


@pytest.mark.parametrize(
    ("kind", "level", "expected"),
    [("ge", 0.5, []), ("gt", 0.0, []), ("lt", 0.5, ["unary"]), ("ge", 0.0, ["constant"]), ("gt", 1.0, ["constant"])],
)
def test_functions_of_one_spike(kind: str, level: float, expected: list[str]) -> None:
    build = start((3, 1, 1))
    constant = build.constant(level, "level", at("level"))
    y = build.add(ops.Binary, ("x", constant), "again", at("Compare_1"), kind=kind)
    moved = build.add(ops.Transpose, (y,), "y", at("Transpose_2"), permutation=(1, 2, 0))
    found = canonical(finish(build, moved))
    names = [op.mnemonic() for op in found.ops if op.output != "y"]
    x = np.array([[[[0]], [[1]], [[1]]]])
    np.testing.assert_array_equal(run(found, {"x": x})["y"], run(finish(build, moved), {"x": x})["y"])
    assert names == ([] if expected == ["constant"] else expected)  # the constant is transposed at once


def test_real_arithmetic_is_left_as_written() -> None:
    build = start((2,), Domain.REAL)
    one = build.constant(1e8, "one", at("one"))
    up = build.add(ops.Binary, ("x", one), "up", at("Add_0"), kind="add")
    down = build.add(ops.Binary, (up, one), "y", at("Sub_1"), kind="sub")
    assert [op.output for op in canonical(finish(build, down)).ops] == ["one", "up", "y"]


# --- lower-logic ---------------------------------------------------------------------------------------------------


def bits(count: int) -> Any:
    return np.array(list(itertools.product((0, 1), repeat=count)))


@pytest.mark.parametrize("shape", [(3,), (3, 1, 1), (3, 2, 2)])
@pytest.mark.parametrize("kind", ["and", "or", "min", "max", "mul", "ge", "gt", "le", "lt"])
def test_logic_of_two_halves_of_the_input(kind: str, shape: tuple[int, ...]) -> None:
    channels = shape[0]
    build = start((2 * channels, *shape[1:]))
    halves = [
        build.add(ops.Gather, ("x",), name, at("Slice"), indices=np.arange(first, first + channels), axis=0)
        for name, first in (("a", 0), ("b", channels))
    ]
    y = build.add(ops.Binary, tuple(halves), "y", at("Logic_1"), kind=kind)
    graph = finish(build, y)
    lowered = LowerLogic().run(graph, CHIP)
    assert isinstance(lowered, Graph)
    verify(lowered)
    assert any(isinstance(op, ops.TrinaryConv2d) for op in lowered.ops)
    x = np.random.default_rng(0).integers(0, 2, (64, *graph.inputs[0].type.shape))
    np.testing.assert_array_equal(run(graph, {"x": x})["y"], run(lowered, {"x": x})["y"])


def test_a_majority_of_three() -> None:
    build = start((3, 1, 1))
    parts = [build.add(ops.Gather, ("x",), f"p{i}", at("Slice"), indices=np.array([i]), axis=0) for i in range(3)]
    ab = build.add(ops.Binary, (parts[0], parts[1]), "ab", at("Add_0"), kind="add")
    abc = build.add(ops.Binary, (ab, parts[2]), "abc", at("Add_1"), kind="add")
    level = build.constant(1.5, "level", at("level"))
    graph = finish(build, build.add(ops.Binary, (abc, level), "y", at("Greater_2"), kind="gt"))
    lowered = LowerLogic().run(graph, CHIP)
    assert isinstance(lowered, Graph)
    (layer,) = [op for op in lowered.ops if isinstance(op, ops.TrinaryConv2d)]
    assert layer.weight.reshape(-1).tolist() == [1, 1, 1]
    x = bits(3).reshape(8, 3, 1, 1)
    np.testing.assert_array_equal(run(graph, {"x": x})["y"], run(lowered, {"x": x})["y"])


def test_exclusive_or_is_no_threshold() -> None:
    build = start((2, 1, 1))
    parts = [build.add(ops.Gather, ("x",), f"p{i}", at("Slice"), indices=np.array([i]), axis=0) for i in range(2)]
    y = build.add(ops.Binary, (parts[0], parts[1]), "y", at("Xor_0"), kind="xor")
    graph = finish(build, y)
    assert LowerLogic().run(graph, CHIP) == graph
