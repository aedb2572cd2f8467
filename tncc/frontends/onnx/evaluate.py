"""Evaluates single ONNX nodes on constants, with ONNX Runtime: bit for bit what the model itself would compute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper
import onnx.shape_inference

Array = npt.NDArray[Any]

MAX_BYTES = 1 << 27  # of all that a model computes from constants
MAX_IR_VERSION = 10  # what every supported ONNX Runtime reads
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}


class CannotEvaluate(Exception):
    """ONNX Runtime refuses the node, or its result would be too large."""


def is_foldable(node: onnx.NodeProto) -> bool:
    """Whether the node's result depends on nothing but its inputs and is known to ONNX Runtime."""
    has_body = any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute)
    return node.domain in DOMAINS and node.op_type not in RANDOM and not has_body


def evaluate(
    node: onnx.NodeProto,
    operands: Mapping[str, Array],
    opsets: Sequence[onnx.OperatorSetIdProto],
    room: int = MAX_BYTES,
) -> dict[str, Array]:
    """The node's results by name, given all its inputs by name; they may take `room` bytes.

    Raises:
        CannotEvaluate: see there.
    """
    if node.op_type in ("Div", "Mod") and len(node.input) == 2:
        divisor = operands[node.input[1]]
        if divisor.dtype.kind in "iu" and not np.all(divisor):
            raise CannotEvaluate("integer division by zero")
    names = [name for name in dict.fromkeys(node.input) if name]
    outputs = [name for name in node.output if name]
    graph = onnx.helper.make_graph(
        [node],
        "constant",
        [],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [onnx.numpy_helper.from_array(operands[name], name) for name in names],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[entry for entry in opsets if entry.domain in DOMAINS], ir_version=MAX_IR_VERSION
    )
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        for value in inferred.graph.output:
            elements = math.prod(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            if elements * 4 > MAX_BYTES:
                raise CannotEvaluate(f"its result would have {elements} elements")
            if elements * 4 > room:
                raise CannotEvaluate(f"the model's computed constants would take more than {MAX_BYTES:,} bytes")
        results = _session(model).run(outputs, {})
    except CannotEvaluate:
        raise
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise CannotEvaluate(_one_line(error)) from None
    found = dict(zip(outputs, results, strict=True))
    if not all(isinstance(value, np.ndarray) for value in found.values()):
        raise CannotEvaluate("its result is not a tensor")
    return found


def why_not_runnable(model: onnx.ModelProto) -> str:
    """Why ONNX Runtime does not take the model: wrong element types, say; "" where it does."""
    try:
        _session(model)
    except Exception as error:  # ONNX Runtime's errors share no base class
        return _one_line(error)
    return ""


def _session(model: onnx.ModelProto) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def _one_line(error: Exception) -> str:
    """The gist of an ONNX Runtime error, which starts with codes: `[ONNXRuntimeError] : 1 : FAIL : Type Error...`."""
    text = " ".join(str(error).split())
    if text.startswith("[ONNXRuntimeError]"):
        text = text.split(" : ", 3)[-1]
    return text[:300] or type(error).__name__
