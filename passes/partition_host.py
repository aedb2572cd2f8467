"""partition-host: cut out the part of the model that runs on the chip; what lies before and after stays on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tncc.errors import (
    BypassesChip,
    CompileError,
    HostOperatorOnChip,
    NoSpikingLayer,
    PipelineInvalid,
    RealValueOnChip,
    SignThreeValued,
    SumLeavesChip,
)
from tncc.ir.chip import Chip
from tncc.ir.cone import trace
from tncc.ir.graph import Graph, Value
from tncc.ir.infer import infer_domains
from tncc.ir.ops import (
    WIRING,
    AveragePool2d,
    BatchNorm,
    Binary,
    Clip,
    Constant,
    Conv2d,
    HardSigmoid,
    HostOp,
    Linear,
    MaxPool2d,
    Op,
    Reshape,
    TrinaryConv2d,
    Unary,
)
from tncc.ir.types import Domain, TensorType
from tncc.passes.base import Module, Pass
from tncc.passes.strict_signs import LAYERS, all_readers, with_strict_signs
from tncc.passes.trinarize_weights import trinary_form

INPUTS = ("auto", "spikes", "real")


@dataclass(frozen=True)
class PartitionHost(Pass):
    """The graph between the first binary values (spikes, or signs {-1, +1}) and the last spiking layer.

    The result's inputs are the tensors in which spikes enter, its outputs those in which they leave; both keep
    their names, so the host's subgraphs can be cut out of the source model there.

    Options:
        inputs: how model inputs are taken. spikes: as {0, 1}, straight onto the chip. real: as numbers, which
            need a binary activation on the host first. auto: spikes where every reader of the input is a layer
            with trinary weights, else real.

    Raises CompileError: no spiking layer; a value between spiking layers that is neither a spike nor a weighted
    sum of spikes; a value that passes around the chip from host to host.
    """

    name: ClassVar[str] = "partition-host"
    takes: ClassVar[type[Graph]] = Graph
    exact: ClassVar[bool] = False  # it computes another function: a part of the model's

    inputs: str = "auto"

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        if self.inputs not in INPUTS:
            raise PipelineInvalid(f"inputs={self.inputs} is unknown; there are {', '.join(INPUTS)}", self.name)
        return _Partition(with_strict_signs(_typed_inputs(module, self.inputs), chip)).chip_graph()


def _typed_inputs(graph: Graph, choice: str) -> Graph:
    """The graph with the model inputs that are to be taken as spikes typed so, and all domains inferred again."""
    if choice == "real":
        return graph
    inputs = tuple(
        Value(value.name, TensorType(Domain.SPIKES, value.type.shape))
        if choice == "spikes" or all_readers(graph, value.name, _is_trinary, lambda op: isinstance(op, WIRING))
        else value
        for value in graph.inputs
    )
    return graph if inputs == graph.inputs else infer_domains(replace(graph, inputs=inputs))


def _is_trinary(op: Op) -> bool:
    return isinstance(op, Conv2d | Linear) and bool(np.all(trinary_form(op.weight)[2]))


class _Partition:
    """One analysis of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.host = self._host_prefix()
        self.layers = self._sums_of_spikes()
        self.neurons = self._neurons()

    def _is_binary(self, name: str) -> bool:
        return self.graph.types[name].domain in (Domain.SPIKES, Domain.SIGNS)

    def _host_prefix(self) -> set[str]:
        """Values made of nothing but model inputs, up to the first weighted layers that read spikes."""
        host = {value.name for value in self.graph.inputs}
        for op in self.graph.ops:
            varying = [name for name in op.inputs if not isinstance(self.graph.producer.get(name), Constant)]
            if varying and all(name in host for name in varying) and not self._sums_spikes(op):
                host.add(op.output)
        return host

    def _sums_spikes(self, op: Op) -> bool:
        return isinstance(op, LAYERS) and self._is_binary(op.inputs[0])

    def _sums_of_spikes(self) -> set[str]:
        """Values that depend on a weighted layer that reads spikes."""
        found: set[str] = set()
        for op in self.graph.ops:
            if self._sums_spikes(op) or any(name in found for name in op.inputs):
                found.add(op.output)
        return found

    def _neurons(self) -> set[str]:
        """Spikes that the chip computes; each is checked back to the spikes it is made of."""
        neurons = {
            op.output
            for op in self.graph.ops
            if op.output in self.layers and self._is_binary(op.output) and not isinstance(op, WIRING)
        }
        for op in self.graph.ops:
            if op.output in neurons:
                self._check_neuron(op)
        if not neurons:
            sums = self._sums_of_spikes()
            for op in self.graph.ops:
                if isinstance(op, Unary) and op.kind == "sign" and op.inputs[0] in sums:
                    raise SignThreeValued(
                        "Sign is three-valued (0 at 0): it makes spikes only where layers or (sign(x) + 1) / 2 read "
                        "it, or no sum can be 0",
                        op.location,
                        "write x >= 0, cast to float, in its place",
                    )
            found = (
                "the model has no spiking layer: no weighted layer reads spikes {0, 1} and ends in a binary activation"
            )
            reader = self._host_operator_behind_layers()
            raise NoSpikingLayer(
                found if reader is None else f"{found}; sums end in {reader.op_type}, which only the host computes",
                self.graph.name if reader is None else reader.location,
                "a spiking layer is Conv or Gemm with trinary weights, then x >= threshold, cast to float; its input "
                "is such an activation, or the model input with {0, 1} data (inputs=spikes); a float network is "
                "trained again (docs/training.md) or approximated (--trinarize twn --calibrate DATA)",
            )
        return neurons

    def _host_operator_behind_layers(self) -> HostOp | None:
        """The first operator that only the host computes and that reads, from afar, a weighted sum of binary values."""
        binary: set[str] = set()
        weighted: set[str] = set()
        for op in self.graph.ops:
            if weighted.intersection(op.inputs):
                if isinstance(op, HostOp):
                    return op
                weighted.add(op.output)
            elif binary.intersection(op.inputs):
                (weighted if isinstance(op, LAYERS) else binary).add(op.output)
            elif op.inputs and self._is_binary(op.output):
                binary.add(op.output)
        return None

    def _check_neuron(self, neuron: Op) -> None:
        """Raises CompileError unless `neuron` is computed from weighted sums of spikes by ops the IR models."""
        pending, seen = [neuron], {neuron.output}
        while pending:
            op = pending.pop()
            if isinstance(op, HostOp):
                raise HostOperatorOnChip(
                    f"{op.op_type} is not supported between spiking layers ({neuron.location} makes spikes of its "
                    "result)",
                    op.location,
                    "move it before the first binary activation or after the last spiking layer",
                )
            weighs = isinstance(op, LAYERS) and not isinstance(op, MaxPool2d)
            if weighs and not self._is_binary(op.inputs[0]) and not self._averages_sums(op):
                raise self._real_operand(op)
            for name in op.inputs:
                if name in seen or self._is_binary(name):
                    continue
                seen.add(name)
                if name in self.host:
                    raise RealValueOnChip(
                        f"the host's real value {name!r} joins the spiking layers' values here",
                        op.location,
                        "a real value can reach the chip only through a binary activation",
                    )
                pending.append(self.graph.producer[name])

    def _averages_sums(self, op: Op) -> bool:
        """Whether `op` is an average pool of weighted sums of spikes that are at most scaled and added up before."""
        if not isinstance(op, AveragePool2d):
            return False
        cone = trace(self.graph, op.inputs[0])
        linear = all(
            isinstance(inner, Constant | BatchNorm | Reshape)
            or (isinstance(inner, Binary) and inner.kind in ("add", "sub", "mul", "div"))
            or (isinstance(inner, Unary) and inner.kind == "neg")
            for inner in cone.ops
        )
        made = [self.graph.producer.get(name) for name in cone.sources]
        return linear and all(isinstance(source, Conv2d | Linear | TrinaryConv2d) for source in made)

    def _real_operand(self, op: Op) -> CompileError:
        """The error for a weighted layer behind a spiking one whose operand is not spikes."""
        name = op.inputs[0]
        at = self.graph.producer.get(name)
        while isinstance(at, WIRING):
            if all(map(self._is_binary, at.inputs)):
                return RealValueOnChip(
                    f"{{0, 1}} and {{-1, +1}} are joined, and {op.location} reads both on the chip",
                    at.location,
                    "join spikes of one kind: 2 * s - 1 makes {-1, +1} of {0, 1}",
                )
            name = next(each for each in at.inputs if not self._is_binary(each))
            at = self.graph.producer.get(name)
        if at is None or name in self.host:
            return RealValueOnChip(
                f"reads the host's real value {name!r} and results of spiking layers",
                op.location,
                "a real value can reach the chip only through a binary activation",
            )
        if isinstance(at, HostOp):
            return HostOperatorOnChip(
                f"{at.op_type} is not supported between spiking layers ({op.location} reads its result)",
                at.location,
                "move it before the first binary activation or after the last spiking layer",
            )
        what = at.kind if isinstance(at, Unary) else at.mnemonic()
        if isinstance(at, Unary | Clip | HardSigmoid):
            text = f"{what} is a real activation, but {op.location} runs on the chip and reads its result"
        else:
            text = f"the result is not spikes ({self.graph.types[at.output]}), but {op.location} reads it on the chip"
        hint = "put a binary activation (x >= threshold, cast to float) between the two layers"
        if isinstance(at, AveragePool2d) and self._is_binary(at.inputs[0]):
            hint = (
                "means of spikes go into a layer's weights where all windows cover as many spikes and none of the "
                "layer's padding lies over spikes; else put a binary activation (x >= threshold, cast to float) between"
            )
        if isinstance(at, MaxPool2d):
            hint = "pool after the binary activation instead of before it"
        return RealValueOnChip(text, at.location, hint)

    def _ancestors(self) -> Iterator[Op]:
        """Ops that the neurons need and the host does not compute, last first."""
        needed = set(self.neurons)
        for op in reversed(self.graph.ops):
            if op.output in needed and (op.output not in self.host or isinstance(op, WIRING)):
                needed.update(op.inputs)
                yield op

    def chip_graph(self) -> Graph:
        """The part that runs on the chip."""
        ops = tuple(self._ancestors())[::-1]
        made = {op.output for op in ops}
        entering = dict.fromkeys(name for op in ops for name in op.inputs if name not in made)
        leaving = self._leaving(made)
        inputs = tuple(Value(name, self.graph.types[name]) for name in entering)
        return Graph(self.graph.name, inputs, ops, leaving, self.graph.approximations)

    def _leaving(self, made: set[str]) -> tuple[str, ...]:
        """Chip values that the host reads, in order. Raises CompileError where it reads anything else."""
        leaving = []
        readers = [(op.inputs, str(op.location)) for op in self.graph.ops if self._on_host_after(op, made)]
        readers.append((self.graph.outputs, f"output of {self.graph.name}"))
        read = {name: reader for names, reader in reversed(readers) for name in names}
        for name in self.graph.types:
            if name not in read:
                continue
            if name in self.host:
                raise BypassesChip(
                    f"the host's value {name!r} passes around the chip: it is needed after the last spiking layer",
                    read[name],
                    "let everything behind the spiking layers depend on their outputs only",
                )
            if name in made and name in self.layers:
                if not self._is_binary(name):
                    raise SumLeavesChip(
                        f"the value {name!r} is read on the host, but it is a sum inside a spiking layer, not spikes",
                        read[name],
                        "let the host read the layer's binary activation",
                    )
                leaving.append(name)
        return tuple(leaving)

    def _on_host_after(self, op: Op, made: set[str]) -> bool:
        return op.output not in made and op.output not in self.host and not isinstance(op, Constant)
