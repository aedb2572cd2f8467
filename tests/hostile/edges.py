"""Random spiking networks at the edges: of filters, thresholds, sizes, wiring, depth, chips and options.

Where `random_models` writes what may be refused, most of these compile: weights are integers times a scale, and every
threshold is placed by the sums its filter can reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from tests.hostile.random_models import Network, f32

Array = npt.NDArray[Any]

WIDE = [127, 128, 129, 255, 256, 257]  # inputs: a core holds 256, or 128 of trinary weights
RANGES = [(-2, 1), (-1, 2), (-4, 3), (0, 3), (-3, 0), (-8, 7), (0, 255), (-255, 255), (-255, 0), (-7, 9), (-1, 255)]
FAR = [254, 255, 256, 257, 1 << 9, 1 << 15, 1 << 16, 1 << 19, 1 << 24, 1 << 31]
DTYPES = [TensorProto.UINT8, TensorProto.BOOL, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64]


@dataclass(frozen=True)
class Value:
    """A tensor of a network: its name, the shape of a frame, and bounds of what each channel holds, [channels].

    scale: what all it holds are integers times.
    """

    name: str
    shape: tuple[int, ...]
    low: Array
    high: Array
    scale: float = 1.0


@dataclass(frozen=True)
class Case:
    """A model, and frames of {0, 1} for its inputs."""

    model: onnx.ModelProto
    frames: dict[str, Array]


class EdgeNetwork(Network):
    """Builds a network of values whose bounds are known."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.opset = random.randint(13, 23)
        self.rng = np.random.default_rng(random.getrandbits(32))
        self.values: list[Value] = []
        self.patterns: dict[str, list[Array]] = {}

    def const(self, value: Any) -> str:
        """A constant in one of many spellings."""
        array = np.asarray(value)
        way = self.random.randrange(12)
        if way == 0 and array.size and (array == array.flat[0]).all() and array.dtype in (np.float32, np.int64):
            shape = super().const(np.array(array.shape, np.int64))
            first = array.reshape(-1)[:1]
            if self.chance(0.5):
                return self.add("ConstantOfShape", shape, value=onnx.numpy_helper.from_array(first))
            return self.add("Expand", super().const(first.reshape(())), shape)
        if way == 1:
            return self.add("Identity", super().const(array))
        if way == 2 and array.dtype == np.float32 and array.size:
            return self.add("Neg", super().const(-array))
        return super().const(array)

    # --- weighted sums --------------------------------------------------------------------------------------------

    def filters(self, out: int, count: int) -> Array:
        """Integer weights [out, count]: of one sign, without any, of several bits, beyond them."""
        style = self.pick("trinary", "trinary", "signs", "one sign", "mixed", "mixed", "bits", "multiple")
        if style == "bits":
            low, high = self.pick(*RANGES)
            return self.rng.integers(low, high + 1, (out, count))
        if style == "multiple":
            return self.filters(out, count) * self.pick(2, 3, 5, 16, 255, 256)
        if style == "mixed":
            return np.concatenate([self.row(self.random.randrange(7), count) for _ in range(out)])
        kind = {"trinary": 0, "signs": 1, "one sign": self.pick(2, 3)}[style]
        return np.concatenate([self.row(kind, count) for _ in range(out)])

    def row(self, kind: int, count: int) -> Array:
        """One filter [1, count]."""
        some = self.rng.random((1, count)) < self.pick(1.0, 0.5, 0.1)
        signs = self.rng.choice([-1, 1], (1, count))
        if kind == 4:
            return np.zeros((1, count), np.int64)
        if kind == 5:
            return np.where(np.arange(count) == self.random.randrange(count), signs, 0)
        if kind == 6:
            return np.where(np.arange(count) == self.random.randrange(count), self.pick(2, -3, 7), signs)
        return np.asarray(signs if kind == 1 else np.where(some, [signs, signs, 1, -1][kind], 0))

    def weighted(self, x: Value, scale: float = 0.0) -> Value:
        """A layer on spikes: convolution, Gemm or MatMul; of that scale, or of any."""
        rank, channels = len(x.shape), x.shape[0]
        conv = rank > 1 and self.chance(0.8)
        if not conv and rank > 1:
            x = self.reshaped(x, (int(np.prod(x.shape)),))
            channels = x.shape[0]
        groups = self.pick(*[g for g in (1, 1, 1, 2, 3, channels) if channels % g == 0]) if conv else 1
        out = groups * self.pick(1, 1, 2, 3) if conv else self.pick(1, 2, 3, 5, 10)
        if groups > 12:
            out = groups
        per_group = channels // groups
        kernel = [self.random.randint(1, min(4, n + 1)) for n in x.shape[1:]] if conv else []
        window, shape = self.window(kernel, x.shape[1:], pads=True)
        integers = self.filters(out, per_group * int(np.prod(kernel, dtype=int)))
        scale = scale / x.scale or float(self.pick(1, 1, 1, 1, 1, 1, 1, 0.5, 4, 0.375, 0.37, 1e-3))
        sign = self.rng.choice([-1, 1], (out, 1)) if self.chance(0.1) else 1
        weight = (integers * sign * scale).astype(f32)
        if "group" not in window and conv:
            window["group"] = groups
        low, high = self.sums(weight.astype(np.float64).reshape(out, per_group, -1), x, groups)
        if conv:
            y = self.add("Conv", x.name, self.const(weight.reshape(out, per_group, *kernel)), **window)
        elif self.chance(0.5):
            y = self.add("Gemm", x.name, self.const(weight), transB=1)
        else:
            y = self.add("MatMul", x.name, self.const(np.ascontiguousarray(weight.T)))
        if len(self.values) <= 2 and not conv:
            self.patterns.setdefault("rows", []).extend(weight)
        return Value(y, (out, *shape), low, high, scale * x.scale)

    def beside(self, x: Value, total: Value) -> Value:
        """A 1 x 1 convolution or a Gemm whose sums can be added to those of `total`."""
        out, kernel = total.shape[0], [1] * (len(total.shape) - 1)
        scale = total.scale / x.scale * self.pick(1, 1, 1, 1, 2, -1)
        weight = (self.filters(out, x.shape[0]).clip(-99, 99) * scale).astype(f32)
        low, high = self.sums(weight.astype(np.float64).reshape(out, -1, 1), x, 1)
        if kernel:
            y = self.add("Conv", x.name, self.const(weight.reshape(*weight.shape, *kernel)))
        else:
            y = self.add("Gemm", x.name, self.const(weight), transB=1)
        return Value(y, total.shape, low, high, total.scale)

    def sums(self, weight: Array, x: Value, groups: int) -> tuple[Array, Array]:
        """Least and largest sum of filters [out, channels of a group, taps], zero padding included."""
        out, per_group, _ = weight.shape
        channel = (np.arange(out) // (out // groups))[:, None] * per_group + np.arange(per_group)
        ends = np.stack([weight * np.minimum(x.low, 0)[channel][..., None], weight * x.high[channel][..., None]])
        more = np.stack([weight * x.low[channel][..., None], 0 * weight])
        both = np.concatenate([ends, more])
        return both.min(axis=0).sum(axis=(1, 2)), both.max(axis=0).sum(axis=(1, 2))

    def window(self, kernel: list[int], sizes: tuple[int, ...], pads: bool) -> tuple[dict[str, Any], tuple[int, ...]]:
        """Attributes of a window of that kernel, which is made to fit the map, and the map that comes of it."""
        spatial = len(kernel)
        if not spatial:
            return {}, ()
        before = [self.random.randint(0, 2 * k) if pads and self.chance(0.3) else 0 for k in kernel]
        after = [self.random.randint(0, 2 * k) if pads and self.chance(0.3) else 0 for k in kernel]
        dilations = [self.pick(1, 1, 1, 2, 3) for _ in kernel]
        strides = [self.pick(1, 1, 1, 2, 3, 7) for _ in kernel]
        found = []
        for axis, n in enumerate(sizes):
            if n + before[axis] + after[axis] < dilations[axis] * (kernel[axis] - 1) + 1:
                dilations[axis] = 1
            after[axis] += max(0, dilations[axis] * (kernel[axis] - 1) + 1 - n - before[axis] - after[axis])
            reach = dilations[axis] * (kernel[axis] - 1) + 1
            found.append((n + before[axis] + after[axis] - reach) // strides[axis] + 1)
        return {"pads": [*before, *after], "strides": strides, "dilations": dilations}, tuple(found)

    def added(self, x: Value) -> Value:
        """The sum of a layer and of others, or of spikes."""
        total = self.weighted(x)
        for _ in range(self.pick(0, 0, 0, 0, 1, 1, 2, 5)):
            like = [v for v in self.values if (v.low[0], v.high[0]) == (x.low[0], x.high[0])]
            other = self.pick(x, *like) if self.chance(0.5) else x
            if len(total.shape) == len(other.shape) == 1 or other.shape[1:] == total.shape[1:]:
                found = self.beside(other, total)
            elif other.shape == total.shape:
                found = other
            else:
                continue
            sign = self.pick(1, 1, -1)
            ends = np.stack([sign * found.low, sign * found.high])
            name = self.add("Add" if sign > 0 else "Sub", total.name, found.name)
            scale = min(total.scale, found.scale)
            total = Value(name, total.shape, total.low + ends.min(axis=0), total.high + ends.max(axis=0), scale)
        if self.chance(0.1):
            bias = self.rng.integers(-3, 4, total.shape[0]) * total.scale
            name = self.add("Add", total.name, self.const(self.column(bias, total.shape)))
            total = Value(name, total.shape, total.low + bias, total.high + bias, total.scale)
        if len(total.shape) > 1 and self.chance(0.07):
            total = self.pooled(total, self.pick("MaxPool", "AveragePool"))
        return total

    def column(self, numbers: Array, shape: tuple[int, ...]) -> Array:
        """Numbers of a channel as they broadcast over frames of that shape."""
        return numbers.astype(f32).reshape(-1, *(1,) * (len(shape) - 1))

    # --- activations ----------------------------------------------------------------------------------------------

    def thresholds(self, total: Value) -> Array:
        """float64 [channels]: sums at which neurons begin to fire, where they reach and just not."""
        step = total.scale
        low, high = np.round(total.low / step) * step, np.round(total.high / step) * step
        middle = np.round((low + high) / 2 / step) * step
        far = self.pick(*FAR) * self.pick(-1, 1) * step
        ways = [low - step, low, low + step, high - step, high, high + step, middle, middle, 0 * low + far, 0 * low]
        kinds = [self.random.randrange(len(ways))] if self.chance(0.5) else range(len(ways))
        chosen = self.rng.choice(list(kinds), low.size)
        return np.asarray(np.stack(ways)[chosen, np.arange(low.size)])

    def spikes(self, total: Value) -> Value:
        """A binary activation at an edge of what the sums reach."""
        limit, step, x = self.thresholds(total), total.scale, total.name
        shape = total.shape
        levels = (0.0, 1.0)
        if self.chance(0.25):  # a batch norm whose zero is the threshold
            gamma = self.pick(1, 1e-3, 1e3, 1e-12, 1e12) * self.rng.choice([-1, 1, 1], limit.size)
            variance = self.pick(0.0, 1.0, 4.0, 1e-8, 1e8) + 0 * limit
            terms = [self.const(a.astype(f32)) for a in (gamma, 0 * limit, limit - step / 2, variance)]
            x = self.add("BatchNormalization", x, *terms, epsilon=self.pick(1e-5, 1e-3))
            fired = self.add(self.pick("Greater", "Less", "GreaterOrEqual", "LessOrEqual"), x, self.const(f32(0)))
        else:
            by_position = len(shape) > 1 and self.chance(0.1)
            bound = self.column(limit, shape)
            if by_position:
                bound = (bound + step * self.rng.integers(-1, 2, shape)).astype(f32)
            elif self.chance(0.2):
                bound = f32(limit[0])
            if self.chance(0.2):
                x, bound = self.add("Sub", x, self.const(bound)), f32(0)
            if self.chance(0.3):
                bound = (bound - step / 2).astype(f32)
            kind = self.pick("GreaterOrEqual", "GreaterOrEqual", "Greater", "Less", "LessOrEqual")
            if step == 1 and self.chance(0.15):
                integer = self.pick(TensorProto.INT32, TensorProto.INT64)
                bound = np.clip(np.floor(bound), -(1 << 30), 1 << 30)
                bound = bound.astype(np.int32 if integer == TensorProto.INT32 else np.int64)
                x = self.add("Cast", x, to=integer)
            operands = [x, self.const(bound)]
            fired = self.add(kind, *(operands if self.chance(0.7) else operands[::-1]))
        if self.chance(0.15):
            fired = self.add("Not", fired)
        way = self.random.randrange(8)
        if way < 5:
            name = self.add("Cast", fired, to=1)
        else:
            levels = self.pick((0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (-1.0, 1.0), (0.0, 0.5), (-2.0, 2.0))
            name = self.add("Where", fired, *(self.const(f32(level)) for level in levels[::-1]))
        return self.valued(name, shape, *levels)

    def valued(self, name: str, shape: tuple[int, ...], low: float = 0, high: float = 1) -> Value:
        """A binary tensor of those two numbers."""
        low, high = min(low, high), max(low, high)
        scale = high if low <= 0 else 1.0
        return Value(name, shape, np.full(shape[0], low), np.full(shape[0], high), scale)

    # --- wiring ---------------------------------------------------------------------------------------------------

    def reshaped(self, x: Value, shape: tuple[int, ...]) -> Value:
        name = (
            self.add("Flatten", x.name)
            if len(shape) == 1 and self.chance(0.5)
            else self.add("Reshape", x.name, self.const(np.array([-1 if self.chance(0.5) else 0, *shape])))
        )
        return Value(name, shape, np.full(shape[0], x.low.min()), np.full(shape[0], x.high.max()), x.scale)

    def picked(self, x: Value, index: Array) -> Value:
        name = self.add("Gather", x.name, self.const(index), axis=1)
        return Value(name, (index.size, *x.shape[1:]), x.low[index], x.high[index], x.scale)

    def joined(self, parts: list[Value]) -> Value:
        name = self.add("Concat", *(part.name for part in parts), axis=1)
        low, high = (np.concatenate([getattr(part, end) for part in parts]) for end in ("low", "high"))
        return Value(name, (low.size, *parts[0].shape[1:]), low, high, min(part.scale for part in parts))

    def pooled(self, x: Value, kind: str) -> Value:
        kernel = [self.random.randint(1, min(3, n)) for n in x.shape[1:]]
        window, shape = self.window(kernel, x.shape[1:], pads=False)
        window["pads"] = [0] * (2 * len(kernel))
        attributes = {"kernel_shape": kernel, **window}
        step = x.scale
        if kind == "AveragePool":
            del attributes["dilations"]
            shape = tuple((n - k) // s + 1 for n, k, s in zip(x.shape[1:], kernel, window["strides"], strict=True))
            step /= int(np.prod(kernel))
        return Value(self.add(kind, x.name, **attributes), (x.shape[0], *shape), x.low, x.high, step)

    def wired(self, x: Value) -> Value:
        """Spikes elsewhere, more often, or combined with others of their shape."""
        rank, channels = len(x.shape), x.shape[0]
        way = self.random.randrange(14)
        if way == 0:
            count = self.pick(1, channels, channels, 2 * channels, self.pick(1, 1, 1, *WIDE))
            few = self.random.randint(1, channels)
            return self.picked(x, self.rng.integers(0, few, count))
        if way == 1:
            return self.joined([x] * self.pick(2, 2, 3, 5))
        if way == 2:
            others = [v for v in self.values if v.shape[1:] == x.shape[1:] and v.low[0] == x.low[0]]
            return self.joined([x, *(self.pick(*others) for _ in range(self.pick(1, 2, 4) if others else 0))])
        if way == 3 and rank > 1:
            axes = list(range(1, rank + 1))
            self.random.shuffle(axes)
            shape = tuple(x.shape[a - 1] for a in axes)
            name = self.add("Transpose", x.name, perm=[0, *axes])
            return Value(name, shape, np.full(shape[0], x.low.min()), np.full(shape[0], x.high.max()), x.scale)
        if way == 4 and rank > 1:
            return self.pooled(x, "MaxPool")
        if way == 5 and rank > 1:
            return self.spikes(self.pooled(x, "AveragePool"))
        if way == 6 and (x.low == 0).all() and (x.high == 1).all():
            name = self.add("Sub", self.const(f32(1)), x.name)
            return self.valued(name, x.shape)
        if way == 7 and rank > 1:
            amounts = [0, 0, *(self.random.randint(0, 2) for _ in x.shape[1:])] * 2
            sizes = [n + a + b for n, a, b in zip(x.shape[1:], amounts[2 : rank + 1], amounts[rank + 3 :], strict=True)]
            values = [self.const(np.array(amounts))]
            if self.chance(0.3):
                values.append(self.const(f32(x.high.max())))
            name = self.add("Pad", x.name, *values)
            low = np.minimum(x.low, 0)
            return Value(name, (channels, *sizes), low, x.high, x.scale)
        if way == 8:
            start = self.random.randrange(channels)
            step = self.pick(1, 2, -1)
            index = np.arange(channels)[start::step]
            ends = [start, -channels - 1 if step < 0 else channels, 1, step]
            name = self.add("Slice", x.name, *(self.const(np.array([n])) for n in ends))
            return Value(name, (index.size, *x.shape[1:]), x.low[index], x.high[index], x.scale)
        if way in (9, 10) and (x.low == 0).all() and (x.high == 1).all():
            same = [v for v in self.values if v.shape == x.shape and (v.low == 0).all() and (v.high == 1).all()]
            if same:
                other = self.pick(*same)
                kind = self.pick("And", "Or", "Xor", "Min", "Max", "Mul", "Where")
                if kind in ("Min", "Max", "Mul"):
                    return self.valued(self.add(kind, x.name, other.name), x.shape)
                a, b = (self.add("Cast", v.name, to=TensorProto.BOOL) for v in (x, other))
                if kind == "Where":
                    name = self.add("Where", a, other.name, self.pick(*same).name)
                    return self.valued(name, x.shape)
                return self.valued(self.add("Cast", self.add(kind, a, b), to=1), x.shape)
        if way == 11:
            repeats = [1, self.pick(1, 2, 3), *(self.pick(1, 1, 2) for _ in x.shape[1:])]
            sizes = tuple(n * r for n, r in zip(x.shape, repeats[1:], strict=True))
            name = self.add("Tile", x.name, self.const(np.array(repeats)))
            return Value(name, sizes, np.tile(x.low, repeats[1]), np.tile(x.high, repeats[1]), x.scale)
        if way == 12:
            shapes = [(int(np.prod(x.shape)),), (int(np.prod(x.shape)), 1, 1), (1, int(np.prod(x.shape)))]
            return self.reshaped(x, self.pick(*shapes))
        return Value(self.add("Identity", x.name), x.shape, x.low, x.high, x.scale)

    # --- the whole ------------------------------------------------------------------------------------------------

    def entry(self) -> Value:
        """An input, as it is or compared."""
        rank = self.pick(1, 1, 2, 3, 3, 3)
        if rank == 1:
            shape: tuple[int, ...] = (self.pick(1, 2, 5, 12, self.pick(12, *WIDE)),)
        else:
            channels = self.pick(1, 2, 3, 4, 6, self.pick(4, *WIDE))
            most = 5 if channels < 20 else 2
            shape = (channels, *(self.random.randint(1, most) for _ in range(rank - 1)))
        kind = self.pick(*DTYPES) if self.chance(0.15) else TensorProto.FLOAT
        name = f"x{len(self.inputs)}"
        self.names[name] = 1
        self.inputs.append(helper.make_tensor_value_info(name, kind, [self.pick("n", "n", "n"), *shape]))
        x = name if kind == TensorProto.FLOAT else self.add("Cast", name, to=1)
        if kind != TensorProto.FLOAT or self.chance(0.6):
            levels = self.pick((0.0, 1.0), (0.0, 1.0), (-1.0, 1.0))
            fired = self.add("Greater", x, self.const(f32(0.5)))
            x = self.add("Where", fired, *(self.const(f32(level)) for level in levels[::-1]))
            return self.valued(x, shape, *levels)
        return self.valued(x, shape)

    def case(self) -> Case:
        entries = [self.entry() for _ in range(self.pick(1, 1, 1, 1, 2))]
        self.values += entries
        for _ in range(self.pick(1, 1, 2, 2, 3, 4, self.pick(4, 18))):
            recent = self.values[-1]
            x = recent if self.chance(0.7) else self.pick(*self.values)
            for _ in range(self.pick(0, 0, 1, 1, 2)):
                x = self.wired(x)
            if np.prod(x.shape) > 3000:
                x = self.picked(x, np.arange(1)) if x.shape[0] > 1 else recent
            self.values.append(self.spikes(self.added(x)))
        used = {name for node in self.nodes for name in node.input}
        left = [v for v in self.values[len(entries) : -1] if v.name not in used]
        ends = [self.values[-1], *left, *(v for v in self.values[len(entries) : -1] if self.chance(0.15))]
        if self.chance(0.3):
            ends[0] = self.wired(ends[0])
        outputs = [v.name for v in ends]
        if self.chance(0.15):
            outputs[0] = self.add("Flatten", outputs[0])
            wide = int(np.prod(ends[0].shape))
            outputs[0] = self.add("MatMul", outputs[0], self.const(self.rng.integers(-9, 9, (wide, 3)).astype(f32)))
        declared = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in dict.fromkeys(outputs)]
        graph = helper.make_graph(self.nodes, "edges", self.inputs, declared, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        return Case(model, self.frames(entries))

    def frames(self, entries: list[Value]) -> dict[str, Array]:
        """Nothing, everything, what the first filters are most and least for, and spikes at several rates."""
        found = {}
        count = 24
        for info, entry in zip(self.inputs, entries, strict=True):
            size = int(np.prod(entry.shape))
            rows = [np.zeros(size, bool), np.ones(size, bool)]
            for weight in self.patterns.get("rows", [])[:4]:
                if weight.size == size:
                    most, least = weight > 0, weight < 0
                    flipped = most.copy()
                    flipped[self.random.randrange(size)] ^= True
                    rows += [most, least, flipped]
            while len(rows) < count:
                rows.append(self.rng.random(size) < self.pick(0.02, 0.1, 0.5, 0.5, 0.9, 0.98))
            dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
            found[info.name] = np.array(rows[:count]).reshape(count, *entry.shape).astype(dtype)
        return found


def edge_case(random: Random) -> Case:
    return EdgeNetwork(random).case()
