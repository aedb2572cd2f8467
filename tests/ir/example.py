"""A core netlist small enough to check by hand: y0 = x0 or x1, y1 = x0 and not x1. docs/ir-reference.md shows it."""

from __future__ import annotations

from tncc.ir.netlist import Netlist
from tncc.ir.parser import parse

TEXT = """\
core.netlist {
  chip {mesh_x = 2, mesh_y = 2, axons = 4, neurons = 2}
  layer 0 {name = "y", kind = "conv", location = "Conv_0"}
  input "x" : spikes[2] {first_pin = 0}
  output "y" : spikes[2] {first_pin = 0, latency_ticks = 1}
  neuron_type 0 {weights = [-1, 1, 0, 0], threshold = 1, negative_saturate = 1}
  axon_types 0 {types = [0, 1, 0, 1]}
  crossbar 0 {
    rows = [
      "00",
      "03",
      "02",
      "01"]
  }
  core 0 {
    at = (1, 0),
    layer = 0,
    crossbar = 0,
    axon_types = 0,
    neuron_type = [0, 0],
    target_core = [-3, -3],
    target_axon = [0, 1]
  }
  connections {pin = [0, 0, 1, 1], core = [0*4], axon = [0..3], delay = [1*4]}
}
"""


def example(*changes: tuple[str, str]) -> Netlist:
    """The netlist with parts of its text replaced."""
    text = TEXT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    parsed = parse(text)
    assert isinstance(parsed, Netlist)
    return parsed
