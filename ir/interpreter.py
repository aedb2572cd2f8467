"""Reference interpreter of the nn level: what every op means, in NumPy, for a batch of frames.

Real values are float32 and every elementwise op rounds once, as ONNX Runtime's own kernels do (with its graph
optimizations off); weighted sums of reals are summed in an order of NumPy's choosing. Integer sums are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import InputError, NotInterpretable
from tncc.ir import ops
from tncc.ir.graph import Graph
from tncc.ir.ops import Op
from tncc.ir.types import Domain, TensorType

Array = npt.NDArray[Any]

DTYPES: dict[Domain, npt.DTypeLike] = {
    Domain.REAL: np.float32,
    Domain.INT: np.int32,
    Domain.SPIKES: np.uint8,
    Domain.SIGNS: np.int8,
}
EXACT_FLOAT32 = 1 << 24  # every integer up to here is a float32, and so is every sum that stays below
WINDOW_ELEMENTS = 1 << 24  # unfolded windows held at once


def run(graph: Graph, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
    """The values of `outputs` (the graph's own where not given) for a batch of frames.

    Args:
        graph: an nn graph without `HostOp`.
        inputs: by graph input name, each [batch, *frame shape], any numeric dtype.
        outputs: names of the values to return; any value of the graph.

    Returns:
        By name, [batch, *frame shape]: float32 for real, int32 for int, uint8 for spikes, int8 for signs.

    Raises:
        InputError: an input is missing, has another shape, or holds numbers outside its domain.
        CompileError: the graph holds an op that has no meaning here (`HostOp`).
    """
    wanted = list(graph.outputs if outputs is None else outputs)
    values = {value.name: checked_input(value.name, value.type, inputs) for value in graph.inputs}
    batches = {array.shape[0] for array in values.values()}
    if len(batches) > 1:
        raise InputError(f"inputs differ in their number of frames: {sorted(batches)}")
    last_use = {name: i for i, op in enumerate(graph.ops) for name in op.inputs}
    last_use.update(dict.fromkeys(wanted, len(graph.ops)))
    for i, op in enumerate(graph.ops):
        values[op.output] = evaluate(op, [values[name] for name in op.inputs])
        for name in (*op.inputs, op.output):
            if last_use.get(name, -1) <= i:
                values.pop(name, None)
    batch = batches.pop() if batches else 1
    return {name: np.broadcast_to(values[name], (batch, *graph.types[name].shape)) for name in wanted}


def checked_input(name: str, type: TensorType, inputs: Mapping[str, Array]) -> Array:
    """Input `name` in its domain's dtype, [batch, *shape]. Raises InputError where it does not fit `type`."""
    if name not in inputs:
        raise InputError(f"input {name!r} is missing")
    given = np.asarray(inputs[name])
    if given.shape[1:] != type.shape or given.ndim == 0:
        raise InputError(f"input {name!r} has shape {given.shape}, expected {('batch', *type.shape)}")
    array = given.astype(DTYPES[type.domain])
    if type.domain is not Domain.REAL:
        allowed = {Domain.SPIKES: (0, 1), Domain.SIGNS: (-1, 1)}.get(type.domain)
        if not np.array_equal(array, given) or (allowed and not np.all(np.isin(array, allowed))):
            raise InputError(f"input {name!r} holds numbers that are not {type.domain}")
    return array


def evaluate(op: Op, operands: Sequence[Array]) -> Array:
    """The result of one op: operands [batch or 1, *frame shape], result [batch or 1, *op.type.shape].

    The result's frame may be smaller than `op.type` says where the operands' frames are: elementwise ops work
    on any shapes that broadcast. Raises CompileError for a `HostOp`.
    """
    rule = _RULES.get(type(op))
    if rule is None:
        what = op.op_type if isinstance(op, ops.HostOp) else op.mnemonic()
        raise NotInterpretable(f"{what} cannot be interpreted: the IR does not model it", op.location)
    with np.errstate(all="ignore"):
        result = np.asarray(rule(op, operands))
        if result.dtype == np.float32 and op.type.domain is not Domain.REAL:
            result = np.rint(result)  # c + (b - c) stands for b but for rounding
    return result.astype(DTYPES[op.type.domain], copy=False)


def aligned(operands: Sequence[Array]) -> list[Array]:
    """Operands of an elementwise op with frames padded to one rank, so that NumPy broadcasts frame to frame."""
    rank = max(array.ndim for array in operands)
    return [array.reshape(array.shape[:1] + (1,) * (rank - array.ndim) + array.shape[1:]) for array in operands]


def batch_norm_terms(op: ops.BatchNorm) -> tuple[Array, Array]:
    """(factor, offset), float32 [channels]: ONNX Runtime computes x * factor + offset, these two beforehand."""
    factor = op.gamma * (np.float32(1) / np.sqrt(op.variance + np.float32(op.epsilon)))
    return factor, op.beta - op.mean * factor


# --- rules -----------------------------------------------------------------------------------------------------------

Rule = Callable[[Any, Sequence[Array]], Array]


def _numbers(operands: Sequence[Array], domain: Domain) -> list[Array]:
    """Operands of an arithmetic op in one dtype: float32 where a real takes part, else int32."""
    real = domain is Domain.REAL or any(array.dtype == np.float32 for array in operands)
    return [array.astype(np.float32 if real else np.int32, copy=False) for array in operands]


def _constant(op: ops.Constant, operands: Sequence[Array]) -> Array:
    return op.value[None]


def _batch_norm(op: ops.BatchNorm, operands: Sequence[Array]) -> Array:
    x = operands[0].astype(np.float32, copy=False)
    factor, offset = (term.reshape(-1, *(1,) * (x.ndim - 2)) for term in batch_norm_terms(op))
    return np.asarray(x * factor + offset)


def _clip(op: ops.Clip, operands: Sequence[Array]) -> Array:
    x = operands[0].astype(np.float32, copy=False)
    return np.minimum(np.maximum(x, np.float32(op.low)), np.float32(op.high))


def _hard_sigmoid(op: ops.HardSigmoid, operands: Sequence[Array]) -> Array:
    x = operands[0].astype(np.float32, copy=False)
    line = x * np.float32(op.alpha) + np.float32(op.beta)
    return np.asarray(np.maximum(np.minimum(line, np.float32(1)), np.float32(0)))


UNARY: dict[str, Callable[[Array], Array]] = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "strict_sign": np.sign,
    "round": np.rint,
    "floor": np.floor,
    "ceil": np.ceil,
    "relu": lambda x: np.maximum(x, x.dtype.type(0)),
    "sigmoid": lambda x: (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32),
    "tanh": lambda x: np.tanh(x.astype(np.float64)).astype(np.float32),
    "not": lambda x: np.equal(x, 0),
}
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": np.minimum,
    "max": np.maximum,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "eq": np.equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
}


