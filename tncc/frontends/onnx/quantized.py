"""Importers of layers on integer codes, as static quantisers write them: QLinearConv, QLinearMatMul, QGemm.

Products and sums of codes are integers, exact in float32 below 2 ** 24. What ONNX Runtime does with a sum is one
float32 product with `scale of x * scale of w / scale of y`, a clip to the codes of y and a rounding half to even, in
this order; the nn graph says the same. Only what the chip computes is imported so: the host runs the model's own nodes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from tncc.frontends.onnx.importer import FLOAT, Importer, Node, NotModelled, Tensor, imports
from tncc.frontends.onnx.layers import convolution
from tncc.ir import ops

Array = npt.NDArray[Any]
f32 = np.float32
EXACT = 1 << 24  # integers up to here are float32 numbers


def _scale(node: Node, i: int, channels: int = 1) -> Array:
    """Input i, a scale: float32 [1] or, for weights, [channels]."""
    value = node.constant(i)
    if value.dtype != np.float32 or value.size not in (1, channels):
        raise NotModelled("a scale is not float32 per tensor or output channel")
    return value.reshape(-1)


def _codes(node: Node, weight: Array, zero_point: Array | None, axis: int) -> Array:
    """Weights less their zero point (of the tensor, or along `axis`), as float32."""
    codes = weight.astype(np.int64)
    if zero_point is not None and np.any(zero_point):
        shape = [1] * weight.ndim
        shape[axis] = zero_point.size
        codes = codes - zero_point.astype(np.int64).reshape(shape)
    return codes.astype(np.float32)


def _centred(importer: Importer, node: Node, x: Tensor, i: int) -> Tensor:
    """x less its zero point, input i."""
    zero_point = node.optional_constant(i)
    if zero_point is None or not np.any(zero_point):
        return x
    if zero_point.size != 1:
        raise NotModelled("a zero point of the operand that is not one number")
    shift = importer.constant(zero_point.reshape(()).astype(np.float32), node.input_names[i])
    name = importer.fresh(f"{node.outputs[0]}.centred")
    return Tensor(importer.emit(ops.Binary, (x.name, shift), name, kind="sub"), x.shape, x.element_type)


def _scaled(importer: Importer, node: Node, sums: str, factor: Array, output: str) -> str:
    """The sums times a factor, one or one along the first dimension of a frame."""
    rank = len(importer.shapes[sums])
    shaped = factor.reshape(()) if factor.size == 1 else factor.reshape(-1, *(1,) * (rank - 1))
    multiplier = importer.constant(shaped, f"{node.outputs[0]}.factor")
    return importer.emit(ops.Binary, (sums, multiplier), output, kind="mul")


def _requantised(importer: Importer, node: Node, sums: str, factor: Array, i: int) -> None:
    """Defines the output as codes whose zero point, which also says of what type they are, is input i."""
    zero_point, output = node.constant(i), node.outputs[0]
    if zero_point.size != 1 or zero_point.dtype.kind not in "iu":
        raise NotModelled("the result's zero point is not one integer")
    shift, bounds = int(zero_point.reshape(())), np.iinfo(zero_point.dtype)
    value = _scaled(importer, node, sums, factor, importer.fresh(f"{output}.scaled"))
    low, high = float(int(bounds.min) - shift), float(int(bounds.max) - shift)
    value = importer.emit(ops.Clip, (value,), importer.fresh(f"{output}.clipped"), low=low, high=high)
    name = importer.fresh(f"{output}.rounded") if shift else output
    value = importer.emit(ops.Unary, (value,), name, kind="round")
    if shift:
        added = importer.constant(np.array(shift, np.float32), f"{output}.zero_point")
        value = importer.emit(ops.Binary, (value, added), output, kind="add")
    importer.define(output, value, onnx.helper.np_dtype_to_tensor_dtype(zero_point.dtype))


def _with_bias(importer: Importer, node: Node, sums: str, bias: Array | None, scale: str) -> str:
    """The sums plus a bias of int32 codes along the first dimension of a frame."""
    if bias is None or not np.any(bias):
        return sums
    if np.abs(bias.astype(np.int64)).max() >= EXACT:
        raise NotModelled("a bias beyond 2 ** 24")
    rank = len(importer.shapes[sums])
    added = importer.constant(bias.astype(np.float32).reshape(-1, *(1,) * (rank - 1)), scale)
    return importer.emit(ops.Binary, (sums, added), importer.fresh(f"{node.outputs[0]}.biased"), kind="add")


@imports("QLinearConv")
def qlinear_conv(importer: Importer, node: Node) -> None:
    x, weight = node.tensor(0), node.constant(3)
    scales = _scale(node, 1), _scale(node, 4, weight.shape[0]), _scale(node, 6)
    codes = _codes(node, weight, node.optional_constant(5), 0)
    sums = convolution(importer, node, _centred(importer, node, x, 2), codes, importer.fresh(f"{node.outputs[0]}.sum"))
    sums = _with_bias(importer, node, sums, node.optional_constant(8), f"{node.outputs[0]}.bias")
    _requantised(importer, node, sums, scales[0] * scales[1] / scales[2], 7)


@imports("QLinearMatMul")
def qlinear_matmul(importer: Importer, node: Node) -> None:
    x, weight = node.tensor(0), node.constant(3)
    if len(x.shape) != 1 or weight.ndim != 2:
        raise NotModelled("not a product of one vector per frame with a constant matrix")
    scales = _scale(node, 1), _scale(node, 4, weight.shape[1]), _scale(node, 6)
    codes = np.ascontiguousarray(_codes(node, weight, node.optional_constant(5), 1).T)
    operand = _centred(importer, node, x, 2)
    sums = importer.emit(ops.Linear, (operand.name,), importer.fresh(f"{node.outputs[0]}.sum"), weight=codes)
    _requantised(importer, node, sums, scales[0] * scales[1] / scales[2], 7)


@imports("QGemm")
def qgemm(importer: Importer, node: Node) -> None:
    x, weight = node.tensor(0), node.constant(3)
    if len(x.shape) != 1 or weight.ndim != 2 or node.get("transA", 0) or node.get("alpha", 1.0) != 1:
        raise NotModelled("not a product of one vector per frame with a constant matrix")
    out = 0 if node.get("transB", 0) else 1
    scales = _scale(node, 1), _scale(node, 4, weight.shape[out])
    codes = _codes(node, weight, node.optional_constant(5), out)
    codes = np.ascontiguousarray(codes if out == 0 else codes.T)
    operand = _centred(importer, node, x, 2)
    sums = importer.emit(ops.Linear, (operand.name,), importer.fresh(f"{node.outputs[0]}.sum"), weight=codes)
    sums = _with_bias(importer, node, sums, node.optional_constant(6), f"{node.outputs[0]}.bias")
    factor = scales[0] * scales[1]
    if node.operand(7) is not None:
        _requantised(importer, node, sums, factor / _scale(node, 7), 8)
    else:
        importer.define(node.outputs[0], _scaled(importer, node, sums, factor, node.outputs[0]), FLOAT)
