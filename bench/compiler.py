"""How the compiler's time grows: networks of n, 2n, 4n and 8n cores, from ONNX to the bytes of a .tnbin.

For every pass (with its checks): the processor seconds on the largest network, and the exponent of their growth with
the cores, fitted over the largest three; passes below SHORTEST there are left out. Placement with effort low.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.mapping import branches, spiking_conv
from bench.reference_network import REFERENCE, Array, LayerSpec, onnx_nodes, reference_network, spiking_graph, widened
from tncc.compiler import Options, compile_model
from tncc.ir.graph import Graph, Value
from tncc.ir.types import Domain, TensorType

SHORTEST = 0.05  # seconds; shorter times say little


def kernels(scale: int) -> Graph:
    """Kernels of three sizes on one source, and on an ever larger map."""
    rng = np.random.default_rng(0)
    shape = (8, 16, 16 * scale)
    stem = spiking_conv(rng, "stem", "x", shape, 8, (1, 1), (0, 0))
    ops = (stem, *(spiking_conv(rng, f"k{k}", "stem", shape, 16, (k, k), (0, 0)) for k in (1, 2, 3)))
    return Graph("kernels", (_input(shape),), ops, tuple(op.output for op in ops[1:]))


def one_dimension(scale: int) -> Graph:
    """Five convolutions along one long axis."""
    rng = np.random.default_rng(0)
    shape = (8, 1, 512 * scale)
    ops = [spiking_conv(rng, "y0", "x", shape, 8, (1, 5), (0, 2))]
    for k in range(1, 5):
        ops.append(spiking_conv(rng, f"y{k}", f"y{k - 1}", shape, 8, (1, 5), (0, 2)))
    return Graph("one_dimension", (_input(shape),), tuple(ops), (ops[-1].output,))


def deep(scale: int) -> Graph:
    """Ever more layers of 64 features that all mix, on 4 x 4 positions."""
    specs = tuple(LayerSpec(f"N-64-{k}", 1, 1, 0, 64, 64, 1) for k in range(25 * scale))
    return spiking_graph(specs, image=4, seed=1)


def small_groups(scale: int) -> Graph:
    """Ever more groups of four features."""
    groups = 256 * scale
    specs = tuple(LayerSpec(f"G-{k}", 3, 1, 1, 4 * groups, 4 * groups, groups) for k in range(2))
    return spiking_graph(specs, image=4, seed=2)


def one_group(scale: int) -> Graph:
    """Ever more sparse filters on the same inputs: only zeros let them share cores."""
    specs = (LayerSpec("S", 3, 1, 1, 24, 128 * scale, 1),)
    return spiking_graph(specs, image=4, seed=3, density=0.2)


def _input(shape: tuple[int, int, int]) -> Value:
    return Value("x", TensorType(Domain.SPIKES, shape))


def model_of(graph: Graph) -> onnx.ModelProto:
    """`graph` behind a comparison, which runs on the host and makes real inputs spikes."""
    (entry,) = graph.inputs
    constants: dict[str, Array] = {"half": np.array(0.5, np.float32)}
    nodes = [
        helper.make_node("GreaterOrEqual", ["real", "half"], ["fired"], "Fire_input"),
        helper.make_node("Cast", ["fired"], [entry.name], "Cast_input", to=TensorProto.FLOAT),
        *onnx_nodes(graph, constants),
    ]

    def tensor(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])

    outputs = [tensor(name, graph.types[name].shape) for name in graph.outputs]
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, graph.name, [tensor("real", entry.type.shape)], outputs, weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


def reference(scale: int) -> onnx.ModelProto:
    """The reference network on images of 16 x 16, ever wider."""
    return reference_network(specs=widened(REFERENCE, scale), image=16)


SHAPES: Mapping[str, tuple[str, Callable[[int], onnx.ModelProto], str]] = {
    "reference": ("reference network, wider", reference, "host"),
    "splitters": ("the same with splitters", reference, "splitters"),
    "branches": ("more branches", lambda scale: model_of(branches(2 * scale, 8)), "host"),
    "kernels": ("three kernels, wider map", lambda scale: model_of(kernels(scale)), "host"),
    "one-dimension": ("wider map of one dimension", lambda scale: model_of(one_dimension(scale)), "host"),
    "deep": ("more layers", lambda scale: model_of(deep(scale)), "host"),
    "small-groups": ("more small groups", lambda scale: model_of(small_groups(scale)), "host"),
    "one-group": ("more features of one group", lambda scale: model_of(one_group(scale)), "splitters"),
}


def seconds_by_pass(model: onnx.ModelProto, fanout: str) -> tuple[int, dict[str, float]]:
    """(cores, processor seconds of every pass with its checks, of what goes before them and comes after)."""
    data = model.SerializeToString()
    marks = [("load", time.process_time())]

    def began(name: str, index: int, count: int) -> None:
        marks.append((name, time.process_time()))

    options = Options(input_fanout=fanout, effort="low", chips=(4, 4))
    program = compile_model(data, options, progress=began).program
    assert program is not None
    marks.append(("write", time.process_time()))
    program.to_bytes()
    marks.append(("", time.process_time()))
    # what follows the last pass counts as its own: splitting the host's part off, arrays of the chip
    found = {name: after - begun for (name, begun), (_, after) in pairwise(marks)}
    return program.config.n_cores, found


def growth(cores: list[int], seconds: list[float]) -> float:
    """The exponent e of seconds ~ cores^e on the largest three, by least squares of logarithms."""
    return float(np.polyfit(np.log(cores[-3:]), np.log(np.maximum(seconds[-3:], 1e-4)), 1)[0])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 2, 4, 8], help="n, 2n, ...")
    parser.add_argument("shapes", nargs="*", choices=[*SHAPES, []], help="which; all where none is named")
    arguments = parser.parse_args()
    print(
        "| networks | cores | seconds | growth | of them, at the largest size: seconds (growth) |\n" + "|---" * 5 + "|"
    )
    for key in arguments.shapes or SHAPES:
        title, build, fanout = SHAPES[key]
        runs = [seconds_by_pass(build(scale), fanout) for scale in arguments.scales]
        cores = [count for count, _ in runs]
        totals = [sum(seconds.values()) for _, seconds in runs]
        last = runs[-1][1]
        parts = [
            f"{name} {last[name]:.2f} ({growth(cores, [seconds[name] for _, seconds in runs]):.2f})"
            for name in sorted(last, key=lambda name: -last[name])
            if last[name] >= SHORTEST
        ]
        print(
            f"| {title} | {cores[0]:,} .. {cores[-1]:,} | {totals[0]:.1f} .. {totals[-1]:.1f} | "
            f"{growth(cores, totals):.2f} | {', '.join(parts)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
