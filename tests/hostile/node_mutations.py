"""Ways to break a node: one mutation each, of a model in place, drawn from a `random.Random`."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, helper

from tests.hostile.mutating import (
    KINDS,
    SCHEMAS,
    WORDS,
    integer,
    mutation,
    replace_all,
    set_attribute,
    some,
    tensor,
    tensors,
)
from tests.hostile.random_models import NASTY, numbers


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
