"""What fuzzing found, as small models: each came out wrong, or ended in something that was no message."""

from __future__ import annotations

import onnx.parser
import pytest

from tests.hostile.judge import judge

EXACT = {
    "zeros padded around spikes before a linear layer": """
        agraph (float[n,2,3] x) => (float[n,4] y)
        <int64[6] pads = {0,0,1,0,1,0}, float zero = {0}, float half = {0.5},
         float[4,12] w = {1,0,-1,1,1,-1,0,0,1,1,1,-1, -1,-1,0,1,1,1,0,1,0,0,1,0,
                          0,1,1,1,-1,0,0,1,-1,-1,0,1, 1,1,1,1,0,0,1,-1,-1,1,0,0}> {
            b = Greater (x, zero)   s = Cast <to: int = 1> (b)   p = Pad (s, pads)   f = Flatten (p)
            t = Gemm <transB: int = 1> (f, w)   c = GreaterOrEqual (t, half)   y = Cast <to: int = 1> (c)
        }""",
    "a threshold that no int32 holds": """
        agraph (float[n,3] x) => (float[n,2] y)
        <float zero = {0}, float[2] limit = {1e10, -2147483648}, float[3,2] w = {1,1,-1,1,0,1}> {
            b = Greater (x, zero)   s = Cast <to: int = 1> (b)   t = MatMul (s, w)
            c = GreaterOrEqual (t, limit)   y = Cast <to: int = 1> (c)
        }""",
    "weights whose integer sums no int32 holds": """
        agraph (float[n,3] x) => (float[n,2] y)
        <float zero = {0}, float limit = {2500000000}, float[3,2] w = {1e9,1e9,-1e9,1e9,0,1e9}> {
            b = Greater (x, zero)   s = Cast <to: int = 1> (b)   t = MatMul (s, w)
            c = GreaterOrEqual (t, limit)   y = Cast <to: int = 1> (c)
        }""",
    "spikes pooled along one dimension, then a layer on the host": """
        agraph (float[n,2,6] x) => (float[n,2,2] y)
        <float zero = {0}, float half = {0.5}, float[2,2,1] w = {1,-1,1,1}, float[2,2,2] v = {0.5,1,2,3,4,5,6,7}> {
            b = Greater (x, zero)   s = Cast <to: int = 1> (b)   t = Conv (s, w)   c = Greater (t, half)
            u = Cast <to: int = 1> (c)   p = MaxPool <kernel_shape = [2], strides = [2]> (u)   y = Conv (p, v)
        }""",
    "one input for the host and one for the chip": """
        agraph (float[n,3] x, float[n,2] spikes) => (float[n,2] y, float[n,2] z)
        <float zero = {0}, float half = {0.5}, float[3,2] w = {1,-1,1,1,0,1}, float[2,2] v = {1,-1,0,1}> {
            b = Greater (x, zero)   s = Cast <to: int = 1> (b)   t = MatMul (s, w)   c = Greater (t, half)
            y = Cast <to: int = 1> (c)   u = MatMul (spikes, v)   d = Greater (u, half)   z = Cast <to: int = 1> (d)
        }""",
    "a dilation beyond int32 of a kernel of one tap": """
        agraph (float[n,2,3,3] x) => (float[n,2,3,3] y)
        <float zero = {0}, float half = {0.5}, float[2,2,1,1] w = {1,-1,1,1}> {
            b = Greater (x, zero)   s = Cast <to: int = 1> (b)   t = Conv <dilations = [2147483648, 1]> (s, w)
            c = Greater (t, half)   y = Cast <to: int = 1> (c)
        }""",
    "a tensor that is called what the spikes of another would be": """
        agraph (float[n,3] x) => (float[n,2] y)
        <float zero = {0}, float one = {1}, float minus = {-1}, float half = {0.5}, float[3,2] w = {1,-1,1,1,-1,1},
         float[2,2] "u/spikes" = {0.5,1.5,2.5,3.5}> {
            b = Greater (x, zero)   s = Where (b, one, minus)   t = MatMul (s, w)   c = Greater (t, half)
            u = Where (c, one, minus)   y = MatMul (u, "u/spikes")
        }""",
    "a tensor that is called what the spikes of a renamed one would be": """
        agraph (float[n,3] x) => (float[n,2] "a/spikes")
        <float zero = {0}, float one = {1}, float minus = {-1}, float half = {0.5}, float[3,2] w = {1,-1,1,1,-1,1},
         float[2,2] v = {1,-1,1,1}> {
            b = GreaterOrEqual (x, zero)   a = Where (b, one, minus)   t = MatMul (a, w)   c = Greater (t, half)
            "a_/spikes" = Cast <to: int = 1> (c)   u = MatMul ("a_/spikes", v)   d = Greater (u, half)
            "a/spikes" = Cast <to: int = 1> (d)
        }""",
    "weights that are called what a level of others would be": """
        agraph (float[n,3] x) => (float[n,2] y)
        <float zero = {0}, float high = {0.25}, float low = {-0.25}, float[3,2] "s/level" = {1,-1,1,1,-1,1},
         float limit = {0.125}> {
            b = GreaterOrEqual (x, zero)   s = Where (b, high, low)   t = MatMul (s, "s/level")
            c = Greater (t, limit)   y = Cast <to: int = 1> (c)
        }""",
    "a reshape of one frame that takes zeros as zeros": """
        agraph (float[1,2,3] x) => (float[1,2] y)
        <float zero = {0}, float half = {0.5}, int64[2] flat = {1,-1}, float[6,2] w = {1,-1,1,1,-1,1,0,1,1,-1,0,0}> {
            b = Greater (x, zero)   s = Cast <to: int = 1> (b)   f = Reshape <allowzero: int = 1> (s, flat)
            t = MatMul (f, w)   c = Greater (t, half)   y = Cast <to: int = 1> (c)
        }""",
    "inputs of half precision": """
        agraph (float16[n,3] x) => (float[n,2] y)
        <float zero = {0}, float half = {0.5}, float[3,2] w = {1,-1,1,1,0,1}> {
            f = Cast <to: int = 1> (x)   b = Greater (f, zero)   s = Cast <to: int = 1> (b)
            t = MatMul (s, w)   c = Greater (t, half)   y = Cast <to: int = 1> (c)
        }""",
}
REFUSED = {
    ("E301", "weights that are not numbers"): """
        agraph (float[n,3] x) => (float[n,2] y)
        <float zero = {0}, float half = {0.5}, float[3,2] w = {nan,nan,nan,nan,nan,nan}> {
            b = Greater (x, zero)   s = Cast <to: int = 1> (b)   t = MatMul (s, w)
            c = Greater (t, half)   y = Cast <to: int = 1> (c)
        }""",
    ("E302", "sums that pass the largest float32"): """
        agraph (float[n,4] x) => (float[n,1] y)
        <float zero = {0}, float half = {0.5}, float[4,1] w = {3e38,3e38,-3e38,-3e38}> {
            b = Greater (x, zero)   s = Cast <to: int = 1> (b)   t = MatMul (s, w)
            c = Greater (t, half)   y = Cast <to: int = 1> (c)
        }""",
    ("E302", "a factor that makes sums infinite, and a difference of infinities"): """
        agraph (float[n,4] x) => (float[n,1] y)
        <float zero = {0}, float huge = {3e38}, float endless = {inf}, float[4,1] w = {1,1,1,1}> {
            b = Greater (x, zero)   s = Cast <to: int = 1> (b)   t = MatMul (s, w)   u = Mul (t, huge)
            v = Sub (u, endless)   c = GreaterOrEqual (v, zero)   y = Cast <to: int = 1> (c)
        }""",
    ("E103", "groups below zero"): """
        agraph (float[n,2,3] x) => (float[n,2,3] y)
        <float[2,1,1] w = {1,-1}> { y = Conv <group = -1> (x, w) }""",
    ("E107", "inputs of text"): """
        agraph (string[n,4] x) => (bool[n,4] y) { y = Equal (x, x) }""",
}


def parsed(text: str) -> bytes:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 19]>\n{text}')
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("what", EXACT)
def test_exact(what: str) -> None:
    assert judge(parsed(EXACT[what])) == "exact"


@pytest.mark.parametrize(("code", "what"), REFUSED)
def test_refused(code: str, what: str) -> None:
    assert judge(parsed(REFUSED[code, what])) == code
