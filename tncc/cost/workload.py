"""What a network asks of the chip in one tick: the numbers that the cost model turns into power and speed."""

from __future__ import annotations

from dataclasses import dataclass

from tncc.runtime.engine import Stats


@dataclass(frozen=True)
class Workload:
    """Means over the ticks of a run; a frame takes one tick.

    Attributes:
        synaptic_events, hops, spikes: of all cores together, a tick.
        busiest_core_events: synaptic events a tick of the core that has most.
        busiest_link_packets: packets a tick over the link between two cores that carries most; None: not measured.
        busiest_edge_packets: packets a tick over the most used direction of a border between two chips; None: not
            measured.
        input_packets: spikes a tick that the host sends to axons; None: not measured.
        edge_packets: packets a tick over all borders between chips; None: not measured.
    """

    synaptic_events: float
    hops: float
    spikes: float
    busiest_core_events: float
    busiest_link_packets: float | None = None
    busiest_edge_packets: float | None = None
    input_packets: float | None = None
    edge_packets: float | None = None


def from_stats(stats: Stats) -> Workload:
    """The workload of an engine's run: exact totals over its ticks. Links are not counted by engines."""
    ticks = max(stats.ticks, 1)
    return Workload(
        synaptic_events=stats.synaptic_events / ticks,
        hops=stats.hops / ticks,
        spikes=stats.spikes / ticks,
        busiest_core_events=float(stats.core_synaptic_events.max(initial=0)) / ticks,
    )
