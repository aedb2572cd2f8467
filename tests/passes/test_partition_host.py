"""partition-host: where the chip part begins and ends, and every reason to refuse, with its whole message."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.passes.nets import CHIP, at, finish, start
from tncc.errors import CompileError
from tncc.ir import ops
from tncc.ir.builder import Builder
from tncc.ir.graph import Graph
from tncc.ir.types import Domain, TensorType
from tncc.passes.partition_host import PartitionHost

WEIGHT = np.array([[1, -1], [1, 1]], np.float32)
REAL_WEIGHT = np.array([[0.3, -1], [1, 0.7]], np.float32)


def linear(build: Builder, x: str, name: str, weight: Any = WEIGHT) -> str:
    return build.add(ops.Linear, (x,), name, at(f"Gemm_{name}"), weight=weight)


def fire(build: Builder, x: str, name: str) -> str:
    level = build.constant(0.5, f"{name}/level", at(name))
    return build.add(ops.Binary, (x, level), name, at(f"Greater_{name}"), kind="gt")


def host(build: Builder, name: str, *inputs: str, op_type: str = "Softmax", domain: Domain = Domain.REAL) -> str:
    kind = TensorType(domain, build.types[inputs[0]].shape)
    location = at(f"{op_type}_{name}")
    return build.append(ops.HostOp(inputs=inputs, output=name, type=kind, location=location, op_type=op_type))


def partition(graph: Graph, inputs: str = "auto") -> Graph:
    found = PartitionHost(inputs=inputs).run(graph, CHIP)
    assert isinstance(found, Graph)
    return found


def refused(graph: Graph, inputs: str = "auto") -> str:
    with pytest.raises(CompileError) as caught:
        partition(graph, inputs)
    return str(caught.value)


def interface(graph: Graph) -> tuple[list[str], list[str], list[str]]:
    return [v.name for v in graph.inputs], [op.output for op in graph.ops], list(graph.outputs)


def two_layers(domain: Domain, first: Any) -> Graph:
    build = start((2,), domain)
    a = fire(build, linear(build, "x", "s", first), "a")
    y = fire(build, linear(build, a, "t"), "y")
    return finish(build, linear(build, y, "vote", REAL_WEIGHT))


def test_real_weights_keep_the_first_layer_on_the_host() -> None:
    found = partition(two_layers(Domain.REAL, REAL_WEIGHT))
    assert interface(found) == (["a"], ["t", "y/level", "y"], ["y"])


@pytest.mark.parametrize(("inputs", "entering"), [("auto", "x"), ("spikes", "x"), ("real", "a")])
def test_trinary_weights_on_the_input_take_it_as_spikes(inputs: str, entering: str) -> None:
    found = partition(two_layers(Domain.REAL, WEIGHT), inputs)
    assert [str(v.name) for v in found.inputs] == [entering]
    assert found.inputs[0].type == TensorType(Domain.SPIKES, (2,))
    assert found.outputs == ("y",)


def test_an_input_that_something_else_reads_too_stays_real() -> None:
    build = start((2,), Domain.REAL)
    total = build.add(ops.Binary, (linear(build, "x", "s"), "x"), "total", at("Add"), kind="add")
    a = fire(build, total, "a")
    y = fire(build, linear(build, a, "t"), "y")
    assert interface(partition(finish(build, y)))[0] == ["a"]


def test_elementwise_logic_before_the_first_layer_is_the_hosts() -> None:
    build = start((2,), Domain.REAL)
    a = fire(build, "x", "a")
    b = build.add(ops.Unary, (a,), "b", at("Not"), kind="not")
    flipped = build.add(ops.Gather, (b,), "flipped", at("Gather"), indices=np.array([1, 0]), axis=0)
    y = fire(build, linear(build, flipped, "t"), "y")
    assert interface(partition(finish(build, y))) == (["b"], ["flipped", "t", "y/level", "y"], ["y"])


def test_host_ops_before_and_after_are_fine() -> None:
    build = start((2,), Domain.REAL)
    a = fire(build, host(build, "h", "x", op_type="Exp"), "a")
    y = fire(build, linear(build, a, "t"), "y")
    assert interface(partition(finish(build, host(build, "z", y)))) == (["a"], ["t", "y/level", "y"], ["y"])


def test_several_outputs_leave_in_the_order_of_the_model() -> None:
    build = start((2,), Domain.SPIKES)
    a = fire(build, linear(build, "x", "s"), "a")
    b = fire(build, linear(build, a, "t"), "b")
    joined = build.add(ops.Concat, (b, a), "joined", at("Concat"), axis=0)
    assert partition(finish(build, host(build, "z", joined))).outputs == ("a", "b")


# --- refusals --------------------------------------------------------------------------------------------------------


def test_no_spiking_layer() -> None:
    build = start((2,), Domain.REAL)
    y = fire(build, linear(build, "x", "s", REAL_WEIGHT), "y")
    assert refused(finish(build, y)) == (
        "net: the model has no spiking layer: no weighted layer reads spikes {0, 1} and ends in a binary activation\n"
        "  hint: a spiking layer is Conv or Gemm with trinary weights, then x >= threshold, cast to float; its input "
        "is such an activation, or the model input with {0, 1} data (inputs=spikes); a float network is trained "
        "again (docs/training.md) or approximated (--trinarize twn --calibrate DATA)"
    )


def test_an_unsupported_op_between_layers() -> None:
    build = start((2,))
    a = fire(build, linear(build, "x", "s"), "a")
    y = fire(build, linear(build, host(build, "h", a, op_type="Erf"), "t"), "y")
    assert refused(finish(build, y)) == (
        "Erf_h: Erf is not supported between spiking layers (Gemm_t reads its result)\n"
        "  hint: move it before the first binary activation or after the last spiking layer"
    )


def test_an_unsupported_op_inside_a_layer() -> None:
    build = start((2,))
    y = fire(build, host(build, "h", linear(build, "x", "s"), op_type="Erf"), "y")
    assert refused(finish(build, y)) == (
        "Erf_h: Erf is not supported between spiking layers (Greater_y makes spikes of its result)\n"
        "  hint: move it before the first binary activation or after the last spiking layer"
    )


def test_layers_without_an_activation_between() -> None:
    build = start((2,))
    y = fire(build, linear(build, linear(build, "x", "s"), "t"), "y")
    assert refused(finish(build, y)) == (
        "Gemm_s: the result is not spikes (int[2]), but Gemm_t reads it on the chip\n"
        "  hint: put a binary activation (x >= threshold, cast to float) between the two layers"
    )


def test_a_layer_on_spikes_and_a_host_value() -> None:
    build = start((2,), Domain.REAL)
    a = fire(build, linear(build, host(build, "h", "x"), "s", REAL_WEIGHT), "a")
    b = fire(build, linear(build, a, "t"), "b")
    joined = build.add(ops.Concat, (b, "x"), "j", at("Concat_j"), axis=0)
    y = fire(build, linear(build, joined, "u", np.ones((2, 4), np.float32)), "y")
    assert refused(finish(build, y)) == (
        "Gemm_u: reads the host's real value 'x' and results of spiking layers\n"
        "  hint: a real value can reach the chip only through a binary activation"
    )


def test_a_layer_on_spikes_and_signs() -> None:
    build = start((2,))
    a, b = (fire(build, linear(build, "x", f"s{name}"), name) for name in "ab")
    levels = [build.constant(level, f"level{level}", at("Where_s")) for level in (1.0, -1.0)]
    kind = TensorType(Domain.SIGNS, (2,))
    signs = build.append(ops.Where(inputs=(b, *levels), output="s", type=kind, location=at("Where_s")))
    joined = build.add(ops.Concat, (a, signs), "j", at("Concat_j"), axis=0)
    y = fire(build, linear(build, joined, "u", np.ones((2, 4), np.float32)), "y")
    assert refused(finish(build, y)) == (
        "Concat_j: {0, 1} and {-1, +1} are joined, and Gemm_u reads both on the chip\n"
        "  hint: join spikes of one kind: 2 * s - 1 makes {-1, +1} of {0, 1}"
    )


def test_max_pool_of_sums() -> None:
    build = start((1, 4, 4))
    window: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    ones = np.ones((1, 1, 2, 2), np.float32)
    sums = build.add(ops.Conv2d, ("x",), "s", at("Conv_s"), weight=ones, groups=1, **window)
    pooled = build.add(ops.MaxPool2d, (sums,), "p", at("MaxPool_p"), kernel=(2, 2), **window)
    again = build.add(ops.Conv2d, (pooled,), "t", at("Conv_t"), weight=ones, groups=1, **window)
    assert refused(finish(build, fire(build, again, "y"))) == (
        "MaxPool_p: the result is not spikes (int[1x2x2]), but Conv_t reads it on the chip\n"
        "  hint: pool after the binary activation instead of before it"
    )


def test_a_host_value_joins_a_layer() -> None:
    build = start((2,), Domain.REAL)
    a = fire(build, "x", "a")
    total = build.add(ops.Binary, (linear(build, a, "s"), "x"), "total", at("Add_1"), kind="add")
    assert refused(finish(build, fire(build, total, "y"))) == (
        "Add_1: the host's real value 'x' joins the spiking layers' values here\n"
        "  hint: a real value can reach the chip only through a binary activation"
    )


def test_a_value_passes_around_the_chip() -> None:
    build = start((2,), Domain.REAL)
    a = fire(build, "x", "a")
    y = fire(build, linear(build, a, "s"), "y")
    z = build.add(ops.Binary, (y, a), "z", at("Add_9"), kind="add")
    assert refused(finish(build, z)) == (
        "Add_9: the host's value 'a' passes around the chip: it is needed after the last spiking layer\n"
        "  hint: let everything behind the spiking layers depend on their outputs only"
    )


def test_a_sum_is_read_on_the_host() -> None:
    build = start((2,))
    sums = linear(build, "x", "s")
    y = fire(build, sums, "y")
    assert refused(finish(build, y, sums)) == (
        "output of net: the value 's' is read on the host, but it is a sum inside a spiking layer, not spikes\n"
        "  hint: let the host read the layer's binary activation"
    )


def test_an_unknown_option() -> None:
    assert refused(two_layers(Domain.REAL, WEIGHT), "maybe") == (
        "partition-host: inputs=maybe is unknown; there are auto, spikes, real"
    )
