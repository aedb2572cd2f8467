"""Ways to break a model: one mutation each, of a protobuf in place or of its bytes, drawn from a `random.Random`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from tests.hostile.random_models import NASTY, numbers

INTEGERS = [
    *(-1, 0, 1, 2, 3, 4, 5, 7, 8, -2, -3, 16, 255, 256, 65536, 10**6, 10**9, 2**31 - 1, 2**31, -(2**31), 2**32),
    *(2**53, 2**62, 2**63 - 1, -(2**63)),
]
SMALL = [-2, -1, 0, 1, 2, 3, 4]
KINDS = [*range(1, 24)]  # element types; not all of them exist
WORDS = [
    "",
    "NOTSET",
    "SAME_UPPER",
    "SAME_LOWER",
    "VALID",
    "nearest",
    "linear",
    "constant",
    "reflect",
    "edge",
    "wrap",
    "x",
]
Mutation = Callable[[onnx.ModelProto, Random], None]
MUTATIONS: list[Mutation] = []
SCHEMAS = sorted(
    {s.name for s in onnx.defs.get_all_schemas() if s.domain == "" and s.since_version <= 23 and not s.deprecated}
)


def mutation(function: Mutation) -> Mutation:
    MUTATIONS.append(function)
    return function


def integer(random: Random) -> int:
    return random.choice(SMALL if random.random() < 0.6 else INTEGERS)


def tensors(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    found = [v.name for v in graph.input] + [t.name for t in graph.initializer]
    return found + [name for n in graph.node for name in n.output]


def some(random: Random, repeated: Any) -> Any:
    return random.choice(list(repeated)) if len(repeated) else None


def replace_all(repeated: Any, values: list[Any]) -> None:
    copies = []
    for value in values:
        copies.append(type(value).FromString(value.SerializeToString()))
    del repeated[:]
    repeated.extend(copies)


def set_attribute(node: onnx.NodeProto, name: str, value: Any) -> None:
    replace_all(node.attribute, [a for a in node.attribute if a.name != name])
    with contextlib.suppress(Exception):
        node.attribute.append(helper.make_attribute(name, value))


@mutation
def attribute_value(model: onnx.ModelProto, random: Random) -> None:
    nodes = [n for n in model.graph.node if n.attribute]
    if not nodes:
        return
    node = random.choice(nodes)
    given = some(random, node.attribute)
    if given.type == AttributeProto.INT:
        given.i = integer(random)
    elif given.type == AttributeProto.FLOAT:
        given.f = random.choice(NASTY)
    elif given.type == AttributeProto.INTS:
        values = list(given.ints)
        way = random.randrange(4)
        if way == 0 and values:
            values.pop()
        elif way == 1:
            values.append(integer(random))
        elif values:
            values[random.randrange(len(values))] = integer(random)
        given.ints[:] = values
    elif given.type == AttributeProto.STRING:
        given.s = random.choice([b"", b"x", b"\xff\xfe", b"SAME_LOWER"])
    elif given.type == AttributeProto.TENSOR:
        tensor(given.t, random)


@mutation
def attribute_from_schema(model: onnx.ModelProto, random: Random) -> None:
    """Any attribute that the operator knows, with a value of its type or of another."""
    node = some(random, model.graph.node)
    if node is None or not onnx.defs.has(node.op_type):
        return
    schema = onnx.defs.get_schema(node.op_type)
    if not schema.attributes:
        return
    name = random.choice(sorted(schema.attributes))
    kinds = onnx.defs.OpSchema.AttrType
    kind = schema.attributes[name].type if random.random() < 0.9 else random.choice([kinds.INT, kinds.STRING])
    value: Any = integer(random)
    if kind == kinds.INTS:
        value = [integer(random) for _ in range(random.randrange(6))]
    elif kind == kinds.FLOAT:
        value = float(random.choice(NASTY))
    elif kind == kinds.STRING:
        value = random.choice(WORDS)
    set_attribute(node, name, value)


@mutation
def attribute_removed(model: onnx.ModelProto, random: Random) -> None:
    node = some(random, model.graph.node)
    if node is not None and node.attribute:
        del node.attribute[random.randrange(len(node.attribute))]


@mutation
def operand_swapped(model: onnx.ModelProto, random: Random) -> None:
    node = some(random, model.graph.node)
    if node is None or not node.input:
        return
    choices = [*tensors(model), *node.input, "", "nowhere"]
    node.input[random.randrange(len(node.input))] = random.choice(choices)


@mutation
def operand_count(model: onnx.ModelProto, random: Random) -> None:
    node = some(random, model.graph.node)
    if node is None:
        return
    if random.random() < 0.5 and node.input:
        node.input.pop()
    else:
        node.input.append(random.choice([*tensors(model), ""]))


@mutation
def other_operator(model: onnx.ModelProto, random: Random) -> None:
    node = some(random, model.graph.node)
    if node is None:
        return
    count = len(node.input)
    fitting = [
        name
        for name in SCHEMAS
        if onnx.defs.get_schema(name).min_input <= count <= onnx.defs.get_schema(name).max_input
    ]
    node.op_type = random.choice(fitting if random.random() < 0.9 else ["Frobnicate", "", *SCHEMAS])
    if random.random() < 0.5:
        del node.attribute[:]


@mutation
def operator_inserted(model: onnx.ModelProto, random: Random) -> None:
    """A node between a tensor and all its readers, or one of them."""
    graph = model.graph
    at = random.randrange(len(graph.node) + 1)
    readers = [n for n in list(graph.node)[at:] if n.input]
    if not readers:
        return
    reader = random.choice(readers)
    slot = random.randrange(len(reader.input))
    op_type = random.choice(SCHEMAS)
    schema = onnx.defs.get_schema(op_type)
    operands = [reader.input[slot]]
    while len(operands) < schema.min_input:
        if random.random() < 0.5:
            operands.append(random.choice(tensors(model)))
            continue
        name = f"m{random.randrange(1 << 30)}"
        array = (
            np.array([integer(random) for _ in range(random.randrange(5))], np.int64)
            if random.random() < 0.6
            else numbers(random, random.choice([(), (1,), (2,), (0,), (2, 2)]), 0.3)
        )
        graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        operands.append(name)
    output = f"m{random.randrange(1 << 30)}"
    node = helper.make_node(op_type, operands, [output], random.choice(["", output]))
    for name, declared in sorted(schema.attributes.items()):
        if declared.required:
            kinds = onnx.defs.OpSchema.AttrType
            values = {kinds.INT: integer(random), kinds.INTS: [integer(random) for _ in range(random.randrange(5))]}
            values |= {kinds.FLOAT: float(random.choice(NASTY)), kinds.STRING: random.choice(WORDS)}
            if declared.type in values:
                set_attribute(node, name, values[declared.type])
    if random.random() < 0.8:
        where = list(graph.node).index(reader)
        nodes = list(graph.node)
        reader.input[slot] = output
        replace_all(graph.node, [*nodes[:where], node, *nodes[where:]])
    else:
        graph.node.append(node)
        reader.input[slot] = output


@mutation
def cast_inserted(model: onnx.ModelProto, random: Random) -> None:
    """A cast, or two, on the way to one reader."""
    graph = model.graph
    readers = [n for n in graph.node if n.input]
    if not readers:
        return
    reader = random.choice(readers)
    slot = random.randrange(len(reader.input))
    names = [f"m{random.randrange(1 << 30)}" for _ in range(2)]
    casts = [
        helper.make_node("Cast", [reader.input[slot]], [names[0]], to=random.choice(KINDS)),
        helper.make_node("Cast", [names[0]], [names[1]], to=random.choice([1, 1, random.choice(KINDS)])),
    ]
    nodes = list(graph.node)
    at = nodes.index(reader)
    reader.input[slot] = names[1]
    replace_all(graph.node, [*nodes[:at], *casts, *nodes[at:]])


@mutation
def nodes_changed(model: onnx.ModelProto, random: Random) -> None:
    nodes = list(model.graph.node)
    if not nodes:
        return
    i, j = random.randrange(len(nodes)), random.randrange(len(nodes))
    way = random.randrange(3)
    if way == 0:
        nodes.pop(i)
    elif way == 1:
        nodes.insert(j, nodes[i])
    else:
        nodes[i], nodes[j] = nodes[j], nodes[i]
    replace_all(model.graph.node, nodes)


@mutation
def node_named(model: onnx.ModelProto, random: Random) -> None:
    node = some(random, model.graph.node)
    if node is not None:
        node.name = random.choice(["", "n0", "n1", "a b", "x\ny", "é", "n1/scale", "z" * 500])
        if random.random() < 0.3:
            node.domain = random.choice(["ai.onnx", "com.microsoft", "ai.onnx.ml", "acme", "qonnx.custom_op.general"])


@mutation
def tensor_renamed(model: onnx.ModelProto, random: Random) -> None:
    """One tensor everywhere: to another's name, or to one that the compiler might give."""
    names = tensors(model)
    old = random.choice(names)
    base = random.choice(names)
    new = random.choice([base, f"{base}/spikes", f"{base}.sum", f"{base}.map", "", "\n", '"', f"{base}/+1", "z" * 300])
    graph = model.graph
    for node in graph.node:
        node.input[:] = [new if n == old else n for n in node.input]
        node.output[:] = [new if n == old else n for n in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer):
        if value.name == old:
            value.name = new


