"""What mutations of models are made of: their list, random numbers, tensors and attributes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import onnx
from onnx import TensorProto, helper

from tests.hostile.random_models import NASTY

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
