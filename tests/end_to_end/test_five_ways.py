"""Random ONNX networks: ONNX Runtime, both IR interpreters, the NumPy engine and the C engines give the same bits."""

from __future__ import annotations

import numpy as np
import onnxruntime
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.passes.test_against_onnxruntime import chip_part, random_model, run_split
from tncc.compiler import Options, compile_model
from tncc.errors import CompileError
from tncc.frontends.onnx import load
from tncc.host import HostModel
from tncc.ir.core_interpreter import run_frames
from tncc.ir.netlist import Netlist
from tncc.session import Session

FRAMES = 12


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from(["host", "splitters"]), st.sampled_from([1, 5, 512]))
def test_all_agree(seed: int, input_fanout: str, batch: int) -> None:
    rng = np.random.default_rng(seed)
    model, real, shape = random_model(rng)
    x = rng.standard_normal((FRAMES, *shape)) if real else rng.integers(0, 2, (FRAMES, *shape))
    x = x.astype(np.float32)
    try:
        compiled = compile_model(model, Options(input_fanout=input_fanout, effort="low"))
    except CompileError as error:
        refused = ("rounding decides", "filter support", "Sign is three-valued")
        assume(not any(reason in str(error) for reason in refused))
        raise
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
