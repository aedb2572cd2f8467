"""Measured spikes: from `run --stats --json` to `compile --traffic`, and in `inspect --traffic`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tncc
from tncc.cost.activity import measure


@pytest.fixture
def measured(cli: Callable[..., Any], chip_path: Path, images: np.ndarray, tmp_path: Path) -> Path:
    """What `tncc run --stats --json` printed."""
    np.save(tmp_path / "x.npy", images)
    result = cli("run", chip_path, "--input", tmp_path / "x.npy", "--stats", "--json")
    assert result.code == 0, result.err
    path = tmp_path / "run.json"
    path.write_text(result.out)
    return path


def test_a_run_guides_the_next_placement(
    cli: Callable[..., Any], model_path: Path, chip_path: Path, measured: Path, images: np.ndarray, tmp_path: Path
) -> None:
    report = json.loads(measured.read_text())
    program = tncc.load(chip_path)
    assert len(report["core_spikes"]) == program.config.n_cores
    assert sum(report["core_spikes"]) == report["spikes"]
    # other effort and seed: the cores are the same, only their places differ
    arguments = ("compile", model_path, "--traffic", measured, "--effort", "high", "--seed", 3)
    for name, threads in (("a.tnbin", 1), ("b.tnbin", 2)):
        result = cli(*arguments, "-o", tmp_path / name, "--threads", threads)
        assert result.code == 0, result.err
    assert (tmp_path / "a.tnbin").read_bytes() == (tmp_path / "b.tnbin").read_bytes()
    again = tncc.load(tmp_path / "a.tnbin")
    np.testing.assert_array_equal(again.config.target_core, program.config.target_core)
    np.testing.assert_array_equal(again.run(images), program.run(images))
    assert tncc.compile(model_path, traffic=measured).config.n_cores == program.config.n_cores


def test_without_stats_there_are_no_counts(cli: Callable[..., Any], chip_path: Path, measured: Path) -> None:
    plain = json.loads(cli("run", chip_path, "--input", measured.parent / "x.npy", "--json").out)
    assert not {"core_spikes", "wiring_sha256"} & plain.keys()
    text = cli("run", chip_path, "--input", measured.parent / "x.npy", "--stats").out
    assert not any(line.strip().startswith("core spikes") for line in text.splitlines())  # a list of all cores


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "cannot read the traffic file: No such file or directory"),
        ("not json", "cannot read the traffic file: "),
        ("no stats", "the traffic file has no core_spikes and wiring_sha256"),
        ("other network", "the traffic file was measured on a chip whose cores are wired otherwise"),
        ("text", "core_spikes in the traffic file is not a list of numbers"),
        ("huge", "the traffic file holds a count that is not finite"),
        ("short", "the traffic file holds float64["),
        ("negative", "the traffic file holds a count that is negative or not finite"),
    ],
)
def test_bad_files(
    cli: Callable[..., Any], model_path: Path, measured: Path, tmp_path: Path, change: str, message: str
) -> None:
    report = json.loads(measured.read_text())
    path = tmp_path / "bad.json"
    if change == "no stats":
        del report["core_spikes"]
    elif change == "text":
        report["core_spikes"][0] = "1"
    elif change == "huge":
        report["core_spikes"][0] = 10**400
    elif change == "short":
        report["core_spikes"].pop()
    elif change == "negative":
        report["core_spikes"][0] = -1
    elif change == "other network":
        report["wiring_sha256"] = "0" * 64
    if change != "missing":
        path.write_text("{" if change == "not json" else json.dumps(report))
    result = cli("compile", model_path, "--traffic", path, "-o", tmp_path / "bad.tnbin")
    assert result.code == 2
    assert f"{path}: {message}" in result.err
    assert not (tmp_path / "bad.tnbin").exists()


def test_counts_of_another_fanout_are_refused(
    cli: Callable[..., Any], model_path: Path, measured: Path, tmp_path: Path
) -> None:
    result = cli("compile", model_path, "--traffic", measured, "--input-fanout", "splitters", "-o", tmp_path / "c")
    assert (result.code, "wired otherwise" in result.err) == (2, True)


def test_a_pipeline_of_ones_own_names_the_file_itself(
    cli: Callable[..., Any], model_path: Path, measured: Path, tmp_path: Path
) -> None:
    result = cli("compile", model_path, "--pipeline", "place-cores", "--traffic", measured, "-o", tmp_path / "c")
    assert (result.code, "traffic" in result.err) == (2, True)


def test_inspect_counts_spikes(
    cli: Callable[..., Any], chip_path: Path, images: np.ndarray, measured: Path, tmp_path: Path
) -> None:
    result = cli("inspect", chip_path, "--traffic", "--input", tmp_path / "x.npy")
    assert result.code == 0, result.err
    routes = measure(tncc.load(chip_path), images).routes
    assert routes is not None
    found = re.search(r"spikes sent to cores in (\d+) ticks ([\d,]+)   mean hops of a spike ([\d.]+)", result.out)
    assert found, result.out
    assert int(found[2].replace(",", "")) == int(routes.weight) > 0
    assert float(found[3]) == round(routes.mean_hops, 2)
    assert "spikes sent" not in cli("inspect", chip_path, "--traffic").out


def test_inspect_shows_chips_and_ports(
    cli: Callable[..., Any], model_path: Path, measured: Path, tmp_path: Path
) -> None:
    program = tncc.compile(model_path, chips=(2, 1), seed=1)
    config = program.config
    config.core_x[:] = np.where(np.arange(config.n_cores) % 2, 64, 63)  # both sides of the edge, whatever was best
    config.core_y[:] = np.arange(config.n_cores) // 2
    program.save(tmp_path / "two.tnbin")
    out = cli("inspect", tmp_path / "two.tnbin", "--traffic").out
    assert "cores in use on each of 2 x 1 chips, of 4,096" in out
    assert f"{(config.n_cores + 1) // 2:>8}{config.n_cores // 2:>8}" in out
    crossing = re.search(r"chip crossings ([\d,]+)", out)
    ports = re.findall(r"^ +([\d,]+)  chip \((\d), 0\) -> chip \((\d), 0\)$", out, re.MULTILINE)
    assert crossing and ports
    assert sum(int(p[0].replace(",", "")) for p in ports) == int(crossing[1].replace(",", ""))
