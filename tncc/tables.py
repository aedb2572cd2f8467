"""Tables that `tncc inspect` prints."""

from __future__ import annotations

from typing import Any

from tncc.program import Program
from tncc.report import synapses_by_core, used_axons


def layer_table(program: Program) -> Any:
    """A rich table: cores, mean axons, neurons and synapses a core, and the mapper's notes, per layer."""
    from rich.table import Table

    config = program.config
    axons = used_axons(config)
    synapses = synapses_by_core(config, axons)
    neurons = (config.neuron_type >= 0).sum(axis=1)
    entries = program.metadata.get("layers", [])
    keys = list(dict.fromkeys(key for entry in entries for key in entry.get("note", {})))
    table = Table("layer", "kind", *(f"{c}" for c in ("cores", "axons/core", "neurons/core", "synapses/core")), *keys)
    for column in table.columns[2:]:
        column.justify = "right"
    for index, entry in enumerate(entries):
        here = config.layer == index
        means = [
            f"{values[here].mean():,.1f}" if here.any() else "-" for values in (axons.sum(axis=1), neurons, synapses)
        ]
        notes = [_text(entry.get("note", {}).get(key)) for key in keys]
        table.add_row(entry["name"], entry["kind"], f"{int(here.sum()):,}", *means, *notes)
    return table


def core_table(program: Program) -> Any:
    """A rich table with a row a core."""
    from rich.table import Table

    config = program.config
    axons = used_axons(config)
    synapses = synapses_by_core(config, axons)
    names = [entry["name"] for entry in program.metadata.get("layers", [])]
    table = Table("core", "x", "y", "layer", "axons", "neurons", "synapses", "crossbar")
    for column in (0, 1, 2, 4, 5, 6, 7):
        table.columns[column].justify = "right"
    rows = zip(
        range(config.n_cores),
        config.core_x.tolist(),
        config.core_y.tolist(),
        [names[i] if i < len(names) else "" for i in config.layer.tolist()],
        axons.sum(axis=1).tolist(),
        (config.neuron_type >= 0).sum(axis=1).tolist(),
        synapses.tolist(),
        config.crossbar_index.tolist(),
        strict=True,
    )
    for row in rows:
        table.add_row(*map(str, row))
    return table


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " x ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
