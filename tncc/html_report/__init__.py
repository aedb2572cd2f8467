"""A self-contained HTML page about a program: the mesh as heat maps, every core, its routes, cost, a frame's spikes."""

from tncc.html_report.page import html_report

__all__ = ["html_report"]
