"""Maps the reference network and five others that stress the mapper in one way each; prints docs/mapping.md's table.

Every network also runs on the simulated chip; its outputs must equal the reference interpreter's, bit for bit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import numpy as np

from bench.reference_network import DENSITY, LayerSpec, spiking_graph, thresholds, trinary
from tncc.backends.tnbin import to_config
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph, Value
from tncc.ir.interpreter import run
from tncc.ir.location import Location
from tncc.ir.netlist import Netlist
from tncc.ir.ops import Concat, Gather, Op, SpikingConv2d
from tncc.ir.routing import routes
from tncc.ir.types import Domain, TensorType
from tncc.passes.manager import PipelineResult, run_pipeline
from tncc.passes.placement.wires import core_edges, least_mean_hops
from tncc.runtime.engine_tick import TickEngine

FRAMES = 4


def deep_and_narrow() -> Graph:
    """50 layers of 128 features that all mix, on 8 x 8 positions."""
    specs = tuple(LayerSpec(f"N-128-{k}", 1, 1, 0, 128, 128, 1) for k in range(50))
    return spiking_graph(specs, image=8, seed=1)


def wide() -> Graph:
    """Few positions, many features in many groups: up to 4,096 on 4 x 4."""
    specs = (
        LayerSpec("S-2048", 3, 1, 1, 512, 2048, 64),
        LayerSpec("N-2048", 1, 1, 0, 2048, 2048, 16),
        LayerSpec("S-4096", 3, 1, 1, 2048, 4096, 256),
        LayerSpec("P-4096", 2, 2, 0, 4096, 4096, 128),
        LayerSpec("N-4096", 1, 1, 0, 4096, 4096, 32),
    )
    return spiking_graph(specs, image=4, seed=2)


def few_groups() -> Graph:
    """One group a layer and sparse filters: only the zeros of the weights let filters share cores."""
    specs = (
        LayerSpec("S-192", 3, 1, 1, 24, 192, 1),
        LayerSpec("N-256", 1, 1, 0, 192, 256, 1),
        LayerSpec("N-64", 1, 1, 0, 256, 64, 1),
    )
    return spiking_graph(specs, image=6, seed=3, density=0.2)


def large_images() -> Graph:
    """96 x 96 positions, few features."""
    specs = (
        LayerSpec("S-8", 3, 1, 1, 4, 8, 1),
        LayerSpec("P-16", 2, 2, 0, 8, 16, 1),
        LayerSpec("S-16", 3, 1, 1, 16, 16, 4),
        LayerSpec("P-32", 2, 2, 0, 16, 32, 1),
        LayerSpec("P-64", 2, 2, 0, 32, 64, 2),
    )
    return spiking_graph(specs, image=96, seed=4)


def spiking_conv(
    rng: np.random.Generator,
    name: str,
    source: str,
    in_shape: tuple[int, int, int],
    outputs: int,
    kernel: tuple[int, int],
    pads: tuple[int, int],
    groups: int = 1,
    density: float = DENSITY,
) -> SpikingConv2d:
    """A layer of stride 1 with random trinary weights."""
    channels, height, width = in_shape
    weight = trinary(rng, (outputs, channels // groups, *kernel), density)
    shape = (outputs, height + 2 * pads[0] - kernel[0] + 1, width + 2 * pads[1] - kernel[1] + 1)
    return SpikingConv2d(
        inputs=(source,),
        output=name,
        type=TensorType(Domain.SPIKES, shape),
        location=Location.of(f"Conv_{name}"),
        weight=weight,
        threshold=thresholds(weight, 0.35).reshape(-1, 1, 1),
        feature_groups=np.repeat(np.arange(groups), outputs // groups).astype(np.int32),
        strides=(1, 1),
        pads=(*pads, *pads),
        dilations=(1, 1),
        groups=groups,
    )


def branches(blocks: int = 2, height: int = 16) -> Graph:
    """Blocks of three branches of depth 0, 1 and 3, joined and shuffled; a skip over all of them."""
    rng = np.random.default_rng(5)
    ops: list[Op] = []

    def spikes(channels: int) -> TensorType:
        return TensorType(Domain.SPIKES, (channels, height, height))

    def conv(name: str, source: str, inputs: int, outputs: int, kernel: int, groups: int) -> str:
        pads = (kernel // 2, kernel // 2)
        ops.append(spiking_conv(rng, name, source, (inputs, height, height), outputs, (kernel, kernel), pads, groups))
        return name

    def join(name: str, sources: tuple[str, ...], channels: int) -> str:
        where = Location.of(f"Concat_{name}")
        ops.append(Concat(inputs=sources, output=f"{name}_all", type=spikes(channels), location=where, axis=0))
        ops.append(
            Gather(
                inputs=(f"{name}_all",),
                output=name,
                type=spikes(channels),
                location=Location.of(f"Shuffle_{name}"),
                indices=rng.permutation(channels).astype(np.int64),
                axis=0,
            )
        )
        return name

    first = last = conv("stem", "x", 8, 48, 3, 1)
    for k in range(blocks):
        one = conv(f"b{k}_one", last, 48, 32, 1, 1)
        three = conv(f"b{k}_c", conv(f"b{k}_b", conv(f"b{k}_a", last, 48, 32, 1, 1), 32, 32, 3, 4), 32, 16, 1, 1)
        joined = join(f"b{k}", (one, three, last), 96)
        last = conv(f"b{k}_out", joined, 96, 48, 1, 1)
    join("end", (first, last), 96)
    out = conv("head", "end", 96, 20, 1, 1)
    return Graph("branches", (Value("x", spikes(8)),), tuple(ops), (out,))


NETWORKS: Mapping[str, tuple[str, Callable[[], Graph]]] = {
    "reference": ("reference network", spiking_graph),
    "deep": ("deep and narrow", deep_and_narrow),
    "wide": ("wide", wide),
    "few-groups": ("few groups", few_groups),
    "large": ("large images", large_images),
    "branches": ("branches", branches),
}


def outputs_equal(graph: Graph, netlist: Netlist) -> bool:
    """Whether the simulated chip gives, for FRAMES random frames, what the reference interpreter gives."""
    rng = np.random.default_rng(0)
    (port,) = netlist.inputs
    frames = (rng.random((FRAMES, *port.type.shape)) < 0.4).astype(np.uint8)
    expected = run(graph, {port.name: frames})
    latency = max(out.latency_ticks for out in netlist.outputs)
    pins = np.zeros((FRAMES + latency, netlist.input_pins), np.uint8)
    pins[:FRAMES] = frames.reshape(FRAMES, -1)
    fired = TickEngine(to_config(netlist)).run(FRAMES + latency, pins).outputs
    return all(
        np.array_equal(
            fired[out.latency_ticks : out.latency_ticks + FRAMES, out.first_pin : out.first_pin + out.type.size],
            expected[out.name].reshape(FRAMES, -1),
        )
        for out in netlist.outputs
    )


def compile_graph(graph: Graph, chip: Chip, fanout: str, effort: str) -> tuple[PipelineResult, dict[str, float]]:
    """The pipeline's result, and processor seconds by pass (wall seconds mean little on a machine in use)."""
    module, seconds = graph, {}
    for step in (
        "split-filter-groups",
        f"partition-cores{{input-fanout={fanout}}}",
        f"place-cores{{effort={effort}}}",
        "route-spikes",
    ):
        started = time.process_time()
        result = run_pipeline(module, chip, step)
        seconds[step.split("{")[0]] = time.process_time() - started
        module = result.module  # type: ignore[assignment]  # a graph first, then a netlist
    return result, seconds


