"""IBM's recorded runs, spike for spike. The recordings are not part of the project: TNCC_NSCS names their folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support.engines import ENGINES

from tncc.frontends.truenorth import load
from tncc.runtime.spikefiles import HEADER_END, read_events, read_recording, run_spikes, write_spikes

FOLDER = Path(os.environ.get("TNCC_NSCS") or Path(__file__).resolve().parents[3] / "shared" / "nscs")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="recorded runs are not there (set TNCC_NSCS)")


def body(path):
    data = path.read_bytes()
    return data[data.index(HEADER_END) :]


@pytest.mark.parametrize("engine", ENGINES)
def test_pattern_match(engine, tmp_path):
    config, _ = load(FOLDER / "patternMatch.json")
    events = read_events(FOLDER / "patternMatch_inputSpikes.sfti", config)
    spikes = run_spikes(config, events, 48, "outputs", ENGINES[engine](config))
    recording = read_recording(FOLDER / "patternMatch_outputSpikes0.sfcp")
    assert len(recording.tick) == 24
    pins = config.target_axon[spikes.core, spikes.neuron]
    assert list(zip(spikes.tick, pins, strict=True)) == list(zip(recording.tick, recording.pin, strict=True))
    write_spikes(tmp_path / "out.sfcp", spikes, config, 48)
    assert body(tmp_path / "out.sfcp") == body(FOLDER / "patternMatch_outputSpikes0.sfcp")


@pytest.mark.parametrize("engine", ENGINES)
def test_spatio_temporal_filter(engine, tmp_path):
    config, _ = load(FOLDER / "spatioTemporalFilter.json")
    events = read_events(FOLDER / "spatioTemporalFilter_inputSpikes.sfti", config)
    recording = read_recording(FOLDER / "spatioTemporalFilter_outputSpikes0.sfro")
    assert len(recording.tick) == 10_278
    ticks = int(recording.tick.max()) + 1
    monitor = str(FOLDER / "spatioTemporalFilter_filter.json")
    spikes = run_spikes(config, events, ticks, monitor, ENGINES[engine](config))
    for name in ("tick", "core", "neuron"):
        np.testing.assert_array_equal(getattr(spikes, name), getattr(recording, name))
    write_spikes(tmp_path / "out.sfro", spikes, config, ticks)
    assert body(tmp_path / "out.sfro") == body(FOLDER / "spatioTemporalFilter_outputSpikes0.sfro")
