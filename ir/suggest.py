"""Hints for mistyped names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], what: str) -> str:
    """ "did you mean conv2d?", or all that there are where nothing is close: "ops: clip, concat, ..."."""
    known = sorted(known)
    name = name[:100]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"{what}: {', '.join(known) or 'none'}"
