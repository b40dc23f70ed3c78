"""How far a conversion is: a bar on a terminal, quiet log lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_log = logging.getLogger(__name__)

# A log line at most this often.
LINE_INTERVAL_S = 10.0


@contextmanager
def watched(what: str) -> Iterator[Callable[[int], None]]:
    """Shows on standard error how many pictures are done.

    Args:
        what: Such as ``converting``.

    Yields:
        To be called with the number of further pictures that are done.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(what)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task(f"{what} pictures", total=None)
        yield lambda count: progress.advance(task, count)


class _Lines:
    def __init__(self, what: str) -> None:
        self._what = what
        self._done = 0
        self._begun = time.monotonic()
        self._next = self._begun + LINE_INTERVAL_S

    def __call__(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_INTERVAL_S
            rate = self._done / (now - self._begun)
            _log.info("%s: %d pictures, %.0f per second", self._what, self._done, rate)
