"""Names come from strangers' files: they are shown as they are."""

from __future__ import annotations

from pathlib import Path

from tncc.builder import ChipBuilder, Neuron
from tncc.program import Program


def test_names_in_brackets_are_no_markup(cli, tmp_path: Path) -> None:
    builder = ChipBuilder(axons=2, neurons=2)
    core = builder.core(seed=1)
    core.neuron(0, Neuron(weights=(1, 0, 0, 0), threshold=1))
    builder.connect_output(core, 0, 0)
    names = ("block[/1]", "conv[red]", "pool:smile:")
    layers = [{"name": name, "kind": "conv", "location": name} for name in names]
    path = tmp_path / "chip.tnbin"
    Program(builder.build(), {"layers": layers}).save(path)
    shown = cli("inspect", path, "--layers")
    assert shown.code == 0
    assert all(name in shown.out for name in names)
    assert names[0] in cli("inspect", path, "--cores").out
