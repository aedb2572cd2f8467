"""`tncc run --spikes`: raw spikes in, recorded spikes out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tncc.cost.model import predict
from tncc.cost.physics import NOMINAL_TICK_RATE_HZ
from tncc.cost.workload import from_stats
from tncc.errors import InputError
from tncc.files import check_writable
from tncc.ir.routing import wiring_sha256
from tncc.program import Program
from tncc.runtime import spikefiles
from tncc.runtime.config import ChipConfig
from tncc.runtime.engine import Stats
from tncc.runtime.engines import make_engine


def run_spikes(
    program: Program, source: Path, ticks: int | None, target: Path | None, monitor: str, engine: str, threads: int
) -> dict[str, Any]:
    """Runs `ticks` ticks on the spikes in `source`; writes what `monitor` selects to `target`; returns the report.

    Its prediction is for real time: such networks run at the nominal tick rate, whatever the chip could do.
    """
    if ticks is None:
        raise InputError("--spikes needs --ticks N")
    if target is not None:
        spikefiles.output_format(target)
        check_writable(target)
    config = program.config
    events = spikefiles.read_events(source, config)
    chip = make_engine(engine, config, threads)
    began = time.perf_counter()
    spikes = spikefiles.run_spikes(config, events, ticks, monitor, chip)
    seconds = time.perf_counter() - began
    if target is not None:
        spikefiles.write_spikes(target, spikes, config, ticks)
    report: dict[str, Any] = {
        "ticks": ticks,
        "recorded_spikes": len(spikes.tick),
        "seconds": seconds,
        "ticks_per_second": ticks / seconds if seconds else None,
        "engine": chip.name,
        "threads": threads,
        "spikes": int(chip.stats.spikes),
        "synaptic_events": int(chip.stats.synaptic_events),
        "hops": int(chip.stats.hops),
        "per_tick_max": chip.stats.per_tick_max(),
        **measured_traffic(config, chip.stats),
    }
    if config.n_cores and chip.stats.ticks:
        predicted = predict(config.n_cores, from_stats(chip.stats), tick_rate_hz=NOMINAL_TICK_RATE_HZ)
        report["predicted"] = predicted.to_json()
    return report


def measured_traffic(config: ChipConfig, stats: Stats) -> dict[str, Any]:
    """The entries of a run's report that `tncc compile --traffic` reads."""
    return {
        "core_spikes": stats.core_spikes.tolist(),
        "wiring_sha256": wiring_sha256(config.target_core, config.target_axon, config.target_delay),
    }
