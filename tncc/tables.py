"""Tables that `tncc inspect` prints."""

from __future__ import annotations

from typing import Any

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


def core_table(program: Program) -> Any:
    """A rich table with a row a core."""
    from rich.table import Table

    config = program.config
    axons = used_axons(config)
    synapses = synapses_by_core(config, axons)
    names = [entry["name"] for entry in program.layers]
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
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
