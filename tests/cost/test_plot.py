"""Figures: they show the program's own numbers."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
from matplotlib import pyplot

import tncc
from tncc import placement, plot, traffic
from tncc.cost.activity import measure
from tncc.errors import InputError
from tncc.runtime.engine_numpy import NumpyEngine


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    pyplot.close("all")


def test_placement_shows_every_core_in_its_layer(program: tncc.Program) -> None:
    ax = plot.placement(program)
    shown = np.asarray(ax.images[0].get_array())
    config = program.config
    np.testing.assert_array_equal(shown[config.core_y, config.core_x], config.layer)
    assert (shown >= 0).sum() == config.n_cores
    legend = ax.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == len(program.metadata["layers"]) + 1  # and the free cores


def test_link_loads_of_the_program_and_of_a_run(program: tncc.Program, frames: np.ndarray) -> None:
    assert np.asarray(plot.link_loads(program).images[0].get_array()).max() == program.report()["max_link_load"]
    activity = measure(program, frames)
    shown = np.asarray(plot.link_loads(program, activity).images[0].get_array())
    assert shown.max() == pytest.approx(activity.workload.busiest_link_packets)


def test_raster_draws_every_spike_once(program: tncc.Program, frames: np.ndarray) -> None:
    activity = measure(program, frames)
    ax = plot.raster(program, activity)
    assert sum(len(line.get_xdata()) for line in ax.lines) == len(activity.raster.tick)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [layer["name"] for layer in program.metadata["layers"]]


def test_potentials_are_those_of_the_numpy_engine(program: tncc.Program, frames: np.ndarray) -> None:
    core, neuron = (int(v) for v in np.argwhere(program.config.target_core >= 0)[0])
    ax = plot.potentials(program, frames, [(core, neuron), (0, 1)])
    pins = tncc.Session(program).encode(frames)
    expected = NumpyEngine(program.config).run(len(pins), pins, probes=np.array([[core, neuron]], np.int32)).potentials
    assert expected is not None
    np.testing.assert_array_equal(np.asarray(ax.lines[0].get_ydata())[: len(pins)], expected[:, 0])
    assert len(ax.lines) == 2


def test_png(program: tncc.Program) -> None:
    ax = plot.placement(program)
    first = plot.png(ax)
    assert first.startswith(b"\x89PNG")
    assert first == plot.png(plot.placement(program))  # same program, same bytes


def test_neurons_that_are_not_there(program: tncc.Program, frames: np.ndarray) -> None:
    with pytest.raises(InputError, match="no neurons to plot"):
        plot.potentials(program, frames, [])
    with pytest.raises(InputError, match="probe of core 99999"):
        plot.potentials(program, frames, [(99999, 0)])


def test_without_matplotlib_the_extra_is_named(program: tncc.Program, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    for draw in (plot.placement, plot.link_loads):
        with pytest.raises(InputError, match=r"figures need matplotlib\n  hint: pip install 'tncc\[viz\]'"):
            draw(program)


def test_notebook_shows_picture_and_layers(program: tncc.Program) -> None:
    html = program._repr_html_()
    assert f"<b>tncc.Program</b>: {program.config.n_cores} of 4,096 cores" in html
    assert html.count("<svg") == 1
    for layer in program.metadata["layers"]:
        assert layer["name"] in html


def test_names_that_xml_cannot_hold(program: tncc.Program) -> None:
    """Control characters, halves of surrogate pairs and the like are shown as escapes; all else is itself."""
    name = "conv\x1b[1m\x00\x7f <&> \ud800\ufffe é😀"
    layers = [layer | {"name": name} for layer in program.metadata["layers"]]
    named = tncc.Program(program.config, program.metadata | {"layers": layers})
    for document in (placement.svg(placement.mesh_of(named), name), traffic.svg(named, name)):
        texts = [element.text or "" for element in ElementTree.fromstring(document).findall(".//{*}text")]
        assert texts[0].startswith("conv\\x1b[1m\\x00\x7f <&> \\ud800\\ufffe é😀")
