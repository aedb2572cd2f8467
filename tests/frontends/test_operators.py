"""Every importer: the nn interpreter computes what ONNX Runtime computes, on inputs where both are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from support.onnx_models import model, node, run

from tncc.frontends.onnx import load
from tncc.ir import interpreter, ops

rng = np.random.default_rng(5)


def weights(*shape: int) -> Any:
    return rng.integers(-3, 4, shape).astype(np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def check(proto: onnx.ModelProto, *, exact_op: type[ops.Op] | None = None, spikes: bool = False) -> Any:
    """Both interpreters agree on the model's outputs; the imported graph."""
    loaded = load(proto)
    feeds = {}
    for value in loaded.model.graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        feeds[value.name] = rng.integers(0 if spikes else -4, 2 if spikes else 5, (6, *shape[1:])).astype(dtype)
    graph = loaded.graph
    assert not [op.op_type for op in graph.ops if isinstance(op, ops.HostOp)]
    if exact_op is not None:
        assert any(isinstance(op, exact_op) for op in graph.ops)
    declared = {value.name for value in proto.graph.output}
    original = onnx.ModelProto()
    original.CopyFrom(proto)
    for value in original.graph.input:
        value.type.tensor_type.shape.dim[0].Clear()
    expected = run(original, feeds)
    assert declared == set(expected)
    found = interpreter.run(graph, feeds)
    for name, array in expected.items():
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name].astype(np.float32), array.astype(np.float32))
    cleaned = run(loaded.model, feeds)
    for name, array in expected.items():
        np.testing.assert_array_equal(cleaned[name], array, err_msg="the cleaned model differs")
    return graph


