"""Will it fit? Asked while a model is being written: filter supports, cores, chips. Weights need not be trained."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass, replace

import torch
from torch import nn

from tncc.errors import CompileError
from tncc.ir.chip import Chip
from tncc.ir.netlist import Netlist
from tncc.train.layers import TrinaryConv2d, TrinaryLinear
from tncc.train.onnx_export import freeze

MANY_CHIPS = 16  # an array this wide and high holds whatever partition-cores makes of a trainable network


@dataclass(frozen=True)
class LayerFit:
    """One layer on the chip: its module name, inputs a neuron, neurons, cores (0 where the model does not fit)."""

    name: str
    layer: str
    fan_in: int
    neurons: int
    cores: int
    problem: str


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
        rows = [("layer", "", "inputs", "neurons", "cores", "")]
        rows += [(f.name, f.layer, f"{f.fan_in}", f"{f.neurons:,}", f"{f.cores:,}", f.problem) for f in self.layers]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines = [
            f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  "
            + "  ".join(f"{row[i]:>{widths[i]}}" for i in (2, 3, 4))
            + (f"  {row[5]}" if row[5] else "")
            for row in rows
        ]
        last = f"does not fit: {self.problem}" if self.problem else f"{self.cores:,} cores, {self.chips} chip(s)"
        return "\n".join([*(line.rstrip() for line in lines), last])


def check_fit(model: nn.Module, input_shape: tuple[int, ...], chip: Chip | None = None) -> Fit:
    """Which layers of `model` fit a core of `chip`, and how many cores and chips the compiler needs for them.

    The cores are counted by compiling the model as far as partition-cores with the weights it has now; weights that are
    trained later move the count by some per cent.

    Args:
        model: layers of tncc.train.
        input_shape: of one frame, without the batch dimension.
        chip: the target; the default is one TrueNorth chip.
    """
    chip = chip or Chip()
    names = {m: n for n, m in model.named_modules() if isinstance(m, (TrinaryConv2d, TrinaryLinear))}
    neurons = _neurons(model, input_shape, names)
    found = []
    for module, name in names.items():
        fan_in = module.hidden[0].numel()
        problem = ""
        if fan_in > chip.axon_pairs:
            problem = f"{fan_in} inputs a neuron exceed {chip.axon_pairs}"
            if isinstance(module, TrinaryConv2d):
                support = f"{module.kernel_size}x{module.kernel_size}x{module.in_channels // module.groups}"
                problem += f" (filter support {support}); groups >= {_groups_needed(module, chip)} would fit"
        found.append(LayerFit(name, str(module), fan_in, neurons.get(name, 0), 0, problem))
    first = next((f for f in found if f.problem), None)
    if first is not None:
        return Fit(tuple(found), 0, 0, f"layer {first.name}: {first.problem}")
    try:
        by_place = _cores(model, input_shape, chip)
    except CompileError as error:
        return Fit(tuple(found), 0, 0, str(error))
    total = sum(by_place.values())
    counted = []
    for layer in found:
        mine = [place for place in by_place if f"/{layer.name.replace('.', '/')}/" in place]
        counted.append(replace(layer, cores=sum(by_place.pop(place) for place in mine)))
    counted += [LayerFit(place, "", 0, 0, cores, "") for place, cores in by_place.items()]
    return Fit(tuple(counted), total, math.ceil(total / (chip.mesh_x * chip.mesh_y)), "")


def _groups_needed(module: TrinaryConv2d, chip: Chip) -> str:
    taps = module.kernel_size**2
    for groups in range(1, module.in_channels + 1):
        divides = not (module.in_channels % groups or module.out_channels % groups)
        if divides and taps * module.in_channels // groups <= chip.axon_pairs:
            return str(groups)
    return str(math.ceil(taps * module.in_channels / chip.axon_pairs))


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


def _cores(model: nn.Module, shape: tuple[int, ...], chip: Chip) -> dict[str, int]:
    """Cores by location, "/module/Conv via ...", as partition-cores counts them."""
    from tncc.frontends.onnx import load
    from tncc.passes.manager import run_pipeline

    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(freeze(model), (torch.zeros(1, *shape),), stream, dynamo=False, opset_version=18)
    wide = replace(chip, chips_x=MANY_CHIPS, chips_y=MANY_CHIPS, defects=frozenset())
    netlist = run_pipeline(load(stream.getvalue()).graph, wide, stop_after="partition-cores").module
    assert isinstance(netlist, Netlist)
    found: dict[str, int] = {}
    for index, layer in enumerate(netlist.layers):
        found[layer.location] = found.get(layer.location, 0) + int((netlist.layer == index).sum())
    return found
