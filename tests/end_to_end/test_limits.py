"""Filters about as large as a core, thresholds at the ends of what sums reach, inputs read many times over.

The chip gives the bits of ONNX Runtime, also on the frames that such a filter can just tell apart, or is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import tncc
from tests.support.onnx_models import model, node, run
from tncc.errors import ChipLimit, FilterTooLarge

Array = npt.NDArray[Any]
f32 = np.float32
SIZES = (128, 129, 255, 256, 257, 258, 300, 520)
WEIGHTS = ((-1, 0), (0, 1), (-1, 1), (-1, 1), (-3, 3), (0, 7), (-100, 100), (-255, 255))


def weights(rng: np.random.Generator, size: int) -> Array:
    """float32 [few, size]: of any number of bits and density; now and then all alike but for a few zeros."""
    low, high = WEIGHTS[rng.integers(len(WEIGHTS))]
    found = rng.integers(low, high + 1, (int(rng.integers(1, 4)), size))
    if rng.random() < 0.4:
        found[:] = low or high
        found[rng.random(found.shape) < 0.01] = 0
    elif rng.random() < 0.5:
        found *= rng.random(found.shape) < rng.choice([0.2, 0.6, 0.95])
    return found.astype(f32)


def thresholds(rng: np.random.Generator, weight: Array) -> Array:
    """Between any two sums of each filter: the lowest two, the highest two, or others."""
    lowest, highest = np.minimum(weight, 0).sum(axis=1), np.maximum(weight, 0).sum(axis=1)
    anywhere = lowest + (highest - lowest) * rng.random(len(weight))
    return (np.floor([lowest, highest - 1, anywhere][rng.integers(3)]) + 0.5).astype(f32)


def network(rng: np.random.Generator) -> tuple[onnx.ModelProto, Array]:
    """(One layer, perhaps on inputs that it reads many times, bool frames [n, inputs] for it)."""
    size = int(rng.choice(SIZES))
    weight = weights(rng, size)
    inputs = size if rng.random() < 0.6 else max(1, int(size * rng.choice([0.02, 0.1, 0.5])))
    order = np.arange(size) if inputs == size else rng.integers(0, inputs, size)
    constants = {"half": f32(0.5), "order": order, "w": weight.T, "t": thresholds(rng, weight)}
    nodes = [
        node("Greater", "x half", "b"),
        node("Cast", "b", "s", to=1),
        node("Gather", "s order", "r", axis=1),
        node("MatMul", "r w", "u"),
        node(str(rng.choice(["Greater", "Less"])), "u t", "f"),
        node("Cast", "f", "y", to=1),
    ]
    total = np.stack([np.bincount(order, row, inputs) for row in weight])  # of each input, over all times it is read
    near = [signs for row in total for signs in (row > 0, row < 0, row >= 0, row <= 0)]
    one_off = [frame ^ (np.arange(inputs) == i) for frame in near for i in rng.integers(0, inputs, 4)]
    random = rng.random((30, inputs)) < np.linspace(0, 1, 30)[:, None]
    return model(nodes, {"x": ("n", inputs)}, ["y"], constants), np.concatenate([near, one_off, random])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from(["host", "splitters"]), st.booleans())
def test_the_chip_or_a_refusal(seed: int, input_fanout: str, allow_partial_sums: bool) -> None:
    proto, frames = network(np.random.default_rng(seed))
    options: dict[str, Any] = {"input_fanout": input_fanout, "allow_partial_sums": allow_partial_sums}
    try:
        program = tncc.compile(proto, effort="low", **options)
    except (FilterTooLarge, ChipLimit):
        reject()
    x = frames.astype(f32)
    np.testing.assert_array_equal(program.run(x), run(proto, {"x": x})["y"])
