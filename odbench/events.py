"""The append-only event log of a run: one JSON object a line.

The process that carries out a run writes it, so a run that is killed keeps every line that it
had written, and the process that resumes it goes on after them. Kinds: ``begin`` (of a process),
``device``, ``stage_begin``, ``stage_end``, ``train_from`` (the step that training goes on from),
``built``, ``first_step``, ``progress``, ``loss``, ``eval_point``, ``outcome``.
"""

from __future__ import annotations

import json
import math
import os
import select
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

EVENTS_FILE = "events.jsonl"

BEGIN = "begin"
TRAIN_FROM = "train_from"

# Progress more often than this tells a reader nothing and costs the timed process something.
PROGRESS_INTERVAL_S = 1.0


class EventLog:
    """Writes events to ``events.jsonl`` and, where there is one, to the parent's pipe.

    Args:
        path: The file; lines are appended.
        pipe: File descriptor that the parent reads a copy of every line from.
    """

    def __init__(self, path: Path, pipe: int | None = None) -> None:
        self._file: IO[str] = path.open("a", encoding="utf-8", buffering=1)
        self._pipe = pipe
        self._last_progress = -math.inf

    def emit(self, event: str, **fields: Any) -> None:
        """Append one event; it is in the file when this returns."""
        line = json.dumps({"t": round(time.time(), 3), "event": event, **fields}) + "\n"
        self._file.write(line)
        if self._pipe is not None:
            self._copy(line.encode())

    def _copy(self, line: bytes) -> None:
        """Send a copy to the parent; the file stays the truth, so a copy may be lost."""
        if self._pipe is None or len(line) > select.PIPE_BUF:  # longer ones are not atomic
            return
        try:
            os.write(self._pipe, line)
        except BlockingIOError:  # the parent is slow
            pass
        except OSError:  # the parent is gone
            self._pipe = None

    def progress(self, stage: str, step: int, total: int, **fields: Any) -> None:
        """Report progress, at most once a second but always at the end."""
        now = time.monotonic()
        if step < total and now - self._last_progress < PROGRESS_INTERVAL_S:
            return
        self._last_progress = now
        self.emit("progress", stage=stage, step=step, total=total, **fields)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Events of a file, in order; a last line cut off by a kill is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event


def lasting_events(path: Path) -> list[dict[str, Any]]:
    """Events of a file, without those of train steps that a break lost and a resume took again."""
    kept: list[dict[str, Any]] = []
    for event in read_events(path):
        if event.get("event") == TRAIN_FROM:
            kept = [old for old in kept if not _of_later_step(old, event.get("step"))]
        kept.append(event)
    return kept


def _of_later_step(event: dict[str, Any], step: Any) -> bool:
    own = event.get("step")
    return (
        event.get("stage") == "train"
        and isinstance(own, int)
        and isinstance(step, int)
        and own > step
    )


def busy_s(path: Path) -> float:
    """Seconds between the first and the last event of each process, added up."""
    total, first, last = 0.0, None, 0.0
    for event in read_events(path):
        time_s = event.get("t")
        if not isinstance(time_s, int | float):
            continue
        if first is None or event.get("event") == BEGIN:
            total += 0.0 if first is None else last - first
            first = time_s
        last = time_s
    return total + (0.0 if first is None else last - first)
