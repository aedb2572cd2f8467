"""IBM's files, and chips made by hand, on the command line: import, run on raw spikes, export, import again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.model_text import MODEL

import tncc
from tncc.backends.truenorth import save
from tncc.builder import ChipBuilder, Neuron
from tncc.frontends.truenorth import load
from tncc.runtime.engine import Events
from tncc.runtime.engines import make_engine
from tncc.runtime.spikefiles import read_recording

SPIKES = """{"class":"SpikeWriter","encoding":"TEXT"}
{"version":"sfti1.0","defaultDestinationDelay":1}
{"spike":{"srcTime":0,"destCore":1,"destAxon":2}}
{"spike":{"srcTime":3,"destCore":1,"destAxon":2}}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    # neuron 2 of core 1 fires when its axon 2 is active, and drives axon 1 of core 0 two ticks later
    (tmp_path / "model.json").write_text(MODEL)
    (tmp_path / "in.sfti").write_text(SPIKES)
    return tmp_path


@pytest.mark.parametrize("engine", ["auto", "batch", "tick", "numpy"])
def test_import_run_export(cli, files: Path, engine: str) -> None:
    chip, out = files / "chip.tnbin", files / "out.sfro"
    assert cli("import", files / "model.json", "-o", chip).code == 0
    arguments = ("--spikes", files / "in.sfti", "--ticks", 6, "--spikes-out", out, "--monitor", "all")
    run = cli("run", chip, *arguments, "--engine", engine, "--json")
    assert run.code == 0, run.err
    found = read_recording(out)
    spikes = set(zip(found.tick.tolist(), found.core.tolist(), found.neuron.tolist(), strict=True))
    assert {(1, 1, 2), (4, 1, 2)} <= spikes
    report = json.loads(run.out)
    assert report["recorded_spikes"] == len(found.tick)
    totals = {"spikes", "synaptic_events", "hops", "core_spikes", "per_tick_max", "predicted", "wiring_sha256"}
    assert not totals & report.keys()
    assert totals <= json.loads(cli("run", chip, *arguments, "--engine", engine, "--json", "--stats").out).keys()

    assert cli("export", chip, "-o", files / "again.json", "--format", "truenorth").code == 0
    assert cli("import", files / "again.json", "-o", files / "again.tnbin", "--placement", "place-cores").code == 0
    again = files / "again.sfro"
    arguments = (*arguments[:4], "--spikes-out", again, "--monitor", "all")
    assert cli("run", files / "again.tnbin", *arguments, "--engine", engine).code == 0
    assert again.read_bytes() == out.read_bytes()


def test_inspect(cli, files: Path) -> None:
    cli("import", files / "model.json", "-o", files / "chip.tnbin")
    report = json.loads(cli("inspect", files / "chip.tnbin", "--json").out)
    # Five neurons, of which the two of type 2 are memoryless; any axon may get spikes from a file. Neuron 3 of core 0
    # and neurons 1 and 3 of core 1 are unused. Core 0 has bits (0, 0), (1, 1), (2, 2) and axon 3's to 0, 1 and 2,
    # core 1 has (0, 0) and (2, 2).
    assert {key: report[key] for key in ("neurons_used", "memoryless_neurons", "axons_used", "synapses")} == {
        "neurons_used": 5,
        "memoryless_neurons": 2,
        "axons_used": 8,
        "synapses": 8,
    }


def test_a_compiled_network_survives_export(model_path: Path, tmp_path: Path) -> None:
    config = tncc.compile(str(model_path)).config
    save(config, {}, tmp_path / "model.json")
    imported, _ = load(tmp_path / "model.json")
    pins = np.random.default_rng(0).integers(0, 2, (12, config.input_pins)).astype(np.uint8)
    expected = make_engine("tick", config).run(16, np.concatenate([pins, np.zeros_like(pins[:4])])).outputs
    tick, connection = np.nonzero(pins[:, config.input_pin])
    columns = (config.input_core[connection], config.input_axon[connection], config.input_delay[connection])
    found = make_engine("numpy", imported).run(16, events=Events(tick, *columns)).outputs
    assert expected.any()
    np.testing.assert_array_equal(found, expected)


def test_errors(cli, files: Path) -> None:
    chip = files / "chip.tnbin"
    cli("import", files / "model.json", "-o", chip)
    cases = [
        (("import", files / "none.json"), "none.json: cannot read the file: No such file or directory"),
        (
            ("import", files / "in.sfti"),
            "in.sfti: unknown key 'class'; known are model, ",
        ),
        (("import", files / "model.json", "-o", files / "no" / "x.tnbin"), "cannot write the file"),
        (("run", chip, "--spikes", files / "in.sfti"), "--spikes needs --ticks N"),
        (("run", chip, "--spikes", files / "model.json", "--ticks", 1), "model.json: not a spike file"),
        (
            ("run", chip, "--spikes", files / "in.sfti", "--ticks", 1, "--monitor", "most"),
            "most: cannot read the file: No such file or directory\n  hint: --monitor takes all, outputs or a filter",
        ),
    ]
    for arguments, message in cases:
        result = cli(*arguments)
        assert result.code == 2, arguments
        assert message in result.err


@pytest.mark.parametrize("place", [(-1, -1), (5, 7)])
def test_a_file_made_by_hand_loads_and_runs(cli, tmp_path: Path, monkeypatch, place: tuple[int, int]) -> None:
    """As docs/chip-semantics.md promises: without any metadata."""
    monkeypatch.chdir(tmp_path)
    builder = ChipBuilder(axons=4, neurons=4)
    core = builder.core(place=place)
    core.crossbar[0, 0] = True
    core.neuron(0, Neuron(weights=(3, 0, 0, 0), threshold=6))
    builder.connect_output(core, 0, 0)
    tncc.Program(builder.build(), {}).save("chip.tnbin")
    spikes = "".join(f'{{"spike":{{"srcTime":{t},"destCore":0,"destAxon":0}}}}\n' for t in range(4))
    Path("in.sfti").write_text('{"class":"SpikeWriter","encoding":"TEXT"}\n{"defaultDestinationDelay":1}\n' + spikes)
    ran = cli("run", "chip.tnbin", "--spikes", "in.sfti", "--ticks", 8, "--spikes-out", "out.sfto", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["recorded_spikes"] == 2
    assert json.loads(cli("inspect", "--json").out)["cores_by_layer"] == [{"layer": "layer 0", "cores": 1}]
    for options in (("--layers",), ("--cores",), ("--cost",)):
        shown = cli("inspect", *options)
        assert shown.code == 0, shown.err
    for options in (("--placement", "--svg", "x.svg"), ("--traffic",), ("--html", "x.html")):
        shown = cli("inspect", *options)
        assert shown.code == (2 if place == (-1, -1) else 0), shown.err
    assert cli("export", "chip.tnbin", "-o", "chip.json").code == 0
