"""Imports a cleaned ONNX model into the nn level, node by node.

What an ONNX node becomes is said by one function per operator, registered in `IMPORTERS` (the modules layers,
elementwise and wiring). A node without one, or of a form that the IR cannot say, becomes a `HostOp`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from tncc.errors import ModelInvalid, ModuleInvalid
from tncc.frontends.onnx.clean import Cleaned
from tncc.frontends.onnx.probes import PROBES, initializers
from tncc.ir import ops
from tncc.ir.graph import Graph, Value
from tncc.ir.infer import infer_domains, infer_shape, infer_values
from tncc.ir.location import Location
from tncc.ir.ops import Op
from tncc.ir.types import Domain, TensorType
from tncc.ir.value_sets import Values
from tncc.ir.verify import check_size

Array = npt.NDArray[Any]

FLOAT = onnx.TensorProto.FLOAT
BOOL = onnx.TensorProto.BOOL
INTEGERS = {
    onnx.TensorProto.INT8,
    onnx.TensorProto.INT16,
    onnx.TensorProto.INT32,
    onnx.TensorProto.INT64,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.UINT16,
    onnx.TensorProto.UINT32,
    onnx.TensorProto.UINT64,
}


class NotModelled(Exception):
    """The IR has no op for this node: it becomes a HostOp. The text says why."""


@dataclass(frozen=True)
class Tensor:
    """A value that depends on the input.

    Attributes:
        name: of the value in the graph.
        shape: of one frame, or the whole shape where there is no batch dimension.
        element_type: ONNX's.
        framed: whether dimension 0 of the ONNX tensor is the batch.
    """

    name: str
    shape: tuple[int, ...]
    element_type: int
    framed: bool = True

    @property
    def is_integer(self) -> bool:
        return self.element_type in INTEGERS


Operand = Tensor | Array | None


@dataclass(frozen=True)
class Padded:
    """What a tensor is without the zeros around it, and how many there are before and after, by axis of the frame."""

    tensor: Tensor
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """An ONNX node with its operands looked up: tensors, constants, or None where an optional one is absent."""

    name: str
    op_type: str
    inputs: tuple[Operand, ...]
    input_names: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int

    def operand(self, i: int) -> Operand:
        """Input i, None where it is absent."""
        return self.inputs[i] if i < len(self.inputs) else None

    def tensor(self, i: int) -> Tensor:
        """Input i, which must be a tensor of frames."""
        found = self.operand(i)
        if not isinstance(found, Tensor):
            raise NotModelled(f"input {i} is a constant")
        if not found.framed:
            raise NotModelled(f"{found.name} has no batch dimension in front")
        return found

    def constant(self, i: int) -> Array:
        """Input i, which must be a constant."""
        found = self.operand(i)
        if not isinstance(found, np.ndarray):
            raise NotModelled(f"input {i} is not a constant")
        return found

    def optional_constant(self, i: int) -> Array | None:
        """Input i, a constant or absent."""
        return None if self.operand(i) is None else self.constant(i)

    def get(self, attribute: str, default: Any = None) -> Any:
        """An attribute, or its default."""
        value = self.attributes.get(attribute, default)
        return value.decode() if isinstance(value, bytes) else value


Import = Callable[["Importer", Node], None]
IMPORTERS: dict[str, Import] = {}
DOMAINS = ("", "ai.onnx", "com.microsoft")


def imports(*op_types: str) -> Callable[[Import], Import]:
    """Registers a function as the importer of ONNX operators."""

    def register(function: Import) -> Import:
        IMPORTERS.update(dict.fromkeys(op_types, function))
        return function

    return register


class Importer:
    """Builds the graph. `tensors` maps ONNX tensor names to what they are here; several may share one value."""

    def __init__(self, cleaned: Cleaned) -> None:
        self.model = cleaned.model
        self.probes = cleaned.probes
        self.tensors: dict[str, Operand] = {}
        self.ops: list[Op] = []
        self.values: dict[str, Values] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.padded: dict[str, Padded] = {}
        self.location = Location.of("")
        self._constants: dict[tuple[str, str, tuple[int, ...], bytes], str] = {}
        self._reserved = {name for node in self.model.graph.node for name in node.output}
        self._reserved |= {value.name for value in self.model.graph.input}

    # --- building ---------------------------------------------------------------------------------------------

    def fresh(self, base: str) -> str:
        """A name that no value and no ONNX tensor has: `base`, or `base` with a number."""
        name, count = base, 1
        while name in self.shapes or name in self._reserved:
            name, count = f"{base}.{count}", count + 1
        return name

    def emit(
        self,
        op_class: type[Op],
        inputs: tuple[str, ...],
        output: str,
        *,
        shape: tuple[int, ...] | None = None,
        **attributes: Any,
    ) -> str:
        """Appends an op; the name of its result."""
        found = infer_shape(
            op_class, [self.shapes[name] for name in inputs], attributes, shape=shape, location=self.location
        )
        values = infer_values(op_class, [self.values[name] for name in inputs], attributes, location=self.location)
        kind = TensorType(values.domain, found)
        check_size(output, kind, self.location)
        self.ops.append(
            op_class(
                inputs=inputs,
                output=output,
                type=kind,
                location=self.location,
                **attributes,
            )
        )
        self.values[output], self.shapes[output] = values, found
        return output

    def define(self, onnx_name: str, value: str, element_type: int) -> None:
        """Says which value an ONNX tensor is, and checks its shape against ONNX's own inference."""
        shape = self.shapes[value]
        expected = self.probes[0].shapes.get(onnx_name)
        if expected is not None and expected != (PROBES[0], *shape):
            raise NotModelled(f"shape {expected} is not one frame of {shape} per batch entry")
        self.tensors[onnx_name] = Tensor(value, shape, element_type)

    def result(self, node: Node, op_class: type[Op], inputs: tuple[str, ...], element_type: int, **more: Any) -> None:
        """The usual case: one op that defines the node's first output."""
        self.define(node.outputs[0], self.emit(op_class, inputs, node.outputs[0], **more), element_type)

    def alias(self, node: Node, tensor: Tensor, element_type: int | None = None) -> None:
        """The node changes nothing: its output is `tensor`."""
        self.define(node.outputs[0], tensor.name, element_type or tensor.element_type)

    def constant(self, value: Array, name: str) -> str:
        """A Constant op; the same constant again is the same value."""
        kept = np.array(value, order="C")
        key = (name, str(kept.dtype), kept.shape, kept.tobytes())
        if key not in self._constants:
            self._constants[key] = self.emit(ops.Constant, (), self.fresh(name), value=kept)
        return self._constants[key]

    def frame_constant(self, value: Array, rank: int, name: str) -> str:
        """A constant as it broadcasts against frames of `rank` dimensions (the ONNX tensor has one more)."""
        if value.ndim > rank + 1 or (value.ndim == rank + 1 and value.shape[0] != 1):
            raise NotModelled(f"constant {name} of shape {value.shape} differs within the batch")
        while value.ndim and value.shape[0] == 1:
            value = value[0]
        return self.constant(as_float(value, name), name)

    def reshape(self, value: str, shape: tuple[int, ...], base: str) -> str:
        """`value` under another shape; `value` itself where it has that shape."""
        if self.shapes[value] == shape:
            return value
        return self.emit(ops.Reshape, (value,), self.fresh(base), shape=shape)

    def shape_pair(self, name: str) -> tuple[Array, Array] | None:
        """The two values (at the two probed batch sizes) of an integer tensor that depends on shapes only."""
        first, second = (probe.constants.get(name) for probe in self.probes)
        return None if first is None or second is None else (first, second)

    # --- nodes ------------------------------------------------------------------------------------------------

    def run(self, name: str) -> Graph:
        """The whole model."""
        constants = initializers(self.model)
        self.tensors.update(constants)
        inputs = []
        for declared in self.model.graph.input:
            element_type = declared.type.tensor_type.elem_type
            shape = self.probes[0].shapes[declared.name][1:]
            domain = Domain.SPIKES if element_type == BOOL else Domain.INT if element_type in INTEGERS else Domain.REAL
            inputs.append(Value(declared.name, TensorType(domain, shape)))
            check_size(declared.name, inputs[-1].type, f"graph {name}")
            self.values[declared.name], self.shapes[declared.name] = Values.of_domain(domain), shape
            self.tensors[declared.name] = Tensor(declared.name, shape, element_type)
        opset = next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))
        for proto in self.model.graph.node:
            self._import(proto, opset)
        outputs = tuple(self._output(value.name) for value in self.model.graph.output)
        return infer_domains(_without_unused(Graph(name, tuple(inputs), tuple(self.ops), outputs)))

    def _import(self, proto: onnx.NodeProto, opset: int) -> None:
        self.location = Location.of(proto.name)
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
        node = Node(
            proto.name,
            proto.op_type,
            tuple(self.tensors.get(name) if name else None for name in proto.input),
            tuple(proto.input),
            tuple(proto.output),
            attributes,
            opset,
        )
        handler = IMPORTERS.get(proto.op_type) if proto.domain in DOMAINS else None
        mark = len(self.ops)
        try:
            if handler is None:
                raise NotModelled("no importer")
            self._check_precision(node)
            handler(self, node)
        except NotModelled:
            for op in self.ops[mark:]:
                del self.values[op.output], self.shapes[op.output]
            dropped = {op.output for op in self.ops[mark:]}
            self._constants = {key: name for key, name in self._constants.items() if name not in dropped}
            del self.ops[mark:]
            self._host_op(node)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # ONNX's checker lets some malformed attributes and operands pass
            raise ModelInvalid(f"malformed {node.op_type}: {error}", node.name) from None
        except ModuleInvalid as error:  # operands and attributes that do not fit together, by the IR's own rules
            raise ModelInvalid(error.message, node.name) from None

    def _check_precision(self, node: Node) -> None:
        """The IR computes in float32; nodes that compute in float16 or float64 stay on the host."""
        for operand in node.inputs:
            if isinstance(operand, Tensor) and operand.element_type not in (FLOAT, BOOL, *INTEGERS):
                raise NotModelled(f"{operand.name} is not float32")

    def _host_op(self, node: Node) -> None:
        operands = tuple(operand.name for operand in node.inputs if isinstance(operand, Tensor))
        for output in node.outputs:
            if not output:
                continue
            first, second = (probe.shapes.get(output, ()) for probe in self.probes)
            framed = first[:1] + second[:1] == PROBES and first[1:] == second[1:]
            shape = first[1:] if framed else first
            self.emit(ops.HostOp, operands, output, shape=shape, op_type=node.op_type)
            element_type = self.probes[0].element_types.get(output, FLOAT)
            self.tensors[output] = Tensor(output, shape, element_type, framed)

    def _output(self, name: str) -> str:
        """The name of a model output as a value of the graph: its own."""
        found = self.tensors[name]
        if isinstance(found, Tensor) and found.name == name:
            return name
        self.location = Location.of(name)
        assert isinstance(found, Tensor)  # cleaning refuses outputs that are constants
        return self.emit(ops.Reshape, (found.name,), name, shape=found.shape)


def as_float(value: Array, name: str) -> Array:
    """The constant as float32, if that changes no element."""
    if value.dtype == np.float32:
        return value
    found = value.astype(np.float32)
    if value.dtype.kind not in "biu" or not np.array_equal(found.astype(value.dtype), value):
        raise NotModelled(f"constant {name} is {value.dtype}")
    return found


def _without_unused(graph: Graph) -> Graph:
    wanted = set(graph.outputs)
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if op.output in wanted:
            wanted.update(op.inputs)
            kept.append(op)
    return replace(graph, ops=tuple(reversed(kept)))


def import_graph(cleaned: Cleaned, name: str) -> Graph:
    """The nn graph of a cleaned model: one frame, values named as the ONNX tensors.

    Raises:
        CompileError: shapes that do not fit together.
    """
    from tncc.frontends.onnx import elementwise, layers, quantized, wiring  # noqa: F401  (they fill IMPORTERS)

    return Importer(cleaned).run(name)
