"""Rewrites an ONNX model into the form that the importer and the host runtime share.

After it: the batch dimension of every input is free, all other dimensions are fixed; local functions are inlined;
whatever does not depend on an input is an initializer; reshape targets are constants; every node has a unique name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper
import onnx.shape_inference

from tncc.errors import (
    ConstantNotComputable,
    InterfaceUnsupported,
    ModelInvalid,
    ModelTooLarge,
    OperatorUnsupported,
    ShapeNotFixed,
)
from tncc.frontends.onnx.evaluate import (
    MAX_BYTES,
    MAX_IR_VERSION,
    CannotEvaluate,
    evaluate,
    is_foldable,
    why_not_runnable,
)
from tncc.frontends.onnx.probes import (
    BATCH,
    PROBES,
    Probe,
    attribute,
    initializers,
    replace_all,
    resolve_shapes,
    tensor_names,
)
from tncc.frontends.onnx.quantizers import lower_quantizers
from tncc.frontends.onnx.rewrites import cast_like_to_cast, factor_levels, free_reshapes, gather_nd_to_gather
from tncc.ir.types import SPIKES_SUFFIX

Array = npt.NDArray[Any]

MAX_NODES = 100_000
ELEMENT_TYPES = {  # of inputs
    getattr(onnx.TensorProto, name)
    for name in (
        "FLOAT",
        "DOUBLE",
        "FLOAT16",
        "BOOL",
        *(f"{u}INT{bits}" for u in ("", "U") for bits in (8, 16, 32, 64)),
    )
}


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A cleaned model; what its tensors are at the batch sizes of PROBES; (name, operator) of the source's nodes; names
    of those that no output depends on."""

    model: onnx.ModelProto
    probes: tuple[Probe, Probe]
    nodes: tuple[tuple[str, str], ...]
    unused: frozenset[str]


def clean(model: onnx.ModelProto, where: object) -> Cleaned:
    """The model in the form above; `model` is consumed.

    Raises:
        CompileError: dynamic spatial sizes, or nodes that no ONNX Runtime could evaluate.
    """
    fixed = _free_batch(model, where)
    model = _inline(model, where)
    _constants_to_initializers(model)
    _name_nodes(model)
    nodes = tuple((node.name, node.op_type) for node in model.graph.node)
    needed = {node.name for node in needed_nodes(model.graph.node, {value.name for value in model.graph.output})}
    unused = frozenset(name for name, _ in nodes if name not in needed)
    cast_like_to_cast(model)
    _fold(model)
    lower_quantizers(model, initializers(model))
    _fold(model)
    if fixed:
        free_reshapes(model)
    model = _simplify(model, where)
    del model.graph.value_info[:]
    _constants_to_initializers(model)
    _name_nodes(model)
    _check_operators(model)
    _free_reserved_names(model, where)
    refusal = why_not_runnable(model)
    if refusal:
        raise ModelInvalid(f"ONNX Runtime refuses the model: {refusal}", where)
    _fold(model)
    if fixed:
        free_reshapes(model)
    gather_nd_to_gather(model)
    factor_levels(model)
    probes = resolve_shapes(model, where)
    _remove_unused(model)
    _check_outputs(model, where)
    _type_outputs(model, probes)
    model.ir_version = min(model.ir_version, MAX_IR_VERSION)
    return Cleaned(model, probes, nodes, unused)


