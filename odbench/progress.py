"""Showing how far a run is: a live bar on a terminal, quiet log lines elsewhere."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_log = logging.getLogger(__name__)

# A log line of progress at most this often.
LINE_INTERVAL_S = 30.0


class ProgressView(Protocol):
    """Shows the events of one run; a context manager."""

    def __enter__(self) -> ProgressView: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def on_event(self, event: dict[str, Any]) -> None:
        """Take one event of the run."""
        ...


def progress_view(name: str) -> ProgressView:
    """The view that fits standard error."""
    console = Console(stderr=True)
    return _Bars(name, console) if console.is_terminal else _Lines(name)


class _Bars:
    def __init__(self, name: str, console: Console) -> None:
        self._name = name
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def on_event(self, event: dict[str, Any]) -> None:
        stage = event.get("stage")
        if stage is None:
            return
        if stage not in self._tasks:
            text = f"{self._name} {stage}"
            self._tasks[stage] = self._progress.add_task(text, total=None, rate="")
        if event["event"] == "progress":
            rate = f"{1 / event['step_s']:.1f} steps/s" if event.get("step_s") else ""
            self._progress.update(
                self._tasks[stage], completed=event["step"], total=event["total"], rate=rate
            )
        elif event["event"] == "eval_point":
            text = f"{self._name} {stage}, AP {_ap(event)} at {event['step']}"
            self._progress.update(self._tasks[stage], description=text)
        elif event["event"] == "stage_end":
            task = self._progress.tasks[self._tasks[stage]]
            done = task.total or 1
            self._progress.update(self._tasks[stage], completed=done, total=done)


class _Lines:
    def __init__(self, name: str) -> None:
        self._name = name
        self._next = 0.0
        self._stage_began = 0.0
        self._traced: Any = None  # the step that traced: its time tells nothing of the others

    def __enter__(self) -> _Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def on_event(self, event: dict[str, Any]) -> None:
        kind, stage, now = event["event"], event.get("stage"), time.monotonic()
        if kind == "stage_begin":
            self._stage_began = now
            self._next = now + LINE_INTERVAL_S
            _log.info("%s: %s begins", self._name, stage)
        elif kind == "stage_end":
            _log.info("%s: %s took %.1f s", self._name, stage, event["wall_s"])
        elif kind == "eval_point":
            text = "%s: %s %d/%d, AP %s (evaluated in %.1f s)"
            counts = (event["step"], event["total"])
            _log.info(text, self._name, stage, *counts, _ap(event), event["wall_s"])
        elif kind == "first_step":
            self._traced = event["step"]
        elif kind == "progress" and now >= self._next:
            self._next = now + LINE_INTERVAL_S
            if event["step"] == self._traced:
                counts = (event["step"], event["total"])
                _log.info("%s: %s %d/%d", self._name, stage, *counts)
                return
            # the newest step's time where it is known
            step_s = event.get("step_s") or (now - self._stage_began) / event["step"]
            left = step_s * (event["total"] - event["step"])
            _log.info(
                "%s: %s %d/%d, about %.0f s left",
                self._name,
                stage,
                event["step"],
                event["total"],
                left,
            )


def _ap(event: dict[str, Any]) -> str:
    value = event.get("AP")
    return "unknown" if value is None else f"{value:.3f}"
