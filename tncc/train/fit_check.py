"""Will it fit? Asked while a model is being written: filter supports, cores, chips. Weights need not be trained.

The compiler itself answers: it is run on the model with the weights that it has now.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass, replace

import torch
from torch import nn

from tncc.errors import CompileError
from tncc.ir.chip import Chip
from tncc.ir.graph import Graph
from tncc.ir.netlist import Netlist
from tncc.ir.ops import SpikingConv2d
from tncc.train.layers import TrinaryConv2d, TrinaryLinear
from tncc.train.loop import scores_of_one
from tncc.train.onnx_export import freeze

MANY_CHIPS = 16  # an array this wide and high holds whatever partition-cores makes of a trainable network


@dataclass(frozen=True)
class LayerFit:
    """One layer on the chip.

    Attributes:
        name, layer: the module's name and text.
        fan_in: inputs of a neuron.
        nonzero: the most weights other than 0 that one neuron has now: what takes axons.
        neurons: outputs of the layer.
        cores: 0 where the model does not fit.
        problem: why the layer fits no core; empty where it does.
        remark: what has to stay true of the weights for the layer to fit, or why there is nothing to fit; empty where
            it fits whatever the weights become.
    """

    name: str
    layer: str
    fan_in: int
    nonzero: int
    neurons: int
    cores: int
    problem: str
    remark: str = ""


@dataclass(frozen=True)
class Fit:
    """What `check_fit` found; prints as a table."""

    layers: tuple[LayerFit, ...]
    cores: int
    chips: int
    problem: str

    @property
    def fits(self) -> bool:
        """Whether every layer fits a core; how many chips that takes is another matter."""
        return not self.problem

    def __str__(self) -> str:
        rows = [("layer", "", "inputs", "nonzero", "neurons", "cores", "")]
        rows += [
            (f.name, f.layer, f"{f.fan_in}", f"{f.nonzero}", f"{f.neurons:,}", f"{f.cores:,}", f.problem or f.remark)
            for f in self.layers
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(6)]
        lines = [
            f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  "
            + "  ".join(f"{row[i]:>{widths[i]}}" for i in range(2, 6))
            + (f"  {row[6]}" if row[6] else "")
            for row in rows
        ]
        last = f"does not fit: {self.problem}" if self.problem else f"{self.cores:,} cores, {self.chips} chip(s)"
        return "\n".join([*(line.rstrip() for line in lines), last])


def check_fit(
    model: nn.Module, input_shape: tuple[int, ...], chip: Chip | None = None, *, allow_partial_sums: bool = False
) -> Fit:
    """Which layers of `model` fit a core of `chip`, and how many cores and chips the compiler needs for them.

    The model is compiled as far as partition-cores with the weights it has now. Weights that are trained later move
    the count by some per cent; a layer that fits only for the zeros among its weights says so.

    Args:
        model: layers of tncc.train.
        input_shape: of one frame, without the batch dimension.
        chip: the target; the default is one TrueNorth chip.
        allow_partial_sums: as for tncc.compile.

    Raises:
        InputError: the model does not take frames of this shape.
    """
    chip = chip or Chip()
    scores_of_one(model, torch.zeros(1, *input_shape))
    names = {m: n for n, m in model.named_modules() if isinstance(m, (TrinaryConv2d, TrinaryLinear))}
    neurons = _neurons(model, input_shape, names)
    found = []
    for module, name in names.items():
        nonzero = int(torch.count_nonzero(module.trinary.flatten(1), dim=1).max())
        found.append(LayerFit(name, str(module), module.hidden[0].numel(), nonzero, neurons.get(name, 0), 0, ""))
    try:
        graph = _spiking_layers(model, input_shape, chip, allow_partial_sums)
        found = [replace(f, remark=_remark(f, graph, chip, allow_partial_sums)) for f in found]
        problems = _problems(graph, chip)
        if problems:
            found = [replace(f, problem=" ".join(p for place, p in problems if _is_of(place, f.name))) for f in found]
            named = [f"layer {f.name}: {f.problem}" for f in found if f.problem]
            return Fit(tuple(found), 0, 0, (named or [problems[0][1]])[0])
        by_place = _cores(graph, chip)
    except CompileError as error:
        return Fit(tuple(found), 0, 0, str(error))
    total = sum(by_place.values())
    counted = []
    for layer in found:
        mine = [place for place in by_place if _is_of(place, layer.name)]
        counted.append(replace(layer, cores=sum(by_place.pop(place) for place in mine)))
    counted += [LayerFit(place, "", 0, 0, 0, cores, "") for place, cores in by_place.items()]
    return Fit(tuple(counted), total, math.ceil(total / (chip.mesh_x * chip.mesh_y)), "")


def _remark(layer: LayerFit, graph: Graph, chip: Chip, allow_partial_sums: bool) -> str:
    if not any(_is_of(str(op.location), layer.name) for op in graph.ops if isinstance(op, SpikingConv2d)):
        return "not on the chip: the host computes it, or its neurons are constants"
    if layer.fan_in <= chip.axons:
        return ""
    otherwise = " or partial sums reach that far" if allow_partial_sums else ""
    return f"fits as long as no neuron has more than {chip.axons} nonzero weights{otherwise}"


def _is_of(place: str, module: str) -> bool:
    """Whether a location, "/module/Conv via ...", lies in a module."""
    return f"/{module.replace('.', '/')}/" in place


def _neurons(model: nn.Module, shape: tuple[int, ...], names: dict[nn.Module, str]) -> dict[str, int]:
    sizes: dict[str, int] = {}

    def note(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        sizes[names[module]] = output[0].numel()

    handles = [module.register_forward_hook(note) for module in names]
    was_training = model.training
    where = next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        model.eval()
        with torch.no_grad():
            model(torch.zeros(1, *shape, device=where))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return sizes


def _spiking_layers(model: nn.Module, shape: tuple[int, ...], chip: Chip, allow_partial_sums: bool) -> Graph:
    """The model's layers as split-filter-groups, the pass that holds filters to a core's size, is given them."""
    from tncc.frontends.onnx import load
    from tncc.passes.manager import run_pipeline
    from tncc.passes.pipeline import DEFAULT_PIPELINE, parse_pipeline, with_options
    from tncc.passes.split_filter_groups import SplitFilterGroups

    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(freeze(model), (torch.zeros(1, *shape),), stream, dynamo=False, opset_version=18)
    passes = with_options(parse_pipeline(DEFAULT_PIPELINE), allow_partial_sums=allow_partial_sums)
    before = passes[: [p.name for p in passes].index(SplitFilterGroups.name)]
    graph = run_pipeline(load(stream.getvalue()).graph, chip, before).module
    assert isinstance(graph, Graph)
    return graph


def _problems(graph: Graph, chip: Chip) -> list[tuple[str, str]]:
    """(location, what is wrong and what would work) of every layer with a filter that no core holds."""
    from tncc.passes.split_filter_groups import filter_too_large

    layers = [op for op in graph.ops if isinstance(op, SpikingConv2d)]
    refusals = [filter_too_large(op, graph.types[op.inputs[0]].shape, chip, chip.axons) for op in layers]
    return [(str(e.location), f"{e.message}; {e.hint}") for e in refusals if e is not None]


def _cores(graph: Graph, chip: Chip) -> dict[str, int]:
    """Cores by location, as partition-cores counts them."""
    from tncc.passes.manager import run_pipeline

    wide = replace(chip, chips_x=MANY_CHIPS, chips_y=MANY_CHIPS, defects=frozenset())
    netlist = run_pipeline(graph, wide, "split-filter-groups, partition-cores").module
    assert isinstance(netlist, Netlist)
    found: dict[str, int] = {}
    for index, layer in enumerate(netlist.layers):
        found[layer.location] = found.get(layer.location, 0) + int((netlist.layer == index).sum())
    return found
