"""merge-sums: the sum of two layers' sums is one layer on both inputs; residual connections become synapses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tncc.ir.builder import Builder, pick, side_by_side
from tncc.ir.chip import Chip
from tncc.ir.cone import live
from tncc.ir.graph import Graph
from tncc.ir.infer import estimators
from tncc.ir.interpreter import pool_counts
from tncc.ir.location import Location
from tncc.ir.ops import (
    AveragePool2d,
    Binary,
    Concat,
    Constant,
    Op,
    SignConv2d,
    TrinaryConv2d,
    integer_weight,
)
from tncc.ir.types import Domain, TensorType
from tncc.passes.base import Module, Pass
from tncc.passes.lines import as_map, keeps_map, per_channel
from tncc.passes.taps import Taps, Window, common_window
from tncc.passes.trinarize_weights import integer_form
from tncc.passes.weighted_sum import UNIT

Array = npt.NDArray[Any]
LARGEST = 255  # weight of a merged layer
DEPTH = 64  # constants and reshapes that a part may have gone through
MAX_SIZE = 1 << 24  # weights, or inputs, of a merged layer: sums of sums of sums grow exponentially
MAX_OF_ONE = 1 << 16  # the same for the sum of a layer and itself


@dataclass(frozen=True)
class MergeSums(Pass):
    """add and sub of two TrinaryConv2d, or of one and spikes or averages of spikes, become one TrinaryConv2d.

    Their scales must be small multiples of one in every channel. Kernels, strides and input sizes may differ: the
    smaller operand is spread out, or the larger one picked from, as wiring. Constants that were added to the parts are
    added to the sum; constant factors of the parts go into the weights. What does not fit is left alone.
    """

    name: ClassVar[str] = "merge-sums"
    takes: ClassVar[type[Graph]] = Graph

    def run(self, module: Module, chip: Chip) -> Module:
        assert isinstance(module, Graph)
        build = Builder(module)
        merging = _Merging(build)
        kept = estimators(module)
        for op in module.ops:
            sums = isinstance(op, Binary) and op.kind in ("add", "sub") and op.output not in kept and merging.merge(op)
            if not sums:
                build.append(op)
        return live(module.with_ops(build.ops))


def why_apart(graph: Graph, op: Op) -> str:
    """Why merge-sums leaves the add or sub `op` alone, as words; "" where that is not known."""
    if not (isinstance(op, Binary) and op.kind in ("add", "sub")):
        return ""
    build = Builder(graph)
    for before in graph.ops:
        build.append(before)
    merging = _Merging(build)
    a, b = (merging.part(name) for name in op.inputs)
    for part, name in ((a, op.inputs[0]), (b, op.inputs[1])):
        if part is None:
            maker = graph.producer.get(name)
            kind = maker.mnemonic() if maker is not None else "an input"
            kind = getattr(maker, "kind", "") or kind
            where = f" ({maker.location})" if maker is not None else ""
            return f"one of the values added up is the result of {kind}{where}, not a weighted sum and a constant"
    assert a is not None and b is not None
    if type(a.layer) is not type(b.layer):
        return "one layer reads {0, 1}, the other {-1, +1}"
    if (size := _merged_size(a.layer, b.layer, build)) > MAX_SIZE:
        return f"one layer for both would have {size:,} weights or inputs; up to {MAX_SIZE:,} are taken"
    if _common_scale(a.layer, b.layer) is None:
        ratio = a.layer.scale.astype(np.float64) / b.layer.scale
        worst = int(np.argmax(np.abs(ratio - np.rint(ratio))))
        return (
            f"the weights of {a.layer.location} count {a.layer.scale[worst]:g} and those of {b.layer.location} "
            f"{b.layer.scale[worst]:g} in output channel {worst}: no multiples 1 to {LARGEST} of one scale"
        )
    return "their windows do not fit onto one operand"


@dataclass(frozen=True)
class _Part:
    """A value that is a layer's sums plus constants, [channels] or scalars; the layer's map may have more dimensions
    of size 1."""

    layer: TrinaryConv2d
    constants: tuple[Array, ...] = ()


class _Merging:
    """Which values of a graph that is being built are a layer's sums."""

    def __init__(self, build: Builder) -> None:
        self.build = build
        self._made: dict[str, Op] = {}
        self._seen = 0
        self._parts: dict[str, _Part | None] = {}

    def _maker(self, name: str) -> Op | None:
        for op in self.build.ops[self._seen :]:
            self._made[op.output] = op
        self._seen = len(self.build.ops)
        return self._made.get(name)

    def merge(self, op: Binary) -> bool:
        """Adds the one layer for a sum of two; False where `op` is no such sum or they do not fit."""
        a, b = (self.part(name) for name in op.inputs)
        if a is None or b is None or type(a.layer) is not type(b.layer) or a.layer.type.shape != b.layer.type.shape:
            return False
        if all(self.build.types[name].domain is Domain.SPIKES for name in op.inputs):
            return False  # lower-logic's
        if any(self.build.types[name].shape != op.type.shape for name in op.inputs):
            return False
        same = a.layer.output == b.layer.output  # fold-thresholds takes functions of one layer's sums as they are
        if _merged_size(a.layer, b.layer, self.build) > (MAX_OF_ONE if same else MAX_SIZE):
            return False
        alike = _common_scale(a.layer, b.layer)
        if alike is None:
            return False
        fitted = _fitted(self.build, *alike, op.output)
        if fitted is None:
            return False
        sign = -1 if op.kind == "sub" else 1
        _emit(self.build, op, fitted, sign, (*a.constants, *(sign * constant for constant in b.constants)))
        return True

    def part(self, name: str, depth: int = 0) -> _Part | None:
        """What a value is, if it is a layer's sums plus constants; for spikes the identity."""
        if name not in self._parts and depth < DEPTH:
            self._parts[name] = self._find(name, depth + 1)
        return self._parts.get(name)

    def _find(self, name: str, depth: int) -> _Part | None:
        made, type = self._maker(name), self.build.types[name]
        if isinstance(made, TrinaryConv2d):
            return _Part(made)
        if type.domain is Domain.SPIKES:
            return self._identity(name, type)
        if isinstance(made, AveragePool2d) and self.build.types[made.inputs[0]].domain is Domain.SPIKES:
            return self._average(made)
        if made is not None and keeps_map(made, self.build.types[made.inputs[0]].shape if made.inputs else ()):
            return self.part(made.inputs[0], depth)
        if isinstance(made, Binary) and made.kind in ("add", "sub"):
            return self._raised(made, depth)
        if isinstance(made, Binary) and made.kind in ("mul", "div"):
            return self._scaled(made, depth)
        return None

    def _operands(self, made: Binary, depth: int) -> tuple[_Part, Array] | None:
        """A part and a constant, a scalar or [channels], that `made` is computed from."""
        names = list(made.inputs)
        if made.kind in ("add", "mul") and isinstance(self._maker(names[0]), Constant):
            names.reverse()
        constant = self._maker(names[1])
        inner = self.part(names[0], depth)
        if not isinstance(constant, Constant) or constant.value.dtype != np.float32 or inner is None:
            return None
        value = per_channel(constant.value, made.type.shape)
        if value is None or self.build.types[names[0]].shape != made.type.shape:
            return None
        return inner, value

    def _scaled(self, made: Binary, depth: int) -> _Part | None:
        """A part without constants times or over a constant."""
        found = self._operands(made, depth)
        if found is None or found[0].constants or not np.all(np.isfinite(found[1]) & (found[1] != 0)):
            return None
        layer, factor = found[0].layer, np.broadcast_to(found[1].astype(np.float64), found[0].layer.scale.shape)
        factor = 1 / factor if made.kind == "div" else factor
        exact = layer.scale * np.abs(factor)
        with np.errstate(over="ignore", under="ignore"):
            scale = exact.astype(np.float32)
        if not np.all(np.isfinite(scale) & (np.abs(scale - exact) <= UNIT * exact)):
            return None
        # the source model rounds the product or the quotient, and the scale is rounded here
        rounds = not np.all(np.abs(np.frexp(factor)[0]) == 0.5)
        weight = integer_weight(layer.weight * np.sign(factor).astype(np.int16)[:, None, None, None])
        tolerance = layer.tolerance + (3 * UNIT if rounds else 0.0)
        return _Part(replace(layer, weight=weight, scale=scale, tolerance=tolerance))

    def _raised(self, made: Binary, depth: int) -> _Part | None:
        """A part plus or minus a constant."""
        found = self._operands(made, depth)
        if found is None:
            return None
        inner, value = found
        return replace(inner, constants=(*inner.constants, -value if made.kind == "sub" else value))

    def _identity(self, name: str, type: TensorType) -> _Part | None:
        shape = as_map(type.shape)
        if shape is None:
            return None
        ones = np.ones((shape[0], 1, 1, 1), np.int8)
        return _Part(_depthwise(name, TensorType(Domain.SPIKES, shape), ones, 1.0, Location.of(name)))

    def _average(self, pool: AveragePool2d) -> _Part | None:
        counts = pool_counts(pool, self.build.types[pool.inputs[0]].shape)
        if np.any(counts != counts.flat[0]):
            return None
        ones = np.ones((pool.type.shape[0], 1, *pool.kernel), np.int8)
        return _Part(_depthwise(pool.inputs[0], pool.type, ones, float(counts.flat[0]), pool.location, pool))


