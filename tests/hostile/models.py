"""Models that ask for too much: each is small as a file, and compiling it naively takes gigabytes or hours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from support.onnx_models import node

f32 = np.float32
Build = Callable[[], onnx.ModelProto]
HOSTILE: dict[str, Build] = {}


def hostile(build: Build) -> Build:
    HOSTILE[build.__name__] = build
    return build


def after_spikes(nodes: list[onnx.NodeProto], shape: tuple[int, ...], constants: dict[str, Any]) -> onnx.ModelProto:
    """x >= 0 as spikes `s`, then `nodes` up to `t`, then a comparison."""
    head = [node("GreaterOrEqual", "x zero", "b"), node("Cast", "b", "s", to=1)]
    tail = [node("GreaterOrEqual", "t zero", "y")]
    return raw([*head, *nodes, *tail], shape, constants | {"zero": f32(0)}, opset=17)


def raw(
    nodes: list[onnx.NodeProto], shape: tuple[Any, ...], constants: dict[str, Any], opset: int = 17
) -> onnx.ModelProto:
    """A model whose shapes nobody has inferred yet."""
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.BOOL, None)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def trinary(*shape: int) -> Any:
    return np.random.default_rng(0).integers(-1, 2, shape).astype(f32)


@hostile
def input_of_10_to_the_9() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t")], (1, 31623, 31623), {"w": trinary(2, 1, 3, 3)})


@hostile
def input_of_10_to_the_18() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t")], (1, 10**9, 10**9), {"w": trinary(2, 1, 3, 3)})


@hostile
def input_whose_size_overflows() -> onnx.ModelProto:
    return after_spikes([node("Flatten", "s", "t")], (1 << 32, 1 << 32, 4), {})


@hostile
def map_of_10_to_the_7_on_the_chip() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t")], (1, 3162, 3162), {"w": trinary(1, 1, 3, 3)})


@hostile
def upsampling_by_10000() -> onnx.ModelProto:
    return after_spikes(
        [node("Resize", "s - scales", "t", mode="nearest")], (1, 4, 4), {"scales": f32([1, 1, 10**4, 10**4])}
    )


@hostile
def expand_to_10_to_the_9() -> onnx.ModelProto:
    return after_spikes([node("Expand", "s shape", "t")], (1, 1, 1), {"shape": np.array([1, 1000, 1000, 1000])})


@hostile
def tile_to_10_to_the_9() -> onnx.ModelProto:
    return after_spikes([node("Tile", "s repeats", "t")], (1, 4, 4), {"repeats": np.array([1, 1, 10**4, 10**4])})


@hostile
def padding_of_10_to_the_5() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t", pads=[10**5] * 4)], (1, 4, 4), {"w": trinary(1, 1, 3, 3)})


@hostile
def pad_node_of_10_to_the_5() -> onnx.ModelProto:
    pads = np.array([0, 0, 10**5, 10**5, 0, 0, 10**5, 10**5])
    return after_spikes([node("Pad", "s pads", "t")], (1, 4, 4), {"pads": pads})


@hostile
def padding_beyond_int32() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t", pads=[2**40] * 4)], (1, 4, 4), {"w": trinary(1, 1, 3, 3)})


@hostile
def dilation_of_10_to_the_9() -> onnx.ModelProto:
    attributes = {"dilations": [10**9, 10**9], "pads": [10**9] * 4}
    return after_spikes([node("Conv", "s w", "t", **attributes)], (1, 4, 4), {"w": trinary(1, 1, 3, 3)})


@hostile
def dilation_of_1000_in_a_small_map() -> onnx.ModelProto:
    attributes = {"dilations": [1000, 1000], "pads": [1000] * 4}
    return after_spikes([node("Conv", "s w", "t", **attributes)], (1, 4, 4), {"w": trinary(1, 1, 3, 3)})


@hostile
def stride_of_10_to_the_12() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t", strides=[10**12] * 2)], (1, 9, 9), {"w": trinary(2, 1, 3, 3)})


@hostile
def kernel_of_1000() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t")], (1, 1000, 1000), {"w": trinary(1, 1, 1000, 1000)})


@hostile
def pool_of_3000_by_3000() -> onnx.ModelProto:
    return after_spikes([node("MaxPool", "s", "t", kernel_shape=[3000, 3000])], (1, 3000, 3000), {})


@hostile
def pool_of_1000_at_every_place() -> onnx.ModelProto:
    attributes = {"kernel_shape": [999, 999], "pads": [499] * 4}
    return after_spikes([node("MaxPool", "s", "t", **attributes)], (1, 1000, 1000), {})


@hostile
def kernel_shape_of_10_to_the_12() -> onnx.ModelProto:
    return after_spikes([node("AveragePool", "s", "t", kernel_shape=[10**12, 1], pads=[10**12 - 1] * 4)], (1, 4, 4), {})


@hostile
def wide_linear_layer() -> onnx.ModelProto:
    """Every filter is sparse, and there are 20,000 x 20,000 of weights: 1.6 GB, by ConstantOfShape."""
    nodes = [node("ConstantOfShape", "size", "w"), node("MatMul", "s w", "t")]
    return after_spikes(nodes, (20000,), {"size": np.array([20000, 20000])})


@hostile
def outer_product_of_constants() -> onnx.ModelProto:
    nodes = [node("MatMul", "column row", "w"), node("MatMul", "s w", "t")]
    constants = {"column": np.ones((11000, 1), f32), "row": np.ones((1, 11000), f32)}
    return after_spikes(nodes, (11000,), constants)


@hostile
def doubling_constants() -> onnx.ModelProto:
    """Forty concatenations, each twice as large as the one before."""
    nodes = [node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(40)]
    return after_spikes(
        [*nodes, node("ReduceSum", "c40", "r"), node("Add", "s r", "t")], (4,), {"c0": np.ones(1024, f32)}
    )


@hostile
def doubling_values() -> onnx.ModelProto:
    nodes = [node("Concat", f"{'s' if i == 0 else f'v{i}'} " * 2, f"v{i + 1}", axis=1) for i in range(40)]
    return after_spikes([*nodes, node("Identity", "v40", "t")], (1, 4, 4), {})


@hostile
def many_large_constants() -> onnx.ModelProto:
    """Thirty constants of 400 MB each, none too large alone."""
    nodes = [node("ConstantOfShape", "size", f"c{i}") for i in range(30)]
    adds = [node("Add", f"{'s' if i == 0 else f'a{i}'} c{i}", f"a{i + 1}") for i in range(30)]
    return after_spikes(
        [*nodes, *adds, node("Identity", "a30", "t")], (10**4, 10**4), {"size": np.array([1, 10**4, 10**4])}
    )


@hostile
def deep_chain() -> onnx.ModelProto:
    nodes = [node("Add", f"{'s' if i == 0 else f'v{i}'} one", f"v{i + 1}") for i in range(5000)]
    return after_spikes([*nodes, node("Conv", "v5000 w", "t")], (1, 4, 4), {"one": f32(1), "w": trinary(1, 1, 1, 1)})


@hostile
def deep_chain_of_layers() -> onnx.ModelProto:
    nodes, last = [], "s"
    for i in range(300):
        nodes += [
            node("Conv", f"{last} w", f"c{i}"),
            node("Greater", f"c{i} zero", f"g{i}"),
            node("Cast", f"g{i}", f"s{i}", to=1),
        ]
        last = f"s{i}"
    return after_spikes([*nodes, node("Conv", f"{last} w", "t")], (1, 4, 4), {"w": trinary(1, 1, 1, 1)})


@hostile
def exponentially_many_terms() -> onnx.ModelProto:
    """v + v forty times: a sum of 2 ** 40 terms."""
    nodes = [node("Add", f"{'s' if i == 0 else f'v{i}'} " * 2, f"v{i + 1}") for i in range(40)]
    return after_spikes([*nodes, node("Conv", "v40 w", "t")], (1, 4, 4), {"w": trinary(2, 1, 1, 1)})


@hostile
def cycle() -> onnx.ModelProto:
    return after_spikes([node("Add", "s u", "t"), node("Neg", "t", "u")], (4,), {})


@hostile
def node_that_reads_itself() -> onnx.ModelProto:
    return after_spikes([node("Add", "s t", "t")], (4,), {})


@hostile
def tensor_defined_twice() -> onnx.ModelProto:
    return after_spikes([node("Neg", "s", "t"), node("Abs", "s", "t")], (4,), {})


@hostile
def empty_dimension() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t")], (1, 0, 4), {"w": trinary(1, 1, 1, 1)})


@hostile
def empty_weight() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t")], (1, 4, 4), {"w": np.zeros((0, 1, 1, 1), f32)})


@hostile
def slice_to_nothing() -> onnx.ModelProto:
    constants = {"a": np.array([2]), "b": np.array([2]), "axes": np.array([1]), "w": trinary(0, 4)}
    return after_spikes([node("Slice", "s a b axes", "u"), node("MatMul", "u w", "t")], (4,), constants)


@hostile
def initializer_without_its_data() -> onnx.ModelProto:
    proto = after_spikes([node("Conv", "s w", "t")], (1, 4, 4), {"w": trinary(1, 1, 1, 1)})
    weight = proto.graph.initializer[0]
    weight.dims[:] = [10**5, 10**5, 10, 1]
    return proto


@hostile
def initializer_of_negative_size() -> onnx.ModelProto:
    proto = after_spikes([node("Conv", "s w", "t")], (1, 4, 4), {"w": trinary(1, 1, 1, 1)})
    proto.graph.initializer[0].dims[:] = [-1, 1, -1, 1]
    return proto


@hostile
def external_initializer_of_10_to_the_12() -> onnx.ModelProto:
    proto = after_spikes([node("Conv", "s w", "t")], (1, 4, 4), {"w": trinary(1, 1, 1, 1)})
    weight = proto.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.dims[:] = [10**6, 10**6, 1, 1]
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "/dev/zero"), ("offset", "0"), ("length", str(4 * 10**12))):
        weight.external_data.add(key=key, value=value)
    return proto


@hostile
def subnormal_scales() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t")], (8, 4, 4), {"w": trinary(4, 8, 3, 3) * f32(1e-42)})


@hostile
def infinite_weights() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t")], (1, 4, 4), {"w": np.full((1, 1, 1, 1), np.inf, f32)})


@hostile
def functions_that_call_each_other() -> onnx.ModelProto:
    proto = after_spikes([node("F0", "s", "t", domain="f")], (4,), {})
    proto.opset_import.append(helper.make_opsetid("f", 1))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    for i in range(30):
        inner = [node(f"F{i + 1}", "a", "b", domain="f"), node(f"F{i + 1}", "b", "c", domain="f")]
        proto.functions.append(helper.make_function("f", f"F{i}", ["a"], ["c"], inner, opsets))
    proto.functions.append(helper.make_function("f", "F30", ["a"], ["c"], [node("Neg", "a", "c")], opsets))
    return proto


@hostile
def function_that_calls_itself() -> onnx.ModelProto:
    proto = after_spikes([node("F", "s", "t", domain="f")], (4,), {})
    proto.opset_import.append(helper.make_opsetid("f", 1))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    proto.functions.append(helper.make_function("f", "F", ["a"], ["c"], [node("F", "a", "c", domain="f")], opsets))
    return proto


@hostile
def exponentially_many_sums() -> onnx.ModelProto:
    nodes = [node("Conv", "s w", "v0")]
    nodes += [node("Add", f"v{i} v{i}", f"v{i + 1}") for i in range(40)]
    return after_spikes([*nodes, node("Identity", "v40", "t")], (1, 4, 4), {"w": trinary(2, 1, 1, 1)})


@hostile
def million_groups() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t", group=10**6)], (10**6, 1, 1), {"w": trinary(10**6, 1, 1, 1)})


@hostile
def many_features() -> onnx.ModelProto:
    return after_spikes([node("Conv", "s w", "t")], (8, 64, 64), {"w": trinary(4096, 8, 1, 1)})


@hostile
def gather_of_ten_million() -> onnx.ModelProto:
    return after_spikes([node("Gather", "s i", "t", axis=1)], (4,), {"i": np.zeros(10**7, np.int64)})


@hostile
def one_hot_of_10_to_the_9() -> onnx.ModelProto:
    nodes = [node("Cast", "s", "i", to=7), node("OneHot", "i depth values", "t")]
    return after_spikes(nodes, (4,), {"depth": np.array([10**9]), "values": f32([0, 1])})


@hostile
def thresholds_by_position_on_a_large_map() -> onnx.ModelProto:
    bias = np.random.default_rng(0).normal(size=(64, 200, 200)).astype(f32)
    nodes = [node("Conv", "s w", "u", pads=[1] * 4), node("Add", "u bias", "t")]
    return after_spikes(nodes, (14, 200, 200), {"w": trinary(64, 14, 3, 3), "bias": bias})
