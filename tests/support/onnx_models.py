"""Small ONNX models for the frontend's tests, and ways to run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

FLOAT = onnx.TensorProto.FLOAT


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[Any]],
    outputs: Sequence[str],
    constants: dict[str, Any] | None = None,
    *,
    opset: int = 17,
    input_type: int = FLOAT,
    extra_domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model of `nodes`; the outputs' types are left to inference."""
    graph = onnx.helper.make_graph(
        list(nodes),
        "test",
        [onnx.helper.make_tensor_value_info(name, input_type, list(shape)) for name, shape in inputs.items()],
        [onnx.helper.make_empty_tensor_value_info(name) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    opsets = [onnx.helper.make_opsetid("", opset), *(onnx.helper.make_opsetid(d, 1) for d in extra_domains)]
    made = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    typed = onnx.shape_inference.infer_shapes(made)
    for value in typed.graph.output:
        if not value.type.WhichOneof("value"):
            value.type.tensor_type.elem_type = FLOAT
    del typed.graph.value_info[:]
    return typed


def node(op_type: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> onnx.NodeProto:
    """A node; inputs and outputs are separated by blanks, `-` stands for an absent one."""
    return onnx.helper.make_node(
        op_type,
        ["" if i == "-" else i for i in inputs.split()],
        ["" if o == "-" else o for o in outputs.split()],
        name=name or f"{op_type}_{outputs.split()[0]}",
        **attributes,
    )


def run(proto: onnx.ModelProto | bytes, feeds: dict[str, Any]) -> dict[str, Any]:
    """ONNX Runtime's outputs by name; feeds that the model does not take are left out."""
    data = proto if isinstance(proto, bytes) else proto.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    taken = {value.name: feeds[value.name] for value in session.get_inputs()}
    return dict(zip(names, session.run(names, taken), strict=True))
