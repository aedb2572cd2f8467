"""Progress of long work: drawn by rich on stderr, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Update(Protocol):
    """Tells how much is done, and what is under way."""

    def __call__(self, done: int, detail: str = "") -> None: ...


@contextmanager
def progress(title: str, total: int | None, unit: str = "") -> Iterator[Update]:
    """Yields update(done, detail). Draws a bar with an estimate of the time left where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, detail="": None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, detail="")

        def update(done: int, detail: str = "") -> None:
            bar.update(task, completed=done, detail=detail)

        yield update
