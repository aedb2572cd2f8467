"""Cuts out what the host computes: ONNX Runtime runs the subgraphs before and after the chip."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from tncc.errors import CompileError
from tncc.frontends.onnx.clean import BATCH, initializers, needed_nodes

FLOAT = onnx.TensorProto.FLOAT


def split_host(model: onnx.ModelProto, entering: list[str], leaving: list[str]) -> tuple[bytes | None, bytes | None]:
    """The ONNX models that run on the host.

    Both have a free batch dimension, and at the boundary float32 tensors under the names of the original ones.

    Args:
        model: a cleaned model, as `load` returns it.
        entering: tensors whose spikes enter the chip.
        leaving: tensors whose spikes leave the chip.

    Returns:
        (prefix, suffix). The prefix computes those of `entering` that are not inputs of the model, from the inputs of
        the model; None where all of them are inputs. The suffix computes those outputs of the model that are not
        themselves in `leaving`, from `leaving`; None where all outputs are.

    Raises:
        CompileError: an output also needs something that bypasses the chip.
    """
    inputs = {value.name: value for value in model.graph.input}
    outputs = {value.name: value for value in model.graph.output}
    types = _types(model)
    computed = [name for name in dict.fromkeys(entering) if name not in inputs]
    prefix = _cut(model, types, [], computed, "prefix") if computed else None
    wanted = [name for name in outputs if name not in leaving]
    suffix = _cut(model, types, list(dict.fromkeys(leaving)), wanted, "suffix") if wanted else None
    return prefix, suffix


def _types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph = inferred.graph
    return {value.name: value.type for value in (*graph.input, *graph.value_info, *graph.output)}


def _cut(
    model: onnx.ModelProto, types: dict[str, onnx.TypeProto], sources: list[str], targets: list[str], part: str
) -> bytes:
    """The subgraph from the boundary tensors `sources` (or the model's inputs) to `targets`, serialised."""
    constants = initializers(model)
    available = [node for node in model.graph.node if not set(sources).intersection(node.output)]
    nodes = list(needed_nodes(available, set(targets)))[::-1]
    read = set(targets).union(*(node.input for node in nodes))
    graph_inputs = [value.name for value in model.graph.input if value.name in read]
    if part == "suffix":
        bypassing = [name for name in graph_inputs if name not in sources]
        if bypassing:
            raise CompileError(
                f"output {targets[0]!r} depends on input {bypassing[0]!r} by a path that does not cross the chip",
                _reader(nodes, bypassing[0]),
                "let everything after the spiking layers depend on their outputs only",
            )
    renamed: dict[str, str] = {}
    before: list[onnx.NodeProto] = []
    after: list[onnx.NodeProto] = []
    values_in, values_out = [], []
    for name in sources if part == "suffix" else graph_inputs:
        if name not in read:
            continue
        value = onnx.ValueInfoProto(name=name, type=types[name])
        if part == "suffix":
            original = types[name].tensor_type.elem_type
            value.type.tensor_type.elem_type = FLOAT
            if original != FLOAT:
                renamed[name] = _fresh(f"{name}.{part}", types, constants)
                before.append(onnx.helper.make_node("Cast", [name], [renamed[name]], f"{name}.cast", to=original))
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
        values_in.append(value)
    for name in targets:
        value = onnx.ValueInfoProto(name=name, type=types[name])
        if part == "prefix" and types[name].tensor_type.elem_type != FLOAT:
            value.type.tensor_type.elem_type = FLOAT
            renamed[name] = _fresh(f"{name}.{part}", types, constants)
            after.append(onnx.helper.make_node("Cast", [renamed[name]], [name], f"{name}.cast", to=FLOAT))
        values_out.append(value)
    body = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for names in (copy.input, copy.output):
            for i, name in enumerate(names):
                names[i] = renamed.get(name, name)
        body.append(copy)
    stored = [tensor for tensor in model.graph.initializer if tensor.name in read]
    graph = onnx.helper.make_graph([*before, *body, *after], part, values_in, values_out, stored)
    found = onnx.helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=model.ir_version, producer_name="tncc"
    )
    return bytes(found.SerializeToString(deterministic=True))


def _reader(nodes: list[onnx.NodeProto], name: str) -> str:
    return next((node.name for node in nodes if name in node.input), name)


def _fresh(base: str, types: dict[str, onnx.TypeProto], constants: Mapping[str, object]) -> str:
    name, count = base, 1
    while name in types or name in constants:
        name, count = f"{base}{count}", count + 1
    return name
