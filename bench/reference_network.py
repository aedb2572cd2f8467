"""The one-chip network of Esser et al. 2016 (docs/chip-semantics.md), with random trinary weights and permutations."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tncc.ir.graph import Graph, Value
from tncc.ir.location import Location
from tncc.ir.ops import Concat, Gather, Op, SpikingConv2d
from tncc.ir.types import Domain, TensorType

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LayerSpec:
    """One on-chip layer: kernel, stride and padding are the same along both axes."""

    name: str
    kernel: int
    stride: int
    pad: int
    inputs: int
    outputs: int
    groups: int


REFERENCE: tuple[LayerSpec, ...] = (
    LayerSpec("P4-252", 4, 2, 1, 12, 252, 2),
    LayerSpec("N-256", 1, 1, 0, 252, 256, 2),
    LayerSpec("P-256", 2, 2, 0, 256, 256, 8),
    LayerSpec("S-512", 3, 1, 1, 256, 512, 32),
    LayerSpec("N-512a", 1, 1, 0, 512, 512, 4),
    LayerSpec("N-512b", 1, 1, 0, 512, 512, 4),
    LayerSpec("N-512c", 1, 1, 0, 512, 512, 4),
    LayerSpec("P-512", 2, 2, 0, 512, 512, 16),
    LayerSpec("S-1024", 3, 1, 1, 512, 1024, 64),
    LayerSpec("N-1024a", 1, 1, 0, 1024, 1024, 8),
    LayerSpec("P-1024", 2, 2, 0, 1024, 1024, 32),
    LayerSpec("N-1024b", 1, 1, 0, 1024, 1024, 8),
    LayerSpec("N-1024c", 1, 1, 0, 1024, 1024, 8),
    LayerSpec("N-2040", 1, 1, 0, 1024, 2040, 8),
)
IMAGE = 32
DENSITY = 0.6


def widened(specs: tuple[LayerSpec, ...], width: int) -> tuple[LayerSpec, ...]:
    """`specs` with `width` times the features and groups in every layer; a group keeps its size."""
    return tuple(
        LayerSpec(s.name, s.kernel, s.stride, s.pad, s.inputs * width, s.outputs * width, s.groups * width)
        for s in specs
    )


def trinary(rng: np.random.Generator, shape: tuple[int, ...], density: float = DENSITY) -> Array:
    """int8 weights, nonzero with probability `density`, either sign alike."""
    return (rng.choice([-1, 1], shape) * (rng.random(shape) < density)).astype(np.int8)


def thresholds(weight: Array, rate: float) -> Array:
    """int32 [out]: fires for about a third of random inputs that spike with probability `rate`.

    The sum's mean is rate * sum(w) and its variance rate (1 - rate) * sum(w^2); the threshold lies 0.4 deviations up.
    """
    fan_in = weight.reshape(weight.shape[0], -1).astype(np.int64)
    mean = rate * fan_in.sum(axis=1)
    deviation = np.sqrt(rate * (1 - rate) * (fan_in**2).sum(axis=1))
    return np.ceil(mean + 0.4 * deviation).astype(np.int32)


def spiking_graph(
    specs: tuple[LayerSpec, ...] = REFERENCE, image: int = IMAGE, seed: int = 0, density: float = DENSITY
) -> Graph:
    """The part of the network that runs on the chip, as partition-cores takes it: spiking layers and permutations."""
    rng = np.random.default_rng(seed)
    shape = (specs[0].inputs, image, image)
    inputs = (Value("spikes", TensorType(Domain.SPIKES, shape)),)
    ops: list[Op] = []
    last = "spikes"
    for index, spec in enumerate(specs):
        if index:
            permuted = TensorType(Domain.SPIKES, shape)
            order = rng.permutation(shape[0]).astype(np.int64)
            where = Location.of(f"Permute_{spec.name}")
            ops.append(Gather(inputs=(last,), output=f"{last}_p", type=permuted, location=where, indices=order, axis=0))
            last = f"{last}_p"
        weight = trinary(rng, (spec.outputs, spec.inputs // spec.groups, spec.kernel, spec.kernel), density)
        size = (shape[1] + 2 * spec.pad - spec.kernel) // spec.stride + 1
        shape = (spec.outputs, size, size)
        ops.append(
            SpikingConv2d(
                inputs=(last,),
                output=spec.name,
                type=TensorType(Domain.SPIKES, shape),
                location=Location.of(f"Conv_{spec.name}"),
                weight=weight,
                threshold=thresholds(weight, 0.35).reshape(-1, 1, 1),
                feature_groups=np.repeat(np.arange(spec.groups), spec.outputs // spec.groups).astype(np.int32),
                strides=(spec.stride, spec.stride),
                pads=(spec.pad,) * 4,
                dilations=(1, 1),
                groups=spec.groups,
            )
        )
        last = spec.name
    return Graph("reference", inputs, tuple(ops), (last,))


def onnx_nodes(graph: Graph, constants: dict[str, Array]) -> list[onnx.NodeProto]:
    """What `graph` does with spikes as ONNX nodes on floats [N, ...]; the initializers go into `constants`."""
    nodes = []
    for op in graph.ops:
        name = str(op.location)
        if isinstance(op, Gather):
            constants[f"{op.output}.order"] = op.indices.astype(np.int64)
            operands = [op.inputs[0], f"{op.output}.order"]
            nodes.append(helper.make_node("Gather", operands, [op.output], name, axis=op.axis + 1))
        elif isinstance(op, Concat):
            nodes.append(helper.make_node("Concat", list(op.inputs), [op.output], name, axis=op.axis + 1))
        elif isinstance(op, SpikingConv2d):
            constants[f"{op.output}.weight"] = op.weight.astype(np.float32)
            # sums are integers: half an integer below the threshold divides them without any rounding
            constants[f"{op.output}.threshold"] = op.threshold.astype(np.float32) - np.float32(0.5)
            nodes += [
                helper.make_node(
                    "Conv",
                    [op.inputs[0], f"{op.output}.weight"],
                    [f"{op.output}.sum"],
                    name,
                    strides=list(op.strides),
                    pads=list(op.pads),
                    group=op.groups,
                ),
                helper.make_node(
                    "Greater",
                    [f"{op.output}.sum", f"{op.output}.threshold"],
                    [f"{op.output}.fired"],
                    f"Fire_{op.output}",
                ),
                helper.make_node(
                    "Cast", [f"{op.output}.fired"], [op.output], f"Cast_{op.output}", to=TensorProto.FLOAT
                ),
            ]
        else:
            raise TypeError(f"{type(op).__name__} has no ONNX form here")
    return nodes


def reference_network(
    seed: int = 0,
    width: int = 1,
    specs: tuple[LayerSpec, ...] | None = None,
    image: int = IMAGE,
    classes: int = 10,
    density: float = DENSITY,
) -> onnx.ModelProto:
    """The whole network as ONNX: images float32 [N, 3, image, image] in, class scores float32 [N, classes] out.

    A real-valued 3 x 3 transduction layer and its binary activation come first (they run on the host), then `specs`
    (the reference network, `width` times as wide, where None) with random channel permutations between them, then the
    vote: output feature f votes for class f mod classes, averaged over its neurons and positions.
    """
    specs = specs if specs is not None else widened(REFERENCE, width)
    rng = np.random.default_rng(seed)
    first = specs[0].inputs
    constants: dict[str, Array] = {
        "transduction.weight": (rng.standard_normal((first, 3, 3, 3)) / np.sqrt(27)).astype(np.float32),
        "transduction.threshold": np.full((first, 1, 1), 0.4, np.float32),
    }
    nodes = [
        helper.make_node(
            "Conv", ["image", "transduction.weight"], ["transduced"], "Conv_transduction", pads=[1, 1, 1, 1]
        ),
        helper.make_node("GreaterOrEqual", ["transduced", "transduction.threshold"], ["fired"], "Fire_transduction"),
        helper.make_node("Cast", ["fired"], ["spikes"], "Cast_transduction", to=TensorProto.FLOAT),
    ]
    chip = spiking_graph(specs, image, seed, density)
    nodes += onnx_nodes(chip, constants)
    (last,) = chip.outputs
    features = specs[-1].outputs
    constants["votes.shape"] = np.array([0, features // classes, classes, -1], np.int64)
    nodes += [
        helper.make_node("Reshape", [last, "votes.shape"], ["votes"], "Reshape_votes"),
        helper.make_node("ReduceMean", ["votes"], ["scores"], "Mean_votes", axes=[1, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "reference",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, image, image])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Writes the network to a file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("output", type=Path, help="the .onnx file to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=1, help="features and groups of every layer, times this")
    arguments = parser.parse_args()
    onnx.save(reference_network(arguments.seed, arguments.width), arguments.output)


if __name__ == "__main__":
    main()
