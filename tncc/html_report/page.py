"""Puts the report's page together: one file that needs nothing else, not even a network."""

from __future__ import annotations

import json
from html import escape
from importlib import resources

from tncc.cost.activity import Activity
from tncc.cost.model import Prediction
from tncc.html_report.document import document
from tncc.program import Program

SCRIPTS = ("decode.js", "colors.js", "mesh.js", "panel.js", "tables.js", "main.js")


def html_report(
    program: Program,
    title: str,
    prediction: Prediction,
    activity: Activity | None = None,
    cpu_energy_uj: float | None = None,
) -> str:
    """The page about a program.

    Args:
        program: placed.
        title: of the page.
        prediction: for the cost table.
        activity: from a run: adds maps of spikes, events, hops and packets, and the raster.
        cpu_energy_uj: of one frame on this computer, for the cost table.

    Raises:
        InputError: the chip is not placed.
    """
    data = json.dumps(document(program, title, prediction, activity, cpu_energy_uj), ensure_ascii=False, allow_nan=False)
    parts = {
        "@TITLE@": escape(title),
        "@STYLE@": _file("page.css"),
        "@DATA@": data.replace("<", "\\u003c"),  # so that no text can end the script element
        "@SCRIPT@": "\n".join(_file(name) for name in SCRIPTS),
    }
    page = _file("page.html")
    pieces = []
    for mark, text in parts.items():  # in the order in which they stand in the page
        before, found, page = page.partition(mark)
        assert found, mark
        pieces += [before, text]
    return "".join([*pieces, page])


def _file(name: str) -> str:
    return resources.files("tncc.html_report").joinpath("data", name).read_text(encoding="utf-8")