def row(title: str, graph: Graph, fanout: str, effort: str) -> str:
    """One line of the table."""
    chip = Chip()
    result, seconds = compile_graph(graph, chip, fanout, effort)
    netlist = result.module
    assert isinstance(netlist, Netlist)
    found = routes(
        netlist.core_x, netlist.core_y, netlist.target_core, (chip.mesh_x, chip.mesh_y, chip.chips_x, chip.chips_y)
    )
    extra = sum(int((netlist.layer == k).sum()) for k, layer in enumerate(netlist.layers) if layer.kind != "conv")
    least = sum(layer.note.get("least_cores", 0) for layer in netlist.layers)
    least_hops = least_mean_hops(core_edges(netlist.target_core), found.connections)
    equal = "yes" if outputs_equal(graph, netlist) else "NO"
    latency = max(out.latency_ticks for out in netlist.outputs)
    layers = sum(isinstance(op, SpikingConv2d) for op in graph.ops)
    return (
        f"| {title} | {fanout} | {layers} | {netlist.n_cores:,} | {extra:,} | {least:,} | {latency} | "
        f"{found.mean_hops:.2f} | {least_hops:.2f} | {found.max_hops} | {found.max_link_load:,.0f} | "
        f"{seconds['partition-cores']:.1f} | {seconds['place-cores']:.1f} | {equal} |"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("networks", nargs="*", choices=[*NETWORKS, []], help="which; all where none is named")
    parser.add_argument("--effort", choices=("low", "default", "high"), default="default")
    arguments = parser.parse_args()
    print(
        "| network | inputs fanned out by | layers | cores | splitters and relays among them | lower bound | latency "
        "| mean hops | at least | max hops | busiest link | partition-cores, s | place-cores, s | equal |"
    )
    print("|---" * 14 + "|")
    for key in arguments.networks or NETWORKS:
        title, build = NETWORKS[key]
        for fanout in ("host", "splitters"):
            print(row(title, build(), fanout, arguments.effort), flush=True)


if __name__ == "__main__":
    main()
