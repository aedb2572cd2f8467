"""What a model's tensors are at two batch sizes: shapes, element types, and the values of shape computations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper
import onnx.shape_inference

from tncc.errors import ModelInvalid
from tncc.frontends.onnx.evaluate import CannotEvaluate, evaluate, is_foldable

Array = npt.NDArray[Any]

BATCH = "batch"
# Two batch sizes: what differs between them, and only that, depends on the batch.
PROBES = (5, 7)
MAX_SHAPE_ELEMENTS = 1 << 22  # larger intermediate results are not shape computations
MAX_SHAPE_DATA = 1 << 12  # larger initializers are no shapes, axes or repeats
BROADCASTING = {"Add", "Sub", "Mul", "Div", "Min", "Max", "Where", "And", "Or", "Xor", "Equal"}
BROADCASTING |= {"Less", "LessOrEqual", "Greater", "GreaterOrEqual"}


@dataclass(frozen=True, eq=False)
class Probe:
    """What is known of a model's tensors at one batch size: shapes, element types, values that are constant."""

    batch: int
    shapes: dict[str, tuple[int, ...]]
    element_types: dict[str, int]
    constants: dict[str, Array]


def initializers(model: onnx.ModelProto) -> dict[str, Array]:
    """The model's constants by name."""
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def tensor_names(model: onnx.ModelProto) -> set[str]:
    """The names of all tensors of the model's graph."""
    graph = model.graph
    stored = {value.name for values in (graph.input, graph.output, graph.initializer) for value in values}
    return stored.union(*(node.output for node in graph.node))


def fresh_name(base: str, taken: set[str]) -> str:
    """`base`, or `base.1`, `base.2` and so on, that is not in `taken`; it is then."""
    name, count = base, 0
    while name in taken:
        count += 1
        name = f"{base}.{count}"
    taken.add(name)
    return name


def replace_all(repeated: Any, values: list[Any]) -> None:
    """Gives a repeated protobuf field other contents."""
    del repeated[:]
    repeated.extend(values)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """An attribute of a node, or its default."""
    for given in node.attribute:
        if given.name == name:
            return onnx.helper.get_attribute_value(given)
    return default


def resolve_shapes(model: onnx.ModelProto, where: object) -> tuple[Probe, Probe]:
    """Finds all shapes, and turns the targets of reshapes that are computed from shapes into constants."""
    first, second = (_probe(model, batch, where) for batch in PROBES)
    stored = {tensor.name for tensor in model.graph.initializer}
    taken = tensor_names(model)
    fresh: dict[str, Array] = {}
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if not name or name in stored or name not in first.constants or name not in second.constants:
                continue
            a, b = first.constants[name], second.constants[name]
            if a.shape == b.shape and np.array_equal(a, b):
                fresh[name] = a
            elif node.op_type == "Reshape" and i == 1 and a.shape == b.shape and np.count_nonzero(a != b) == 1:
                # the result's own shape: it has no -1 or 0 of the target's, so the batch may take the one -1
                at_first, at_second = (np.array(p.shapes[node.output[0]], np.int64) for p in (first, second))
                target = fresh_name(f"{node.output[0]}.shape", taken)
                fresh[target] = np.where(at_first == at_second, at_first, -1)
                node.input[1] = target
            elif _repeats_frame(a, b) and _broadcasts(node, i, first):
                frame = fresh_name(f"{name}.frame", taken)
                fresh[frame] = a[:1]
                node.input[i] = frame
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in fresh.items())
    produced = set(fresh)
    kept = [node for node in model.graph.node if not produced.intersection(node.output)]
    replace_all(model.graph.node, kept)
    return first, second


def _repeats_frame(a: Array, b: Array) -> bool:
    """Whether a tensor's values at the two batch sizes are the same frame, over and over."""
    if a.shape[:1] + b.shape[:1] != PROBES or a.shape[1:] != b.shape[1:]:
        return False
    return bool(np.all(a == a[:1]) and np.all(b == a[:1]))


def _broadcasts(node: onnx.NodeProto, i: int, probe: Probe) -> bool:
    """Whether input i of an elementwise node may have batch 1: another operand has the whole batch."""
    if node.op_type not in BROADCASTING:
        return False
    shape = probe.shapes[node.input[i]]
    others = [probe.shapes.get(name, ()) for name in node.input if name not in probe.constants]
    return any(len(other) == len(shape) and other[0] == probe.batch for other in others)


def _probe(model: onnx.ModelProto, batch: int, where: object) -> Probe:
    """Shapes and constants with the batch dimension fixed to `batch`."""
    copy = _without_weights(model)
    for value in copy.graph.input[: len(model.graph.input)]:
        dim = value.type.tensor_type.shape.dim[0]
        dim.Clear()
        dim.dim_value = batch
    constants = initializers(model)
    while True:
        try:
            inferred = onnx.shape_inference.infer_shapes(copy, data_prop=True, strict_mode=True)
        except Exception as error:  # the C++ inference's errors share no base class
            reason = " ".join(str(error).split())[:300]
            raise ModelInvalid(f"shapes do not fit together: {reason}", where) from None
        shapes, element_types = _typed(inferred)
        shapes |= {name: value.shape for name, value in constants.items()}
        fresh: dict[str, Array] = {}
        kept = []
        for node in copy.graph.node:
            found = _shape_value(node, shapes, constants, copy)
            if found is None:
                kept.append(node)
            else:
                constants |= found
                fresh |= found
        if not fresh:
            return Probe(batch, shapes, element_types, constants)
        replace_all(copy.graph.node, kept)
        copy.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in fresh.items())


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with initializers that are too large for a shape turned into inputs: inference need not copy them."""
    graph = onnx.GraphProto(
        name=model.graph.name, node=model.graph.node, input=model.graph.input, output=model.graph.output
    )
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= MAX_SHAPE_DATA:
            graph.initializer.append(tensor)
        else:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=graph)


def _shape_value(
    node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]], constants: dict[str, Array], model: onnx.ModelProto
) -> dict[str, Array] | None:
    """The node's results where they follow from shapes and constants; None where they do not."""
    if node.op_type in ("Shape", "Size") and node.domain == "" and node.input[0] in shapes:
        shape = np.array(shapes[node.input[0]], np.int64)
        if node.op_type == "Size":
            return {node.output[0]: np.array(math.prod(shape.tolist()), np.int64)}
        return {node.output[0]: shape[attribute(node, "start", 0) : attribute(node, "end", None)]}
    if not is_foldable(node) or not all(name in constants for name in node.input if name):
        return None
    if any(math.prod(shapes.get(name, ())) > MAX_SHAPE_ELEMENTS for name in node.output):
        return None
    try:
        return evaluate(node, constants, model.opset_import)
    except CannotEvaluate:
        return None


def _typed(model: onnx.ModelProto) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    shapes: dict[str, tuple[int, ...]] = {}
    element_types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        if value.type.WhichOneof("value") != "tensor_type":
            continue
        tensor = value.type.tensor_type
        element_types[value.name] = tensor.elem_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
    return shapes, element_types
