"""Random ONNX networks: ONNX Runtime, both IR interpreters, the NumPy engine and the C engines give the same bits."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.passes.test_against_onnxruntime import random_model
from tests.support.five_ways import assert_all_agree
from tncc.compiler import Options, compile_model
from tncc.errors import CompileError

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
    assert_all_agree(model, compiled, x, batch)
