"""Tables that `tncc inspect` prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from tncc.program import Program
from tncc.report import synapses_by_core, used_axons

LAYER_COLUMNS = [
    *("layer", "cores", "axons used", "neurons used", "synapses/core"),
    *("weights", "axons/input", "tile", "tiles", "copies", "limit"),
]


def layer_rows(program: Program) -> list[list[str]]:
    """A row a layer, under LAYER_COLUMNS: cores, how far axons and neurons are used, how the mapper tiled it."""
    config = program.config
    axons = used_axons(config)
    synapses = synapses_by_core(config, axons)
    neurons = (config.neuron_type >= 0).sum(axis=1)
    rows = []
    for index, entry in enumerate(program.layers):
        here, note = config.layer == index, entry.get("note", {})
        count = int(here.sum())
        shares = (
            (axons[here].sum() / (count * config.axons), neurons[here].sum() / (count * config.neurons))
            if count
            else (0.0, 0.0)
        )
        rows.append(
            [
                entry["name"] if entry["kind"] == "conv" else f"{entry['name']} ({entry['kind']})",
                f"{count:,}",
                *(f"{share:.1%}" for share in shares),
                f"{synapses[here].mean():,.0f}" if count else "-",
                _text(note.get("weights")),
                _text(note.get("axons_per_input")),
                _tile(note),
                _text(note.get("tiles")),
                _range(note.get("copies_min"), note.get("copies_max")),
                _text(note.get("limit")),
            ]
        )
    return rows


def layer_table(program: Program) -> Any:
    """`layer_rows` as a rich table."""
    from rich.table import Table

    table = Table(*LAYER_COLUMNS)
    for column in (1, 2, 3, 4, 5, 6, 8, 9):
        table.columns[column].justify = "right"
    for row in layer_rows(program):
        table.add_row(*row)
    return table


def _tile(note: dict[str, Any]) -> str:
    """Output positions a core, and into how many subsets the features are split."""
    subsets = note.get("feature_subsets", 1)
    return _text(note.get("tile")) + (f", features / {subsets}" if subsets != 1 else "")


def _range(low: Any, high: Any) -> str:
    return _text(low) if low == high else f"{_text(low)}..{_text(high)}"


def core_entries(program: Program) -> list[dict[str, Any]]:
    """One a core: number, place (-1 where there is none), layer, axons and neurons in use, synapses, its crossbar."""
    config = program.config
    axons = used_axons(config)
    names = [entry["name"] for entry in program.layers]
    columns = {
        "core": list(range(config.n_cores)),
        "x": config.core_x.tolist(),
        "y": config.core_y.tolist(),
        "layer": [names[i] if i < len(names) else "" for i in config.layer.tolist()],
        "axons": axons.sum(axis=1).tolist(),
        "neurons": (config.neuron_type >= 0).sum(axis=1).tolist(),
        "synapses": synapses_by_core(config, axons).tolist(),
        "crossbar": config.crossbar_index.tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def core_table(program: Program) -> Any:
    """A rich table with a row a core."""
    from rich.table import Table

    table = Table("core", "x", "y", "layer", "axons", "neurons", "synapses", "crossbar")
    for column in (0, 1, 2, 4, 5, 6, 7):
        table.columns[column].justify = "right"
    for entry in core_entries(program):
        table.add_row(*map(str, entry.values()))
    return table


def layer_entries(program: Program) -> list[dict[str, Any]]:
    """One a layer: name, kind, location, cores, and the note that the mapper left (docs/mapping.md)."""
    counts = np.bincount(program.config.layer, minlength=len(program.layers)).tolist()
    keys = ("name", "kind", "location")
    return [
        {key: layer[key] for key in keys} | {"cores": count, "note": layer.get("note", {})}
        for layer, count in zip(program.layers, counts, strict=False)
    ]


def _text(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
