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
        self._first: tuple[int, float] | None = None  # step and time of a stage's first report
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
            self._first = None
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
        elif kind == "progress":
            step_s = self._step_s(event, now)
            if now < self._next:
                return
            self._next = now + LINE_INTERVAL_S
            counts = (event["step"], event["total"])
            if step_s is None:
                _log.info("%s: %s %d/%d", self._name, stage, *counts)
                return
            left = step_s * (event["total"] - event["step"])
            _log.info("%s: %s %d/%d, about %.0f s left", self._name, stage, *counts, left)

    def _step_s(self, event: dict[str, Any], now: float) -> float | None:
        """Seconds a step: of the newest where it is known, else since the stage's first report.

        What came before that report had the tracing in it; None: nothing is known yet.
        """
        step = event["step"]
        if self._first is None:
            self._first = (step, now)
        if step == self._traced:
            return None
        if event.get("step_s"):
            return float(event["step_s"])
        first, at = self._first
        return (now - at) / (step - first) if step > first else None


def _ap(event: dict[str, Any]) -> str:
    value = event.get("AP")
    return "unknown" if value is None else f"{value:.3f}"
