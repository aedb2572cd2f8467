"""Trinary networks from float ones, without training: `tncc compile --trinarize twn --calibrate DATA.npy`.

Layer by layer, on calibration data: every filter is rounded to -1, 0 or +1 by the rule of ternary weight networks (Li
et al. 2016: weights below 0.7 of the filter's mean magnitude are 0), every activation becomes one bit, and its integer
threshold is the one with which the bit, on the spikes that the layers before really send, stands best for the float
activation. The first layer keeps its real weights and the last, which stays on the host, is fitted again.

The result is another model. It runs exactly on the chip; how far it is from the float model is measured and reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from tncc.errors import InputError, TrinarizationRefused
from tncc.labels import check_labels
from tncc.session import InputPort, fitting
from tncc.twn_fit import as_column, fit_thresholds, heights, heights_of_spikes, ternarize
from tncc.twn_report import Fidelity, LayerFidelity, compare_outputs, correlation

Array = npt.NDArray[Any]

ACTIVATIONS = ("Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "Elu", "PRelu", "Celu", "Selu", "Softplus")
WEIGHTED = ("Conv", "Gemm", "MatMul")
BETWEEN = ("BatchNormalization", "Add", "Sub", "Mul", "Div", "Identity", "Dropout")  # of a layer, with constants
FRAMES = 1024  # calibration frames used at most
BATCH = 64
RIDGE = 0.05  # of the mean squared length of the last layer's inputs


@dataclass(frozen=True)
class Trinarized:
    """The new model and how near it comes to the float one."""

    model: onnx.ModelProto
    fidelity: Fidelity


def trinarize(model: onnx.ModelProto, data: Array, labels: Array | None = None) -> Trinarized:
    """A trinary, spiking model in place of a float one.

    Args:
        model: cleaned, as `tncc.frontends.onnx.load` returns it; chains of Conv, Gemm or MatMul, then batch
            normalisation or arithmetic with constants, then an activation; pools and reshapes between them.
        data: [frames, ...input shape], representative; the model is fitted to the first 1,024 frames, and on those
            behind them it is only measured.
        labels: integers [frames], classes among the first output's numbers, for measuring alone; they change nothing.

    Raises:
        CompileError: a layer that is not such a chain.
        InputError: the model has several inputs, or the data or the labels do not fit.
    """
    trinarizer = _Trinarizer(model, data)
    if labels is not None:
        labels = np.asarray(labels)
        with _naming("labels"):
            check_labels(labels, len(data))
    return trinarizer.run(labels)


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Errors about an array, which know only what is wrong with it, name it."""
    try:
        yield
    except InputError as error:
        raise InputError(error.message, what, error.hint) from None


@dataclass(frozen=True)
class _Layer:
    """A weighted node and the activation behind it; `path` are the nodes between."""

    weighted: onnx.NodeProto
    path: tuple[onnx.NodeProto, ...]
    activation: onnx.NodeProto