def _free_batch(model: onnx.ModelProto, where: object) -> bool:
    """Makes dimension 0 of every input free; True where it was fixed to 1."""
    stored = {tensor.name for tensor in model.graph.initializer}
    replace_all(model.graph.input, [value for value in model.graph.input if value.name not in stored])
    if not model.graph.input:
        raise InterfaceUnsupported("the model has no input: all of them are initializers", where)
    fixed = False
    for value in model.graph.input:
        if value.type.WhichOneof("value") != "tensor_type" or not value.type.tensor_type.HasField("shape"):
            raise ShapeNotFixed(
                f"input {value.name!r} has no shape", where, "export with static shapes and a free batch dimension"
            )
        if value.type.tensor_type.elem_type not in ELEMENT_TYPES:
            names = onnx.TensorProto.DataType
            found = value.type.tensor_type.elem_type
            shown = names.Name(found).lower() if found in names.values() else str(found)
            raise InterfaceUnsupported(
                f"input {value.name!r} is of type {shown}", where, "a model that takes floats, integers or truth values"
            )
        dims = value.type.tensor_type.shape.dim
        shown = ", ".join(d.dim_param or (str(d.dim_value) if d.HasField("dim_value") else "?") for d in dims)
        if not dims:
            raise ShapeNotFixed(f"input {value.name!r} is a scalar; dimension 0 must be the batch", where)
        for axis, dim in enumerate(dims):
            if axis and dim.dim_value <= 0:
                raise ShapeNotFixed(
                    f"input {value.name!r} has shape [{shown}]: dimension {axis} is not fixed",
                    where,
                    "only dimension 0, the batch, may be free; export with static spatial sizes",
                )
        if dims[0].HasField("dim_value"):
            if dims[0].dim_value != 1:
                raise ShapeNotFixed(
                    f"input {value.name!r} has shape [{shown}]: the batch is fixed to {dims[0].dim_value}",
                    where,
                    "export with a free batch dimension (dynamic_axes or dynamic_shapes) or with batch 1",
                )
            fixed = True
        dims[0].Clear()
        dims[0].dim_param = BATCH
    inputs = {value.name: value.type for value in model.graph.input}
    for value in model.graph.output:
        if value.type.WhichOneof("value") not in ("tensor_type", None):
            raise InterfaceUnsupported(f"output {value.name!r} is not a tensor", where)
        value.ClearField("type")  # inferred anew below
        value.type.CopyFrom(inputs.get(value.name, value.type))
    del model.graph.value_info[:]
    return fixed


def _inline(model: onnx.ModelProto, where: object) -> onnx.ModelProto:
    if not model.functions:
        return model
    import onnx.inliner

    _check_function_sizes(model, where)
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # the C++ inliner's errors share no base class
        raise ModelInvalid(f"its local functions cannot be inlined: {error}", where) from None


def _check_function_sizes(model: onnx.ModelProto, where: object) -> None:
    """Functions that call functions may stand for more nodes than there are atoms; the checker refuses recursion."""
    bodies = {(function.domain, function.name): function.node for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    pending = list(bodies)
    while pending:
        key = pending[-1]
        called = [(node.domain, node.op_type) for node in bodies[key]]
        unknown = [inner for inner in called if inner in bodies and inner not in sizes]
        if unknown:
            pending += unknown
            continue
        sizes[key] = sum(sizes.get(inner, 1) for inner in called)
        pending.pop()
    nodes = sum(sizes.get((node.domain, node.op_type), 1) for node in model.graph.node)
    if nodes > MAX_NODES:
        raise ModelTooLarge(
            f"its local functions stand for {nodes:,} nodes; up to {MAX_NODES:,} are taken",
            where,
            "export without functions",
        )


def _simplify(model: onnx.ModelProto, where: object) -> onnx.ModelProto:
    """onnxscript's folding: removes identities, dropouts and branches on constants. It keeps BatchNormalization."""
    import onnx_ir
    from onnxscript import optimizer

    try:
        module = onnx_ir.from_proto(model)
        optimizer.fold_constants_ir(module, onnx_shape_inference=True)
        optimizer.remove_unused_nodes(module)
        return onnx_ir.to_proto(module)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # whatever a malformed model provokes in there
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelInvalid(f"not a valid ONNX model: {reason}", where) from None


def _constants_to_initializers(model: onnx.ModelProto) -> None:
    kept = []
    for node in model.graph.node:
        value = _constant_value(node) if node.op_type == "Constant" and node.domain == "" else None
        if value is None:
            kept.append(node)
        else:
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, node.output[0]))
    replace_all(model.graph.node, kept)


def _constant_value(node: onnx.NodeProto) -> Array | None:
    for given in node.attribute:
        match given.name:
            case "value":
                return onnx.numpy_helper.to_array(given.t)
            case "value_float":
                return np.array(given.f, np.float32)
            case "value_floats":
                return np.array(given.floats, np.float32)
            case "value_int":
                return np.array(given.i, np.int64)
            case "value_ints":
                return np.array(given.ints, np.int64)
    return None


def _name_nodes(model: onnx.ModelProto) -> None:
    """Gives unnamed nodes a name and repeated names a suffix."""
    given = Counter(node.name for node in model.graph.node)
    taken = set(given)
    counts: Counter[str] = Counter()
    for node in model.graph.node:
        if node.name and given[node.name] == 1:
            continue
        base = node.name or node.op_type
        name = base
        while name in taken or not name:
            name = f"{base}_{counts[base]}"
            counts[base] += 1
        node.name = name
        taken.add(name)


