"""Cuts out what the host computes: ONNX Runtime runs the subgraphs before and after the chip."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace

import onnx

from tncc.errors import BypassesChip, ModuleInvalid
from tncc.frontends.onnx.clean import needed_nodes
from tncc.frontends.onnx.probes import BATCH, initializers
from tncc.ir.graph import Graph
from tncc.ir.netlist import Port
from tncc.ir.ops import Reshape
from tncc.ir.types import SPIKES_SUFFIX, TensorType

FLOAT = onnx.TensorProto.FLOAT


def split_host(model: onnx.ModelProto, entering: list[str], leaving: list[str]) -> tuple[bytes | None, bytes | None]:
    """The ONNX models that run on the host.

    Both have a free batch dimension, and at the boundary float32 tensors under the names of the original ones.

    Args:
        model: a cleaned model, as `load` returns it.
        entering: tensors whose spikes enter the chip. A name that no tensor has and that ends in "/spikes" stands for
            a tensor in {-1, +1}: a spike where it holds +1 (and half a spike where, against its promise, it holds 0).
        leaving: tensors whose spikes leave the chip; "/spikes" as before.

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
    for name in (*entering, *leaving):
        if _tensor(name, types) not in types:
            raise ModuleInvalid(f"the value {name!r} between host and chip is no tensor of the ONNX model", name)
    computed = [name for name in dict.fromkeys(entering) if name not in inputs]
    prefix = _cut(model, types, [], computed, "prefix") if computed else None
    wanted = [name for name in outputs if name not in leaving]
    suffix = _cut(model, types, list(dict.fromkeys(leaving)), wanted, "suffix") if wanted else None
    return prefix, suffix


def visible(model: onnx.ModelProto, graph: Graph, port: Port) -> Port:
    """The port under the name of a tensor of the ONNX model.

    One-dimensional layers become two-dimensional ones, whose maps have names of their own between two reshapes; where
    spikes leave the chip as such a map, they leave as the tensor instead: the same elements in the same order.

    Args:
        model: a cleaned model.
        graph: what was imported from it.
        port: an output of the chip.
    """
    types = {value.name for value in model.graph.input}.union(*(node.output for node in model.graph.node))
    name = _tensor(port.name, types)
    if name in types:
        return port
    shown = next((op for op in graph.consumers.get(name, ()) if isinstance(op, Reshape) and op.output in types), None)
    if shown is None:
        return port
    suffix = port.name.removeprefix(name)
    return replace(port, name=shown.output + suffix, type=TensorType(port.type.domain, shown.type.shape))


def _types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph = inferred.graph
    return {value.name: value.type for value in (*graph.input, *graph.value_info, *graph.output)}


def _cut(
    model: onnx.ModelProto, types: dict[str, onnx.TypeProto], sources: list[str], targets: list[str], part: str
) -> bytes:
    """The subgraph from the boundary tensors `sources` (or the model's inputs) to `targets`, serialised."""
    constants = initializers(model)
    tensors = {name: _tensor(name, types) for name in (*sources, *targets)}
    available = [node for node in model.graph.node if not {tensors[name] for name in sources}.intersection(node.output)]
    nodes = list(needed_nodes(available, {tensors[name] for name in targets}))[::-1]
    read = {tensors[name] for name in targets}.union(*(node.input for node in nodes))
    graph_inputs = [value.name for value in model.graph.input if value.name in read]
    if part == "suffix":
        bypassing = [name for name in graph_inputs if name not in sources]
        if bypassing:
            raise BypassesChip(
                f"output {targets[0]!r} depends on input {bypassing[0]!r} by a path that does not cross the chip",
                _reader(nodes, bypassing[0]),
                "let everything after the spiking layers depend on their outputs only",
            )
    boundary = _Boundary(part, types, constants)
    values_in, values_out = [], []
    for name in sources if part == "suffix" else graph_inputs:
        tensor = tensors.get(name, name)
        if tensor not in read:
            continue
        value = onnx.ValueInfoProto(name=name, type=types[tensor])
        if part == "suffix":
            value.type.tensor_type.elem_type = FLOAT
            boundary.decode(name, tensor)
        for dim in value.type.tensor_type.shape.dim[:1]:  # none where ONNX infers no shape, as behind QGemm
            dim.Clear()
            dim.dim_param = BATCH
        values_in.append(value)
    for name in targets:
        tensor = tensors[name]
        value = onnx.ValueInfoProto(name=name, type=types[tensor])
        if part == "prefix":
            value.type.tensor_type.elem_type = FLOAT
            boundary.encode(tensor, name)
        values_out.append(value)
    body = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for names in (copy.input, copy.output):
            for i, name in enumerate(names):
                names[i] = boundary.renamed.get(name, name)
        body.append(copy)
    stored = [tensor for tensor in model.graph.initializer if tensor.name in read]
    nodes = [*boundary.before, *body, *boundary.after]
    graph = onnx.helper.make_graph(nodes, part, values_in, values_out, [*stored, *boundary.constants])
    found = onnx.helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=model.ir_version, producer_name="tncc"
    )
    return bytes(found.SerializeToString(deterministic=True))


