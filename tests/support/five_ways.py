"""One check for all end-to-end tests: every implementation gives the bits of ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from tests.passes.test_against_onnxruntime import chip_part, run_split
from tncc.compiler import Compilation
from tncc.frontends.onnx import load
from tncc.host import HostModel
from tncc.ir.core_interpreter import run_frames
from tncc.ir.netlist import Netlist
from tncc.session import Session

Array = npt.NDArray[Any]


def assert_all_agree(model: onnx.ModelProto, compiled: Compilation, x: Array, batch: int) -> None:
    """Both C engines, the NumPy engine and both IR interpreters against ONNX Runtime, on a model of one output.

    x: float32 [frames, ...], what the model's one input takes. batch: frames that the engines are given at a time.
    """
    program, netlist = compiled.program, compiled.module
    assert program is not None
    assert isinstance(netlist, Netlist)

    reference = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = reference.run(None, {"x": x})
    name = reference.get_outputs()[0].name

    for engine in ("tick", "numpy", "auto"):
        found = [part[name] for part in Session(program, engine=engine).stream(x, batch)]
        np.testing.assert_array_equal(np.concatenate(found), expected, err_msg=engine)

    loaded = load(model)
    np.testing.assert_array_equal(run_split(loaded, chip_part(loaded), x)[name], expected, err_msg="nn interpreter")

    entering = HostModel(program.prefix, "prefix").run({"x": x}) if program.prefix else {"x": x}
    leaving = {k: v.astype(np.float32) for k, v in run_frames(netlist, entering).items()}
    if program.suffix:
        leaving |= HostModel(program.suffix, "suffix").run(leaving)
    np.testing.assert_array_equal(leaving[name], expected, err_msg="core interpreter")
