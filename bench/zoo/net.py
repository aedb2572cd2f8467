"""The builder of the zoo's models, and the register of their families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
QONNX = "qonnx.custom_op.general"
f32 = np.float32


@dataclass
class Net:
    """An ONNX model that grows node by node; methods return the name of the tensor they add."""

    rng: np.random.Generator
    opset: int = 17
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)

    def input(self, *shape: int, name: str = "x") -> str:
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape]))
        return name

    def const(self, value: Any) -> str:
        name = f"c{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, op_type: str, *operands: Any, outputs: int = 1, **attributes: Any) -> Any:
        """A node; operands are tensor names, or arrays that become constants."""
        names = [operand if isinstance(operand, str) else self.const(operand) for operand in operands]
        made = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op_type, names, made, f"{op_type}_{len(self.nodes)}", **attributes))
        return made[0] if outputs == 1 else made

    def model(self, *outputs: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, "zoo", self.inputs, [helper.make_empty_tensor_value_info(name) for name in outputs], self.stored
        )
        opsets = [helper.make_opsetid("", self.opset)]
        if any(node.domain == QONNX for node in self.nodes):
            opsets.append(helper.make_opsetid(QONNX, 1))
        made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        typed = onnx.shape_inference.infer_shapes(made)
        for value in typed.graph.output:
            if not value.type.WhichOneof("value"):
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        return typed

    # --- random constants ---------------------------------------------------------------------------------------

    def trinary(self, *shape: int) -> Array:
        return self.rng.integers(-1, 2, shape).astype(f32)

    def signs(self, *shape: int) -> Array:
        return self.rng.choice([f32(-1), f32(1)], shape)

    def real(self, *shape: int) -> Array:
        return self.rng.normal(size=shape).astype(f32)

    # --- pieces -------------------------------------------------------------------------------------------------

    def step(self, x: str, threshold: Any = 0.5) -> str:
        """x > threshold, as 0.0 or 1.0."""
        return str(self.add("Cast", self.add("Greater", x, f32(threshold)), to=1))

    def sign(self, x: str) -> str:
        """-1.0 or 1.0, never 0."""
        return str(self.add("Where", self.add("Less", x, f32(0)), f32(-1), f32(1)))

    def norm(self, x: str, channels: int) -> str:
        variance = self.rng.random(channels).astype(f32) + f32(0.5)
        parameters = self.real(channels), self.real(channels), self.real(channels), variance
        return str(self.add("BatchNormalization", x, *parameters))

    def conv(self, x: str, weight: Array, pad: int = 0, **attributes: Any) -> str:
        pads = [pad] * 2 * (weight.ndim - 2)
        return str(self.add("Conv", x, weight, **{"pads": pads, **attributes}))

    def first(self, channels: int = 4, size: int = 8) -> str:
        """A picture and the host's transduction layer: spikes [channels, size, size]."""
        return self.step(self.conv(self.input(1, size, size), self.real(channels, 1, 3, 3), 1), 0)

    def last(self, x: str, channels: int, out: int = 6) -> onnx.ModelProto:
        """A 1 x 1 layer and the end."""
        return self.model(self.step(self.conv(x, self.trinary(out, channels, 1, 1))))


Family = Callable[[np.random.Generator], onnx.ModelProto]
ZOO: dict[str, Family] = {}


def family(build: Callable[[Net], onnx.ModelProto]) -> Family:
    """Registers a function of an empty net under its own name."""

    def made(rng: np.random.Generator) -> onnx.ModelProto:
        return build(Net(rng))

    ZOO[build.__name__] = made
    return made
