"""Random ONNX models with filters that no core holds: all implementations give the same bits in stages too."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.five_ways import assert_all_agree
from tests.support.onnx_models import model, node
from tncc.compiler import Options, compile_model
from tncc.errors import FilterTooLarge
from tncc.frontends.onnx import load
from tncc.passes.manager import run_pipeline

Array = npt.NDArray[Any]


def weights(rng: np.random.Generator, *shape: int) -> Array:
    """Trinary, of any density and balance of signs."""
    signs = rng.choice([-1, 1], shape, p=[(share := rng.random()), 1 - share])
    found: Array = (signs * (rng.random(shape) < rng.uniform(0.6, 1))).astype(np.float32)
    return found


def thresholds(rng: np.random.Generator, weight: Array) -> Array:
    """Between any two sums: near the middle of what random frames give, or anywhere."""
    flat = weight.reshape(weight.shape[0], -1)
    positive, negative = (flat > 0).sum(axis=1), (flat < 0).sum(axis=1)
    anywhere = rng.integers(-negative - 1, positive + 2)
    near = flat.sum(axis=1) * 0.5 + rng.normal(size=len(flat)) * np.sqrt(flat.shape[1]) * 0.3
    return (np.floor(np.where(rng.random(len(flat)) < 0.3, anywhere, near)) + 0.5).astype(np.float32)


def wide_linear(rng: np.random.Generator) -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """Flattened features into two layers, the first too wide."""
    inputs, hidden = int(rng.integers(270, 1100)), int(rng.integers(1, 8))
    first, second = weights(rng, hidden, inputs), weights(rng, 3, hidden)
    constants = {"w0": first.T, "t0": thresholds(rng, first), "w1": second.T, "t1": thresholds(rng, second)}
    nodes = [
        node("MatMul", "x w0", "s0"),
        node("Greater", "s0 t0", "b0"),
        node("Cast", "b0", "y0", to=1),
        node("MatMul", "y0 w1", "s1"),
        node("Less", "s1 t1", "b1"),
        node("Cast", "b1", "y", to=1),
    ]
    return model(nodes, {"x": ["n", inputs]}, ["y"], constants), (inputs,)


def wide_convolution(rng: np.random.Generator) -> tuple[onnx.ModelProto, tuple[int, ...]]:
    """A grouped convolution whose kernel has too many inputs, then max pooling."""
    groups = int(rng.integers(1, 3))
    channels, out = int(rng.integers(32, 50)), groups * int(rng.integers(1, 4))
    shape = (groups * channels, int(rng.integers(4, 6)), int(rng.integers(4, 6)))
    weight = weights(rng, out, channels, 3, 3)
    constants = {"w": weight, "t": thresholds(rng, weight).reshape(-1, 1, 1)}
    stride, pad = int(rng.integers(1, 3)), int(rng.integers(0, 2))
    nodes = [
        node("Conv", "x w", "s", group=groups, kernel_shape=[3, 3], strides=[stride, 1], pads=[pad] * 4),
        node("Greater", "s t", "b"),
        node("Cast", "b", "h", to=1),
        node("MaxPool", "h", "y", kernel_shape=[2, 2], pads=[1, 0, 0, 1]),
    ]
    return model(nodes, {"x": ["n", *shape]}, ["y"], constants), shape


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 1 << 32), st.sampled_from([wide_linear, wide_convolution]), st.sampled_from(["host", "splitters"])
)
def test_all_agree(seed: int, family: Any, splitters: bool) -> None:
    rng = np.random.default_rng(seed)
    proto, shape = family(rng)
    density = np.linspace(0.1, 0.9, 12).reshape(-1, *(1,) * len(shape))
    x = (rng.random((12, *shape)) < density).astype(np.float32)
    options = Options(input_fanout="splitters" if splitters else "host", effort="low", allow_partial_sums=True)
    assert_all_agree(proto, compile_model(proto, options), x, 12)


def test_check_semantics_covers_the_pass() -> None:
    proto, _ = wide_linear(np.random.default_rng(1))
    with pytest.raises(FilterTooLarge, match="allow-partial-sums computes it exactly in stages"):
        compile_model(proto, Options())
    passes = Options(allow_partial_sums=True).passes()
    result = run_pipeline(load(proto).graph, Options().chip(), passes, check_semantics=True)
    assert result.semantics["split-partial-sums"] == "equal"
