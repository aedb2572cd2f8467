"""What the report's page is given: every array decodes to the program's own numbers. The browser: tests/browser."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tncc
from tncc import traffic
from tncc.builder import ChipBuilder, Neuron
from tncc.cost.estimate import Cost, estimate
from tncc.errors import InputError
from tncc.html_report import crossbars, html_report
from tncc.html_report.document import document, pack
from tncc.tables import layer_rows

ONE_PIN = {
    "inputs": [{"name": "in", "shape": [1], "first_pin": 0}],
    "outputs": [{"name": "out", "shape": [1], "first_pin": 0}],
    "model_inputs": [{"name": "in", "dtype": "float32", "shape": [1]}],
    "model_outputs": ["out"],
    "model_output_dtypes": {"out": "float32"},
}


def unpack(packed: dict[str, str]) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), packed["dtype"])


@pytest.fixture(scope="module")
def cost(program: tncc.Program, frames: np.ndarray) -> Cost:
    return estimate(program, frames)


@pytest.fixture(scope="module")
def report(program: tncc.Program, cost: Cost) -> dict[str, Any]:
    page = html_report(program, "</script><b>title</b>", cost)
    assert "</script><b>" not in page
    data = page.partition('<script id="data" type="application/json">')[2].partition("</script>")[0]
    found: dict[str, Any] = json.loads(data)
    return found


def test_places_layers_and_maps(program: tncc.Program, cost: Cost, report: dict[str, Any]) -> None:
    arrays = {name: unpack(packed) for name, packed in report["arrays"].items()}
    config, activity = program.config, cost.activity
    assert activity is not None
    for name, expected in (
        ("x", config.core_x),
        ("y", config.core_y),
        ("layer", config.layer),
        ("crossbar_index", config.crossbar_index),
        ("neurons", (config.neuron_type >= 0).sum(axis=1)),
        ("events", activity.core_synaptic_events.astype(np.float32)),
        ("spikes", activity.core_spikes.astype(np.float32)),
    ):
        np.testing.assert_array_equal(arrays[name], expected)
    for entry in report["maps"][1:]:
        assert arrays[entry["array"]].max() == pytest.approx(entry["max"])


def test_links(program: tncc.Program, cost: Cost, report: dict[str, Any]) -> None:
    """Every hop of every packet is on some link, and none leaves the mesh."""
    assert cost.activity is not None
    packets = unpack(report["arrays"]["link_packets"]).reshape(4, 64, 64)
    assert packets.sum() == pytest.approx(cost.activity.workload.hops, rel=1e-5)
    east, west, north, south = packets
    assert not (east[:, -1].any() or west[:, 0].any() or north[-1].any() or south[0].any())


def test_neighbours(program: tncc.Program, report: dict[str, Any]) -> None:
    arrays = {name: unpack(packed) for name, packed in report["arrays"].items()}
    target = program.config.target_core
    for core in range(0, program.config.n_cores, 7):
        for start, other, count, expected in (
            ("out_start", "out_core", "out_count", target[core][target[core] >= 0]),
            ("in_start", "in_core", "in_count", np.nonzero(target == core)[0]),
        ):
            span = slice(arrays[start][core], arrays[start][core + 1])
            cores, counts = np.unique(expected, return_counts=True)
            np.testing.assert_array_equal(arrays[other][span], cores)
            np.testing.assert_array_equal(arrays[count][span], counts)


def test_raster(program: tncc.Program, cost: Cost, report: dict[str, Any]) -> None:
    assert cost.activity is not None
    spikes, raster = cost.activity.raster, report["raster"]
    tick = unpack(report["arrays"]["raster_tick"])
    assert tick.max() < raster["ticks"]
    assert raster["rows"] <= 1200
    assert 0 < len(tick) <= len(spikes.tick)
    assert raster["bands"][-1]["end"] == raster["rows"]
    assert unpack(report["arrays"]["raster_frame"]).any()


def test_exact_crossbars(program: tncc.Program) -> None:
    packed, how = crossbars.packed_crossbars(program.config)
    assert how == {"axons": 256, "neurons": 256, "block": 1, "exact": True}
    np.testing.assert_array_equal(packed, program.config.crossbars.ravel())


def test_many_crossbars_become_shares(program: tncc.Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossbars, "MOST_EXACT_BYTES", 0)
    packed, how = crossbars.packed_crossbars(program.config)
    assert how == {"axons": 256, "neurons": 256, "block": 8, "exact": False}
    shares = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1, 32, 32)
    bits = np.unpackbits(program.config.crossbars, axis=2, bitorder="little")
    sums = bits.reshape(-1, 32, 8, 32, 8).sum(axis=(2, 4))
    np.testing.assert_array_equal(shares, np.ceil(sums * 15 / 64))


def test_without_frames_there_is_no_activity(program: tncc.Program) -> None:
    page = html_report(program, "chip", estimate(program))
    assert '"raster": null' in page
    assert "link_packets" not in page.partition('<script id="data"')[2].partition("</script>")[0]


def test_same_program_same_bytes(program: tncc.Program, cost: Cost) -> None:
    assert html_report(program, "chip", cost) == html_report(program, "chip", cost)


def test_a_chip_that_was_not_placed(program: tncc.Program) -> None:
    nowhere = np.full_like(program.config.core_x, -1)
    unplaced = replace(program, config=replace(program.config, core_x=nowhere, core_y=nowhere))
    with pytest.raises(InputError, match="not placed"):
        html_report(unplaced, "chip", estimate(unplaced))
    assert estimate(unplaced, np.zeros((1, 1, 8, 8), np.float32)).prediction.power_mw.value > 0


def test_numbers_beyond_16_bits() -> None:
    """Places, layers and ticks; the neuron reaches its threshold without input."""
    far = 70_000
    builder = ChipBuilder(axons=1, neurons=1)
    core = builder.core()
    core.neuron(0, Neuron(leak=1, threshold=far))
    builder.connect_input(0, core, 0)
    builder.connect_output(core, 0, 0)
    config = builder.build()
    place = np.array([far], np.int32)
    for mesh, x, y in (((far + 1, 1, 1, 1), place, 0 * place), ((1, far + 1, 1, 1), 0 * place, place)):
        wide = replace(config, mesh=mesh, core_x=x, core_y=y, layer=place, output_latency=place)
        program = tncc.Program(wide, ONE_PIN)
        arrays = document(program, "far", estimate(program, np.zeros((1, 1), np.float32)))["arrays"]
        for name, expected in (("x", x), ("y", y), ("layer", place), ("raster_layer", place)):
            np.testing.assert_array_equal(unpack(arrays[name]), expected)
        np.testing.assert_array_equal(unpack(arrays["raster_tick"]), far - 1)


def test_numbers_too_wide_for_the_page() -> None:
    with pytest.raises(TypeError, match="cannot pack int64"):
        pack(np.zeros(3, np.int64))


def test_unused_neurons_drive_nothing() -> None:
    """Targets that unused neurons are given change no number: the reports are those of a chip without them."""

    def chip(stray: bool) -> tncc.Program:
        builder = ChipBuilder(axons=4, neurons=4, mesh=(8, 8, 1, 1))
        cores = [builder.core(place=place) for place in ((0, 0), (1, 0), (7, 7))]
        for core in cores:
            core.crossbar[:] = True
            core.neuron([0, 1], Neuron())
        builder.connect_input(0, cores[0], 0)
        builder.connect(cores[0], [0, 1], cores[1], [0, 1])
        builder.connect_output(cores[1], 0, 0)
        if stray:
            builder.connect(cores[0], [2, 3], cores[2], [0, 1])
            builder.connect_output(cores[2], 3, 0)
        return tncc.Program(builder.build(), ONE_PIN)

    seen = []
    for program in (chip(stray=False), chip(stray=True)):
        cost = estimate(program, np.ones((1, 1), np.float32))
        assert cost.activity is not None
        found = program.report() | {"file_sha256": None}
        page = document(program, "chip", cost)
        page["facts"] = [fact for fact in page["facts"] if fact[0] != "file sha256"]
        links = (traffic.entries(program), traffic.entries(program, cost.activity))
        seen.append((found, page, *links, layer_rows(program)))
    assert seen[0][0]["max_hops"] == 1
    assert seen[0] == seen[1]
