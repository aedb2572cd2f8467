"""Random spiking networks: the nn interpreter, ONNX Runtime, and the host's parts around a boundary all agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from support.onnx_models import model, node, run

from tncc.frontends.onnx import load, split_host
from tncc.ir import interpreter, ops


class Network:
    """Builds a model layer by layer; integer weights and half-integer thresholds keep every sum exact."""

    def __init__(self, draw: Any, seed: int) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Any] = {}
        self.count = 0

    def const(self, value: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def add(self, op_type: str, *operands: str, **attributes: Any) -> str:
        self.count += 1
        name = f"v{self.count}"
        self.nodes.append(node(op_type, " ".join(operands), name, **attributes))
        return name

    def activation(self, x: str, channels: int, rank: int) -> str:
        """A binary activation, written in one of the usual ways."""
        shape = (channels,) + (1,) * (rank - 1)
        threshold = self.const((self.rng.integers(-3, 4, shape) + 0.5).astype(np.float32))
        zero, one = self.const(np.float32(0)), self.const(np.float32(1))
        way = self.draw(st.sampled_from(["ge", "left", "not", "where", "heaviside", "through", "norm"]))
        if way == "ge":
            return self.add("Cast", self.add("GreaterOrEqual", x, threshold), to=1)
        if way == "left":
            return self.add("Cast", self.add("Less", threshold, x), to=1)
        if way == "not":
            return self.add("Cast", self.add("Not", self.add("LessOrEqual", x, threshold)), to=1)
        if way == "where":
            return self.add("Where", self.add("Less", x, threshold), zero, one)
        if way == "heaviside":
            inner = self.add("Where", self.add("Less", x, zero), zero, one)
            return self.add("Where", self.add("Equal", x, zero), one, inner)
        if way == "through":
            clamped = self.add("Clip", x, zero, one)
            hard = self.add("Cast", self.add("Greater", x, zero), to=1)
            return self.add("Add", clamped, self.add("Sub", hard, clamped))
        gamma = self.rng.choice([-2.0, -1.0, 1.0, 0.5], channels).astype(np.float32)
        beta = self.rng.integers(-4, 5, channels).astype(np.float32) + np.float32(0.25)
        terms = [
            self.const(term) for term in (gamma, beta, np.zeros(channels, np.float32), np.ones(channels, np.float32))
        ]
        return self.add("Cast", self.add("Greater", self.add("BatchNormalization", x, *terms, epsilon=0.0), zero), to=1)

    def weight(self, *shape: int) -> str:
        return self.const(self.rng.integers(-1, 2, shape).astype(np.float32))

    def layer(self, x: str, channels: int, size: int) -> tuple[str, int, int]:
        """A grouped convolution, an activation, and perhaps a shuffle or a pooling."""
        out = channels * self.draw(st.integers(1, 2))
        groups = self.draw(st.sampled_from([g for g in (1, 2, channels) if channels % g == 0 and out % g == 0]))
        kernel = self.draw(st.integers(1, min(3, size)))
        pad = self.draw(st.integers(0, kernel - 1))
        stride = self.draw(st.integers(1, 2))
        operands = [x, self.weight(out, channels // groups, kernel, kernel)]
        if self.draw(st.booleans()):
            operands.append(self.const(self.rng.integers(-2, 3, out).astype(np.float32)))
        x = self.add("Conv", *operands, group=groups, pads=[pad] * 4, strides=[stride] * 2)
        size = (size + 2 * pad - kernel) // stride + 1
        x = self.activation(x, out, 3)
        after = self.draw(st.sampled_from(["", "shuffle", "transpose", "pool"]))
        if after == "shuffle":
            x = self.add("Gather", x, self.const(self.rng.permutation(out)), axis=1)
        elif after == "transpose":
            x = self.add("Transpose", x, perm=[0, 1, 3, 2])
        elif after == "pool" and size >= 2:
            x = self.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
            size //= 2
        return x, out, size


@given(st.data(), st.integers(0, 1 << 30))
@settings(deadline=None, max_examples=40, derandomize=True)
def test_random_networks(data: st.DataObject, seed: int) -> None:
    network = Network(data.draw, seed)
    channels, size = data.draw(st.integers(1, 3)), data.draw(st.integers(3, 6))
    x, frame = "x", (channels, size, size)
    spikes = []
    for _ in range(data.draw(st.integers(1, 3))):
        x, channels, size = network.layer(x, channels, size)
        spikes.append(x)
    x = network.add("Flatten", x)
    features = channels * size * size
    x = network.add("Gemm", x, network.weight(6, features), transB=1)
    x = network.activation(x, 6, 1)
    spikes.append(x)
    proto = model(network.nodes, {"x": ("n", *frame)}, [x], network.constants)
    loaded = load(proto)
    frames = np.random.default_rng(seed).integers(-2, 3, (4, *frame)).astype(np.float32)
    assert not any(isinstance(op, ops.HostOp) for op in loaded.graph.ops)
    assert loaded.graph.types[x].domain == "spikes"
    expected = run(proto, {"x": frames})[x]
    np.testing.assert_array_equal(interpreter.run(loaded.graph, {"x": frames})[x].astype(np.float32), expected)
    cut = data.draw(st.sampled_from(spikes))
    prefix, suffix = split_host(loaded.model, [cut], [cut])
    assert prefix is not None
    boundary = run(prefix, {"x": frames})
    if cut in loaded.graph.types:  # a cast from bool has no op of its own
        found = interpreter.run(loaded.graph, {"x": frames}, [cut])[cut]
        np.testing.assert_array_equal(boundary[cut], found.astype(np.float32))
    np.testing.assert_array_equal(boundary[x] if suffix is None else run(suffix, boundary)[x], expected)
