"""Importers of weighted sums and pooling. One-dimensional ones become two-dimensional ones of height 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.frontends.onnx.importer import FLOAT, Importer, Node, NotModelled, Tensor, imports
from tncc.ir import ops

Array = npt.NDArray[Any]
Pair = tuple[int, int]
Quad = tuple[int, int, int, int]


def _spatial(x: Tensor) -> int:
    """Number of spatial dimensions, 1 or 2."""
    spatial = len(x.shape) - 1
    if spatial not in (1, 2):
        raise NotModelled(f"{spatial} spatial dimensions")
    return spatial


def _two(values: Any, spatial: int, default: int = 1) -> tuple[int, int]:
    """A spatial attribute as (height, width)."""
    given = [int(value) for value in values] if values else [default] * spatial
    if len(given) != spatial:
        raise NotModelled("a spatial attribute of the wrong length")
    return (1, given[0]) if spatial == 1 else (given[0], given[1])


def _pads(node: Node, x: Tensor, kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]) -> Quad:
    """(top, left, bottom, right), from pads or auto_pad."""
    spatial = len(x.shape) - 1
    mode = node.get("auto_pad", "NOTSET")
    if mode == "VALID":
        return (0, 0, 0, 0)
    if mode == "NOTSET":
        given = [int(value) for value in node.get("pads") or [0] * (2 * spatial)]
        if len(given) != 2 * spatial or min(given) < 0:
            raise NotModelled("negative pads")
        return (0, given[0], 0, given[1]) if spatial == 1 else (given[0], given[1], given[2], given[3])
    begins, ends = [], []
    sizes = (1, *x.shape[1:]) if spatial == 1 else x.shape[1:]
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + dilation * (k - 1) + 1 - size, 0)
        small, large = total // 2, total - total // 2
        begins.append(small if mode == "SAME_UPPER" else large)
        ends.append(large if mode == "SAME_UPPER" else small)
    return (begins[0], begins[1], ends[0], ends[1])


def _as_map(importer: Importer, x: Tensor) -> str:
    """`x` as [channels, height, width]."""
    if len(x.shape) == 3:
        return x.name
    return importer.reshape(x.name, (x.shape[0], 1, x.shape[1]), f"{x.name}.map")


def _finish(importer: Importer, node: Node, value: str, x: Tensor) -> None:
    """Defines the node's output as `value`, less the height where `x` has none."""
    output = node.outputs[0]
    if len(x.shape) == 2:
        channels, _, width = importer.shapes[value]
        value = importer.emit(ops.Reshape, (value,), output, shape=(channels, width))
    importer.define(output, value, importer.probes[0].element_types.get(output, FLOAT))


def _step_name(importer: Importer, node: Node, x: Tensor, last: bool) -> str:
    """The name of an op's result on the way to the node's output: the output's own if it is the last step."""
    output = node.outputs[0]
    return output if last and len(x.shape) != 2 else importer.fresh(f"{output}.map" if last else f"{output}.sum")


def _float_weight(weight: Array) -> Array:
    if weight.dtype != np.float32:
        raise NotModelled(f"weights are {weight.dtype}")
    if not weight.size:
        raise NotModelled("there are no weights")
    return weight


@imports("Conv")
def conv(importer: Importer, node: Node) -> None:
    x, weight, bias = node.tensor(0), _float_weight(node.constant(1)), node.optional_constant(2)
    biased = bias is not None and bool(np.any(bias))
    value = _convolved(importer, node, x, weight, _step_name(importer, node, x, not biased))
    if biased:
        assert bias is not None
        added = importer.constant(bias.reshape(-1, 1, 1), node.input_names[2])
        value = importer.emit(ops.Binary, (value, added), _step_name(importer, node, x, True), kind="add")
    _finish(importer, node, value, x)


def convolution(importer: Importer, node: Node, x: Tensor, weight: Array, output: str) -> str:
    """The sums of a node's convolution under the name `output`, with a height only where `x` has one."""
    if len(x.shape) == 3:
        return _convolved(importer, node, x, weight, output)
    value = _convolved(importer, node, x, weight, importer.fresh(f"{output}.map"))
    channels, _, width = importer.shapes[value]
    return importer.emit(ops.Reshape, (value,), output, shape=(channels, width))


