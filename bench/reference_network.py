"""The one-chip network of Esser et al. 2016 (docs/chip-semantics.md), with random trinary weights and permutations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.graph import Graph, Value
from tncc.ir.location import Location
from tncc.ir.ops import Gather, Op, SpikingConv2d
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
