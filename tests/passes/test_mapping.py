"""Random small networks on tiny chips: the netlist equals the graph, frame for frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tncc.ir.chip import Chip
from tncc.ir.core_interpreter import run_frames
from tncc.ir.graph import Graph, Value
from tncc.ir.interpreter import run
from tncc.ir.location import Location
from tncc.ir.netlist import Netlist
from tncc.ir.ops import Concat, Gather, Op, SpikingConv2d
from tncc.ir.types import Domain, TensorType
from tncc.passes.manager import run_pipeline

TINY = Chip(mesh_x=40, mesh_y=40, axons=8, neurons=8)
PIPELINE = "split-filter-groups, partition-cores{%s}, place-cores{effort=low}, route-spikes"


def spikes(*shape: int) -> TensorType:
    return TensorType(Domain.SPIKES, shape)


def conv(
    rng: np.random.Generator,
    source: str,
    in_shape: tuple[int, ...],
    name: str,
    out: int,
    kernel: tuple[int, int] = (1, 1),
    stride: int = 1,
    pad: int = 0,
    dilation: int = 1,
    groups: int = 1,
    density: float = 0.7,
    max_inputs: int = 4,
) -> SpikingConv2d:
    """A layer with random weights, no filter reading more than max_inputs inputs."""
    shape = (out, in_shape[0] // groups, *kernel)
    weight = rng.choice([-1, 1], shape) * (rng.random(shape) < density)
    for row in weight.reshape(out, -1):
        used = np.flatnonzero(row)
        row[rng.permutation(used)[max_inputs:]] = 0
    height, width = ((in_shape[1 + a] + 2 * pad - dilation * (kernel[a] - 1) - 1) // stride + 1 for a in (0, 1))
    return SpikingConv2d(
        inputs=(source,),
        output=name,
        type=spikes(out, height, width),
        location=Location.of(f"Conv_{name}"),
        weight=weight.astype(np.int8),
        threshold=rng.integers(-1, 3, (out, 1, 1)).astype(np.int32),
        feature_groups=np.repeat(np.arange(groups), out // groups).astype(np.int32),
        strides=(stride, stride),
        pads=(pad,) * 4,
        dilations=(dilation, dilation),
        groups=groups,
    )


def compile_graph(graph: Graph, chip: Chip = TINY, options: str = "") -> Netlist:
    netlist = run_pipeline(graph, chip, PIPELINE % options).module
    assert isinstance(netlist, Netlist)
    return netlist


def check_equal(graph: Graph, chip: Chip = TINY, options: str = "", frames: int = 6) -> Netlist:
    netlist = compile_graph(graph, chip, options)
    rng = np.random.default_rng(0)
    x = {v.name: rng.integers(0, 2, (frames, *v.type.shape)).astype(np.uint8) for v in graph.inputs}
    expected, found = run(graph, x), run_frames(netlist, x)
    for name in graph.outputs:
        np.testing.assert_array_equal(found[name], expected[name].astype(np.uint8))
    return netlist


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """One to four layers in a chain or with skips, channel shuffles between them, one or two outputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    values = [("x", shape)]
    ops: list[Op] = []
    for index in range(draw(st.integers(1, 4))):
        name, shape = draw(st.sampled_from(values)) if draw(st.booleans()) else values[-1]
        same = [n for n, s in values if s[1:] == shape[1:] and n != name]
        if same and draw(st.booleans()):
            other = draw(st.sampled_from(same))
            shape = (shape[0] + dict(values)[other][0], *shape[1:])
            where = Location.of(f"Concat_{index}")
            ops.append(Concat(inputs=(name, other), output=f"c{index}", type=spikes(*shape), location=where, axis=0))
            name = f"c{index}"
        if draw(st.booleans()):
            order = rng.integers(0, shape[0], shape[0]) if draw(st.booleans()) else rng.permutation(shape[0])
            where = Location.of(f"Gather_{index}")
            ops.append(
                Gather(inputs=(name,), output=f"g{index}", type=spikes(*shape), location=where, indices=order, axis=0)
            )
            name = f"g{index}"
        groups = draw(st.sampled_from([g for g in (1, 2, 4) if shape[0] % g == 0]))
        pad, dilation = draw(st.integers(0, 1)), draw(st.integers(1, 2))
        kernel = tuple(draw(st.integers(1, max(1, min(3, (s + 2 * pad - 1) // dilation + 1)))) for s in shape[1:])
        stride = draw(st.integers(1, 2))
        out = groups * draw(st.integers(1, 3))
        op = conv(rng, name, shape, f"y{index}", out, kernel, stride, pad, dilation, groups)  # type: ignore[arg-type]
        ops.append(op)
        values.append((op.output, op.type.shape))  # type: ignore[arg-type]
    outputs = {values[-1][0]} | ({draw(st.sampled_from(values))[0]} if draw(st.booleans()) else set())
    return Graph("random", (Value("x", spikes(*values[0][1])),), tuple(ops), tuple(sorted(outputs)))


@settings(max_examples=60, deadline=None)
@given(graphs(), st.sampled_from(["", "input-fanout=splitters", "beam=2"]))
def test_random_networks_keep_their_meaning(graph: Graph, options: str) -> None:
    check_equal(graph, options=options)


@pytest.mark.parametrize("options", ["", "input-fanout=splitters"])
def test_random_networks_on_the_real_core_size(options: str) -> None:
    rng = np.random.default_rng(3)
    a = conv(rng, "x", (12, 8, 8), "a", 32, (3, 3), 1, 1, 1, 2, 0.6, 128)
    b = conv(rng, "a", (32, 8, 8), "b", 64, (2, 2), 2, 0, 1, 4, 0.6, 128)
    graph = Graph("two", (Value("x", spikes(12, 8, 8)),), (a, b), ("b",))
    check_equal(graph, Chip(), options)