def _check_operators(model: onnx.ModelProto) -> None:
    """Refuses control flow that folding could not resolve, and operators that ONNX Runtime does not know."""
    known = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas()}
    for node in model.graph.node:
        domain = "" if node.domain == "ai.onnx" else node.domain
        if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
            raise OperatorUnsupported(
                f"{node.op_type} (a subgraph that depends on the data) is not supported",
                node.name,
                "export a model without control flow",
            )
        if node.op_type == "BatchNormalization" and attribute(node, "training_mode", 0):
            raise OperatorUnsupported(
                "BatchNormalization in training mode depends on the batch",
                node.name,
                "call model.eval() before exporting",
            )
        if (domain, node.op_type) not in known and domain != "com.microsoft":
            raise OperatorUnsupported(
                f"operator {node.op_type} of domain {domain or 'ai.onnx'!r} is not known to ONNX Runtime",
                node.name,
                "export with standard ONNX operators",
            )


def _free_reserved_names(model: onnx.ModelProto, where: object) -> None:
    """Renames tensors so that no two are called `t` and `t/spikes`, as the spikes of a tensor of signs are called."""
    shown = {value.name for value in (*model.graph.input, *model.graph.output)}
    taken = tensor_names(model)
    renamed: dict[str, str] = {}
    behind = [name for name in taken if name.endswith(SPIKES_SUFFIX)]
    for name in sorted(name for name in behind if name.removesuffix(SPIKES_SUFFIX) in taken):
        base = name.removesuffix(SPIKES_SUFFIX)
        inner = next((each for each in (name, base) if each not in shown), None)
        if inner is None:
            raise InterfaceUnsupported(
                f"the model takes or returns both {base!r} and {name!r}", where, "another name for one of the two"
            )
        fresh = f"{inner}_"
        while fresh in taken or fresh + SPIKES_SUFFIX in taken:
            fresh += "_"
        taken.add(fresh)
        renamed[inner] = fresh
    for node in model.graph.node if renamed else ():
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    for tensor in model.graph.initializer if renamed else ():
        tensor.name = renamed.get(tensor.name, tensor.name)


def _fold(model: onnx.ModelProto) -> None:
    """Replaces every node whose inputs are all constants by initializers."""
    constants = initializers(model)
    fresh: dict[str, Array] = {}
    kept = []
    uses = Counter(name for node in model.graph.node for name in node.input)
    uses.update(value.name for value in model.graph.output)
    room = MAX_BYTES
    for node in model.graph.node:
        if is_foldable(node) and node.output and all(name in constants for name in node.input if name):
            try:
                results = evaluate(node, constants, model.opset_import, room)
            except CannotEvaluate as error:
                raise ConstantNotComputable(
                    f"{node.op_type} of constants cannot be computed: {error}", node.name
                ) from None
            constants |= results
            fresh |= results
            room -= sum(value.nbytes for value in results.values())
            uses.subtract(node.input)
            for name in {name for name in node.input if not uses[name]} & fresh.keys():
                room += fresh.pop(name).nbytes
                del constants[name]
        else:
            kept.append(node)
    replace_all(model.graph.node, kept)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in fresh.items())


def _check_outputs(model: onnx.ModelProto, where: object) -> None:
    stored = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.output:
        if value.name in stored:
            raise InterfaceUnsupported(f"output {value.name!r} is a constant: it does not depend on the input", where)


def _type_outputs(model: onnx.ModelProto, probes: tuple[Probe, Probe]) -> None:
    first, second = probes
    for value in model.graph.output:
        value.ClearField("type")
        value.type.tensor_type.elem_type = first.element_types.get(value.name, onnx.TensorProto.FLOAT)
        if value.name not in first.shapes or value.name not in second.shapes:
            continue
        value.type.tensor_type.shape.SetInParent()
        for axis, (a, b) in enumerate(zip(first.shapes[value.name], second.shapes[value.name], strict=True)):
            dim = value.type.tensor_type.shape.dim.add()
            if a == b:
                dim.dim_value = a
            else:
                dim.dim_param = BATCH if (a, b) == PROBES else f"{value.name}_{axis}"


def _remove_unused(model: onnx.ModelProto) -> None:
    """Drops nodes and initializers that no output depends on."""
    needed = {value.name for value in model.graph.output}
    replace_all(model.graph.node, list(needed_nodes(model.graph.node, needed))[::-1])
    used = needed.union(*(node.input for node in model.graph.node))
    replace_all(model.graph.initializer, [tensor for tensor in model.graph.initializer if tensor.name in used])


def needed_nodes(nodes: Any, wanted: set[str]) -> Iterator[onnx.NodeProto]:
    """The nodes that tensors named `wanted` depend on, last first; nodes must be in topological order."""
    wanted = set(wanted)
    for node in reversed(list(nodes)):
        if wanted.intersection(node.output):
            wanted.update(name for name in node.input if name)
            yield node