def tensor(found: onnx.TensorProto, random: Random) -> None:
    way = random.randrange(9)
    if way == 0:
        dims = list(found.dims)
        if dims:
            dims[random.randrange(len(dims))] = integer(random)
        found.dims[:] = dims
    elif way == 1:
        found.data_type = random.choice([*KINDS, 0, 99])
    elif way == 2:
        found.raw_data = found.raw_data[: random.randrange(len(found.raw_data) + 1)]
    elif way == 3:
        found.dims[:] = [integer(random) for _ in range(random.randrange(5))]
    elif way == 4:
        with contextlib.suppress(Exception):
            array = onnx.numpy_helper.to_array(found).copy()
            if array.size:
                chosen = random.randrange(array.size)
                array.reshape(-1)[chosen] = random.choice(NASTY) if array.dtype.kind == "f" else integer(random)
                found.CopyFrom(onnx.numpy_helper.from_array(array, found.name))
    elif way == 5:
        with contextlib.suppress(Exception):
            array = onnx.numpy_helper.to_array(found)
            dtype = random.choice(
                ["float64", "float16", "int8", "int64", "bool", "uint8", "int32", "float32", "complex64"]
            )
            found.CopyFrom(onnx.numpy_helper.from_array(array.astype(dtype), found.name))
    elif way == 6:
        found.data_location = TensorProto.EXTERNAL
        for key in ("location", "offset", "length", "checksum")[: random.randrange(5)]:
            value = random.choice(
                ["w.bin", "/dev/zero", "../../etc/passwd", "/etc/passwd", "0", "-1", "99999999999", ""]
            )
            found.external_data.add(key=key, value=value)
    elif way == 7:
        found.float_data.append(1.0)
        found.segment.begin = 1
    else:
        text = onnx.helper.make_tensor(found.name, TensorProto.STRING, [2], [b"a", b"b"])
        found.CopyFrom(text)


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


def mutated(model: onnx.ModelProto, random: Random, most: int = 2) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for _ in range(random.randint(1, most)):
        with contextlib.suppress(ValueError, TypeError, IndexError, KeyError, AttributeError):
            random.choice(MUTATIONS)(copy, random)
    return copy


def mutated_bytes(data: bytes, random: Random) -> bytes:
    content = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        at = random.randrange(len(content))
        way = random.randrange(6)
        if way == 0:
            content[at] = random.randrange(256)
        elif way == 1:
            content[at] ^= 1 << random.randrange(8)
        elif way == 2:
            del content[at : at + random.randint(1, 8)]
        elif way == 3:
            content[at:at] = random.randbytes(random.randint(1, 8))
        elif way == 4:
            content[at : at + 10] = b"\xff" * 9 + b"\x01"
        else:
            del content[max(at, 1) :]
        content = content or bytearray(b"x")
    return bytes(content)