def _unary(op: ops.Unary, operands: Sequence[Array]) -> Array:
    return UNARY[op.kind](*_numbers(operands, op.type.domain))


def _binary(op: ops.Binary, operands: Sequence[Array]) -> Array:
    if op.kind == "div":  # of integers too: in the source model they are floats
        operands = [array.astype(np.float32, copy=False) for array in operands]
    return BINARY[op.kind](*_numbers(aligned(operands), op.type.domain))


def _where(op: ops.Where, operands: Sequence[Array]) -> Array:
    condition, a, b = aligned(operands)
    return np.where(condition != 0, *_numbers([a, b], op.type.domain))


def windows(x: Array, kernel: Sequence[int], op: Any, fill: float) -> Array:
    """Every window of a padded map: [batch, channels, out height, out width, kernel height, kernel width], a view."""
    (top, left, bottom, right), (dh, dw) = op.pads, getattr(op, "dilations", (1, 1))
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    reach = (dh * (kernel[0] - 1) + 1, dw * (kernel[1] - 1) + 1)
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
    return view[:, :, :: op.strides[0], :: op.strides[1], ::dh, ::dw]


def weighted_sum(x: Array, op: Any) -> Array:
    """sum(weight * x), grouped and strided: float32 for real weights or operands, else an exact integer sum."""
    weight, groups = op.weight, op.groups
    out, per_group, kh, kw = weight.shape
    integer = x.dtype != np.float32 and bool(np.all(weight == np.rint(weight)))
    largest = np.abs(weight).sum(axis=(1, 2, 3), dtype=np.float64).max(initial=0) * np.abs(x).max(initial=0)
    dtype = np.float64 if integer and largest >= EXACT_FLOAT32 else np.float32
    matrix = weight.reshape(groups, out // groups, -1).astype(dtype)
    parts = []
    frames = max(1, WINDOW_ELEMENTS // max(1, math.prod(op.type.shape[1:]) * per_group * groups * kh * kw))
    for start in range(0, x.shape[0], frames):
        view = windows(x[start : start + frames], (kh, kw), op, 0)
        batch, _, oh, ow = view.shape[:4]
        split = view.reshape(batch, groups, per_group, oh, ow, kh, kw).astype(dtype)
        columns = split.transpose(1, 2, 5, 6, 0, 3, 4).reshape(groups, per_group * kh * kw, batch * oh * ow)
        product = (matrix @ columns).reshape(out, batch, oh, ow)
        parts.append(product.transpose(1, 0, 2, 3))
    total = np.concatenate(parts) if parts else np.zeros((0, *op.type.shape), dtype)
    return total.astype(np.int32) if integer else total


def weight_bounds(weight: Array) -> tuple[Array, Array]:
    """Lowest and highest sum that spikes can give, int64 [out, 1, 1], of integer weights [out, ...]."""
    flat = weight.reshape(weight.shape[0], -1)
    low, high = (part.sum(axis=1, dtype=np.int64) for part in (np.minimum(flat, 0), np.maximum(flat, 0)))
    return low.reshape(-1, 1, 1), high.reshape(-1, 1, 1)


def reachable_thresholds(op: ops.SpikingConv2d) -> Array:
    """int64, like op.threshold: one beyond what the sums can reach is as good as the nearest one, and becomes it."""
    low, high = weight_bounds(op.weight)
    return np.clip(op.threshold.astype(np.int64), low, high + 1)


def _conv(op: ops.Conv2d, operands: Sequence[Array]) -> Array:
    return weighted_sum(operands[0], op)


def _trinary_conv(op: ops.TrinaryConv2d, operands: Sequence[Array]) -> Array:
    total = weighted_sum(operands[0], op)
    return np.asarray(total.astype(np.float32) * op.scale[:, None, None])


def _sign_conv(op: ops.SignConv2d, operands: Sequence[Array]) -> Array:
    return _trinary_conv(op, [2 * operands[0].astype(np.int8) - 1])


def _spiking_conv(op: ops.SpikingConv2d, operands: Sequence[Array]) -> Array:
    return np.greater_equal(weighted_sum(operands[0], op), op.threshold)


def _linear(op: ops.Linear, operands: Sequence[Array]) -> Array:
    x = operands[0]
    integer = x.dtype != np.float32 and bool(np.all(op.weight == np.rint(op.weight)))
    product = x.astype(np.float64 if integer else np.float32) @ op.weight.T
    return product.astype(np.int32) if integer else product


def _max_pool(op: ops.MaxPool2d, operands: Sequence[Array]) -> Array:
    x = operands[0]
    lowest = -np.inf if x.dtype == np.float32 else np.iinfo(x.dtype).min
    return np.asarray(windows(x, op.kernel, op, lowest).max(axis=(4, 5)))


def pool_counts(op: ops.AveragePool2d, shape: Sequence[int]) -> Array:
    """What each window's sum is divided by, float32 [out height, out width], for an operand of frame `shape`."""
    inside = np.ones((1, 1, *shape[1:]), np.float32)
    fill = 1 if op.count_include_pad else 0
    return np.asarray(windows(inside, op.kernel, op, fill).sum(axis=(4, 5))[0, 0])


def _average_pool(op: ops.AveragePool2d, operands: Sequence[Array]) -> Array:
    x = operands[0].astype(np.float32, copy=False)
    total = windows(x, op.kernel, op, 0).sum(axis=(4, 5), dtype=np.float32)
    return np.asarray(total / pool_counts(op, x.shape[1:]))


def rewire(op: Op, operands: Sequence[Array]) -> Array:
    """A wiring op on operands [batch or 1, *frame] of any dtype, which it keeps."""
    if isinstance(op, ops.Concat):
        batch = np.broadcast_shapes(*(array.shape[:1] for array in operands))
        same = [np.broadcast_to(array, (*batch, *array.shape[1:])) for array in operands]
        return np.concatenate(same, axis=op.axis + 1)
    (x,) = operands
    if isinstance(op, ops.Transpose):
        return x.transpose(0, *(axis + 1 for axis in op.permutation))
    if isinstance(op, ops.Gather):
        return np.take(x, op.indices, axis=op.axis + 1)
    assert isinstance(op, ops.Reshape)
    return x.reshape(x.shape[0], *op.type.shape)


_RULES: dict[type[Op], Rule] = {
    ops.Constant: _constant,
    ops.Conv2d: _conv,
    ops.Linear: _linear,
    ops.TrinaryConv2d: _trinary_conv,
    ops.SignConv2d: _sign_conv,
    ops.SpikingConv2d: _spiking_conv,
    ops.BatchNorm: _batch_norm,
    ops.Clip: _clip,
    ops.HardSigmoid: _hard_sigmoid,
    ops.Unary: _unary,
    ops.Binary: _binary,
    ops.Where: _where,
    ops.MaxPool2d: _max_pool,
    ops.AveragePool2d: _average_pool,
    **dict.fromkeys(ops.WIRING, rewire),
}
