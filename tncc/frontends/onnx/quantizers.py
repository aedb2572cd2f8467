"""QONNX's quantizers (Brevitas exports them too) rewritten as standard ONNX operators.

Quant, IntQuant: round(clip(x / scale + zero_point)) between the bounds of a bit width, then back to x's scale.
BipolarQuant: +scale where x >= 0, else -scale. Trunc: round, divide by a power of two, round down. What they compute is
QONNX's own definition (github.com/fastmachinelearning/qonnx, custom_op/general), operation for operation in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper

from tncc.errors import QuantizerUnsupported
from tncc.frontends.onnx.probes import fresh_name, tensor_names

Array = npt.NDArray[Any]

DOMAINS = {"qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"}
MAX_BITS = 24  # integers beyond this are not float32


def lower_quantizers(model: onnx.ModelProto, constants: dict[str, Array]) -> None:
    """Replaces the quantizers among the model's nodes.

    Raises:
        CompileError: a scale, zero point or bit width that is not a constant, or an unknown rounding mode.
    """
    nodes: list[onnx.NodeProto] = []
    fresh: list[onnx.TensorProto] = []
    taken = tensor_names(model)
    for node in model.graph.node:
        lower = _LOWER.get(node.op_type) if node.domain in DOMAINS else None
        if lower is None:
            nodes.append(node)
        else:
            chain = _Chain(node, constants, taken)
            lower(chain)
            nodes += chain.finished()
            fresh += chain.stored
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(fresh)


class _Chain:
    """Standard nodes that take the place of one quantizer: each reads the one before, the last one has its output."""

    def __init__(self, node: onnx.NodeProto, constants: dict[str, Array], taken: set[str]) -> None:
        self.node, self._constants, self._taken = node, constants, taken
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        self.value = node.input[0]
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []

    def parameter(self, i: int, what: str) -> Array:
        """Input i, a constant, as float32."""
        name = self.node.input[i] if i < len(self.node.input) else ""
        if name not in self._constants:
            raise QuantizerUnsupported(
                f"{self.node.op_type}: the {what} is not a constant",
                self.node.name,
                "export with quantizers whose parameters are fixed (model.eval())",
            )
        return self._constants[name].astype(np.float32)

    def bits(self, i: int) -> int:
        """Input i, a bit width."""
        given = self.parameter(i, "bit width")
        if given.size != 1 or not 1 <= float(given.reshape(())) <= MAX_BITS or given % 1:
            raise QuantizerUnsupported(
                f"{self.node.op_type}: the bit width must be one whole number from 1 to {MAX_BITS}", self.node.name
            )
        return int(given.reshape(()))

    def apply(self, op_type: str, *operands: Any, first: str | None = None, **attributes: Any) -> str:
        """Adds a node that reads the chain (or `first`) and constants; its result continues the chain."""
        names = [self.value if first is None else first]
        for operand in operands:
            names.append(operand if isinstance(operand, str) else self._store(np.asarray(operand, np.float32)))
        self.value = name_of_result = fresh_name(f"{self.node.output[0]}/{len(self.nodes)}", self._taken)
        name = f"{self.node.name}/{op_type}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op_type, names, [self.value], name, **attributes))
        return name_of_result

    def _store(self, value: Array) -> str:
        name = fresh_name(f"{self.node.output[0]}/c{len(self.stored)}", self._taken)
        self.stored.append(onnx.numpy_helper.from_array(value, name))
        return name

    def round(self, default: str) -> None:
        """Rounds by the node's rounding mode."""
        given = self.attributes.get("rounding_mode", default)
        mode = (given.decode() if isinstance(given, bytes) else str(given)).upper()
        if mode in ("ROUND", "HALF_EVEN"):
            self.apply("Round")
        elif mode in ("CEIL", "FLOOR"):
            self.apply(mode.capitalize())
        elif mode in ("UP", "DOWN", "HALF_UP", "HALF_DOWN"):
            sign = self.apply("Sign", first=(x := self.value))
            self.apply("Abs", first=x)
            if mode.startswith("HALF"):
                self.apply("Add", 0.5 if mode == "HALF_UP" else -0.5)
            self.apply("Ceil" if mode in ("UP", "HALF_DOWN") else "Floor")
            self.apply("Mul", sign)
        else:
            raise QuantizerUnsupported(
                f"{self.node.op_type}: unknown rounding mode {mode}",
                self.node.name,
                "known are ROUND, HALF_EVEN, CEIL, FLOOR, UP, DOWN, HALF_UP and HALF_DOWN",
            )

    def clip(self, signed: bool, narrow: bool, bits: int) -> None:
        """Clips to the integers of a bit width."""
        half = 1 << (bits - 1)
        low = (-half + narrow) if signed else 0
        high = half - 1 if signed else (1 << bits) - 1 - narrow
        self.apply("Clip", low, high)

    def finished(self) -> list[onnx.NodeProto]:
        """The nodes; the last defines the quantizer's output."""
        if not self.nodes:
            self.apply("Identity")
        self.nodes[-1].output[0] = self.node.output[0]
        return self.nodes


def _quant(chain: _Chain) -> None:
    scale, zero_point, bits = chain.parameter(1, "scale"), chain.parameter(2, "zero point"), chain.bits(3)
    signed, narrow = bool(chain.attributes.get("signed", 1)), bool(chain.attributes.get("narrow", 0))
    if np.any(scale != 1):
        chain.apply("Div", scale)
    if np.any(zero_point):
        chain.apply("Add", zero_point)
    if bits == 1 and signed:  # QONNX defines it so: there are two levels, and 0 is none of them
        _signs(chain)
    else:
        chain.clip(signed, narrow, bits)
        chain.round("ROUND")
    if np.any(zero_point):
        chain.apply("Sub", zero_point)
    if np.any(scale != 1):
        chain.apply("Mul", scale)


def _signs(chain: _Chain) -> None:
    # x >= 0, written so that operator set 11 has it too
    chain.apply("Less", 0.0)
    chain.apply("Where", -1.0, 1.0)


def _bipolar_quant(chain: _Chain) -> None:
    scale = chain.parameter(1, "scale")
    _signs(chain)
    if np.any(scale != 1):
        chain.apply("Mul", scale)


def _trunc(chain: _Chain) -> None:
    scale, zero_point = chain.parameter(1, "scale"), chain.parameter(2, "zero point")
    second = len(chain.node.input) > 5  # version 2 has an output scale of its own, and clips
    if np.any(scale != 1):
        chain.apply("Div", scale)
    if np.any(zero_point):
        chain.apply("Add", zero_point)
    chain.apply("Round")
    if second:
        output_scale, bits = chain.parameter(4, "output scale"), chain.bits(5)
        step = np.exp2(np.round(np.log2(output_scale / scale))).astype(np.float32)
        chain.apply("Div", step)
        signed, narrow = bool(chain.attributes.get("signed", 1)), bool(chain.attributes.get("narrow", 0))
        chain.clip(signed, narrow, bits)
        zero_point = zero_point / step
    else:
        output_scale = scale
        chain.apply("Div", np.float32(2.0 ** (chain.bits(3) - chain.bits(4))))
    chain.round("FLOOR")
    if np.any(zero_point):
        chain.apply("Sub", zero_point)
    if np.any(output_scale != 1):
        chain.apply("Mul", output_scale)


_LOWER = {"Quant": _quant, "IntQuant": _quant, "BipolarQuant": _bipolar_quant, "Trunc": _trunc}
