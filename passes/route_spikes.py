"""route-spikes: checks that every spike can travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tncc.errors import ChipLimit, PassMisplaced
from tncc.ir.chip import Chip
from tncc.ir.netlist import Netlist
from tncc.ir.verify_netlist import core_name
from tncc.passes.base import Module, Pass


@dataclass(frozen=True)
class RouteSpikes(Pass):
    """Checks hop counts and delays of every connection of a placed netlist.

    Routes on this chip are fixed (x first, then y), so there is nothing to choose: a packet holds signed hop counts
    of 9 bits and a delivery tick. Defective cores do not matter here: their routers still pass spikes on. Loads of
    links and ports are in tncc.ir.routing.
    """

    name: ClassVar[str] = "route-spikes"
    takes: ClassVar[type[Netlist]] = Netlist
    requires: ClassVar[tuple[str, ...]] = ("placed",)
    ensures: ClassVar[tuple[str, ...]] = ("routes-in-range",)

    def run(self, module: Module, chip: Chip) -> Netlist:
        if not isinstance(module, Netlist):
            raise PassMisplaced("route-spikes takes a placed netlist of cores, not a graph of layers", self.name)
        core, neuron = np.nonzero(module.target_core >= 0)
        target = module.target_core[core, neuron]
        for axis, place in (("x", module.core_x), ("y", module.core_y)):
            hops = place[target].astype(np.int64) - place[core]
            far = np.flatnonzero((hops > chip.max_hop) | (hops < -chip.max_hop - 1))
            if far.size:
                i = int(far[np.argmax(np.abs(hops[far]))])
                raise ChipLimit(
                    f"{far.size} connections are too long for a packet's hop counts, "
                    f"-{chip.max_hop + 1}..{chip.max_hop}; the longest goes {hops[i]} hops along {axis} "
                    f"to core {target[i]}",
                    core_name(module, core[i], neuron[i]),
                    "an array of chips that is less long, or place-cores with effort=high",
                )
        delay = module.target_delay[core, neuron]
        wrong = np.flatnonzero((delay < 1) | (delay > chip.max_delay_ticks))
        if wrong.size:
            i = int(wrong[0])
            raise ChipLimit(
                f"a delay of {delay[i]} ticks; the chip has 1..{chip.max_delay_ticks}",
                core_name(module, core[i], neuron[i]),
            )
        return module
