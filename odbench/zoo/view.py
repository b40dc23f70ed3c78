"""How far a transfer is: a bar on a terminal, quiet log lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from odbench.zoo.transfer import Advance

_log = logging.getLogger(__name__)

# A log line at most this often.
LINE_INTERVAL_S = 10.0


@contextmanager
def watched(name: str) -> Iterator[Advance]:
    """Shows on standard error how much of a model's tarball is there.

    Yields:
        To be called with the bytes that are there and those that there will be.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(name)
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    shown = Progress(TextColumn("{task.description}"), *columns, console=console, transient=True)
    with shown as progress:
        task = progress.add_task(name, total=None)
        yield lambda there, total: progress.update(task, completed=there, total=total)


class _Lines:
    def __init__(self, name: str) -> None:
        self._name = name
        self._next = time.monotonic() + LINE_INTERVAL_S

    def __call__(self, there: int, total: int | None) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_INTERVAL_S
            of = "" if total is None else f" of {total / 1e6:.1f}"
            _log.info("%s: %.1f%s MB", self._name, there / 1e6, of)
