"""The nn level's operations: frozen dataclasses. The printer and the parser are generic over their fields.

An op's own fields (all but inputs, output, type, location) are its attributes: int, float, str, bool, tuples of
ints, or NumPy arrays. Shapes are per frame: a feature map is [channels, height, width], a vector [features].
Spatial attributes are (height, width); pads are (top, left, bottom, right).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, get_type_hints

import numpy as np
import numpy.typing as npt

from tncc.ir.location import Location
from tncc.ir.types import TensorType

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Op:
    """One operation. Two ops are equal when class, operands, result and every attribute are.

    Attributes:
        inputs: names of the operands.
        output: name of the result.
        type: type of the result.
        location: the ONNX node(s) it stems from; required.
    """

    inputs: tuple[str, ...]
    output: str
    type: TensorType
    location: Location

    arity: ClassVar[int | None] = 1  # None: any number of operands

    def __post_init__(self) -> None:
        hints = attribute_types(type(self))
        for name, value in self.attributes():
            if isinstance(value, np.ndarray):
                if value.flags.writeable or not value.flags.c_contiguous or not value.dtype.isnative:
                    frozen = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
                    frozen.flags.writeable = False
                    object.__setattr__(self, name, frozen)
            elif hints[name] in (int, float, bool, str):
                object.__setattr__(self, name, hints[name](value))
            elif isinstance(value, tuple | list):
                object.__setattr__(self, name, tuple(int(number) for number in value))

    @classmethod
    def mnemonic(cls) -> str:
        """The op's name in the text form: `TrinaryConv2d` prints as `trinary_conv2d`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def attributes(self) -> Iterator[tuple[str, Any]]:
        """(name, value) of the op's own fields, in declaration order."""
        own = {f.name for f in fields(Op)}
        for f in fields(self):
            if f.name not in own:
                yield f.name, getattr(self, f.name)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Op):
            return NotImplemented
        same = (self.inputs, self.output, self.type, self.location) == (
            other.inputs,
            other.output,
            other.type,
            other.location,
        )
        return same and all(_same(a, b) for (_, a), (_, b) in zip(self.attributes(), other.attributes(), strict=True))

    def __hash__(self) -> int:
        return hash((type(self), self.inputs, self.output, self.type))


_attribute_types: dict[type[Op], dict[str, Any]] = {}


def attribute_types(op_class: type[Op]) -> dict[str, Any]:
    """Declared type of each of an op's own fields: int, float, str, bool, a tuple of ints, or a NumPy array."""
    if op_class not in _attribute_types:
        hints = get_type_hints(op_class)
        own = {f.name for f in fields(Op)}
        _attribute_types[op_class] = {f.name: hints[f.name] for f in fields(op_class) if f.name not in own}
    return _attribute_types[op_class]


def attribute_defaults(op_class: type[Op]) -> dict[str, Any]:
    """Values of those of an op's own fields that need not be given."""
    return {f.name: f.default for f in fields(op_class) if f.default is not MISSING}


def integer_weight(weight: Array) -> Array:
    """Integer weights as int8 where they and their negatives fit, else as int16."""
    return weight.astype(np.int8 if np.abs(weight).max(initial=0) <= 127 else np.int16)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and bool(a == b or (a != a and b != b))  # a NaN is the same as a NaN


@dataclass(frozen=True, eq=False, kw_only=True)
class Constant(Op):
    """A tensor known at compile time, without a batch dimension; it broadcasts over frames."""

    arity = 0
    value: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class HostOp(Op):
    """An ONNX op that the IR does not model: fine on the host, an error between spiking layers."""

    arity = None
    op_type: str


# --- weighted sums -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv2d(Op):
    """Convolution as ONNX writes it: weight float32 [out, in / groups, kh, kw], no bias (a following Add holds it).

    Products of weight and operand may be off the source model's, relatively by `tolerance` at most.
    """

    weight: Array
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    groups: int
    tolerance: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Op):
    """y = W x on a vector: weight float32 [out, in], no bias. tolerance: as for Conv2d."""

    weight: Array
    tolerance: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class TrinaryConv2d(Op):
    """A convolution whose weights are integers (usually -1, 0, 1) up to one scale an output channel.

    y[o] = scale[o] * sum(weight[o] * x), with weight int8 or int16 and scale float32 [out] > 0. The source model sums
    scaled products in an order of its own; whoever turns y into decisions must not depend on rounding. Its weights
    may be off weight * scale by rounding, relatively by `tolerance` at most.
    """

    weight: Array
    scale: Array
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    groups: int
    tolerance: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class SignConv2d(TrinaryConv2d):
    """A TrinaryConv2d on {-1, +1}: its operand's spikes x stand for 2 x - 1, padding for 0."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SpikingConv2d(Op):
    """What a layer of neurons computes: y = 1 where sum(weight * x) >= threshold, else 0. Spikes in, spikes out.

    weight: int8 or int16, [out, in / groups, kh, kw]. threshold: int32, [out, 1, 1], or [out, height, width] where
    it differs by position. feature_groups: int32 [out]; output features with one label share cores. Labels
    count from 0; before split-filter-groups they are the convolution's own groups. remark: what the layer is for, where
    its ONNX node does not tell; reports show it.
    """

    weight: Array
    threshold: Array
    feature_groups: Array
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    groups: int
    remark: str = ""


# --- elementwise, with NumPy broadcasting -----------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchNorm(Op):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, per channel (axis 0 of a frame); float32 [channels]."""

    gamma: Array
    beta: Array
    mean: Array
    variance: Array
    epsilon: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Clip(Op):
    """min(max(x, low), high); infinities where a side is open."""

    low: float
    high: float


@dataclass(frozen=True, eq=False, kw_only=True)
class HardSigmoid(Op):
    """min(max(alpha * x + beta, 0), 1)."""

    alpha: float
    beta: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Unary(Op):
    """y = kind(x): neg, abs, sign (three-valued), strict_sign (it is promised that x is
    never 0), round (half to even), floor, ceil, relu, sigmoid, tanh, not."""

    kind: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Binary(Op):
    """y = kind(a, b): add, sub, mul, div, min, max; ge, gt, le, lt, eq (spikes: 1 where true); and, or, xor."""

    arity = 2
    kind: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Where(Op):
    """Operands (condition, a, b): a where the condition (spikes) is 1, else b."""

    arity = 3


# --- pooling ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool2d(Op):
    """Maximum over windows; an OR on spikes. Padding never wins."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool2d(Op):
    """Mean over windows; padding counts as zeros where count_include_pad is set, else it is left out of the mean."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    count_include_pad: bool


# --- wiring: outputs are inputs, elsewhere ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Op):
    """The same elements in row-major order under the result type's shape."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Transpose(Op):
    """Axes permuted: result axis i is operand axis permutation[i] (frame axes, counted from 0)."""

    permutation: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Gather(Op):
    """Elements picked along one frame axis: numpy.take(x, indices, axis). Channel shuffles and slices are this."""

    indices: Array
    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Concat(Op):
    """Operands joined along one frame axis."""

    arity = None
    axis: int


WIRING: tuple[type[Op], ...] = (Reshape, Transpose, Gather, Concat)
ELEMENTWISE: tuple[type[Op], ...] = (BatchNorm, Clip, HardSigmoid, Unary, Binary, Where)


def _all_subclasses(cls: type[Op]) -> Iterator[type[Op]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _all_subclasses(sub)


def registry() -> dict[str, type[Op]]:
    """Every op class by mnemonic; a new op needs no entry anywhere."""
    return {cls.mnemonic(): cls for cls in _all_subclasses(Op)}
