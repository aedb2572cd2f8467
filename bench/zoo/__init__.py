"""Models as users bring them: `python -m bench.zoo [NAME ...]` compiles each and compares it with ONNX Runtime.

Every entry is a family: a function of a random generator. The tests draw other members of the same families.
"""

from __future__ import annotations

import numpy as np
import onnx

import tncc
from bench.zoo import shapes, sources  # noqa: F401  (they fill ZOO)
from bench.zoo.net import QONNX, ZOO, Array, f32
from tncc.frontends.onnx import load

__all__ = ["ZOO", "differing_values", "frames"]


def frames(model: onnx.ModelProto, count: int, rng: np.random.Generator) -> dict[str, Array]:
    """Random inputs by name."""
    frame = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim[1:]] for v in model.graph.input}
    return {name: rng.normal(size=(count, *shape)).astype(f32) for name, shape in frame.items()}


def differing_values(model: onnx.ModelProto, program: tncc.Program, feeds: dict[str, Array]) -> int:
    """In how many output values the chip differs from ONNX Runtime, which runs QONNX's quantizers rewritten."""
    import onnxruntime

    runnable = load(model).model if any(node.domain == QONNX for node in model.graph.node) else model
    session = onnxruntime.InferenceSession(runnable.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    got = program.run(feeds if len(feeds) > 1 else next(iter(feeds.values())))
    given = got if isinstance(got, dict) else {names[0]: got}
    expected = dict(zip(names, session.run(names, feeds), strict=True))
    return sum(int(np.count_nonzero(given[name] != expected[name])) for name in names)
