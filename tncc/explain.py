"""What became of every node of an ONNX model: folded, on the host, in which layer and on how many cores."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tncc.program import Program

if TYPE_CHECKING:
    from tncc.frontends.onnx import OnnxModel

BEFORE, AFTER = "host, before the chip", "host, after the chip"
FOLDED, WIRING = "folded into constants", "no core: it moves spikes, or does nothing to them"


@dataclass(frozen=True)
class Fate:
    """One node of the source model: its name, its operator, and what it became, as words."""

    node: str
    operator: str
    became: str


def explain(source: OnnxModel, program: Program) -> list[Fate]:
    """A row a node of the source model (constants left out), in the model's order."""
    left = _names(source.model.SerializeToString())
    host = {BEFORE: _names(program.prefix), AFTER: _names(program.suffix)}
    report = program.report()
    cores: Counter[str] = Counter()
    for entry in report["cores_by_layer"]:
        cores[entry["layer"]] += entry["cores"]
    ticks = {entry["layer"]: f" in {entry['ticks']} ticks, by partial sums" for entry in report["partial_sums"]}
    layers: defaultdict[str, set[str]] = defaultdict(set)
    for layer in program.metadata["layers"]:
        layers[layer["name"]].update(layer["location"].split(" via ")[0].split(" + "))
    notes = {layer["name"]: layer.get("note", {}) for layer in program.metadata["layers"]}
    wide = {
        name: f", weights {note['weights']} on {note['axons_per_input']} axons an input"
        for name, note in notes.items()
        if note.get("axons_per_input", 0) > 2 and name not in ticks
    }
    rows = []
    for node, operator in source.nodes:
        found = [place for place, names in host.items() if _is_in(node, names)]
        found += [
            f"layer {name}: {cores[name]:,} core{'s' * (cores[name] != 1)}{wide.get(name, '')}{ticks.get(name, '')}"
            for name, nodes in layers.items()
            if _is_in(node, nodes)
        ]
        rest = WIRING if _is_in(node, left) else FOLDED
        rows.append(Fate(node, operator, "; ".join(found) or rest))
    return rows


def _names(model: bytes | None) -> set[str]:
    import onnx

    return set() if model is None else {node.name for node in onnx.load_from_string(model).graph.node}


def _is_in(node: str, names: set[str]) -> bool:
    """Whether a node, or one of those that a quantizer was rewritten as (`Quant_0/Round_1`), is among `names`."""
    return node in names or any(name.startswith(f"{node}/") for name in names)
