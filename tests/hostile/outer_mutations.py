"""Ways to break what nodes stand in: stored tensors, inputs and outputs, versions, functions, control flow."""

from __future__ import annotations

from random import Random

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.hostile.mutating import (
    KINDS,
    integer,
    mutation,
    replace_all,
    some,
    tensor,
    tensors,
)


@mutation
def initializer(model: onnx.ModelProto, random: Random) -> None:
    found = some(random, model.graph.initializer)
    if found is not None:
        tensor(found, random)


@mutation
def initializers_changed(model: onnx.ModelProto, random: Random) -> None:
    graph = model.graph
    found = some(random, graph.initializer)
    if found is None:
        return
    way = random.randrange(5)
    if way == 0:
        replace_all(graph.initializer, [t for t in graph.initializer if t.name != found.name])
    elif way == 1:
        graph.initializer.append(found)
    elif way == 2:  # an input with a default
        graph.input.append(helper.make_tensor_value_info(found.name, found.data_type, found.dims))
    elif way == 3:  # an input
        graph.input.append(helper.make_tensor_value_info(found.name, found.data_type, ["n", *found.dims]))
        replace_all(graph.initializer, [t for t in graph.initializer if t.name != found.name])
    else:
        size = int(np.prod(found.dims)) if len(found.dims) else 1
        values = helper.make_tensor(found.name, TensorProto.FLOAT, [1], [1.0])
        indices = helper.make_tensor("i", TensorProto.INT64, [1], [random.choice([0, size - 1, size, -1])])
        sparse = onnx.SparseTensorProto(values=values, indices=indices, dims=list(found.dims) or [1])
        graph.sparse_initializer.append(sparse)
        replace_all(graph.initializer, [t for t in graph.initializer if t.name != found.name])


@mutation
def values(model: onnx.ModelProto, random: Random) -> None:
    """Types and shapes of inputs and outputs."""
    graph = model.graph
    value = some(random, [*graph.input, *graph.output, *graph.output])
    if value is None:
        return
    dims = value.type.tensor_type.shape.dim
    way = random.randrange(9)
    if way == 0 and len(dims):
        dims[random.randrange(len(dims))].dim_value = integer(random)
    elif way == 1 and len(dims):
        dims[random.randrange(len(dims))].dim_param = random.choice(["n", "k", ""])
    elif way == 2:
        value.type.tensor_type.elem_type = random.choice(KINDS)
    elif way == 3:
        value.type.Clear()
    elif way == 4:
        value.name = random.choice([*tensors(model), "nowhere", ""])
    elif way == 5:
        graph.output.append(onnx.ValueInfoProto(name=random.choice(tensors(model))))
    elif way == 6:
        graph.input.append(value)
    elif way == 7 and len(graph.output):
        graph.output.pop()
    else:
        value.type.sequence_type.elem_type.tensor_type.elem_type = 1


@mutation
def more_outputs(model: onnx.ModelProto, random: Random) -> None:
    for _ in range(random.randint(1, 3)):
        name = random.choice([name for n in model.graph.node for name in n.output] or ["x"])
        model.graph.output.append(helper.make_tensor_value_info(name, 1, None))


@mutation
def value_info(model: onnx.ModelProto, random: Random) -> None:
    shape = [integer(random) for _ in range(random.randrange(5))]
    value = helper.make_tensor_value_info(random.choice(tensors(model)), random.choice(KINDS), shape)
    model.graph.value_info.append(value)


@mutation
def versions(model: onnx.ModelProto, random: Random) -> None:
    way = random.randrange(4)
    if way == 0:
        model.ir_version = random.choice([0, 1, 3, 4, 7, 10, 11, 13, 99, -1, 2**40])
    elif way == 1 and len(model.opset_import):
        model.opset_import[0].version = random.choice([0, 1, 7, 10, *range(11, 24), 24, 25, 30, -1])
    elif way == 2:
        model.opset_import.append(helper.make_opsetid(random.choice(["", "ai.onnx", "com.microsoft", "f"]), 13))
    else:
        del model.opset_import[:]


@mutation
def function(model: onnx.ModelProto, random: Random) -> None:
    """A node moves into a local function, which may call itself."""
    node = some(random, model.graph.node)
    if node is None or "" in node.input:
        return
    inside = onnx.NodeProto.FromString(node.SerializeToString())
    inputs = list(dict.fromkeys(node.input))
    opsets = [helper.make_opsetid("", model.opset_import[0].version if model.opset_import else 17)]
    if random.random() < 0.1:
        inside.op_type, inside.domain = "F", "f"
        opsets.append(helper.make_opsetid("f", 1))
    made = helper.make_function("f", "F", inputs, list(node.output), [inside], opsets)
    if random.random() < 0.2:
        made.opset_import[0].version = 13
    model.functions.append(made)
    node.op_type, node.domain = "F", "f"
    node.input[:] = inputs
    del node.attribute[:]
    if random.random() < 0.95:
        model.opset_import.append(helper.make_opsetid("f", 1))


@mutation
def control_flow(model: onnx.ModelProto, random: Random) -> None:
    """A node moves into both branches of an If, or into the body of a Loop or a Scan."""
    graph = model.graph
    node = some(random, graph.node)
    if node is None or not node.output:
        return
    at = list(graph.node).index(node)
    inside = onnx.NodeProto.FromString(node.SerializeToString())
    inside.output[:] = [f"{name}.inner" for name in node.output]
    outputs = [onnx.ValueInfoProto(name=name) for name in inside.output]
    for value in outputs:
        value.type.tensor_type.elem_type = 1
    body = helper.make_graph([inside], "body", [], outputs)
    way = random.randrange(3)
    condition = random.choice(tensors(model)) if random.random() < 0.5 else "m.condition"
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(random.random() < 0.5), "m.condition"))
    if way == 0:
        made = helper.make_node("If", [condition], list(node.output), then_branch=body, else_branch=body)
    elif way == 1:
        body.input.append(helper.make_tensor_value_info("m.i", 7, []))
        body.input.append(helper.make_tensor_value_info("m.c", 9, []))
        body.output.insert(0, helper.make_tensor_value_info("m.c", 9, []))
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(random.choice([1, 3, 2**62])), "m.trips"))
        made = helper.make_node("Loop", ["m.trips", random.choice(["", condition])], list(node.output), body=body)
    else:
        body.input.append(helper.make_tensor_value_info("m.s", 1, []))
        made = helper.make_node(
            "Scan", [random.choice(tensors(model))], list(node.output), body=body, num_scan_inputs=1
        )
    nodes = list(graph.node)
    nodes[at] = made
    replace_all(graph.node, nodes)
