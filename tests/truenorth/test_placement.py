"""Coordinates for chips that come without, and the way back from a chip to a netlist."""

from __future__ import annotations

import numpy as np
import pytest
from support.random_chips import seeded_chip

from tncc.errors import FormatError, InputError
from tncc.frontends.tnbin import to_netlist
from tncc.frontends.truenorth import placed


def test_id_order():
    config = placed(seeded_chip(0, cores=70, axons=3, neurons=3), {}, "id-order")
    assert (config.core_x[[0, 63, 64, 69]].tolist(), config.core_y[[0, 63, 64, 69]].tolist()) == (
        [0, 63, 0, 5],
        [0, 0, 1, 1],
    )
    config.check()
    assert (placed(config, {}, "none").core_x == -1).all()


def test_place_cores_places_every_core_once():
    config = placed(seeded_chip(1, cores=70, axons=3, neurons=3), {}, "place-cores", seed=3)
    config.check()
    assert (config.core_x >= 0).all()
    again = placed(config, {}, "place-cores", seed=3)
    np.testing.assert_array_equal(again.core_x, config.core_x)
    with pytest.raises(InputError, match="no placement is called 'x'; there are none, id-order, place-cores"):
        placed(config, {}, "x")


def test_to_netlist_keeps_every_array():
    config = seeded_chip(2, cores=4, axons=5, neurons=6)
    netlist = to_netlist(config, {})
    for name in (
        "crossbars",
        "neuron_type",
        "target_core",
        "target_axon",
        "target_delay",
        "seed",
        "input_pin",
        "layer",
    ):
        np.testing.assert_array_equal(getattr(netlist, name), getattr(config, name))
    assert (netlist.input_pins, netlist.output_pins) == (config.input_pins, config.output_pins)
    port = {"name": "x", "shape": [2, 1], "first_pin": 0}
    for metadata in (
        {"layers": [1]},
        {"inputs": [{}]},
        {"defects": [1]},
        {"defects": 1},
        {"outputs": [port | {"shape": [config.output_pins + 1]}]},
    ):
        with pytest.raises(FormatError, match="the metadata of the chip is malformed"):
            to_netlist(config, metadata)