def _convolved(importer: Importer, node: Node, x: Tensor, weight: Array, output: str) -> str:
    """The sums of a node's convolution as a map, under the name `output`."""
    spatial = _spatial(x)
    if weight.ndim != spatial + 2:
        raise NotModelled("the weight's rank does not fit the input's")
    if spatial == 1:
        weight = weight[:, :, None, :]
    kernel = (weight.shape[2], weight.shape[3])
    strides, dilations = _two(node.get("strides"), spatial), _two(node.get("dilations"), spatial)
    pads = _pads(node, x, kernel, strides, dilations)
    zeros = importer.padded.get(x.name)
    if zeros is not None and zeros.before[0] == zeros.after[0] == 0:
        x = zeros.tensor
        top, left = (0, *zeros.before[1:])[-2:]
        bottom, right = (0, *zeros.after[1:])[-2:]
        pads = (pads[0] + top, pads[1] + left, pads[2] + bottom, pads[3] + right)
    operand = _as_map(importer, x)
    strides, dilations = _in_reach(kernel, strides, dilations, pads, importer.shapes[operand][1:])
    return importer.emit(
        ops.Conv2d,
        (operand,),
        output,
        weight=weight,
        strides=strides,
        pads=pads,
        dilations=dilations,
        groups=int(node.get("group", 1)),
    )


def _in_reach(kernel: Pair, strides: Pair, dilations: Pair, pads: Quad, size: tuple[int, ...]) -> tuple[Pair, Pair]:
    """Strides and dilations without those that do nothing, of windows of one tap or at one place: they may be huge."""
    near = [d if k > 1 else 1 for d, k in zip(dilations, kernel, strict=True)]
    room = [size[i] + pads[i] + pads[i + 2] - near[i] * (kernel[i] - 1) for i in (0, 1)]
    steps = [max(1, min(strides[i], room[i])) if strides[i] > 0 else strides[i] for i in (0, 1)]
    return (steps[0], steps[1]), (near[0], near[1])


