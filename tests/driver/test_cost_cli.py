"""inspect --cost and --html, run --stats: the documented fields, and one clear message for what does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tncc

PREDICTED = ("frames_per_second", "power_mw", "frames_per_second_per_watt", "energy_per_frame_uj")


@pytest.fixture
def data(images: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "data.npy"
    np.save(path, images)
    return path


def test_json_has_the_documented_fields_and_error_bars(cli: Callable[..., Any], chip_path: Path, data: Path) -> None:
    for arguments in ((), ("--input", data), ("--tick-rate", 1000, "--voltage", 0.8)):
        result = cli("inspect", chip_path, "--cost", "--json", *arguments)
        assert result.code == 0, result.err
        predicted = json.loads(result.out)["predicted"]
        for name in PREDICTED:
            low, high = predicted["range"][name]
            assert low <= predicted[name] <= high
        assert json.loads(result.out)["published_of_nearest_size"]


def test_measured_activity_is_told_from_assumed(cli: Callable[..., Any], chip_path: Path, data: Path) -> None:
    assumed = json.loads(cli("inspect", chip_path, "--cost", "--json", "--like", "speech").out)["predicted"]
    measured = json.loads(cli("inspect", chip_path, "--cost", "--json", "--input", data).out)["predicted"]
    assert assumed["activity"] == "assumed: published speech networks"
    assert measured["activity"] == "measured"
    assert measured["limited_by"] == "busiest core"


def test_table_shows_prediction_beside_the_published_network(cli: Callable[..., Any], chip_path: Path) -> None:
    out = cli("inspect", chip_path, "--cost").out
    assert "predicted" in out
    assert "VAD" in out
    assert "Activity: assumed." in out


def test_without_cost_the_report_has_no_prediction(cli: Callable[..., Any], chip_path: Path) -> None:
    assert "predicted" not in json.loads(cli("inspect", chip_path, "--json").out)


def test_run_stats_predicts_from_the_run(cli: Callable[..., Any], chip_path: Path, data: Path) -> None:
    report = json.loads(cli("run", chip_path, "--input", data, "--stats", "--json").out)
    events = report["synaptic_events"] / report["ticks"]
    most = report["per_tick_max"]
    assert most["sampled_ticks"] == (report["ticks"] + 32) // 64 and set(most) > {"spikes", "hops", "core_spikes"}
    assert most["core_synaptic_events"] <= most["synaptic_events"] <= report["synaptic_events"]
    predicted = report["predicted"]
    energy_nj = predicted["parts_mw"]["synaptic events"] / predicted["frames_per_second"] * 1e6
    assert energy_nj == pytest.approx(events * 2.29e-3, rel=0.01)
    assert "predicted power mw" in cli("run", chip_path, "--input", data, "--stats").out
    assert "predicted" not in json.loads(cli("run", chip_path, "--input", data, "--json").out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--voltage", 1.0), "--voltage goes with --cost or --html"),
        (("--tick-rate", 5), "--tick-rate goes with --cost or --html"),
        (("--cost", "--voltage", 0.3), "supply of 0.3 V; the chip works from 0.70 to 1.05 V"),
        (("--cost", "--tick-rate", -1), "tick rate of -1 Hz; it must be above 0 and at most 21,000"),
        (("--cost", "--tick-rate", "nan"), "tick rate of nan Hz; it must be above 0 and at most 21,000"),
        (("--cost", "--voltage", "nan"), "supply of nan V; the chip works from 0.70 to 1.05 V"),
        (("--cost", "--input", "nowhere.npy"), "nowhere.npy: cannot read the file: No such file or directory"),
        (("--html", "no/such/folder/report.html"), "no/such/folder/report.html: cannot write"),
    ],
)
def test_one_clear_message(
    cli: Callable[..., Any], chip_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    result = cli("inspect", chip_path, *arguments)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err


def test_like_and_input_exclude_each_other(cli: Callable[..., Any], chip_path: Path, data: Path) -> None:
    result = cli("inspect", chip_path, "--cost", "--like", "speech", "--input", data)
    assert (result.code, "give one of them" in result.err) == (2, True)


def test_html_is_one_offline_file(
    cli: Callable[..., Any], chip_path: Path, data: Path, tmp_path: Path, program: tncc.Program
) -> None:
    page = tmp_path / "report.html"
    result = cli("inspect", chip_path, "--html", page, "--input", data)
    assert result.code == 0, result.err
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "http" not in text.replace("http-equiv", "")  # nothing is fetched from anywhere
    assert "@DATA@" not in text
    assert list(tmp_path.glob("*.tmp*")) == []


def test_compile_writes_the_report_with_pass_times(cli: Callable[..., Any], model_path: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert cli("compile", model_path, "-o", tmp_path / "chip.tnbin", "--html", page).code == 0
    data = page.read_text(encoding="utf-8").partition('<script id="data" type="application/json">')[2]
    report = json.loads(data.partition("</script>")[0])
    assert [name for name, _ in report["passes"]][-1] == "route-spikes"
    assert all(seconds >= 0 for _, seconds in report["passes"])


@pytest.mark.parametrize("view", ["--placement", "--traffic"])
def test_png(cli: Callable[..., Any], chip_path: Path, tmp_path: Path, view: str) -> None:
    result = cli("inspect", chip_path, view, "--png", tmp_path / "picture.png")
    assert result.code == 0, result.err
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    refused = cli("inspect", chip_path, "--png", tmp_path / "other.png")
    assert (refused.code, "--png goes with --placement or --traffic" in refused.err) == (2, True)


def test_raw_spikes_are_predicted_in_real_time(cli: Callable[..., Any], chip_path: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.sfti"
    header = '{"class":"SpikeWriter","encoding":"TEXT"}\n{"version":"sfti1.0","defaultDestinationDelay":1}\n'
    source.write_text(header + '{"spike":{"srcTime":0,"destCore":0,"destAxon":0}}\n')
    arguments = ("run", chip_path, "--spikes", source, "--ticks", 5, "--json")
    predicted = json.loads(cli(*arguments, "--stats").out)["predicted"]
    assert predicted["frames_per_second"] == 1000
    assert "predicted" not in json.loads(cli(*arguments).out)
