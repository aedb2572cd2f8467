"""IBM's model files -> Program: read, then placed on the mesh."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tncc.backends.tnbin import SHARED
from tncc.errors import InputError
from tncc.frontends import truenorth
from tncc.ir.chip import Chip
from tncc.ir.netlist import Netlist
from tncc.passes.place_cores import PlaceCores
from tncc.program import Program
from tncc.runtime.config import ChipConfig

PLACEMENTS = ("id-order", "place-cores", "none")


def import_model(path: str | Path, placement: str = "id-order", seed: int = 0) -> Program:
    """Reads an IBM model file.

    Args:
        path: the file; it holds no coordinates.
        placement: "id-order" (row by row in core id order), "place-cores" (the compiler's placer), or "none".
        seed: of the placer.

    Raises:
        InputError: the file cannot be read. FormatError: it is not a model file; names the core and neuron.
    """
    if placement not in PLACEMENTS:
        raise InputError(f"placement is {placement!r}; it is one of {', '.join(PLACEMENTS)}")
    config, metadata = truenorth.load(path)
    if placement != "none":
        config = _placed(config, placement, seed)
    return Program(config, metadata | {"seed": seed, "placement": placement})


def _placed(config: ChipConfig, placement: str, seed: int) -> ChipConfig:
    mesh_x, mesh_y, chips_x, chips_y = config.mesh
    if placement == "id-order":
        core = np.arange(config.n_cores, dtype=np.int32)
        width = mesh_x * chips_x
        placed = replace(config, core_x=core % width, core_y=core // width)
    else:
        chip = Chip(mesh_x, mesh_y, config.axons, config.neurons, chips_x=chips_x, chips_y=chips_y)
        netlist = Netlist(
            chip=chip,
            neuron_types=config.neuron_types,
            layers=(),
            **{name: getattr(config, name) for name in SHARED},
        )
        found = PlaceCores(seed=seed).run(netlist, chip)
        placed = replace(config, core_x=found.core_x, core_y=found.core_y)
    placed.check()
    return placed
