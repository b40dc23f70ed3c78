"""Carrying out a plan by a launcher of Hydra's, in batches, until it is done or has to stop."""

from __future__ import annotations

import gc
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from odbench.hydra_job import NOT_STARTED
from odbench.job import lacking_room
from odbench.results import ENDED_WELL
from odbench.sweep import ask_to_stop, may_start
from odbench.sweeping.plan import Planned, SweepPlan, shared_overrides

_log = logging.getLogger(__name__)


class Launcher(Protocol):
    """What of a launcher is used; the basic one carries jobs out in this process, in order."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Any:
        """Carry out jobs."""
        ...


@dataclass
class Carrying:
    """A plan that is carried out, and how far it came."""

    plan: SweepPlan
    fail_fast: bool = False
    launched: int = 0  # cells
    stopped: str | None = None  # why it did not come to its end
    interrupted: bool = False  # by Ctrl-C


# What the sweeper carries out: Hydra makes the sweeper, so it cannot be handed over.
current: Carrying | None = None


def carry_out(carrying: Carrying, launcher: Launcher, batch: int) -> None:
    """Launch what there is to do.

    Args:
        carrying: The plan.
        launcher: Of Hydra's.
        batch: Cells that are given to the launcher at once.

    Raises:
        KeyboardInterrupt: A second Ctrl-C; what was running left its record.
    """
    plan, todo = carrying.plan, carrying.plan.todo
    shared = shared_overrides(plan)
    may_start(plan.dir)
    with _first_ctrl_c(lambda: _ask_to_stop(carrying)):
        for start in range(0, len(todo), batch):
            cells = todo[start : start + batch]
            carrying.stopped = carrying.stopped or lacking_room(cells[0].cell.spec)
            if carrying.stopped is not None:
                break
            for place, planned in enumerate(cells, start + 1):
                _log.info("[%d/%d] %s", place, len(todo), describe(planned, shared))
            carrying.launched += len(cells)
            ended = _launched(launcher, plan, cells)
            carrying.launched -= ended.count(NOT_STARTED)
            if carrying.fail_fast and not {*ENDED_WELL, NOT_STARTED}.issuperset(ended):
                carrying.stopped = carrying.stopped or "a cell failed, and --fail-fast was given"


def _launched(launcher: Launcher, plan: SweepPlan, cells: Sequence[Planned]) -> list[Any]:
    """How each cell ended. What Hydra returns has its whole configuration: none of it is kept."""
    returns = launcher.launch([job_overrides(plan, p) for p in cells], cells[0].number)
    ended = [job.return_value for job in returns]
    del returns
    if len(cells) > 1:
        gc.collect()  # configurations know their parents: they lie there until then
    return ended


def job_overrides(plan: SweepPlan, planned: Planned) -> list[str]:
    """What a cell is launched with: its own overrides, and its folder."""
    subdir = plan.subdir(planned)
    own = planned.cell.overrides
    return own if subdir is None else [*own, f"hydra.sweep.subdir={quoted(subdir)}"]


def quoted(text: str) -> str:
    """A text as a value in Hydra's grammar."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def describe(planned: Planned, shared: frozenset[str]) -> str:
    """A cell in a line: where it is, and what it has that not all others have too."""
    spec = planned.cell.spec
    own = [text for text in planned.cell.overrides if text not in shared]
    text = f"cell {planned.number}: {' '.join(own) or spec.model.name}"
    return text if spec.repeats == 1 else f"{text} (repeat {spec.repeat + 1} of {spec.repeats})"


def _ask_to_stop(carrying: Carrying) -> None:
    carrying.interrupted = True
    carrying.stopped = "interrupted"
    ask_to_stop(carrying.plan.dir)
    _log.warning("Ctrl-C: what is running is finished first; a second Ctrl-C stops it now")


@contextmanager
def _first_ctrl_c(asked: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C only ask; the next ones interrupt as they always do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        asked()

    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
