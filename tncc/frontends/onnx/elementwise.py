"""Importers of elementwise operators: arithmetic, comparisons, logic, casts, clips, batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from tncc.frontends.onnx.importer import (
    BOOL,
    FLOAT,
    INTEGERS,
    Importer,
    Node,
    NotModelled,
    Tensor,
    as_float,
    imports,
)
from tncc.ir import ops
from tncc.ir.types import Domain

ARITHMETIC = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Min": "min", "Max": "max", "Sum": "add"}
COMPARISONS = {"Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt", "LessOrEqual": "le", "Equal": "eq"}
LOGIC = {"And": "and", "Or": "or", "Xor": "xor"}
UNARY = {
    "Neg": "neg",
    "Abs": "abs",
    "Sign": "sign",
    "Round": "round",
    "Floor": "floor",
    "Ceil": "ceil",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Not": "not",
}


def broadcast(importer: Importer, node: Node) -> tuple[list[str], int]:
    """Names of the operands of a broadcasting node as values of frames, and the element type of the tensors."""
    tensors = [operand for operand in node.inputs if isinstance(operand, Tensor)]
    if not tensors or any(operand is None for operand in node.inputs):
        raise NotModelled("an operand is missing")
    ranks = {len(tensor.shape) for tensor in tensors}
    if len(ranks) != 1 or not all(tensor.framed for tensor in tensors):
        raise NotModelled("operands of different rank: the batch would meet another dimension")
    (rank,) = ranks
    names = []
    for operand, name in zip(node.inputs, node.input_names, strict=True):
        if isinstance(operand, Tensor):
            names.append(operand.name)
        else:
            assert operand is not None
            names.append(importer.frame_constant(operand, rank, name))
    return names, tensors[0].element_type


@imports(*ARITHMETIC)
def arithmetic(importer: Importer, node: Node) -> None:
    names, element_type = broadcast(importer, node)
    if node.op_type == "Div" and element_type != FLOAT:
        raise NotModelled("integer division truncates")
    kind = ARITHMETIC[node.op_type]
    bounds = [operand for operand in node.inputs if isinstance(operand, np.ndarray)]
    if kind in ("min", "max") and len(names) == 2 and len(bounds) == 1 and bounds[0].size == 1:
        (x,) = (operand for operand in node.inputs if isinstance(operand, Tensor))
        bound = {"high" if kind == "min" else "low": _bound(bounds[0], 0)}
        importer.result(node, ops.Clip, (x.name,), element_type, **{"low": -np.inf, "high": np.inf, **bound})
        return
    value = names[0]
    for i, name in enumerate(names[1:], 1):
        last = i == len(names) - 1
        value = importer.emit(
            ops.Binary,
            (value, name),
            node.outputs[0] if last else importer.fresh(f"{node.outputs[0]}.{i}"),
            kind=kind,
        )
    importer.define(node.outputs[0], value, element_type)


@imports(*COMPARISONS, *LOGIC)
def comparison(importer: Importer, node: Node) -> None:
    names, _ = broadcast(importer, node)
    kind = (COMPARISONS | LOGIC)[node.op_type]
    importer.result(node, ops.Binary, tuple(names), BOOL, kind=kind)


@imports("Where")
def where(importer: Importer, node: Node) -> None:
    names, _ = broadcast(importer, node)
    chosen = node.inputs[1]
    element_type = (
        chosen.element_type
        if isinstance(chosen, Tensor)
        else onnx.helper.np_dtype_to_tensor_dtype(node.constant(1).dtype)
    )
    importer.result(node, ops.Where, tuple(names), element_type)


@imports(*UNARY)
def unary(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    kind = UNARY[node.op_type]
    if kind == "round" and _is_unit_clip(importer, x):
        # round half to even: 0.5 becomes 0; so this is a comparison
        half = importer.constant(np.array(0.5, np.float32), f"{node.outputs[0]}.half")
        importer.result(node, ops.Binary, (x.name, half), x.element_type, kind="gt")
        return
    importer.result(node, ops.Unary, (x.name,), x.element_type, kind=kind)


def _is_unit_clip(importer: Importer, x: Tensor) -> bool:
    producer = next((op for op in reversed(importer.ops) if op.output == x.name), None)
    low, high = importer.values[x.name].bounds
    return isinstance(producer, ops.HardSigmoid | ops.Clip) and low >= 0 and high <= 1


@imports("HardSigmoid")
def hard_sigmoid(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    alpha, beta = float(node.get("alpha", 0.2)), float(node.get("beta", 0.5))
    importer.result(node, ops.HardSigmoid, (x.name,), x.element_type, alpha=alpha, beta=beta)


@imports("HardSwish")
def hard_swish(importer: Importer, node: Node) -> None:
    """x times HardSigmoid(x) with alpha 1/6 and beta 1/2."""
    x = node.tensor(0)
    name = importer.fresh(f"{node.outputs[0]}.gate")
    gate = importer.emit(ops.HardSigmoid, (x.name,), name, alpha=1 / 6, beta=0.5)
    importer.result(node, ops.Binary, (x.name, gate), x.element_type, kind="mul")


@imports("LeakyRelu", "PRelu")
def leaky_relu(importer: Importer, node: Node) -> None:
    """x where x >= 0, else slope * x."""
    x, output = node.tensor(0), node.outputs[0]
    if node.op_type == "PRelu":
        slope = importer.frame_constant(node.constant(1), len(x.shape), node.input_names[1])
    else:
        slope = importer.constant(np.array(node.get("alpha", 0.01), np.float32), f"{output}.alpha")
    zero = importer.constant(np.array(0, np.float32), f"{output}.zero")
    below = importer.emit(ops.Binary, (x.name, zero), importer.fresh(f"{output}.below"), kind="lt")
    scaled = importer.emit(ops.Binary, (x.name, slope), importer.fresh(f"{output}.scaled"), kind="mul")
    importer.result(node, ops.Where, (below, scaled, x.name), x.element_type)


@imports("ThresholdedRelu")
def thresholded_relu(importer: Importer, node: Node) -> None:
    """x where x > alpha, else 0."""
    x, output = node.tensor(0), node.outputs[0]
    alpha, zero = (
        importer.constant(np.array(value, np.float32), f"{output}.{what}")
        for what, value in (("alpha", node.get("alpha", 1.0)), ("zero", 0))
    )
    above = importer.emit(ops.Binary, (x.name, alpha), importer.fresh(f"{output}.above"), kind="gt")
    importer.result(node, ops.Where, (above, x.name, zero), x.element_type)


@imports("Clip")
def clip(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    low, high = (_bound(node.optional_constant(i), default) for i, default in ((1, -np.inf), (2, np.inf)))
    importer.result(node, ops.Clip, (x.name,), x.element_type, low=low, high=high)


def _bound(value: Any, default: float) -> float:
    if value is None:
        return default
    if value.size != 1:
        raise NotModelled("a bound is not one number")
    return float(as_float(value, "bound").reshape(()))


@imports("Cast")
def cast(importer: Importer, node: Node) -> None:
    x, target = node.tensor(0), node.get("to")
    domain = importer.values[x.name].domain
    small = domain in (Domain.SPIKES, Domain.SIGNS)
    if target == BOOL:
        if domain is Domain.SPIKES:
            importer.alias(node, x, BOOL)
        else:
            zero = importer.constant(np.array(0, np.float32), f"{node.outputs[0]}.zero")
            equal = importer.emit(ops.Binary, (x.name, zero), importer.fresh(f"{node.outputs[0]}.equal"), kind="eq")
            importer.result(node, ops.Unary, (equal,), BOOL, kind="not")
    elif target == FLOAT or (target in INTEGERS and domain is not Domain.REAL):
        if target in INTEGERS and not small and target not in (onnx.TensorProto.INT32, onnx.TensorProto.INT64):
            raise NotModelled("the cast may wrap around")
        if domain is Domain.SIGNS and target in (onnx.TensorProto.UINT8, onnx.TensorProto.UINT16):
            raise NotModelled("the cast wraps -1 around")
        importer.alias(node, x, target)
    else:
        raise NotModelled("the cast rounds or truncates")


@imports("Identity")
def identity(importer: Importer, node: Node) -> None:
    importer.alias(node, node.tensor(0))


@imports("Dropout")
def dropout(importer: Importer, node: Node) -> None:
    training = node.optional_constant(2)
    if (training is not None and bool(training)) or len([name for name in node.outputs if name]) > 1:
        raise NotModelled("dropout in training mode")
    importer.alias(node, node.tensor(0))


@imports("BatchNormalization")
def batch_norm(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    gamma, beta, mean, variance = (node.constant(i) for i in (1, 2, 3, 4))
    if not x.shape or (len(node.outputs) > 1 and any(node.outputs[1:])):
        raise NotModelled("batch normalisation of scalars, or with statistics as outputs")
    for value in (gamma, beta, mean, variance):
        if value.dtype != np.float32 or value.shape != x.shape[:1]:
            raise NotModelled("parameters are not float32 per channel")
    importer.result(
        node,
        ops.BatchNorm,
        (x.name,),
        FLOAT,
        gamma=gamma,
        beta=beta,
        mean=mean,
        variance=variance,
        epsilon=float(node.get("epsilon", 1e-5)),
    )


def _quantization(importer: Importer, node: Node, rank: int) -> tuple[str, str | None]:
    """Scale and zero point (None where it is 0) as constants that broadcast against frames of `rank` dimensions."""
    scale = node.constant(1)
    zero_point = node.optional_constant(2)
    if scale.dtype != np.float32 or node.get("block_size", 0):
        raise NotModelled("the scale is not float32 per tensor or channel")
    axis = int(node.get("axis", 1)) % (rank + 1)
    names: list[str | None] = []
    for i, value in ((1, scale), (2, zero_point)):
        if value is None or (i == 2 and not np.any(value)):
            names.append(None)
            continue
        if value.ndim == 1 and value.size > 1:
            value = value.reshape(-1, *(1,) * (rank - axis))
        names.append(importer.frame_constant(value, rank, node.input_names[i]))
    assert names[0] is not None
    return names[0], names[1]


@imports("QuantizeLinear")
def quantize_linear(importer: Importer, node: Node) -> None:
    x, output = node.tensor(0), node.outputs[0]
    element_type = importer.probes[0].element_types.get(output, 0)
    if element_type not in INTEGERS:
        raise NotModelled("quantised to other than integers")
    scale, zero_point = _quantization(importer, node, len(x.shape))
    value = importer.emit(ops.Binary, (x.name, scale), importer.fresh(f"{output}.scaled"), kind="div")
    value = importer.emit(ops.Unary, (value,), importer.fresh(f"{output}.rounded"), kind="round")
    if zero_point is not None:
        value = importer.emit(ops.Binary, (value, zero_point), importer.fresh(f"{output}.shifted"), kind="add")
    bounds = np.iinfo(onnx.helper.tensor_dtype_to_np_dtype(element_type))
    importer.define(
        output,
        importer.emit(ops.Clip, (value,), output, low=float(bounds.min), high=float(bounds.max)),
        element_type,
    )


@imports("DequantizeLinear")
def dequantize_linear(importer: Importer, node: Node) -> None:
    x, output = node.tensor(0), node.outputs[0]
    scale, zero_point = _quantization(importer, node, len(x.shape))
    value = x.name
    if zero_point is not None:
        value = importer.emit(ops.Binary, (value, zero_point), importer.fresh(f"{output}.shifted"), kind="sub")
    importer.define(output, importer.emit(ops.Binary, (value, scale), output, kind="mul"), FLOAT)
