"""What of a sweep is to be done: its cells, matched by their fingerprints with what there is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median

from odbench.config.fingerprint import stable_hash
from odbench.config.spec import RunSpec
from odbench.jobfile import JOB_FILE
from odbench.results import ENDED_WELL, Status
from odbench.sweeping.found import Begun, begun_in, is_held
from odbench.sweeping.options import Options


class State(StrEnum):
    """How far a cell is."""

    done = "done"
    failed = "failed"
    interrupted = "interrupted"  # by Ctrl-C, or killed together with its parent
    going = "going"  # a process that outlived its parent carries it out
    missing = "missing"


@dataclass(frozen=True)
class Cell:
    """One run of a sweep."""

    overrides: list[str]
    spec: RunSpec
    fingerprint: str
    variant: str


@dataclass(frozen=True)
class Planned:
    """A cell, and what is to be done with it."""

    cell: Cell
    number: int  # of the job, and by default the name of its folder
    dir: Path | None  # of the run, where one was begun
    state: State
    reason: str | None  # why it failed
    chosen: bool  # it is to be carried out
    estimate_s: float | None  # wall time, from runs of the same variant; None: none is known


@dataclass(frozen=True)
class SweepPlan:
    """A sweep with what was done of it."""

    dir: Path
    cells: list[Planned]
    goes_on: bool  # something of it was begun before
    plain_subdir: bool = True

    @property
    def todo(self) -> list[Planned]:
        """The cells to carry out, in order."""
        return [planned for planned in self.cells if planned.chosen]

    def subdir(self, planned: Planned) -> str | None:
        """The folder of a cell within the sweep's; None: as the configuration names it."""
        if planned.dir is not None:
            return str(planned.dir.relative_to(self.dir))
        return str(planned.number) if self.plain_subdir else None


def digest_of(cells: Iterable[Cell]) -> str:
    """Sixteen digits that equal those of a sweep of the same cells, whatever their order."""
    return stable_hash(sorted(cell.fingerprint for cell in cells))[:16]


def plan_sweep(
    cells: Sequence[Cell], folder: Path, options: Options, *, plain_subdir: bool = True
) -> SweepPlan:
    """Match the cells of a sweep with the runs that were begun in its folder.

    Cells that differ in nothing that changes results (as the device) have one fingerprint; the
    first of them is matched with the first run of that fingerprint, and so on.

    Raises:
        InputError: What lies there cannot be read.
    """
    begun: dict[str, list[Begun]] = defaultdict(list)
    walls: dict[str, list[float]] = defaultdict(list)
    for run in begun_in(folder) if folder.is_dir() else ():
        begun[run.fingerprint].append(run)
        if run.head is not None and run.head.status is Status.ok:
            walls[run.variant].append(run.head.wall_s)
    goes_on = bool(begun)
    free = _free_numbers(folder)
    planned = []
    for cell in cells:
        waiting = begun[cell.fingerprint]
        found = waiting.pop(0) if waiting else None
        named = found is not None and found.dir.name.isdigit()
        number = int(found.dir.name) if found is not None and named else next(free)
        known = walls.get(cell.variant)
        planned.append(_planned(cell, number, found, options, median(known) if known else None))
    return SweepPlan(folder, planned, goes_on, plain_subdir)


def _free_numbers(folder: Path) -> Iterator[int]:
    """Numbers that no run was begun under; a folder without a job was cut off before its run."""
    number = 0
    while True:
        if not (folder / str(number) / JOB_FILE).exists():
            yield number
        number += 1


def _planned(
    cell: Cell, number: int, run: Begun | None, options: Options, estimate_s: float | None
) -> Planned:
    state = _state(run)
    chosen = {
        State.done: False,
        State.failed: options.failed,
        State.interrupted: not options.missing,
        State.going: not options.missing,
        State.missing: True,
    }[state]
    reason = run.head.reason if run is not None and run.head is not None else None
    folder = None if run is None else run.dir
    return Planned(cell, number, folder, state, reason, chosen, estimate_s)


def _state(run: Begun | None) -> State:
    if run is None:
        return State.missing
    if run.head is None:
        return State.going if is_held(run.dir) else State.interrupted
    if run.head.status in ENDED_WELL:
        return State.done
    return State.interrupted if run.head.status is Status.interrupted else State.failed


def shared_overrides(plan: SweepPlan) -> frozenset[str]:
    """What every cell is told: it does not tell one from another."""
    sets = [frozenset(planned.cell.overrides) for planned in plan.cells]
    return frozenset.intersection(*sets) if len(sets) > 1 else frozenset()


def count_states(cells: Iterable[Planned]) -> dict[str, int]:
    """How many cells are in which state; all states are named."""
    counts = Counter(planned.state for planned in cells)
    return {str(state): counts[state] for state in State}
