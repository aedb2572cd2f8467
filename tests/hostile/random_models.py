"""Random ONNX models: spiking networks in many spellings, extreme numbers in them, and mutations that break them.

Everything is drawn from one `random.Random`, so a seed names a model.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

Array = npt.NDArray[Any]
f32 = np.float32

TAME = [1.0, -1.0, 0.5, -0.5, 2.0, 0.25, 1.5, 3.0]
NASTY = [
    *(0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, 16777216.0, 2147483648.0),
    *(-2147483648.0, 0.1, 1 / 3, 1e-7, 1e10, 0.49999997, 1.0000001, 255.0, 256.0, 65504.0),
]
# names that the compiler might give to what it makes
NAMES = ["{}/spikes", "{}.sum", "{}.map", "{}/one", "{}.shape", "{}.frame", "{}/level", "{}.1", "{}/flat", "{}/part0"]


def numbers(random: Random, shape: tuple[int, ...], nasty: float = 0.08) -> Array:
    """float32: halves and integers, a few of them extreme in some arrays."""
    size = int(np.prod(shape))
    found = np.array([random.randint(-6, 6) / 2 for _ in range(size)], f32)
    if random.random() < nasty:
        for _ in range(random.randint(1, 3) if size else 0):
            found[random.randrange(size)] = random.choice(NASTY)
    return found.reshape(shape)


class Network:
    """Builds a spiking network layer by layer; keeps track of the shape of a frame."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.opset = random.randint(11, 23)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[str] = []
        self.names = {"": 0}

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def name(self, last: str = "") -> str:
        while True:
            base = f"v{len(self.names)}"
            if last and self.chance(0.05):
                base = self.random.choice(NAMES).format(last)
            if base not in self.names:
                self.names[base] = 1
                return base

    def const(self, value: Any) -> str:
        name = self.name()
        array = np.asarray(value)
        if self.chance(0.15):
            tensor = onnx.numpy_helper.from_array(array, "")
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, op_type: str, *operands: str, **attributes: Any) -> str:
        output = self.name(operands[0] if operands else "")
        self.nodes.append(helper.make_node(op_type, operands, [output], f"n{len(self.nodes)}", **attributes))
        return output

    # --- layers ---------------------------------------------------------------------------------------------------

    def activation(self, x: str, shape: tuple[int, ...]) -> str:
        """Something binary, in one of many spellings; its tensor is float."""
        per = self.pick((1,) * (len(shape) - 1), (1,) * (len(shape) - 1), shape[1:] if self.chance(0.2) else (1,) * 0)
        bound_shape = () if self.chance(0.3) else (shape[0], *per) if len(per) == len(shape) - 1 else ()
        bound = self.const(numbers(self.random, bound_shape) + f32(0.25 if self.chance(0.6) else 0))
        zero, one = self.const(f32(0)), self.const(f32(1))
        cast = lambda name: self.add("Cast", name, to=1)  # noqa: E731
        way = self.random.randrange(16)
        if way < 4:
            op_type = self.pick("GreaterOrEqual", "Greater", "Less", "LessOrEqual")
            operands = [x, bound] if self.chance(0.7) else [bound, x]
            return cast(self.add(op_type, *operands))
        if way == 4:
            return self.add("Where", self.add("Less", x, bound), zero, one)
        if way == 5:
            level = self.const(f32(self.pick(1.0, 2.0, 0.5, 0.3, -1.0)))
            minus = self.add("Neg", level)
            return self.add("Where", self.add("Greater", x, bound), level, minus)
        if way == 6:
            return self.add("Round", self.add("Clip", x, zero, one))
        if way == 7:
            return self.add("Sign", x)
        if way == 8:
            return self.add("Sign", self.add("Relu", self.add("Sub", x, bound)))
        if way == 9:
            clamped = self.add("Clip", x, zero, one)
            hard = cast(self.add("Greater", x, zero))
            return self.add("Add", clamped, self.add("Sub", hard, clamped))
        if way == 10:
            terms = [self.const(numbers(self.random, shape[:1])) for _ in range(3)]
            variance = self.const(np.abs(numbers(self.random, shape[:1])) + f32(0.5))
            norm = self.add("BatchNormalization", x, *terms, variance, epsilon=self.pick(0.0, 1e-5, 1e-3))
            return cast(self.add("GreaterOrEqual", norm, bound))
        if way == 11:
            return cast(self.add("Not", self.add("Equal", x, bound)))
        if way == 12:
            return self.add("Round", self.add("Sigmoid", x))
        if way == 13:
            a, b = self.add("Greater", x, bound), self.add("Less", x, self.const(numbers(self.random, ())))
            return cast(self.add(self.pick("And", "Or", "Xor"), a, b))
        if way == 14:
            return self.add("Sign", self.add("Add", self.add("Sign", x), self.const(f32(0.1))))
        scaled = self.add(self.pick("Mul", "Div", "Add", "Sub", "Min", "Max"), x, bound)
        return cast(self.add("Greater", scaled, self.const(numbers(self.random, ()))))

    def weight(self, *shape: int) -> str:
        values = np.array([self.random.randint(-1, 1) for _ in range(int(np.prod(shape)))], f32).reshape(shape)
        way = self.random.randrange(8)
        if way == 0:
            with np.errstate(all="ignore"):
                values = values * f32(self.random.choice([*TAME, *NASTY]))
        elif way == 1:
            values = numbers(self.random, shape, 0.5)
        elif way == 2:
            values = values * numbers(self.random, (shape[0], *(1,) * (len(shape) - 1)))
        with np.errstate(all="ignore"):
            return self.const(values.astype(f32))

    def layer(self, x: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        """A weighted sum of `x` [batch, *shape], without an activation."""
        if len(shape) >= 2 and self.chance(0.75):
            spatial, channels = len(shape) - 1, shape[0]
            out = channels * self.pick(1, 1, 2)
            groups = self.pick(*[g for g in (1, 1, 2, channels) if channels % g == 0 and out % g == 0])
            kernel = [self.random.randint(1, min(3, n)) for n in shape[1:]]
            pads = [self.random.randint(0, 2) if self.chance(0.3) else 0 for _ in range(2 * spatial)]
            strides, dilations = ([self.pick(1, 1, 1, 2) for _ in kernel] for _ in "ab")
            dilations = [1 if d * (k - 1) >= n else d for d, k, n in zip(dilations, kernel, shape[1:], strict=True)]
            sizes = tuple(
                (n + pads[i] + pads[i + spatial] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
                for i, n in enumerate(shape[1:])
            )
            operands = [x, self.weight(out, channels // groups, *kernel)]
            if self.chance(0.4):
                operands.append(self.const(numbers(self.random, (out,))))
            found = self.add("Conv", *operands, group=groups, pads=pads, strides=strides, dilations=dilations)
            return found, (out, *sizes)
        if len(shape) > 1:
            x, shape = self.add("Flatten", x), (int(np.prod(shape)),)
        out = self.random.randint(1, 6)
        if self.chance(0.5):
            operands = [x, self.weight(out, shape[0])] + ([self.const(numbers(self.random, (out,)))] * self.pick(0, 1))
            return self.add("Gemm", *operands, transB=1, alpha=self.pick(1.0, 1.0, 0.5)), (out,)
        return self.add("MatMul", x, self.weight(shape[0], out)), (out,)

    def wiring(self, x: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        """Moves, joins, pools or scales spikes."""
        channels, rank = shape[0], len(shape)
        way = self.random.randrange(13)
        if way == 0:
            order = [self.random.randrange(channels) for _ in range(self.random.randint(1, channels + 1))]
            return self.add("Gather", x, self.const(np.array(order)), axis=1), (len(order), *shape[1:])
        if way == 1 and rank > 1:
            axes = list(range(1, rank + 1))
            self.random.shuffle(axes)
            return self.add("Transpose", x, perm=[0, *axes]), tuple(shape[a - 1] for a in axes)
        if way == 2 and rank > 1 and min(shape[1:]) > 1:
            kernel = [2] * (rank - 1)
            sizes = [n // 2 for n in shape[1:]]
            op_type = self.pick("MaxPool", "MaxPool", "AveragePool")
            return self.add(op_type, x, kernel_shape=kernel, strides=kernel), (channels, *sizes)
        if way == 3:
            return self.add("Concat", x, x, axis=1), (2 * channels, *shape[1:])
        if way == 4:
            return self.add("Add", x, x), shape
        if way == 5:
            return self.add("Mul", x, self.const(f32(self.random.choice([*TAME, *NASTY])))), shape
        if way == 6 and channels > 1:
            bounds = [self.const(np.array([n])) for n in (0, self.random.randint(1, channels), 1)]
            end = int(onnx.numpy_helper.to_array(self._stored(bounds[1]))[0])
            return self.add("Slice", x, *bounds), (end, *shape[1:])
        if way == 7:
            amounts = [0, self.pick(0, 1)] + [self.random.randint(0, 2) for _ in shape[1:]]
            after = [0, 0] + [self.random.randint(0, 2) for _ in shape[1:]]
            sizes = [n + a + b for n, a, b in zip(shape, amounts[1:], after[1:], strict=True)]
            return self.add("Pad", x, self.const(np.array(amounts + after))), tuple(sizes)
        if way == 8:
            return self.add("Reshape", x, self.const(np.array([0, -1, *shape[1:]]))), shape
        if way == 9:
            return self.add("Sub", self.add("Mul", x, self.const(f32(2))), self.const(f32(1))), shape
        if way == 10 and rank > 1:
            return self.add(self.pick("GlobalMaxPool", "GlobalAveragePool"), x), (channels, *(1,) * (rank - 1))
        if way == 11:
            repeats = [1, *(self.pick(1, 1, 2) for _ in shape)]
            sizes = [n * r for n, r in zip(shape, repeats[1:], strict=True)]
            return self.add("Tile", x, self.const(np.array(repeats))), tuple(sizes)
        return self.add("Identity", x), shape

    def _stored(self, name: str) -> onnx.TensorProto:
        for tensor in self.constants:
            if tensor.name == name:
                return tensor
        return next(n.attribute[0].t for n in self.nodes if name in n.output)

    def host(self, x: str, shape: tuple[int, ...]) -> str:
        """An operator on real values."""
        way = self.random.randrange(8)
        if way < 3:
            return self.add(self.pick("Relu", "Sigmoid", "Tanh", "Exp", "Sqrt", "Abs", "Floor", "Erf"), x)
        if way == 3:
            return self.add("Softmax", x, axis=self.pick(1, -1))
        if way == 4:
            return self.add(
                self.pick("Mul", "Add", "Sub", "Div", "Pow", "Mod"), x, self.const(numbers(self.random, ()))
            )
        if way == 5:
            return self.add("Cast", self.add("Cast", x, to=self.pick(6, 7, 10, 11, 2, 3)), to=1)
        return x

    # --- the whole ------------------------------------------------------------------------------------------------

    def source(self) -> tuple[str, tuple[int, ...]]:
        """A model input."""
        rank = self.pick(1, 2, 3, 3, 3)
        shape = (self.random.randint(1, 4), *(self.random.randint(1, 5) for _ in range(rank - 1)))
        kind = TensorProto.FLOAT
        if self.chance(0.15):
            kind = self.pick(TensorProto.BOOL, TensorProto.INT64, TensorProto.UINT8, TensorProto.INT32)
            kind = self.pick(kind, kind, TensorProto.DOUBLE, TensorProto.FLOAT16)
        name = self.pick("x", "a/b", "x:0") if not self.inputs else f"input{len(self.inputs)}"
        self.names[name] = 1
        batch = self.pick("n", "n", "n", 1)
        self.inputs.append(helper.make_tensor_value_info(name, kind, [batch, *shape]))
        return (name if kind == TensorProto.FLOAT else self.add("Cast", name, to=1)), shape

    def build(self) -> onnx.ModelProto:
        random = self.random
        ends: list[tuple[str, tuple[int, ...]]] = []
        for _ in range(self.pick(1, 1, 1, 2)):
            x, shape = self.source()
            if self.chance(0.4):
                x = self.host(x, shape)
            if self.chance(0.85):
                x = self.activation(x, shape)
            ends.append((x, shape))
        for _ in range(random.randint(1, 4)):
            x, shape = random.choice(ends[-2:])
            for _ in range(self.pick(0, 0, 1, 2)):
                x, shape = self.wiring(x, shape)
            total, wide = self.layer(x, shape)
            if self.chance(0.15):
                other, other_shape = self.layer(x, shape)
                if other_shape == wide:
                    total = self.add(self.pick("Add", "Sub"), total, other)
            if self.chance(0.05):
                total = self.host(total, wide)
            ends.append((self.activation(total, wide) if self.chance(0.95) else total, wide))
        for x, shape in [ends[-1], *(ends[-2:-1] if self.chance(0.15) else [])]:
            if self.chance(0.3):
                x, shape = self.wiring(x, shape)
            if self.chance(0.3):
                x, shape = self.layer(x, shape)
                x = self.host(x, shape)
            self.outputs.append(x)
        outputs = [helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(self.outputs)]
        graph = helper.make_graph(self.nodes, random.choice(["net", "a b\n"]), self.inputs, outputs, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        for value in made.graph.output:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
        return made


def random_model(random: Random) -> onnx.ModelProto:
    return Network(random).build()
