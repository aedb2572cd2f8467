"""The nn interpreter against ONNX Runtime, op by op."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tncc.errors import CompileError, InputError
from tncc.ir import interpreter, ops
from tncc.ir.graph import Graph, Value
from tncc.ir.infer import result_type
from tncc.ir.location import Location
from tncc.ir.types import Domain, TensorType

Array = npt.NDArray[Any]
AT = Location.of("node")


def onnx_runtime(op_type: str, operands: list[Array], **attributes: Any) -> Array:
    """What ONNX Runtime returns for one op, graph optimizations off."""
    names = [f"x{i}" for i in range(len(operands))]
    node = helper.make_node(op_type, names, ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, operands[0].shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a, name) for a, name in zip(operands[1:], names[1:], strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x0": operands[0]})[0])


def interpreted(op_class: type[ops.Op], x: Array, domain: Domain, **attributes: Any) -> Array:
    """What the interpreter returns for one op on one operand [batch, ...]."""
    operand = TensorType(domain, x.shape[1:])
    kind = result_type(op_class, [operand], attributes)
    op = op_class(inputs=("x",), output="y", type=kind, location=AT, **attributes)
    return interpreter.run(Graph("g", (Value("x", operand),), (op,), ("y",)), {"x": x})["y"]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_conv_and_pools_match_onnx_runtime(data: st.DataObject) -> None:
    small = st.integers(1, 3)
    groups, per_group, per_out = data.draw(small), data.draw(small), data.draw(small)
    kernel = (data.draw(small), data.draw(small))
    strides, dilations = (data.draw(small), data.draw(small)), (data.draw(small), data.draw(small))
    pads = tuple(data.draw(st.integers(0, k - 1)) for k in (*kernel, *kernel))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    x = rng.integers(0, 2, (2, groups * per_group, 8, 9))
    weight = rng.integers(-1, 2, (groups * per_out, per_group, *kernel)).astype(np.float32)
    window = {"strides": strides, "pads": pads}
    found = interpreted(ops.Conv2d, x, Domain.SPIKES, weight=weight, dilations=dilations, groups=groups, **window)
    expected = onnx_runtime(
        "Conv", [x.astype(np.float32), weight], group=groups, dilations=dilations, strides=strides, pads=pads
    )
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)

    real = rng.standard_normal(x.shape).astype(np.float32)
    found = interpreted(ops.Conv2d, real, Domain.REAL, weight=weight, dilations=dilations, groups=groups, **window)
    expected = onnx_runtime("Conv", [real, weight], group=groups, dilations=dilations, strides=strides, pads=pads)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)

    found = interpreted(ops.MaxPool2d, real, Domain.REAL, kernel=kernel, dilations=dilations, **window)
    expected = onnx_runtime("MaxPool", [real], kernel_shape=kernel, dilations=dilations, strides=strides, pads=pads)
    np.testing.assert_array_equal(found, expected)

    count = data.draw(st.booleans())
    found = interpreted(ops.AveragePool2d, x, Domain.SPIKES, kernel=kernel, count_include_pad=count, **window)
    expected = onnx_runtime(
        "AveragePool",
        [x.astype(np.float32)],
        kernel_shape=kernel,
        count_include_pad=int(count),
        strides=strides,
        pads=pads,
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("spread", [1.0, 100.0])
def test_batch_norm_matches_onnx_runtime_bit_for_bit(spread: float) -> None:
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((4, 6, 5, 5)) * spread).astype(np.float32)
    gamma, beta, mean = (rng.standard_normal(6).astype(np.float32) for _ in range(3))
    variance = rng.random(6).astype(np.float32) + np.float32(0.01)
    found = interpreted(
        ops.BatchNorm, x, Domain.REAL, gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=1e-5
    )
    expected = onnx_runtime("BatchNormalization", [x, gamma, beta, mean, variance], epsilon=1e-5)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "kind",
    ["neg", "abs", "sign", "round", "floor", "ceil", "relu"],
)
def test_unary_matches_onnx_runtime(kind: str) -> None:
    x = np.array([[-2.5, -1.5, -0.5, -0.25, 0, 0.25, 0.5, 1.5, 2.5, 3]], np.float32)
    np.testing.assert_array_equal(
        interpreted(ops.Unary, x, Domain.REAL, kind=kind), onnx_runtime(kind.capitalize(), [x])
    )


@pytest.mark.parametrize("kind", ["add", "sub", "mul", "div", "min", "max"])
def test_binary_broadcasts_like_onnx_runtime(kind: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, 4, 2, 2)).astype(np.float32)
    constant = rng.standard_normal((4, 1, 1)).astype(np.float32)
    real = TensorType(Domain.REAL, (4, 2, 2))
    per_channel = TensorType(Domain.REAL, (4, 1, 1))
    graph = Graph(
        "g",
        (Value("x", real),),
        (
            ops.Constant(inputs=(), output="c", type=per_channel, location=AT, value=constant),
            ops.Binary(inputs=("x", "c"), output="y", type=real, location=AT, kind=kind),
        ),
        ("y",),
    )
    np.testing.assert_array_equal(
        interpreter.run(graph, {"x": x})["y"], onnx_runtime(kind.capitalize(), [x, constant[None]])
    )


def test_wiring() -> None:
    x = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4).astype(np.float32)
    found = interpreted(ops.Transpose, x, Domain.REAL, permutation=(1, 2, 0))
    np.testing.assert_array_equal(found, x.transpose(0, 2, 3, 1))
    found = interpreted(ops.Gather, x, Domain.REAL, indices=np.array([2, 0]), axis=1)
    np.testing.assert_array_equal(found, x[:, :, [2, 0]])


def test_spiking_and_trinary_layers() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 2, (5, 4, 6, 6))
    weight = rng.integers(-1, 2, (6, 2, 3, 3)).astype(np.int8)
    window: dict[str, Any] = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 2}
    sums = interpreted(ops.Conv2d, x, Domain.SPIKES, weight=weight.astype(np.float32), **window)
    scale = rng.random(6).astype(np.float32) + np.float32(0.1)
    scaled = interpreted(ops.TrinaryConv2d, x, Domain.SPIKES, weight=weight, scale=scale, **window)
    np.testing.assert_array_equal(scaled, sums.astype(np.float32) * scale[:, None, None])
    threshold = rng.integers(-2, 3, (6, 6, 6)).astype(np.int32)
    labels = np.repeat(np.arange(2, dtype=np.int32), 3)
    fired = interpreted(
        ops.SpikingConv2d, x, Domain.SPIKES, weight=weight, threshold=threshold, feature_groups=labels, **window
    )
    assert fired.dtype == np.uint8
    np.testing.assert_array_equal(fired, sums >= threshold)


def test_large_integer_sums_stay_exact() -> None:
    x = np.full((1, 3), 1 << 22)
    weight = np.array([[3, 1, 1]], np.float32)
    assert interpreted(ops.Linear, x, Domain.INT, weight=weight).tolist() == [[5 << 22]]
    x[0, 0] += 1
    assert interpreted(ops.Linear, x, Domain.INT, weight=weight).tolist() == [[(5 << 22) + 3]]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((1, 2), 0.5), "input 'x' holds numbers that are not spikes"),
        (np.full((1, 2), 2), "input 'x' holds numbers that are not spikes"),
        (np.ones((1, 3)), "input 'x' has shape (1, 3), expected ('batch', 2)"),
    ],
)
def test_bad_inputs(x: Array, message: str) -> None:
    graph = Graph("g", (Value("x", TensorType(Domain.SPIKES, (2,))),), (), ("x",))
    with pytest.raises(InputError) as caught:
        interpreter.run(graph, {"x": x})
    assert str(caught.value) == message


def test_host_op_has_no_meaning() -> None:
    real = TensorType(Domain.REAL, (2,))
    op = ops.HostOp(inputs=("x",), output="y", type=real, location=Location.of("Softmax_3"), op_type="Softmax")
    with pytest.raises(CompileError) as caught:
        interpreter.run(Graph("g", (Value("x", real),), (op,), ("y",)), {"x": np.zeros((1, 2))})
    assert str(caught.value) == "Softmax_3: Softmax cannot be interpreted: the IR does not model it"
