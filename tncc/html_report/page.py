"""Puts the report's page together: one file that needs nothing else, not even a network."""

from __future__ import annotations

import json
from html import escape
from importlib import resources

from tncc.cost.estimate import Cost
from tncc.html_report.document import document
from tncc.program import Program

SCRIPTS = ("decode.js", "colors.js", "mesh.js", "panel.js", "tables.js", "main.js")


def html_report(program: Program, title: str, cost: Cost) -> str:
    """The page about a program.

    Args:
        program: placed.
        title: of the page.
        cost: for the cost table; its activity, where measured, adds maps of spikes, events, hops and packets, and the
            raster.

    Raises:
        InputError: the chip is not placed.
    """
    data = json.dumps(document(program, title, cost), ensure_ascii=False, allow_nan=False)
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
