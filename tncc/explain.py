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
ABSORBED = "no core of its own: in the weights and thresholds of layers that read it, or its spikes never change"
UNUSED, APPROXIMATED = "dropped: no output depends on it", "approximated by --trinarize twn, in its layer"
MOVES = {  # operators that only move spikes, or change their type
    "Cast",
    "CastLike",
    "Concat",
    "DepthToSpace",
    "DequantizeLinear",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "GatherND",
    "Identity",
    "Pad",
    "QuantizeLinear",
    "Reshape",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Upsample",
}


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
    read = _read_by_layers(source, set().union(*layers.values()))
    rows = []
    for node, operator in source.nodes:
        found = [place for place, names in host.items() if _is_in(node, names)]
        found += [
            f"layer {name}: {cores[name]:,} core{'s' * (cores[name] != 1)}{wide.get(name, '')}{ticks.get(name, '')}"
            for name, nodes in layers.items()
            if _is_in(node, nodes)
        ]
        # what the host decodes of the chip's spikes, the chip's own layers read as spikes
        if not found or (found == [AFTER] and _is_in(node, read)):
            found.append(_without_place(source, node, operator, left))
        rows.append(Fate(node, operator, "; ".join(found)))
    return rows


def _read_by_layers(source: OnnxModel, places: set[str]) -> set[str]:
    """The nodes of the cleaned model that, through nodes elsewhere, a layer reads; places: the nodes of all layers."""
    read: set[str] = set()
    tensors: set[str] = set()
    for node in reversed(source.model.graph.node):
        if tensors.intersection(node.output):
            read.add(node.name)
        if node.name in places or node.name in read:
            tensors.update(node.input)
    return read


def _without_place(source: OnnxModel, node: str, operator: str, left: set[str]) -> str:
    """What became of a node that is neither on the host nor in the place of a layer; `left` are the cleaned model's."""
    if node in source.unused:
        return UNUSED
    if node in source.approximated:
        return APPROXIMATED
    if not _is_in(node, left):
        return FOLDED
    return WIRING if operator in MOVES else ABSORBED


def _names(model: bytes | None) -> set[str]:
    import onnx

    return set() if model is None else {node.name for node in onnx.load_from_string(model).graph.node}


def _is_in(node: str, names: set[str]) -> bool:
    """Whether a node, or one of those that a quantizer was rewritten as (`Quant_0/Round_1`), is among `names`."""
    return node in names or any(name.startswith(f"{node}/") for name in names)