def one(op_type: str, shape: tuple[int, ...], *constants: Any, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    """A model of one node: input x, then constants (None: absent)."""
    names = ["-" if value is None else f"c{i}" for i, value in enumerate(constants)]
    given = {f"c{i}": value for i, value in enumerate(constants) if value is not None}
    nodes = [node(op_type, " ".join(["x", *names]), "y", **attributes)]
    return model(nodes, {"x": ("n", *shape)}, ["y"], given, opset=opset)


f32 = np.float32
LAYERS = {
    "conv": one("Conv", (3, 6, 7), weights(4, 3, 3, 2), weights(4)),
    "conv_no_bias": one("Conv", (3, 6, 7), weights(4, 3, 3, 2), pads=[1, 0, 2, 1], strides=[2, 3]),
    "conv_groups": one("Conv", (6, 5, 5), weights(4, 3, 2, 2), group=2, dilations=[2, 1]),
    "conv_depthwise": one("Conv", (6, 5, 5), weights(6, 1, 3, 3), group=6, auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv_same_lower": one("Conv", (2, 5, 6), weights(3, 2, 2, 4), weights(3), auto_pad="SAME_LOWER"),
    "conv_valid": one("Conv", (2, 5, 6), weights(3, 2, 2, 4), auto_pad="VALID"),
    "conv_1d": one("Conv", (3, 9), weights(4, 3, 3), weights(4), pads=[2, 1], strides=[2], dilations=[2]),
    "conv_1d_no_bias": one("Conv", (4, 9), weights(4, 2, 3), group=2),
    "gemm": one("Gemm", (5,), weights(5, 4), weights(4)),
    "gemm_transposed": one("Gemm", (5,), weights(4, 5), weights(1, 4), transB=1, alpha=2.0, beta=3.0),
    "gemm_scalar_bias": one("Gemm", (5,), weights(4, 5), weights(1), transB=1),
    "gemm_no_bias": one("Gemm", (5,), weights(5, 4)),
    "matmul": one("MatMul", (5,), weights(5, 4)),
    "matmul_rows": one("MatMul", (3, 5), weights(5, 4)),
    "max_pool": one("MaxPool", (2, 6, 7), kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
    "max_pool_ceil": one("MaxPool", (2, 6, 7), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "max_pool_dilated": one("MaxPool", (2, 6, 7), kernel_shape=[3, 2], dilations=[2, 3]),
    "max_pool_1d": one("MaxPool", (2, 8), kernel_shape=[2], strides=[2]),
    "average_pool": one("AveragePool", (2, 6, 8), kernel_shape=[2, 2], strides=[2, 2]),
    "average_pool_pad": one("AveragePool", (2, 6, 8), kernel_shape=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
    "average_pool_excluded": one("AveragePool", (2, 6, 8), kernel_shape=[2, 2], pads=[1, 0, 1, 0]),
    "average_pool_same": one("AveragePool", (2, 4, 4), kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    "global_average": one("GlobalAveragePool", (3, 4, 4)),
    "global_max": one("GlobalMaxPool", (3, 4, 5)),
    "global_average_1d": one("GlobalAveragePool", (3, 8)),
    "reduce_mean": one("ReduceMean", (3, 4, 4), axes=[2, 3], keepdims=0),
    "reduce_mean_18": one("ReduceMean", (3, 4, 4), ints(-1, -2), opset=18),
    "reduce_max_1d": one("ReduceMax", (3, 7), axes=[-1], keepdims=1),
    "batch_norm": one(
        "BatchNormalization", (2, 3, 3), f32([2, -4]), f32([1, 3]), f32([3, -2]), f32([4, 16]), epsilon=0.0
    ),
    "batch_norm_vector": one(
        "BatchNormalization", (2,), f32([2, -4]), f32([1, 3]), f32([3, -2]), f32([4, 1]), epsilon=0.0
    ),
}
ELEMENTWISE = {
    **{f"{name}_constant": one(name, (3, 4), f32([-1, 2, 0.5, 3])) for name in ("Add", "Sub", "Mul", "Min", "Max")},
    **{name: one(name, (3, 4), f32([1])) for name in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")},
    **{
        name: one(name, (3, 4))
        for name in ("Neg", "Abs", "Sign", "Relu", "Identity", "Floor", "Ceil", "Round", "Dropout")
    },
    "div": one("Div", (3, 4), f32([[2], [4], [-1]])),
    "per_channel": one("Greater", (3, 4, 4), weights(1, 3, 1, 1)),
    "clip": one("Clip", (3, 4), f32(-1), f32(2)),
    "clip_low": one("Clip", (3, 4), f32(-1)),
    "clip_high": one("Clip", (3, 4), None, f32(1)),
    "hard_sigmoid": one("HardSigmoid", (3, 4), alpha=0.25, beta=0.5),
    "leaky_relu": one("LeakyRelu", (3, 4), alpha=0.25),
    "prelu": one("PRelu", (3, 4), f32([[0.5], [2], [-1]])),
    "thresholded_relu": one("ThresholdedRelu", (3, 4), alpha=1.0),
    "max_one_number": one("Max", (3, 4), f32([0.5])),
    "min_one_number": one("Min", (3, 4), f32(2)),
    "cast_like": model(
        [node("CastLike", "c x", "cast"), node("Min", "x cast", "y")], {"x": ("n", 3)}, ["y"], {"c": ints(1)}
    ),
    "sum": one("Sum", (3, 4), f32([1]), f32([[2], [3], [4]])),
    "max_of_three": one("Max", (3, 4), f32([1]), f32([[2], [-3], [0]])),
    "constant_left": model([node("Less", "c x", "y")], {"x": ("n", 3)}, ["y"], {"c": f32([0, 1, -1])}),
    "subtracted_from": model([node("Sub", "c x", "y")], {"x": ("n", 3)}, ["y"], {"c": f32(1)}),
    "where": model(
        [node("Less", "x zero", "c"), node("Where", "c one x", "y")],
        {"x": ("n", 3)},
        ["y"],
        {"zero": f32(0), "one": f32(1)},
    ),
    "logic": model(
        [
            node("Less", "x zero", "a"),
            node("Equal", "x z2", "b"),
            node("Not", "a", "c"),
            node("And", "c b", "d"),
            node("Or", "d a", "e"),
            node("Xor", "e b", "f"),
            node("Cast", "f", "y", to=1),
        ],
        {"x": ("n", 3)},
        ["y"],
        {"zero": f32(0), "z2": f32([[1, 2, 0]])},
    ),
    "to_bool": model([node("Cast", "x", "b", to=9), node("Cast", "b", "y", to=1)], {"x": ("n", 3)}, ["y"]),
    "to_int": model(
        [node("Sign", "x", "s"), node("Cast", "s", "i", to=7), node("Add", "i one", "y")],
        {"x": ("n", 3)},
        ["y"],
        {"one": ints(1)},
    ),
    "two_tensors": model([node("Mul", "x x2", "m"), node("Add", "m x", "y")], {"x": ("n", 3), "x2": ("n", 3)}, ["y"]),
    "bool_input": model([node("Not", "x", "y")], {"x": ("n", 3)}, ["y"], input_type=onnx.TensorProto.BOOL),
    "int_input": model([node("Neg", "x", "y")], {"x": ("n", 3)}, ["y"], input_type=onnx.TensorProto.INT32),
}
WIRING = {
    "flatten": one("Flatten", (3, 4, 2)),
    "reshape": one("Reshape", (3, 4, 2), ints(-1, 6, 4)),
    "reshape_zero": one("Reshape", (3, 4, 2), ints(0, 0, -1)),
    "reshape_same": one("Reshape", (3, 4), ints(0, 3, 4)),
    "transpose": one("Transpose", (3, 4, 2), perm=[0, 3, 1, 2]),
    "squeeze": one("Squeeze", (3, 1, 2), ints(2)),
    "squeeze_11": one("Squeeze", (3, 1, 1), axes=[-1, 2], opset=11),
    "unsqueeze": one("Unsqueeze", (3, 2), ints(1, -1)),
    "gather": one("Gather", (5, 2), ints(3, 1, 1, -1), axis=1),
    "gather_scalar": one("Gather", (5, 2), np.array(2), axis=1),
    "gather_matrix": one("Gather", (5, 2), ints(3, 1, 0, 2).reshape(2, 2), axis=-2),
    "slice": one("Slice", (5, 6), ints(1, 0), ints(-1, 1 << 40), ints(1, 2), ints(1, 2)),
    "slice_reversed": one("Slice", (5, 6), ints(-1), ints(-(1 << 40)), ints(1), ints(-1)),
    "slice_all": one("Slice", (5, 6), ints(0, 0), ints(1 << 40, 9), ints(0, 1)),
    "slice_no_axes": one("Slice", (5, 6), ints(0, 2), ints(1 << 40, 4)),
    "expand": one("Expand", (1, 3), ints(1, 4, 3)),
    "tile": one("Tile", (2, 3), ints(1, 2, 3)),
    "pad": one("Pad", (2, 3), ints(0, 1, 2, 0, 0, 1)),
    "pad_axes": one("Pad", (2, 3), ints(1, 2), f32(0), ints(-1), opset=18),
    "concat": model([node("Concat", "x x2 x", "y", axis=-1)], {"x": ("n", 2, 3), "x2": ("n", 2, 1)}, ["y"]),
    "split": model(
        [node("Split", "x s", "a b c", axis=1), node("Concat", "c a b", "y", axis=1)],
        {"x": ("n", 6, 2)},
        ["y"],
        {"s": ints(1, 2, 3)},
    ),
    "split_11": model([node("Split", "x", "a y", axis=1)], {"x": ("n", 6, 2)}, ["a", "y"], opset=11),
    "pad_into_conv": model(
        [node("Pad", "x p", "q"), node("Conv", "q w", "y", pads=[0, 1, 0, 0])],
        {"x": ("n", 2, 4, 4)},
        ["y"],
        {"p": ints(0, 0, 1, 0, 0, 0, 2, 1), "w": weights(3, 2, 2, 2)},
    ),
    "gather_nd": model(
        [
            node("Transpose", "x", "a", perm=[2, 0, 1]),
            node("GatherND", "a i", "b"),
            node("Transpose", "b", "y", perm=[1, 2, 0]),
        ],
        {"x": ("n", 3, 4)},
        ["y"],
        {"i": ints(3, 0, 0).reshape(3, 1)},
    ),
    "computed_shape": model(
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "n"),
            node("Unsqueeze", "n z1", "m"),
            node("Concat", "m rest", "t", axis=0),
            node("Reshape", "x t", "y"),
        ],
        {"x": ("n", 3, 4)},
        ["y"],
        {"zero": np.array(0), "z1": ints(0), "rest": ints(2, 6)},
    ),
    "zeros_like": model(
        [
            node("Shape", "x", "s"),
            node("ConstantOfShape", "s", "z", value=onnx.numpy_helper.from_array(f32([2]))),
            node("Add", "x z", "y"),
        ],
        {"x": ("n", 3, 4)},
        ["y"],
    ),
    "resize": one("Resize", (2, 3, 4), None, f32([1, 1, 2, 3]), mode="nearest"),
    "resize_floor": one(
        "Resize",
        (2, 3, 4),
        None,
        f32([1, 1, 3, 2]),
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "resize_to_size": model(
        [
            node("Shape", "x", "s"),
            node("Gather", "s first", "n"),
            node("Concat", "n rest", "sizes", axis=0),
            node("Resize", "x - - sizes", "y", mode="nearest"),
        ],
        {"x": ("n", 2, 3, 4)},
        ["y"],
        {"first": ints(0), "rest": ints(2, 6, 4)},
    ),
    "depth_to_space": one("DepthToSpace", (8, 2, 3), blocksize=2),
    "depth_to_space_crd": one("DepthToSpace", (8, 2, 3), blocksize=2, mode="CRD"),
    "space_to_depth": one("SpaceToDepth", (2, 4, 6), blocksize=2),
    "input_is_output": model([node("Neg", "x", "y")], {"x": ("n", 3)}, ["y", "x"]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    check(LAYERS[name])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name: str) -> None:
    check(ELEMENTWISE[name], spikes=name == "bool_input")


@pytest.mark.parametrize("name", WIRING)
def test_wiring(name: str) -> None:
    graph = check(WIRING[name])
    if name != "pad_into_conv":
        assert {type(op) for op in graph.ops} <= {*ops.WIRING, ops.Constant, ops.Binary, ops.Unary}


def test_pad_is_merged_into_conv() -> None:
    graph = check(WIRING["pad_into_conv"])
    (conv,) = graph.ops
    assert isinstance(conv, ops.Conv2d) and conv.pads == (1, 1, 2, 1)


def test_clamped_round_is_a_comparison() -> None:
    proto = model(
        [node("Clip", "x zero one", "c"), node("Round", "c", "y")],
        {"x": ("n", 3)},
        ["y"],
        {"zero": f32(0), "one": f32(1)},
    )
    graph = load(proto).graph
    assert graph.types["y"].domain == "spikes"
    x = np.array([[0.5, np.nextafter(f32(0.5), f32(1)), 2], [-1, 0.49999997, 0.75]], np.float32)
    np.testing.assert_array_equal(interpreter.run(graph, {"x": x})["y"], run(proto, {"x": x})["y"])


def test_clamps_by_max_and_min_are_rounded_likewise() -> None:
    nodes = [node("Max", "zero x", "m"), node("Min", "m one", "c"), node("Round", "c", "y")]
    proto = model(nodes, {"x": ("n", 3)}, ["y"], {"zero": f32(0), "one": f32([1])})
    assert load(proto).graph.types["y"].domain == "spikes"


NOT_MODELLED = {
    "softmax": one("Softmax", (5,), axis=-1),
    "argmax": one("ArgMax", (5,), axis=1),
    "mean over classes": one("ReduceMean", (2, 5), axes=[1], keepdims=0),
    "cast truncates": one("Cast", (5,), to=6),
    "batch reduced": one("ReduceMean", (5,), axes=[0]),
    "batch merged": one("Reshape", (5, 2), ints(-1, 2)),
    "batch moved": one("Transpose", (5, 2), perm=[1, 0, 2]),
    "linear resize": one("Resize", (2, 3, 4), None, f32([1, 1, 2, 2]), mode="linear"),
    "fractional resize": one("Resize", (2, 2, 4), None, f32([1, 1, 1.5, 2]), mode="nearest"),
    "resize by nearly whole factors": one(
        "Resize",
        (2, 3, 2),
        None,
        f32([1, 1, 2.1, 2.4]),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "resize of centres, rounded down": one("Resize", (2, 3, 4), None, f32([1, 1, 2, 2]), nearest_mode="floor"),
    "resize that keeps the aspect": one(
        "Resize", (2, 3, 5), None, None, ints(6, 10), axes=[2, 3], keep_aspect_ratio_policy="not_larger", opset=18
    ),
    "float64": model([node("Cast", "x", "d", to=11), node("Neg", "d", "y")], {"x": ("n", 3)}, ["y"]),
    "integer division": model(
        [node("Div", "x two", "y")], {"x": ("n", 3)}, ["y"], {"two": np.array(2, np.int32)}, input_type=6
    ),
    "ranks differ": model([node("Add", "x x2", "y")], {"x": ("n", 1, 4), "x2": ("n", 4)}, ["y"]),
}


@pytest.mark.parametrize("name", NOT_MODELLED)
def test_what_the_ir_cannot_say_is_a_host_op(name: str) -> None:
    graph = load(NOT_MODELLED[name]).graph
    assert isinstance(graph.producer[graph.outputs[0]], ops.HostOp)


@pytest.mark.parametrize("opset", range(11, 24))
def test_operator_sets(opset: int) -> None:
    nodes = [
        node("Conv", "x w b", "s", pads=[1, 1, 1, 1]),
        node("Greater", "s zero", "c"),
        node("Cast", "c", "k", to=1),
        node("MaxPool", "k", "m", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "m", "f"),
        node("MatMul", "f v", "g"),
        node("Clip", "g lo hi", "y"),
    ]
    constants = {"w": weights(3, 2, 3, 3), "b": weights(3), "v": weights(12, 5), "lo": f32(-2), "hi": f32(2)}
    check(model(nodes, {"x": ("n", 2, 4, 4)}, ["y"], {**constants, "zero": f32(0)}, opset=opset))


def test_every_node_is_named_and_every_op_located() -> None:
    nodes = [onnx.helper.make_node("Neg", ["x"], ["a"]), onnx.helper.make_node("Neg", ["a"], ["y"], name="Neg")]
    loaded = load(model(nodes, {"x": ("n", 3)}, ["y"]))
    assert [n.name for n in loaded.model.graph.node] == ["Neg_0", "Neg"]
    assert [str(op.location) for op in loaded.graph.ops] == ["Neg_0", "Neg"]


def test_the_given_model_is_left_alone() -> None:
    proto = WIRING["computed_shape"]
    before = proto.SerializeToString(deterministic=True)
    first, second = load(proto), load(proto)
    assert proto.SerializeToString(deterministic=True) == before
    assert first.sha256 == second.sha256
    assert first.model.SerializeToString(deterministic=True) == second.model.SerializeToString(deterministic=True)