def _tensor(name: str, types: Container[str]) -> str:
    """The model's tensor that a boundary name stands for."""
    return name if name in types else name.removesuffix(SPIKES_SUFFIX)


class _Boundary:
    """Nodes between float32 spikes at the boundary and the model's own tensors: other types, {-1, +1} for {0, 1}."""

    def __init__(self, part: str, types: Mapping[str, onnx.TypeProto], stored: Mapping[str, object]) -> None:
        self.part, self.types, self.stored = part, types, stored
        self.before: list[onnx.NodeProto] = []
        self.after: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.renamed: dict[str, str] = {}  # tensors of the model whose name the boundary takes

    def decode(self, name: str, tensor: str) -> None:
        """From the spikes `name` to the model's tensor."""
        steps: list[tuple[str, float]] = [("Mul", 2.0), ("Sub", 1.0)] if name != tensor else []
        self._chain(self.before, name, tensor, steps, self.types[tensor].tensor_type.elem_type)

    def encode(self, tensor: str, name: str) -> None:
        """From the model's tensor to the spikes `name`."""
        steps: list[tuple[str, float]] = [("Add", 1.0), ("Mul", 0.5)] if name != tensor else []
        own_type = self.types[tensor].tensor_type.elem_type
        if not steps and own_type == FLOAT:
            return
        source = tensor
        if name == tensor:
            source = self.renamed[tensor] = _fresh(f"{tensor}.{self.part}", self.types, self.stored)
        if own_type != FLOAT:
            target = name if not steps else _fresh(f"{tensor}.float", self.types, self.stored)
            self.after.append(onnx.helper.make_node("Cast", [source], [target], f"{name}.cast", to=FLOAT))
            source = target
        if steps:
            self._chain(self.after, source, name, steps, FLOAT)

    def _chain(
        self, nodes: list[onnx.NodeProto], source: str, target: str, steps: list[tuple[str, float]], own_type: int
    ) -> None:
        """float32 arithmetic, then a cast where the target is of another type; renames the target where it must."""
        if not steps and own_type == FLOAT:
            return
        if source == target:
            self.renamed[target] = _fresh(f"{target}.{self.part}", self.types, self.stored)
            target = self.renamed[target]
        for i, (op_type, number) in enumerate(steps):
            last = i == len(steps) - 1 and own_type == FLOAT
            output = target if last else _fresh(f"{target}.{op_type}", self.types, self.stored)
            constant = _fresh(f"{target}.{number:g}", self.types, self.stored)
            self.constants.append(onnx.helper.make_tensor(constant, FLOAT, [], [number]))
            nodes.append(onnx.helper.make_node(op_type, [source, constant], [output], f"{target}.{op_type}"))
            source = output
        if own_type != FLOAT:
            nodes.append(onnx.helper.make_node("Cast", [source], [target], f"{target}.cast", to=own_type))


def _reader(nodes: list[onnx.NodeProto], name: str) -> str:
    return next((node.name for node in nodes if name in node.input), name)


def _fresh(base: str, types: Mapping[str, onnx.TypeProto], constants: Mapping[str, object]) -> str:
    name, count = base, 1
    while name in types or name in constants:
        name, count = f"{base}{count}", count + 1
    return name