@imports("Gemm")
def gemm(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    if len(x.shape) != 1 or node.get("transA", 0):
        raise NotModelled("the first operand is not one vector per frame")
    weight = _float_weight(node.constant(1))
    weight = weight if node.get("transB", 0) else weight.T
    alpha, beta = np.float32(node.get("alpha", 1.0)), np.float32(node.get("beta", 1.0))
    if alpha != 1:
        weight = weight * alpha
    output, bias = node.outputs[0], node.operand(2)
    biased = bias is not None and not (isinstance(bias, np.ndarray) and not np.any(bias * beta))
    sum_name = importer.fresh(f"{output}.sum") if biased else output
    value = importer.emit(ops.Linear, (x.name,), sum_name, weight=np.ascontiguousarray(weight))
    if isinstance(bias, Tensor):
        if not bias.framed or len(bias.shape) != 1 or beta != 1:
            raise NotModelled("the bias is not one vector per frame")
        value = importer.emit(ops.Binary, (value, bias.name), output, kind="add")
    elif biased:
        assert bias is not None
        scaled = bias if beta == 1 else bias * beta
        added = importer.frame_constant(scaled, 1, node.input_names[2])
        value = importer.emit(ops.Binary, (value, added), output, kind="add")
    importer.define(output, value, FLOAT)


@imports("MatMul")
def matmul(importer: Importer, node: Node) -> None:
    left, right = node.inputs
    output = node.outputs[0]
    if isinstance(right, np.ndarray) and right.ndim == 2:
        x, weight = node.tensor(0), np.ascontiguousarray(_float_weight(right).T)
        if len(x.shape) == 1:
            importer.result(node, ops.Linear, (x.name,), FLOAT, weight=weight)
            return
        if len(x.shape) == 2:  # one linear layer for every row: a 1 x 1 convolution
            turned = importer.emit(ops.Transpose, (x.name,), importer.fresh(f"{output}.turned"), permutation=(1, 0))
            value = _pointwise(importer, turned, weight, importer.fresh(f"{output}.rows"))
            importer.result(node, ops.Transpose, (value,), FLOAT, permutation=(1, 0))
            return
    if isinstance(left, np.ndarray) and left.ndim == 2:
        x = node.tensor(1)
        if len(x.shape) == 2:
            importer.define(output, _pointwise(importer, x.name, _float_weight(left), output), FLOAT)
            return
    raise NotModelled("not a product of frames with a constant matrix")


def _pointwise(importer: Importer, value: str, weight: Array, output: str) -> str:
    """weight [out, in] times `value` [in, positions]: [out, positions]."""
    channels, positions = importer.shapes[value]
    mapped = importer.reshape(value, (channels, 1, positions), f"{value}.map")
    result = importer.emit(
        ops.Conv2d,
        (mapped,),
        importer.fresh(f"{output}.map"),
        weight=np.ascontiguousarray(weight[:, :, None, None]),
        strides=(1, 1),
        pads=(0, 0, 0, 0),
        dilations=(1, 1),
        groups=1,
    )
    return importer.emit(ops.Reshape, (result,), output, shape=(weight.shape[0], positions))


@imports("MaxPool", "AveragePool")
def pool(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    spatial = _spatial(x)
    if len([name for name in node.outputs if name]) > 1:
        raise NotModelled("pooling with indices as output")
    kernel = _two(node.get("kernel_shape"), spatial)
    strides, dilations = _two(node.get("strides"), spatial), _two(node.get("dilations"), spatial)
    pads = _pads(node, x, kernel, strides, dilations)
    is_max, include = node.op_type == "MaxPool", bool(node.get("count_include_pad", 0))
    sizes = (1, *x.shape[1:]) if spatial == 1 else x.shape[1:]
    if node.get("ceil_mode", 0) and not include:
        # a window that hangs over the end sees padding, which neither wins nor counts
        ends = []
        for axis in (0, 1):
            reach = dilations[axis] * (kernel[axis] - 1) + 1
            room = sizes[axis] + pads[axis] + pads[axis + 2] - reach
            windows = -(-room // strides[axis]) + 1
            if (windows - 1) * strides[axis] >= sizes[axis] + pads[axis]:
                windows -= 1
            ends.append(max(pads[axis + 2], (windows - 1) * strides[axis] + reach - sizes[axis] - pads[axis]))
        pads = (pads[0], pads[1], ends[0], ends[1])
    elif node.get("ceil_mode", 0):
        raise NotModelled("average pooling that counts padding, with ceil_mode")
    if not is_max and dilations != (1, 1):
        raise NotModelled("dilated average pooling")
    for axis in range(4):
        if pads[axis] > dilations[axis % 2] * (kernel[axis % 2] - 1):
            raise NotModelled("a window in the padding alone")
    attributes: dict[str, Any] = {"dilations": dilations} if is_max else {"count_include_pad": include}
    value = importer.emit(
        ops.MaxPool2d if is_max else ops.AveragePool2d,
        (_as_map(importer, x),),
        _step_name(importer, node, x, True),
        kernel=kernel,
        strides=strides,
        pads=pads,
        **attributes,
    )
    _finish(importer, node, value, x)


@imports("GlobalMaxPool", "GlobalAveragePool")
def global_pool(importer: Importer, node: Node) -> None:
    x = node.tensor(0)
    _spatial(x)
    _finish(importer, node, _pool_all(importer, node, x, _step_name(importer, node, x, True)), x)


def _pool_all(importer: Importer, node: Node, x: Tensor, output: str) -> str:
    """One window over the whole map: [channels, 1, 1]."""
    is_max = node.op_type in ("GlobalMaxPool", "ReduceMax")
    mapped = _as_map(importer, x)
    attributes: dict[str, Any] = {"dilations": (1, 1)} if is_max else {"count_include_pad": False}
    return importer.emit(
        ops.MaxPool2d if is_max else ops.AveragePool2d,
        (mapped,),
        output,
        kernel=importer.shapes[mapped][1:],
        strides=(1, 1),
        pads=(0, 0, 0, 0),
        **attributes,
    )


@imports("ReduceMean", "ReduceMax")
def reduce(importer: Importer, node: Node) -> None:
    """A reduction over all spatial dimensions is a global pooling; others stay on the host."""
    x = node.tensor(0)
    given = node.get("axes")
    if given is None:
        axes_input = node.optional_constant(1)
        given = None if axes_input is None else axes_input.reshape(-1).tolist()
    rank = len(x.shape) + 1
    if not given or sorted(int(axis) % rank for axis in given) != list(range(2, rank)) or rank not in (3, 4):
        raise NotModelled("a reduction over other than the spatial dimensions")
    output = node.outputs[0]
    value = _pool_all(importer, node, x, importer.fresh(f"{output}.map"))
    shape = (x.shape[0], *[1] * (rank - 2)) if node.get("keepdims", 1) else (x.shape[0],)
    importer.result(node, ops.Reshape, (value,), x.element_type, shape=shape)
