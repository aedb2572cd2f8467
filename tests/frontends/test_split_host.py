"""The host's subgraphs: what they compute, what they are called, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from support.onnx_models import model, node, run

from tncc import CompileError
from tncc.frontends.onnx import load, split_host

CONSTANTS = {"half": np.float32(0.5), "two": np.float32(2), "perm": np.array([1, 0, 2], np.int64)}


def chain() -> onnx.ModelProto:
    """x -> a (real) -> b (bool) -> c (float) -> d (permuted) -> e (bool) -> f, y."""
    nodes = [
        node("Mul", "x two", "a"),
        node("Greater", "a half", "b"),
        node("Cast", "b", "c", to=1),
        node("Gather", "c perm", "d", axis=1),
        node("Greater", "d half", "e"),
        node("Cast", "e", "f", to=1),
        node("Softmax", "f", "y", axis=1),
    ]
    return load(model(nodes, {"x": ("n", 3)}, ["y"], CONSTANTS)).model


def types(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    parsed = onnx.load_from_string(data)

    def shown(values: Any) -> dict[str, Any]:
        return {
            v.name: (v.type.tensor_type.elem_type, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim])
            for v in values
        }

    onnx.checker.check_model(parsed, full_check=True)
    return shown(parsed.graph.input), shown(parsed.graph.output)


X = np.array([[0.1, 0.3, 0.9], [0.7, 0.2, 0.0]], np.float32)


@pytest.mark.parametrize("entering", ["a", "b", "c", "d", "e"])
def test_parts_compose_to_the_whole(entering: str) -> None:
    proto = chain()
    prefix, rest = split_host(proto, [entering], [entering])
    assert prefix is not None and rest is not None
    boundary = run(prefix, {"x": X})
    assert list(boundary) == [entering] and boundary[entering].dtype == np.float32
    np.testing.assert_array_equal(run(rest, boundary)["y"], run(proto, {"x": X})["y"])
    assert types(prefix) == ({"x": (1, ["batch", 3])}, {entering: (1, ["batch", 3])})
    assert types(rest) == ({entering: (1, ["batch", 3])}, {"y": (1, ["batch", 3])})


def test_nothing_to_compute_is_none() -> None:
    proto = chain()
    assert split_host(proto, ["x"], ["y"]) == (None, None)
    prefix, suffix = split_host(proto, ["x"], ["f"])
    assert prefix is None and suffix is not None
    prefix, suffix = split_host(proto, ["c"], ["y"])
    assert prefix is not None and suffix is None


def test_only_needed_nodes_and_constants_are_kept() -> None:
    prefix, suffix = split_host(chain(), ["c"], ["f"])
    assert prefix is not None and suffix is not None
    parsed = onnx.load_from_string(prefix)
    assert [n.op_type for n in parsed.graph.node] == ["Mul", "Greater", "Cast"]
    assert {t.name for t in parsed.graph.initializer} == {"half", "two"}
    parsed = onnx.load_from_string(suffix)
    assert [n.op_type for n in parsed.graph.node] == ["Softmax"] and not parsed.graph.initializer


def test_same_bytes_every_time() -> None:
    assert split_host(chain(), ["b"], ["e"]) == split_host(chain(), ["b"], ["e"])


def test_several_inputs_and_outputs() -> None:
    nodes = [
        node("Greater", "p half", "b"),
        node("Cast", "b", "c", to=1),
        node("Add", "c q", "s"),
        node("Greater", "s half", "t"),
        node("Mul", "s two", "y1"),
    ]
    inputs = {"p": ("n", 3), "q": ("n", 3)}
    proto = load(model(nodes, inputs, ["y1", "t"], CONSTANTS)).model
    # q enters the chip directly, c is computed first; t leaves the chip and is an output, s leaves for y1
    prefix, suffix = split_host(proto, ["c", "q"], ["s", "t"])
    assert prefix is not None and suffix is not None
    feeds = {"p": X, "q": X > 0.5}
    assert list(run(prefix, feeds)) == ["c"]
    feeds = {"p": X, "q": (X > 0.5).astype(np.float32)}
    whole = run(proto, feeds)
    s = run(prefix, feeds)["c"] + feeds["q"]
    assert [i.name for i in onnx.load_from_string(suffix).graph.input] == ["s"]
    np.testing.assert_array_equal(run(suffix, {"s": s})["y1"], whole["y1"])


def test_bypassing_the_chip_is_refused() -> None:
    nodes = [
        node("Greater", "x half", "b"),
        node("Cast", "b", "c", to=1),
        node("Add", "c x", "y", name="skip"),
    ]
    proto = load(model(nodes, {"x": ("n", 3)}, ["y"], CONSTANTS)).model
    with pytest.raises(CompileError) as caught:
        split_host(proto, ["c"], ["c"])
    assert str(caught.value) == (
        "skip: output 'y' depends on input 'x' by a path that does not cross the chip\n"
        "  hint: let everything after the spiking layers depend on their outputs only"
    )
