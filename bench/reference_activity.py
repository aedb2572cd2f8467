"""The reference network's activity: `python -m bench.reference_activity` prints tncc/cost/data/reference_activity.csv.

Random trinary weights; thresholds at which about a third of the neurons fire, on inputs of the same rate; input by
splitter cores, as in the published networks.
"""

from __future__ import annotations

import csv
import sys

import numpy as np

from bench.reference_network import spiking_graph
from tncc.backends.tnbin import describe, to_config
from tncc.cost.activity import Activity, measure
from tncc.ir.chip import Chip
from tncc.ir.netlist import Netlist
from tncc.passes.manager import run_pipeline
from tncc.program import Program

PIPELINE = "split-filter-groups, partition-cores{input-fanout=splitters}, place-cores, route-spikes"
INPUT_RATE = 0.35
FRAMES = 32


def reference_program(pipeline: str = PIPELINE) -> Program:
    """The reference network on one chip; its input is spikes [12, 32, 32]."""
    graph = spiking_graph()
    netlist = run_pipeline(graph, Chip(), pipeline).module
    assert isinstance(netlist, Netlist)
    port = netlist.inputs[0]
    metadata = describe(netlist) | {
        "model_inputs": [{"name": port.name, "dtype": "float32", "shape": list(port.type.shape)}],
        "model_outputs": [port.name for port in netlist.outputs],
        "model_output_dtypes": {port.name: "float32" for port in netlist.outputs},
    }
    return Program(to_config(netlist), metadata)


def reference_activity(program: Program, rate: float = INPUT_RATE, frames: int = FRAMES) -> Activity:
    """Its activity on random frames whose pixels spike with probability `rate`."""
    x = np.random.default_rng(0).random((frames, *program.metadata["model_inputs"][0]["shape"])) < rate
    return measure(program, x.astype(np.float32), frames=frames)


def main() -> None:
    """Prints the CSV."""
    program = reference_program()
    work = reference_activity(program).workload
    row = {
        "cores": program.config.n_cores,
        "spikes": work.spikes,
        "synaptic_events": work.synaptic_events,
        "hops": work.hops,
        "busiest_core_events": work.busiest_core_events,
        "input_packets": work.input_packets,
    }
    writer = csv.DictWriter(sys.stdout, list(row), lineterminator="\n")
    writer.writeheader()
    writer.writerow(row)


if __name__ == "__main__":
    main()
