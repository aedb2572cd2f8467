"""Networks from the notation of Esser et al. 2016: "S-12 P4-252/2 N-256/2 P-256/8 S-512/32 ..."."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

from tncc.errors import InputError
from tncc.ir.chip import Chip
from tncc.train.layers import BatchNorm, ClassVote, GroupShuffle, SpikingActivation, Transduction, TrinaryConv2d

REFERENCE = {
    "esser-1chip": (
        "S-12 P4-252/2 N-256/2 P-256/8 S-512/32 N-512/4 N-512/4 N-512/4 P-512/16 "
        "S-1024/64 N-1024/8 P-1024/32 N-1024/8 N-1024/8 N-2040/8"
    )
}
KINDS = {"S": (3, 1, 1), "N": (1, 1, 0), "P": (2, 2, 0)}  # kernel, stride, padding


@dataclass(frozen=True)
class LayerSpec:
    """One word of the notation, with what it leaves open filled in."""

    word: str
    kernel: int
    stride: int
    padding: int
    inputs: int
    outputs: int
    groups: int

    @property
    def fan_in(self) -> int:
        """Inputs of one neuron."""
        return self.kernel**2 * self.inputs // self.groups


def parse(notation: str, channels: int) -> list[LayerSpec]:
    """The layers of `notation`; the first is the transduction, on the host, with real-valued weights.

    A word is KIND[kernel]-features[/groups]. S keeps the size (3 x 3), N is 1 x 1, P halves the size (2 x 2 with stride
    2; P4: 4 x 4 with stride 2 and padding 1), V is valid: no padding, a kernel of its own (V4: 4 x 4). Without
    "/groups", the fewest groups are taken whose features can share a core: 128 inputs a group, two axons each. Groups
    that are written out may have up to 256 inputs, the most that fit a core whatever the weights become.

    Raises:
        InputError: a word that does not parse, groups that do not divide, a filter support that no core takes.
    """
    shared, most = Chip().axon_pairs, Chip().axons
    specs: list[LayerSpec] = []
    for word in notation.split():
        match = re.fullmatch(r"([SNPV])(\d*)-(\d+)(?:/(\d+))?", word)
        if not match or int(match[3]) < 1:
            raise InputError(f"layer {word!r} does not parse", hint='KIND[kernel]-features[/groups], as in "P4-252/2"')
        letter, outputs = match[1], int(match[3])
        kernel, stride, padding = KINDS.get(letter, (0, 1, 0))
        if match[2]:
            kernel = int(match[2])
            padding = {"S": kernel // 2, "P": (kernel - 2) // 2}.get(letter, 0)
        if kernel < 1 or (letter == "S" and kernel % 2 == 0) or (letter == "P" and kernel % 2):
            raise InputError(f"layer {word!r}: kernel {kernel}", hint="S takes odd kernels, P even ones; V needs one")
        groups = int(match[4] or 0)
        if not specs:
            if groups > 1:
                raise InputError(f"layer {word!r}: the transduction layer has no groups")
            specs.append(LayerSpec(word, kernel, stride, padding, channels, outputs, 1))
            continue
        inputs = specs[-1].outputs
        dividing = [g for g in range(1, inputs + 1) if not (inputs % g or outputs % g)]
        limit = most if groups else shared
        fitting = [g for g in dividing if kernel**2 * inputs // g <= limit]
        advice = (
            f"{inputs} inputs and {outputs} outputs share no number of groups that fits; other feature counts would"
        )
        if fitting:
            advice = f"groups that fit: {', '.join(map(str, fitting[:6]))}"
        if not groups and not fitting:
            raise InputError(f"layer {word!r}: no number of groups fits a core ({limit} inputs)", hint=advice)
        groups = groups or fitting[0]
        if inputs % groups or outputs % groups:
            raise InputError(
                f"layer {word!r}: {groups} groups do not divide {inputs} inputs and {outputs}", hint=advice
            )
        spec = LayerSpec(word, kernel, stride, padding, inputs, outputs, groups)
        if spec.fan_in > limit:
            raise InputError(
                f"layer {word!r}: filter support {kernel}x{kernel}x{inputs // groups} = {spec.fan_in} inputs "
                f"exceeds {limit}",
                hint=advice,
            )
        specs.append(spec)
    if len(specs) < 2:
        raise InputError("a network needs a transduction layer and at least one more")
    return specs


def build(
    notation: str,
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    seed: int = 0,
    dropout: float = 0.0,
    gain: float = 16.0,
) -> nn.Sequential:
    """The network of `notation`, or of a name in REFERENCE: layers, batch normalisation, spikes, shuffles, class vote.

    Args:
        notation: see `parse`.
        input_shape: (channels, height, width) of one frame.
        classes: of the vote.
        seed: of the permutations between layers. Weights come from PyTorch's generator.
        dropout: probability, before every trinary layer, while training.
        gain: of the class vote.
    """
    if not 0 <= dropout <= 1:
        raise InputError(f"dropout is {dropout}", hint="a probability: 0 .. 1")
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise InputError(f"input_shape is {input_shape}; expected (channels, height, width)")
    if classes < 1:
        raise InputError(f"{classes} classes; at least 1 is needed")
    specs = parse(REFERENCE.get(notation, notation), input_shape[0])
    modules: list[nn.Module] = []
    height, width = input_shape[1:]
    for i, spec in enumerate(specs):
        height, width = ((size + 2 * spec.padding - spec.kernel) // spec.stride + 1 for size in (height, width))
        if height < 1 or width < 1:
            raise InputError(f"layer {spec.word!r}: nothing is left of {input_shape[1]} x {input_shape[2]} pixels")
        if i == 0:
            modules.append(Transduction(spec.inputs, spec.outputs, spec.kernel, spec.stride, spec.padding))
        else:
            if i > 1 and spec.groups > 1:
                modules.append(GroupShuffle(spec.inputs, seed=seed + i))
            if dropout:
                modules.append(nn.Dropout(dropout))
            modules.append(
                TrinaryConv2d(spec.inputs, spec.outputs, spec.kernel, spec.stride, spec.padding, spec.groups)
            )
        modules += [BatchNorm(spec.outputs), SpikingActivation()]
    if specs[-1].outputs < classes:
        raise InputError(
            f"layer {specs[-1].word!r}: {specs[-1].outputs} features cannot vote for {classes} classes",
            hint="at least as many features as classes",
        )
    return nn.Sequential(*modules, ClassVote(specs[-1].outputs, classes, gain))