def _depthwise(
    name: str, type: TensorType, weight: Array, divisor: float, location: Location, window: AveragePool2d | None = None
) -> TrinaryConv2d:
    """The layer that a value is without being one: it does not stand in the graph."""
    channels = type.shape[0]
    scale = np.float32(1 / divisor)
    return TrinaryConv2d(
        inputs=(name,),
        output=name,
        type=type,
        location=location,
        weight=weight,
        scale=np.full(channels, scale),
        strides=window.strides if window else (1, 1),
        pads=window.pads if window else (0, 0, 0, 0),
        dilations=(1, 1),
        groups=channels,
        tolerance=0.0 if float(scale) * divisor == 1 else 3 * UNIT,  # the quotient is rounded, and so is the scale
    )


def _merged_size(a: TrinaryConv2d, b: TrinaryConv2d, build: Builder) -> int:
    """How many weights, or inputs, the layer for both has at least."""
    groups = math.gcd(a.groups, b.groups)
    inputs = sum(layer.weight.shape[1] * layer.groups // groups for layer in (a, b))
    kernel = [max(layer.weight.shape[axis] for layer in (a, b)) for axis in (2, 3)]
    read = sum(build.types[layer.inputs[0]].size for layer in (a, b))
    return int(max(read, a.weight.shape[0] * inputs * math.prod(kernel)))


def _common_scale(a: TrinaryConv2d, b: TrinaryConv2d) -> tuple[TrinaryConv2d, TrinaryConv2d] | None:
    """Both with the same scales; None where those are no small multiples of one.

    All-zero channels take the other's scale.
    """
    empty_a, empty_b = (~np.any(layer.weight, axis=(1, 2, 3)) for layer in (a, b))
    scales = np.stack([np.where(empty_a, b.scale, a.scale), np.where(empty_b, a.scale, b.scale)], axis=1)
    form = integer_form(scales, LARGEST)
    if isinstance(form, int):
        return None
    weights = [layer.weight * form.weight[:, i].astype(np.int64)[:, None, None, None] for i, layer in enumerate((a, b))]
    if max(int(np.abs(weight).max(initial=0)) for weight in weights) > LARGEST:
        return None
    one, other = (
        replace(layer, weight=integer_weight(weight), scale=form.scale, tolerance=layer.tolerance + form.tolerance)
        for layer, weight in zip((a, b), weights, strict=True)
    )
    return one, other


@dataclass(frozen=True)
class _Fitted:
    """Two layers on operands of one size, with one window (rows, columns)."""

    layers: tuple[TrinaryConv2d, TrinaryConv2d]
    operands: tuple[str, str]
    windows: tuple[Window, Window]


def _fitted(build: Builder, a: TrinaryConv2d, b: TrinaryConv2d, base: str) -> _Fitted | None:
    """Adds the wiring that brings the operands to one size; None where there is none."""
    taps = [[_taps(build, layer, axis) for layer in (a, b)] for axis in (0, 1)]
    windows = [common_window(parts) for parts in taps]
    operands = [_mapped(build, layer) for layer in (a, b)]
    if None in windows:
        if isinstance(a, SignConv2d):
            return None  # a missing spike stands for -1
        padded = [[part.with_zeros() for part in parts] for parts in taps]
        windows = [common_window([part for part, _, _ in parts]) for parts in padded]
        for i, layer in enumerate((a, b)):
            location = layer.location.via(MergeSums.name)
            for axis in (0, 1):
                before, after = padded[axis][i][1:]
                operands[i] = _with_zeros(build, operands[i], axis, before, after, location)
    rows, columns = windows
    if rows is None or columns is None:
        return None
    for i, layer in enumerate((a, b)):
        indices = [window.indices[i] for window in (rows, columns)]
        operands[i] = pick(build, operands[i], indices, f"{base}/spread", layer.location.via(MergeSums.name))
    return _Fitted((a, b), (operands[0], operands[1]), (rows, columns))


def _mapped(build: Builder, layer: TrinaryConv2d) -> str:
    """A layer's operand with a height and a width."""
    name = layer.inputs[0]
    shape = as_map(build.types[name].shape)
    assert shape is not None
    if build.types[name].shape == shape:
        return name
    return build.reshape(name, shape, build.fresh(f"{name}/map"), layer.location.via(MergeSums.name))


def _taps(build: Builder, layer: TrinaryConv2d, axis: int) -> Taps:
    shape = as_map(build.types[layer.inputs[0]].shape)
    assert shape is not None
    return Taps.of(layer, layer.weight.shape[2:], shape, layer.type.shape, axis)


def _with_zeros(build: Builder, name: str, axis: int, before: int, after: int, location: Location) -> str:
    """Adds the map `name` with rows or columns that never spike before and after it."""
    shape = list(build.types[name].shape)

    def zeros(count: int) -> tuple[str, ...]:
        shape[1 + axis] = count
        return (build.constant(np.zeros(shape), f"{name}/zeros", location),) if count else ()

    parts = (*zeros(before), name, *zeros(after))
    return name if len(parts) == 1 else build.add(Concat, parts, build.fresh(f"{name}/padded"), location, axis=1 + axis)


def _emit(build: Builder, op: Binary, fitted: _Fitted, sign: int, constants: tuple[Array, ...]) -> None:
    a, b = fitted.layers
    rows, columns = fitted.windows
    groups = math.gcd(a.groups, b.groups)
    parts = [_placed(_in_groups(layer, groups), rows, columns, i) for i, layer in enumerate((a, b))]
    location = (a.location + b.location + op.location).via(MergeSums.name)
    # of one input too: the source model adds up the terms of both, so they are not to cancel before its thresholds
    # are known; prune-constants joins them
    operand = side_by_side(build, fitted.operands, groups, op.output, location)
    in_place = not constants and op.type.shape == a.type.shape
    total = build.add(
        type(a),
        (operand,),
        op.output if in_place else build.fresh(f"{op.output}/sums"),
        location,
        weight=integer_weight(np.concatenate([parts[0], sign * parts[1]], axis=1)),
        scale=a.scale,
        strides=(rows.stride, columns.stride),
        pads=(rows.before, columns.before, rows.after, columns.after),
        dilations=(rows.dilation, columns.dilation),
        groups=groups,
        tolerance=max(a.tolerance, b.tolerance),
    )
    if op.type.shape != a.type.shape:
        output = build.fresh(f"{op.output}/flat") if constants else op.output
        total = build.reshape(total, op.type.shape, output, location)
    for i, constant in enumerate(constants):
        value = constant.reshape(-1, *(1,) * (len(op.type.shape) - 1)) if constant.ndim else constant
        term = build.constant(value, f"{op.output}/constant", location)
        output = op.output if i == len(constants) - 1 else build.fresh(f"{op.output}/raised")
        total = build.add(Binary, (total, term), output, location, kind="add")


def _in_groups(layer: TrinaryConv2d, groups: int) -> Array:
    """The weight for fewer groups, [out, in / groups, kernel]: zero where features do not read the channel."""
    out, per_group, *kernel = layer.weight.shape
    ratio = layer.groups // groups
    wide = np.zeros((groups, ratio, out // layer.groups, ratio, per_group, *kernel), np.int16)
    narrow = layer.weight.reshape(groups, ratio, out // layer.groups, per_group, *kernel)
    for i in range(ratio):
        wide[:, i, :, i] = narrow[:, i]
    return wide.reshape(out, ratio * per_group, *kernel)


def _placed(weight: Array, rows: Window, columns: Window, i: int) -> Array:
    """The weight of layer i within the common window."""
    found = np.zeros((*weight.shape[:2], rows.kernel, columns.kernel), weight.dtype)
    found[:, :, rows.places[i][:, None], columns.places[i]] = weight
    return found
