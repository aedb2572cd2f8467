"""Random small spiking networks as nn graphs, for property tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from tncc.ir import ops
from tncc.ir.builder import Builder
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph, Value
from tncc.ir.location import Location
from tncc.ir.types import Domain, TensorType
from tncc.passes.canonicalize import Canonicalize
from tncc.passes.distribute_sums import DistributeSums
from tncc.passes.fold_averages import FoldAverages
from tncc.passes.fold_scales import FoldScales
from tncc.passes.fold_thresholds import FoldThresholds
from tncc.passes.lower_logic import LowerLogic
from tncc.passes.lower_pools import LowerPools
from tncc.passes.lower_signs import LowerSigns
from tncc.passes.merge_sums import MergeSums
from tncc.passes.partition_host import PartitionHost
from tncc.passes.prune_constants import PruneConstants
from tncc.passes.threshold_before_pool import ThresholdBeforePool
from tncc.passes.trinarize_weights import TrinarizeWeights

CHIP = Chip()
NN_PASSES = (
    Canonicalize(),
    FoldScales(),
    DistributeSums(),
    FoldAverages(),
    PartitionHost(),
    TrinarizeWeights(),
    LowerSigns(),
    MergeSums(),
    ThresholdBeforePool(),
    LowerPools(),
    LowerLogic(),
    FoldThresholds(),
    PruneConstants(),
)
SCALES = (1.0, 0.5, 0.1, 0.37)


def start(shape: tuple[int, ...], domain: Domain = Domain.SPIKES) -> Builder:
    """A builder on an empty graph with the one input x."""
    return Builder(Graph("net", (Value("x", TensorType(domain, shape)),), (), ()))


def finish(build: Builder, *outputs: str) -> Graph:
    return Graph("net", build.graph.inputs, tuple(build.ops), outputs)


def at(name: str) -> Location:
    return Location.of(name)


def random_network(rng: np.random.Generator, *, signs_of_scale: bool = True) -> Graph:
    """One to four layers: convolutions with groups, strides, pads and dilations, pools, permutations, linear layers."""
    channels = int(rng.integers(1, 7))
    build = start((channels, int(rng.integers(5, 9)), int(rng.integers(5, 9))))
    name = "x"
    for layer in range(int(rng.integers(1, 5))):
        channels, height, width = build.types[name].shape
        choice = rng.random()
        if choice < 0.15 and min(height, width) >= 2:
            name = _pool(build, rng, name, layer)
        elif choice < 0.3:
            order = rng.permutation(channels)
            name = build.add(ops.Gather, (name,), f"g{layer}", at(f"Gather_{layer}"), indices=order, axis=0)
        else:
            name = _conv(build, rng, name, layer)
    name = _conv(build, rng, name, 9)
    if rng.random() < 0.5:
        name = _linear(build, rng, name)
    return finish(build, name)


def _conv(build: Builder, rng: np.random.Generator, name: str, layer: int) -> str:
    channels, height, width = build.types[name].shape
    groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
    out = groups * int(rng.integers(1, 4))
    kernel = [int(rng.integers(1, min(4, n) + 1)) for n in (height, width)]
    dilations = tuple(
        int(rng.integers(1, 3)) if 2 * (k - 1) < n else 1 for k, n in zip(kernel, (height, width), strict=True)
    )
    pads = tuple(int(rng.integers(0, k)) for k in (*kernel, *kernel))
    weight = rng.integers(-1, 2, (out, channels // groups, *kernel)).astype(np.float32)
    weight *= rng.choice(SCALES, (out, 1, 1, 1)).astype(np.float32)
    sums = build.add(
        ops.Conv2d,
        (name,),
        f"c{layer}",
        at(f"Conv_{layer}"),
        weight=weight,
        strides=tuple(int(n) for n in rng.integers(1, 3, 2)),
        pads=pads,
        dilations=dilations,
        groups=groups,
    )
    return activation(build, rng, sums, f"a{layer}", (out, 1, 1))


def _pool(build: Builder, rng: np.random.Generator, name: str, layer: int) -> str:
    kernel = tuple(int(n) for n in rng.integers(1, 3, 2))
    window: dict[str, Any] = {
        "kernel": kernel,
        "strides": tuple(int(n) for n in rng.integers(1, 3, 2)),
        "pads": tuple(int(rng.integers(0, k)) for k in (*kernel, *kernel)),
    }
    if rng.random() < 0.5:
        return build.add(ops.MaxPool2d, (name,), f"p{layer}", at(f"MaxPool_{layer}"), dilations=(1, 1), **window)
    count = bool(rng.random() < 0.5)
    mean = build.add(
        ops.AveragePool2d, (name,), f"m{layer}", at(f"AveragePool_{layer}"), count_include_pad=count, **window
    )
    level = build.constant(rng.choice([0.2, 0.4, 0.7]), f"level{layer}", at(f"level_{layer}"))
    return build.add(ops.Binary, (mean, level), f"p{layer}", at(f"Greater_{layer}"), kind="gt")


def _linear(build: Builder, rng: np.random.Generator, name: str) -> str:
    size = build.types[name].size
    flat = build.reshape(name, (size,), "flat", at("Flatten"))
    weight = rng.integers(-1, 2, (5, size)).astype(np.float32) * np.float32(rng.choice(SCALES))
    sums = build.add(ops.Linear, (flat,), "linear", at("Gemm"), weight=weight)
    return activation(build, rng, sums, "y", (5,))


def activation(build: Builder, rng: np.random.Generator, sums: str, output: str, column: tuple[int, ...]) -> str:
    """Bias or batch normalisation or both, then one of several comparisons; levels that no sum hits exactly."""
    location = at(f"act_{output}")

    def numbers() -> Any:
        return (rng.standard_normal(column) * 1.3 + 0.0137).astype(np.float32)

    if rng.random() < 0.5:
        bias = build.constant(numbers(), f"{output}/bias", location)
        sums = build.add(ops.Binary, (sums, bias), f"{output}/biased", location, kind="add")
    if rng.random() < 0.5:
        out = column[0]
        gamma, beta, mean = (numbers().reshape(out) for _ in range(3))
        variance = rng.random(out).astype(np.float32) + np.float32(0.1)
        sums = build.add(
            ops.BatchNorm,
            (sums,),
            f"{output}/normalised",
            location,
            gamma=gamma,
            beta=beta,
            mean=mean,
            variance=variance,
            epsilon=1e-5,
        )
    if rng.random() < 0.3:
        sums = build.add(ops.Clip, (sums,), f"{output}/clipped", location, low=-5.0, high=7.5)
    level = build.constant(numbers(), f"{output}/level", location)
    kind = str(rng.choice(["ge", "gt", "le", "lt"]))
    inputs = (sums, level) if rng.random() < 0.7 else (level, sums)
    if rng.random() < 0.3:
        fired = build.add(ops.Binary, inputs, f"{output}/fired", location, kind=kind)
        return build.add(ops.Unary, (fired,), output, location, kind="not")
    return build.add(ops.Binary, inputs, output, location, kind=kind)