class _Trinarizer:
    def __init__(self, model: onnx.ModelProto, data: Array) -> None:
        self.float_model = model
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in self.constants]
        if len(inputs) != 1:
            raise InputError(f"--trinarize twn takes models with one input; this one has {len(inputs)}")
        shape = tuple(d.dim_value for d in inputs[0].type.tensor_type.shape.dim[1:])
        self.input = inputs[0].name
        self.dtype = helper.tensor_dtype_to_np_dtype(inputs[0].type.tensor_type.elem_type)
        with _naming("calibration data"):
            data = fitting(data, InputPort(self.input, self.dtype.name, shape))
            if not len(data):
                raise InputError("holds no frames: at least one is needed")
            if not all(np.isfinite(batch).all() for batch in self._batches(data)):
                raise InputError("holds NaN or infinity")
        self.data, self.held_out = data[:FRAMES], data[FRAMES:]
        self.reaching: set[str] = set()  # values that some weighted node reads, however indirectly
        for node in reversed(model.graph.node):
            if node.op_type in WEIGHTED or self.reaching.intersection(node.output):
                self.reaching.update(node.input)
        self.producer = {name: node for node in model.graph.node for name in node.output}
        self.layers: list[LayerFidelity] = []

    def run(self, labels: Array | None) -> Trinarized:
        layers = [layer for node in self.float_model.graph.node if (layer := self._layer(node))]
        if len(layers) < 2:
            raise TrinarizationRefused(
                "there is nothing to put on the chip: --trinarize twn needs two or more layers with an activation",
                self.float_model.graph.name,
            )
        self._spikes_of_first(layers[0])
        for layer in layers[1:]:
            self._spiking(layer)
        self._last(layers[-1])
        with _naming("labels"):
            fidelity = self._fidelity(labels)
        used = {name for node in self.model.graph.node for name in node.input}
        unused = [tensor for tensor in self.model.graph.initializer if tensor.name not in used]
        for tensor in unused:
            self.model.graph.initializer.remove(tensor)
        return Trinarized(self.model, fidelity)

    def _layer(self, node: onnx.NodeProto) -> _Layer | None:
        """The layer that ends in an activation node; None for other nodes and for activations behind the last layer."""
        if node.op_type not in ACTIVATIONS or node.output[0] not in self.reaching:
            return None
        path: list[onnx.NodeProto] = []
        at = self.producer.get(node.input[0])
        while at is not None and at.op_type in BETWEEN:
            path.append(at)
            varying = [name for name in at.input if name and name not in self.constants]
            if len(varying) != 1:
                break
            at = self.producer.get(varying[0])
        if at is None or at.op_type not in WEIGHTED or at.input[1] not in self.constants:
            where = at.name if at is not None else node.name
            what = at.op_type if at is not None else "the model's input"
            raise TrinarizationRefused(
                f"{what} stands where --trinarize twn expects Conv, Gemm or MatMul with constant weights, then "
                f"constants or batch normalisation, then {node.name}",
                where,
                "train the network with trinary weights and binary activations instead (tncc.train)",
            )
        return _Layer(at, tuple(path), node)

    # --- evaluation ------------------------------------------------------------------------------------------------

    def _batches(self, data: Array) -> Iterator[Array]:
        """The frames in the model's dtype, some at a time: they may lie in a file larger than memory."""
        for start in range(0, len(data), BATCH):
            with np.errstate(over="ignore"):  # to infinity, which is refused
                yield np.ascontiguousarray(data[start : start + BATCH], self.dtype)

    def _values(self, model: onnx.ModelProto, names: Sequence[str], data: Array | None = None) -> list[Array]:
        """Tensors of a model on the calibration data, or on other data, [frames, ...] each."""
        import onnxruntime

        probe = onnx.ModelProto()
        probe.CopyFrom(model)
        del probe.graph.output[:]
        probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(probe.SerializeToString(), options, ["CPUExecutionProvider"])
        frames = self._batches(self.data if data is None else data)
        parts = [session.run(list(names), {self.input: batch}) for batch in frames]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    # --- rewriting -------------------------------------------------------------------------------------------------

    def _constant(self, name: str, value: Array) -> str:
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def _replace(self, gone: onnx.NodeProto, new: Sequence[onnx.NodeProto]) -> None:
        """Puts nodes in the place of `gone`; what nothing reads any more is dropped."""
        nodes = list(self.model.graph.node)
        at = next(i for i, node in enumerate(nodes) if gone.output[0] in node.output)
        nodes[at : at + 1] = new
        needed = {value.name for value in self.model.graph.output}
        kept = []
        for node in reversed(nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        del self.model.graph.node[:]
        self.model.graph.node.extend(reversed(kept))

    def _fires(self, source: str, level: Array, kind: str, layer: _Layer) -> list[onnx.NodeProto]:
        """Nodes that make spikes, under the activation's name, of a tensor compared per channel."""
        name, output = layer.activation.name, layer.activation.output[0]
        constant = self._constant(f"{output}/level", level)
        truth = helper.make_node(kind, [source, constant], [f"{output}/fires"], f"{name}/fires")
        return [truth, helper.make_node("Cast", [f"{output}/fires"], [output], name, to=onnx.TensorProto.FLOAT)]

    def _spikes_of_first(self, layer: _Layer) -> None:
        """The first layer keeps its weights and its activation; the result is compared to half its height."""
        output = layer.activation.output[0]
        (activation,) = self._values(self.float_model, [output])
        _check_finite(activation, layer)
        height = heights(activation)
        level = np.where(height > 0, height / 2, np.finfo(np.float32).max)
        kept = onnx.NodeProto()
        kept.CopyFrom(layer.activation)
        kept.output[0] = f"{output}/real"
        kept.name = f"{layer.activation.name}/real"
        column = level.reshape(-1, *(1,) * (activation.ndim - 2))
        self._replace(layer.activation, [kept, *self._fires(kept.output[0], column, "Greater", layer)])
        self._measure(layer, None, activation)

    def _spiking(self, layer: _Layer) -> None:
        """A layer in the middle: trinary weights on spikes, an integer threshold a channel."""
        node, output = layer.weighted, layer.activation.output[0]
        activation, real = self._values(self.float_model, [output, node.input[0]])
        _check_finite(activation, layer)
        if node.op_type != "Conv" and activation.ndim != 2:
            raise TrinarizationRefused(
                f"{node.op_type} gives {list(activation.shape[1:])} a frame where --trinarize twn expects one number a "
                "neuron",
                node.name,
                "a Conv for layers on maps, or training with trinary weights (tncc.train)",
            )
        (spikes,) = self._values(self.model, [node.input[0]])
        if not np.all((spikes == 0) | (spikes == 1)):
            raise TrinarizationRefused(
                f"{node.name} does not read spikes after trinarisation: an operation between it and the activation "
                "before makes other numbers of them",
                node.name,
                "pool with MaxPool, and join branches with Concat",
            )
        filters, groups = _filters(node, self.constants[node.input[1]]), _groups(node)
        scales = heights_of_spikes(real, spikes).reshape(groups, 1, filters.shape[1])
        per_filter = np.broadcast_to(scales, (groups, filters.shape[0] // groups, filters.shape[1]))
        trinary = ternarize(filters * per_filter.reshape(*filters.shape[:2], *(1,) * (filters.ndim - 2)))
        column = (filters.shape[0], *(1,) * (activation.ndim - 2))
        sums = self._sums(layer, trinary)
        fires = self._fires(sums.output[0], np.zeros(column), "Greater", layer)
        self._replace(layer.activation, [sums, *fires])
        (totals,) = self._values(self.model, [sums.output[0]])
        thresholds = fit_thresholds(np.rint(totals).astype(np.int64), activation)
        level = (thresholds - 0.5).reshape(column)
        self._set(f"{output}/level", level)
        self._measure(layer, float(np.mean(trinary == 0)), activation)

    def _measure(self, layer: _Layer, zeros: float | None, activation: Array) -> None:
        """Notes how near the spikes of a finished layer are to the float model's activation."""
        (spikes,) = self._values(self.model, [layer.activation.output[0]])
        target = activation > as_column(heights(activation), activation) / 2
        meant = spikes * as_column(heights_of_spikes(activation, spikes), activation)
        agreement = float(np.mean((spikes > 0) == target))
        self.layers.append(LayerFidelity(layer.weighted.name, zeros, agreement, correlation(activation, meant)))

    def _sums(self, layer: _Layer, trinary: Array) -> onnx.NodeProto:
        """The weighted node with trinary weights and no bias. It keeps its name if no other activation reads it too."""
        node, output = layer.weighted, f"{layer.activation.output[0]}/sums"
        readers = sum(node.output[0] in other.input for other in self.float_model.graph.node)
        name = node.name if readers == 1 else f"{node.name}/{layer.activation.name}"
        convolution = node.op_type == "Conv"
        weight = self._constant(f"{output}/weight", trinary if convolution else trinary.T)
        made = helper.make_node("Conv" if convolution else "MatMul", [node.input[0], weight], [output], name)
        if convolution:
            made.attribute.extend(node.attribute)
        return made

    def _set(self, name: str, value: Array) -> None:
        (tensor,) = [t for t in self.model.graph.initializer if t.name == name]
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float32), name))

    def _last(self, layer: _Layer) -> None:
        """Behind the last spikes: their heights, and the next linear layer fitted to the float model's results."""
        output = layer.activation.output[0]
        (activation,), (spikes,) = self._values(self.float_model, [output]), self._values(self.model, [output])
        scale = self._constant(f"{output}/heights", as_column(heights_of_spikes(activation, spikes), activation))
        scaled = f"{output}/scaled"
        made = helper.make_node("Mul", [output, scale], [scaled], scaled)
        nodes = list(self.model.graph.node)
        for node in nodes:
            node.input[:] = [scaled if name == output else name for name in node.input]
        at = next(i for i, node in enumerate(nodes) if output in node.output) + 1
        del self.model.graph.node[:]
        self.model.graph.node.extend([*nodes[:at], made, *nodes[at:]])
        behind = {scaled}
        for node in list(self.model.graph.node)[at + 1 :]:
            if behind.intersection(node.input):
                behind.update(node.output)
                if node.op_type in WEIGHTED:
                    self._fit_again(node)
                    return

    def _fit_again(self, node: onnx.NodeProto) -> None:
        """Corrects a linear layer's weights, by ridge regression towards the float model's outputs of that layer."""
        constant = node.input[1] in self.constants
        if node.op_type == "Conv" or not constant:
            return
        (found, inputs), (wanted,) = (
            self._values(self.model, [node.output[0], node.input[0]]),
            self._values(self.float_model, [node.output[0]]),
        )
        if inputs.ndim != 2 or not np.all(np.isfinite(wanted)):
            return
        x = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1).astype(np.float64)
        gram = x @ x.T
        ridge = RIDGE * float(np.trace(gram)) / len(gram) * np.eye(len(gram))
        correction = x.T @ np.linalg.solve(gram + ridge, (wanted - found).astype(np.float64))
        filters = _filters(node, self.constants[node.input[1]]).T + correction[:-1]
        bias = correction[-1] + (_bias(node, self.constants) if len(node.input) > 2 else 0)
        weight_name = self._constant(f"{node.output[0]}/weight", filters)
        bias_name = self._constant(f"{node.output[0]}/bias", bias)
        product = helper.make_node("MatMul", [node.input[0], weight_name], [f"{node.output[0]}/product"], node.name)
        total = helper.make_node("Add", [product.output[0], bias_name], list(node.output), f"{node.name}/bias")
        self._replace(node, [product, total])

    def _fidelity(self, labels: Array | None) -> Fidelity:
        """Measures the finished model; labels: of all frames, or None."""
        name = self.float_model.graph.output[0].name
        found = []
        first = 0
        for data in (self.data, self.held_out):
            here = None if labels is None else labels[first : first + len(data)]
            first += len(data)
            (before,), (after,) = (
                (self._values(model, [name], data) if len(data) else [None]) for model in (self.float_model, self.model)
            )
            found.append(None if before is None or after is None else compare_outputs(before, after, here))
        assert found[0] is not None  # there is calibration data
        return Fidelity(tuple(self.layers), found[0], found[1])


def _check_finite(activation: Array, layer: _Layer) -> None:
    if not np.all(np.isfinite(activation)):
        raise TrinarizationRefused(
            "the float model computes NaN or infinity on the calibration data",
            layer.activation.name,
            "data like that which the network will see",
        )


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _filters(node: onnx.NodeProto, weight: Array) -> Array:
    """[out, in / groups, ...], Gemm's factor included."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Conv":
        return weight
    if node.op_type == "MatMul":
        return weight.T
    return np.asarray((weight if attributes.get("transB") else weight.T) * attributes.get("alpha", 1.0))


def _bias(node: onnx.NodeProto, constants: dict[str, Array]) -> Array:
    beta = next((attribute.f for attribute in node.attribute if attribute.name == "beta"), 1.0)
    return np.asarray(constants[node.input[2]] * beta)
