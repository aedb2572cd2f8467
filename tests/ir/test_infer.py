"""Shape rules agree with the reference interpreter; value sets never miss a number that can occur."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tncc.errors import CompileError
from tncc.ir import ops
from tncc.ir.graph import Graph, Value
from tncc.ir.infer import infer_domains, infer_graph_values, result_type
from tncc.ir.interpreter import run
from tncc.ir.location import Location
from tncc.ir.shapes import _SHAPE_RULES
from tncc.ir.types import Domain, TensorType
from tncc.ir.value_sets import ARITHMETIC, COMPARISONS, UNARY, Values
from tncc.ir.verify import verify

HERE = Location.of("here")


def spikes(*shape: int) -> TensorType:
    return TensorType(Domain.SPIKES, shape)


def real(*shape: int) -> TensorType:
    return TensorType(Domain.REAL, shape)


def window(**changes: Any) -> dict[str, Any]:
    return {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)} | changes


def weight(*shape: int, dtype: Any = np.float32) -> Any:
    return np.ones(shape, dtype)


def test_every_op_has_a_shape_rule() -> None:
    assert set(ops.registry().values()) == set(_SHAPE_RULES)


@pytest.mark.parametrize(
    ("cls", "operands", "attributes", "message"),
    [
        (ops.Linear, [real(3)], {"weight": weight(2, 4)}, "linear: the operand is 3; the weight expects 4 features"),
        (ops.Linear, [], {"weight": weight(2, 4)}, "linear takes 1 operand(s), not 0"),
        (
            ops.Conv2d,
            [real(3, 8, 8)],
            {"weight": weight(4, 2, 3, 3), "groups": 2, **window()},
            "conv2d: the operand has 3 channels, the weight expects 2 x 2 groups",
        ),
        (
            ops.Conv2d,
            [real(3, 2, 8)],
            {"weight": weight(4, 3, 3, 3), "groups": 1, **window()},
            "conv2d: a window of 3 does not fit the padded input of 2",
        ),
        (
            ops.SpikingConv2d,
            [real(1, 2, 2)],
            {
                "weight": weight(1, 1, 1, 1, dtype=np.int8),
                "threshold": np.ones((1, 1, 1), np.int32),
                "feature_groups": np.zeros(1, np.int32),
                "groups": 1,
                **window(),
            },
            "spiking_conv2d takes spikes, its operand is real",
        ),
        (ops.Binary, [real(2), real(3)], {"kind": "add"}, "binary: shapes 2, 3 do not broadcast"),
        (ops.Unary, [real(2)], {"kind": "not"}, "not takes spikes, its operand is real"),
        (ops.Gather, [real(2)], {"indices": np.array([0, 2]), "axis": 0}, "gather: an index lies outside 0..1"),
        (ops.Concat, [real(2, 3), real(3, 4)], {"axis": 0}, "concat: shapes 2x3, 3x4 differ in more than axis 0"),
        (
            ops.MaxPool2d,
            [spikes(1, 4, 4)],
            {"kernel": (2, 2), **window(pads=(2, 0, 0, 0))},
            "max_pool2d: a window would lie in the padding alone: pads must be below the kernel",
        ),
    ],
)
def test_misfits(cls: type[ops.Op], operands: list[TensorType], attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError) as caught:
        result_type(cls, operands, attributes, location="Node_3")
    assert str(caught.value) == f"Node_3: {message}"


@pytest.mark.parametrize(
    ("values", "domain"),
    [
        ([0.0, 1.0], Domain.SPIKES),
        ([1.0], Domain.SPIKES),
        ([-1.0, 1.0], Domain.SIGNS),
        ([-1.0, 0.0, 1.0], Domain.INT),
        ([0.5], Domain.REAL),
        ([np.inf], Domain.REAL),
        (list(range(100)), Domain.INT),
    ],
)
def test_domains_of_values(values: list[float], domain: Domain) -> None:
    assert Values.of(np.array(values)).domain is domain


def elementwise_graph(rng: np.random.Generator) -> Graph:
    """Random elementwise ops over spikes, signs, integers and constants."""
    values: dict[str, TensorType] = {
        "s": TensorType(Domain.SPIKES, (4,)),
        "g": TensorType(Domain.SIGNS, (4,)),
        "n": TensorType(Domain.INT, (4,)),
        "r": TensorType(Domain.REAL, (4,)),
    }
    inputs = tuple(Value(name, kind) for name, kind in values.items())
    made: list[ops.Op] = []

    def add(cls: type[ops.Op], *names: str, **attributes: Any) -> None:
        output = f"v{len(made)}"
        kind = result_type(cls, [values[name] for name in names], attributes)
        made.append(cls(inputs=names, output=output, type=kind, location=HERE, **attributes))
        values[output] = kind

    for _ in range(12):
        pick = [str(name) for name in rng.choice(list(values), 3)]
        choice = rng.integers(0, 6)
        if choice == 0:
            add(ops.Constant, value=np.float32(rng.choice([-1, 0, 0.5, 1, 2, 3])).reshape(()))
        elif choice == 1:
            left_out = {"strict_sign"}  # a promise, which an arbitrary graph does not keep
            if values[pick[0]].domain is not Domain.SPIKES:
                left_out.add("not")
            kinds = [k for k in UNARY if k not in left_out]
            add(ops.Unary, pick[0], kind=str(rng.choice(kinds)))
        elif choice == 2:
            low, high = sorted(rng.choice([-1.0, 0.0, 0.25, 1.0, 2.0], 2).tolist())
            add(ops.Clip, pick[0], low=low, high=high)
            add(ops.HardSigmoid, pick[0], alpha=float(rng.choice([-0.5, 0.2])), beta=0.5)
        elif choice == 3:
            condition = rng.choice([name for name, kind in values.items() if kind.domain is Domain.SPIKES])
            add(ops.Where, str(condition), *pick[1:])
        else:
            add(ops.Binary, *pick[:2], kind=str(rng.choice([*ARITHMETIC, *COMPARISONS])))
    return Graph("g", inputs, tuple(made), tuple(op.output for op in made))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32))
def test_value_sets_hold_whatever_occurs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = infer_domains(elementwise_graph(rng))
    verify(graph)
    inferred = infer_graph_values(graph)
    frames = {
        "s": rng.integers(0, 2, (16, 4)),
        "g": 2 * rng.integers(0, 2, (16, 4)) - 1,
        "n": rng.integers(-3, 4, (16, 4)),
        "r": rng.standard_normal((16, 4)).astype(np.float32),
    }
    with np.errstate(all="ignore"):
        outputs = run(graph, frames)
    # elements never mix, so those that meet an infinity, a NaN or a number beyond float32's integers can be left out
    wide = [np.broadcast_to(got.reshape(16, -1).astype(np.float64), (16, 4)) for got in outputs.values()]
    ordinary = np.all([np.abs(got) < 2**24 for got in wide], axis=0)
    for name, got in outputs.items():
        assert got.shape[1:] == graph.types[name].shape
        got = np.broadcast_to(got.reshape(16, -1), ordinary.shape)[ordinary]
        finite = inferred[name].finite
        if finite is not None:
            assert set(np.unique(got).tolist()) <= finite, name
        elif inferred[name].integer:
            assert np.all(got == np.rint(got)), name


def test_straight_through_form_has_the_domain_of_its_decision() -> None:
    def op(cls: type[ops.Op], output: str, *names: str, **attributes: Any) -> ops.Op:
        return cls(inputs=names, output=output, type=real(3), location=HERE, **attributes)

    for operands in (("x", "d"), ("d", "x")):
        graph = Graph(
            "g",
            (Value("x", real(3)), Value("t", real(3))),
            (
                op(ops.Binary, "b", "x", "t", kind="ge"),
                op(ops.Binary, "d", "b", "x", kind="sub"),
                op(ops.Binary, "y", *operands, kind="add"),
                op(ops.Binary, "no", "b", "d", kind="add"),
            ),
            ("y",),
        )
        found = infer_domains(graph).types
        assert (found["b"], found["d"], found["y"], found["no"]) == (spikes(3), real(3), spikes(3), real(3))
