"""Tonic bursting, built by hand from two kinds of neuron: groups of spikes with pauses under a constant input.

One of the 20 behaviours that Cassidy et al. 2013 ("Cognitive computing building block: A versatile and efficient
digital neuron model for neurosynaptic cores") show for this neuron model; the circuit here is our own.

- The burster gains 4 in every tick from the constant input and fires at 8: a spike every second tick.
- The pauser counts the burster's spikes. At the fifth it fires and takes 60 from the burster, whose next spike comes
  17 ticks after its last.
- A neuron has one target, so the burster is there twice: one copy drives the pauser, the other an output pin.

    python examples/tonic_burster.py -o burster.svg [--ticks 100] [--engine numpy]
"""

from __future__ import annotations

import argparse

import numpy as np

from tncc.builder import ChipBuilder, Neuron
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import RunResult
from tncc.runtime.engines import make_engine

DRIVE, FROM_BURSTER, FROM_PAUSER = 0, 1, 2  # axons, with the axon types of the same number
BURSTER, BURSTER_COPY, PAUSER = 0, 1, 2  # neurons
NAMES = ("burster", "burster (copy)", "pauser")


def tonic_burster() -> ChipConfig:
    """A chip of one small core; input pin 0 is the constant drive, output pin 0 the bursts."""
    builder = ChipBuilder(axons=3, neurons=3)
    core = builder.core()
    core.axon_types[:] = [0, 1, 2]
    core.neuron([BURSTER, BURSTER_COPY], Neuron(weights=(4, 0, -60, 0), threshold=8, negative_threshold=100))
    core.neuron(PAUSER, Neuron(weights=(0, 1, 0, 0), threshold=5))
    core.crossbar[DRIVE, [BURSTER, BURSTER_COPY]] = True
    core.crossbar[FROM_PAUSER, [BURSTER, BURSTER_COPY]] = True
    core.crossbar[FROM_BURSTER, PAUSER] = True
    builder.connect_input(0, core, DRIVE)
    builder.connect(core, BURSTER, core, FROM_BURSTER)
    builder.connect(core, PAUSER, core, FROM_PAUSER)
    builder.connect_output(core, BURSTER_COPY, 0)
    return builder.build()


def run(ticks: int, engine: str = "auto") -> RunResult:
    """Runs the chip under constant drive; records all three neurons' spikes and potentials."""
    chip = make_engine(engine, tonic_burster())
    probes = np.array([[0, BURSTER], [0, BURSTER_COPY], [0, PAUSER]], np.int32)
    return chip.run(ticks, pins=np.ones((ticks, 1), np.uint8), record=np.ones((1, 3), np.bool_), probes=probes)


def plot(result: RunResult, path: str) -> None:
    """Potentials above, spikes below, to an image file."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "tncc"  # the same picture, byte for byte, every time
    from matplotlib import pyplot as plt

    assert result.spikes is not None and result.potentials is not None
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 4), height_ratios=(3, 1))
    for neuron in (BURSTER, PAUSER):
        above.step(np.arange(len(result.potentials)), result.potentials[:, neuron], where="post", label=NAMES[neuron])
    above.set_ylabel("membrane potential")
    above.legend(loc="lower right")
    trains = [result.spikes.tick[result.spikes.neuron == neuron] for neuron in range(3)]
    below.eventplot(trains, colors=["C0", "C0", "C1"], linelengths=0.7)
    below.set_yticks(range(3), NAMES)
    below.set_xlabel("tick")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def main() -> None:
    parser = argparse.ArgumentParser(description="Tonic bursting on a hand-built chip.")
    parser.add_argument("-o", "--output", default="tonic_burster.svg", help="image to write")
    parser.add_argument("--ticks", type=int, default=120)
    parser.add_argument("--engine", default="auto", choices=("auto", "tick", "numpy"))
    arguments = parser.parse_args()
    result = run(arguments.ticks, arguments.engine)
    plot(result, arguments.output)
    print(f"output pin 0 fired in ticks {np.flatnonzero(result.outputs[:, 0]).tolist()}")
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
