"""lower-signs: values in {-1, +1} become spikes, where a spike stands for +1."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.cone import live, trace
from tncc.ir.graph import Graph, Value
from tncc.ir.infer import estimators
from tncc.ir.interpreter import evaluate
from tncc.ir.location import Location
from tncc.ir.ops import WIRING, AveragePool2d, Binary, Constant, MaxPool2d, Op, SignConv2d, TrinaryConv2d, Where
from tncc.ir.types import SPIKES_SUFFIX, Domain, TensorType
from tncc.passes.base import Module, Pass
from tncc.passes.lines import as_map
from tncc.passes.lower_pools import add_mean

MOVES = (*WIRING, MaxPool2d)  # what does the same to spikes as to the signs they stand for


@dataclass(frozen=True)
class LowerSigns(Pass):
    """Layers that read {-1, +1} read spikes instead: TrinaryConv2d becomes SignConv2d, and so does AveragePool2d.

    Inputs and outputs of the graph that are signs become spikes under the name of the source model's tensor and
    "/spikes"; the host encodes and decodes them: a spike where the tensor holds +1.
    """

    name: ClassVar[str] = "lower-signs"
    takes: ClassVar[type[Graph]] = Graph

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        return _Lowering(module).run() if Domain.SIGNS in {t.domain for t in module.types.values()} else module


class _Lowering:
    """One rewriting of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.spikes = {v.name: v.name + SPIKES_SUFFIX for v in graph.inputs if self._is_signs(v.name)}
        self.inputs = tuple(
            Value(self.spikes.get(v.name, v.name), TensorType(Domain.SPIKES, v.type.shape)) for v in graph.inputs
        )
        self.build = Builder(replace(graph, inputs=self.inputs))
        self.build.reserve(*graph.types)

    def _is_signs(self, name: str) -> bool:
        return self.graph.types[name].domain is Domain.SIGNS

    def run(self) -> Graph:
        kept = estimators(self.graph)
        for name in tuple(self.spikes):
            self._decode(name)
        for op in self.graph.ops:
            if isinstance(op, TrinaryConv2d) and self._is_signs(op.inputs[0]):
                operand = self._spikes_of(op.inputs[0])
                location = op.location.via(LowerSigns.name)
                self.build.add(SignConv2d, (operand,), op.output, location, **dict(op.attributes()))
            elif isinstance(op, AveragePool2d) and self._is_signs(op.inputs[0]):
                location = op.location.via(LowerSigns.name)
                add_mean(self.build, op, self._spikes_of(op.inputs[0]), SignConv2d, location)
            elif isinstance(op, Binary) and op.kind in ("add", "sub") and op.output not in kept:
                self.build.append(replace(op, inputs=self._addends(op)))
            else:
                self.build.append(op)
        outputs = tuple(self._spikes_of(name) if self._is_signs(name) else name for name in self.graph.outputs)
        return live(replace(self.graph, inputs=self.inputs, ops=tuple(self.build.ops), outputs=outputs))

    def _decode(self, name: str) -> None:
        """Adds the signs that an input's spikes stand for, for readers other than layers."""
        self._where(self.spikes[name], name, name, Location.of(name))

    def _addends(self, op: Binary) -> tuple[str, ...]:
        """The operands; where signs are added to a layer's sums, the sums of a layer that repeats them."""
        names = list(op.inputs)
        domains = {self.graph.types[name].domain for name in names}
        if domains <= {Domain.SPIKES, Domain.SIGNS}:
            return tuple(self._decoded(name) if self._is_signs(name) else name for name in names)
        for i, (name, other) in enumerate((op.inputs, op.inputs[::-1])):
            alike = self.graph.types[name].shape == self.graph.types[other].shape == op.type.shape
            varying = self._is_signs(name) and not isinstance(self.graph.producer.get(name), Constant)
            if varying and alike and as_map(op.type.shape) and self._is_sum(other):
                names[i] = self._repeated(name, op.location.via(LowerSigns.name))
        return tuple(names)

    def _decoded(self, name: str) -> str:
        """The signs `name` as a function of the spikes that stand for them, for logic on spikes of several layers."""
        op = self.graph.producer.get(name)
        if op is None or isinstance(op, Constant) or self._made_of(name):
            return name
        return self._where(self._spikes_of(name), name, self.build.fresh(f"{name}/decoded"), op.location)

    def _where(self, spikes: str, name: str, output: str, location: Location) -> str:
        """Adds the signs that `spikes`, those of `name`, stand for."""
        location = location.via(LowerSigns.name)
        plus, minus = (self.build.constant(value, f"{name}/{value:+}", location) for value in (1, -1))
        type = self.graph.types[name]
        return self.build.append(Where(inputs=(spikes, plus, minus), output=output, type=type, location=location))

    def _repeated(self, name: str, location: Location) -> str:
        """Adds the layer whose sums are the signs `name`."""
        spikes, shape = self._spikes_of(name), self.graph.types[name].shape
        frame = as_map(shape)
        assert frame is not None
        if frame != shape:
            spikes = self.build.reshape(spikes, frame, self.build.fresh(f"{name}/map"), location)
        sums = self.build.add(
            SignConv2d,
            (spikes,),
            self.build.fresh(f"{name}/repeated"),
            location,
            weight=np.ones((frame[0], 1, 1, 1), np.int8),
            scale=np.ones(frame[0], np.float32),
            strides=(1, 1),
            pads=(0, 0, 0, 0),
            dilations=(1, 1),
            groups=frame[0],
        )
        return sums if frame == shape else self.build.reshape(sums, shape, self.build.fresh(f"{sums}/flat"), location)

    def _is_sum(self, name: str) -> bool:
        """Whether a value is computed from a layer's sums."""
        if self.graph.types[name].domain in (Domain.SPIKES, Domain.SIGNS):
            return False
        sources = (self.graph.producer.get(source) for source in trace(self.graph, name).sources)
        return any(isinstance(source, TrinaryConv2d | AveragePool2d) for source in sources)

    def _spikes_of(self, name: str) -> str:
        """The spikes that stand for a value in {-1, +1}; adds them where they are not there yet."""
        if name not in self.spikes:
            op = self.graph.producer[name]
            if isinstance(op, Constant):
                self.spikes[name] = self._append(replace(op, value=(op.value > 0).astype(np.uint8)))
            elif isinstance(op, MOVES):
                operands = tuple(self._spikes_of(operand) for operand in op.inputs)
                self.spikes[name] = self._append(replace(op, inputs=operands))
            else:
                self.spikes[name] = self._made_of(name) or self._encode(op)
        return self.spikes[name]

    def _append(self, op: Op) -> str:
        """Adds an op whose result is spikes, under the name of its result and "/spikes"."""
        type, location = TensorType(Domain.SPIKES, op.type.shape), op.location.via(LowerSigns.name)
        output = self.build.fresh(op.output + SPIKES_SUFFIX)
        return self.build.append(replace(op, output=output, type=type, location=location))

    def _made_of(self, name: str) -> str | None:
        """Spikes of which `name` is made by b -> 2 b - 1 in whatever form; None where it is not."""
        cone = trace(self.graph, name, through_spikes=False)
        frame = TensorType(Domain.SPIKES, self.graph.types[name].shape)
        moved = any(isinstance(op, WIRING) for op in cone.ops)
        if name in self.graph.outputs or moved or [self.graph.types[source] for source in cone.sources] != [frame]:
            return None
        for spike, sign in ((0, -1), (1, 1)):
            values = {cone.sources[0]: np.full((1, *frame.shape), spike, np.uint8)}
            for op in cone.ops:
                values[op.output] = evaluate(op, [values[operand] for operand in op.inputs])
            if not np.all(values[name] == sign):
                return None
        return cone.sources[0]

    def _encode(self, op: Op) -> str:
        """Adds (x + 1) / 2, which makes a spike of +1 and nothing spike-like of what is not a sign after all."""
        location = op.location.via(LowerSigns.name)
        one = self.build.constant(1, f"{op.output}/one", location)
        half = self.build.constant(0.5, f"{op.output}/half", location)
        raised = self.build.add(Binary, (op.output, one), self.build.fresh(f"{op.output}/raised"), location, kind="add")
        spikes = Binary(inputs=(raised, half), output=op.output, type=op.type, location=location, kind="mul")
        return self._append(spikes)
