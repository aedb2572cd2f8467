"""Nodes in the forms that the importer knows: each function rewrites one pattern of a model in place."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.shape_inference

from tncc.frontends.onnx.probes import attribute, fresh_name, initializers, replace_all, tensor_names


def cast_like_to_cast(model: onnx.ModelProto) -> None:
    """Writes the type out that CastLike takes from a tensor: a constant that is cast then is a constant again."""
    if not any(node.op_type == "CastLike" for node in model.graph.node):
        return
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # the C++ errors share no base class; whatever it is, resolving the shapes meets it again
        return
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "CastLike" and node.domain == "" and types.get(node.input[1]):
            node.CopyFrom(
                onnx.helper.make_node("Cast", node.input[:1], node.output, node.name, to=types[node.input[1]])
            )


def free_reshapes(model: onnx.ModelProto) -> None:
    """In a model exported with batch 1, a reshape to [1, ...] means: keep the batch."""
    constants, taken = initializers(model), tensor_names(model)
    for node in model.graph.node:
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        target = constants[node.input[1]].copy()
        if target.ndim == 1 and target.size > 1 and target[0] == 1:
            if -1 not in target[1:]:
                target[0] = -1
            elif 0 in target[1:] and attribute(node, "allowzero", 0):
                continue  # no elements at all
            else:
                target[0] = 0
                replace_all(node.attribute, [given for given in node.attribute if given.name != "allowzero"])
            name = fresh_name(f"{node.output[0]}.shape", taken)
            model.graph.initializer.append(onnx.numpy_helper.from_array(target, name))
            node.input[1] = name


def gather_nd_to_gather(model: onnx.ModelProto) -> None:
    """Transpose, GatherND, Transpose is how torch.export writes x[:, indices]: it becomes one Gather."""
    constants, taken = initializers(model), tensor_names(model)
    producer = {name: node for node in model.graph.node for name in node.output}
    uses = Counter(name for node in model.graph.node for name in node.input)
    uses.update(value.name for value in model.graph.output)
    for last in model.graph.node:
        middle = producer.get(last.input[0]) if last.op_type == "Transpose" else None
        if middle is None or middle.op_type != "GatherND" or attribute(middle, "batch_dims", 0):
            continue
        first, indices = producer.get(middle.input[0]), constants.get(middle.input[1])
        if first is None or first.op_type != "Transpose" or indices is None or indices.shape[1:] != (1,):
            continue
        before, after = attribute(first, "perm", None), attribute(last, "perm", None)
        if before is None or after is None or len(before) != len(after) or uses[middle.output[0]] != 1:
            continue
        if [before[axis] for axis in after] != list(range(len(before))):
            continue
        name = fresh_name(f"{last.output[0]}.indices", taken)
        model.graph.initializer.append(onnx.numpy_helper.from_array(indices[:, 0].copy(), name))
        gather = onnx.helper.make_node("Gather", [first.input[0], name], last.output, last.name, axis=int(before[0]))
        last.CopyFrom(gather)


def factor_levels(model: onnx.ModelProto) -> None:
    """where(c, v, -v) becomes v * where(c, 1, -1): the same numbers, and a tensor in {-1, +1} that has a name."""
    constants, taken = initializers(model), tensor_names(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes.append(node)
        levels = [constants.get(name) for name in node.input[1:]] if node.op_type == "Where" else [None]
        if any(level is None or level.size != 1 or level.dtype != np.float32 for level in levels):
            continue
        high, low = (float(level.reshape(())) for level in levels if level is not None)
        if high != -low or high in (0, 1, -1) or not np.isfinite(high):
            continue
        output = node.output[0]
        shape = np.broadcast_shapes(*(level.shape for level in levels if level is not None))
        one, minus, level, signs = (
            fresh_name(f"{output}/{what}", taken) for what in ("one", "minus", "level", "signs")
        )
        stored = {one: np.sign(high), minus: -np.sign(high), level: abs(high)}
        model.graph.initializer.extend(
            onnx.numpy_helper.from_array(np.full(shape, value, np.float32), name) for name, value in stored.items()
        )
        node.input[1], node.input[2], node.output[0] = one, minus, signs
        nodes.append(onnx.helper.make_node("Mul", [signs, level], [output], f"{node.name}/scale"))
    replace_all(model.graph.node, nodes)
