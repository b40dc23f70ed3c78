"""``odbench sync``: send to MLflow what is on disk and not there, exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from odbench.errors import InputError, OdbenchError
from odbench.hydra_job import draw_run
from odbench.records import (
    StoredRun,
    in_order,
    load_record,
    record_paths,
    unfinished_runs,
)
from odbench.sweep_syncing import SweepOnDisk, ensure_parent, is_going, sweep_whole, sweeps_of
from odbench.sweep_syncing import close_sweep as close
from odbench.tracking.entries import logging_lock
from odbench.tracking.log import find_whole, log_run, logged_id
from odbench.tracking.sync import Place, Places


class Fate(StrEnum):
    """What became of a run or a sweep."""

    sent = "sent"
    there = "was there"
    missing = "missing"  # and only looked at
    going = "still going"  # a sweep: it ends its own MLflow run
    failed = "failed"
    unsent = "not sent"  # its store cannot be reached: nothing to be said of it alone


@dataclass(frozen=True)
class Item:
    """A run, or the MLflow run that a sweep's runs are children of."""

    kind: str  # run or sweep
    name: str
    dir: Path
    fate: Fate
    uri: str | None = None
    mlflow_run_id: str | None = None
    error: str | None = None


@dataclass
class Synced:
    """What a sync came to."""

    items: list[Item] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)  # run folders without a record

    @property
    def exit_code(self) -> int:
        """0 all there, or only looked at; 1 something could not be sent."""
        return 1 if any(item.fate in (Fate.failed, Fate.unsent) for item in self.items) else 0


def sync(
    folders: Sequence[Path],
    places: Places,
    *,
    dry_run: bool = False,
    on_item: Callable[[Item, int], None] = lambda item, total: None,
) -> Synced:
    """Send every run below the folders that its store does not have, and end their sweeps there.

    Args:
        folders: Of runs, of sweeps, or of many.
        places: Where runs belong.
        dry_run: Only look; nothing is made or written.
        on_item: Called with each run and sweep as it is settled, and how many there are.

    Raises:
        InputError: A folder does not exist, or holds no record of a run.
    """
    runs, unreadable = _read(folders)
    if not runs and not unreadable:
        raise InputError("no record of a run in there", where=", ".join(map(str, folders)))
    sweeps = sweeps_of(runs)
    result = Synced(left_out=unfinished_runs(folders))
    total = len(runs) + len(unreadable) + len(sweeps)

    def settle(item: Item) -> None:
        result.items.append(item)
        on_item(item, total)

    for item in unreadable:
        settle(item)
    for run in runs:
        settle(_settle_run(run, sweeps.get(run.record.sweep_id), places, dry_run))
    for sweep in sweeps.values():
        settle(_settle_sweep(sweep, places, dry_run))
    return result


def _read(folders: Sequence[Path]) -> tuple[list[StoredRun], list[Item]]:
    """Every record in or below the folders, by start, and those that cannot be read."""
    found: list[StoredRun] = []
    unreadable: dict[Path, Item] = {}
    for path in (path for folder in folders for path in record_paths(folder)):
        where = path.parent
        try:
            found.append(StoredRun(load_record(path), where))
        except InputError as error:
            unreadable[where] = Item("run", where.name, where, Fate.failed, error=str(error))
    return in_order(found), list(unreadable.values())


def _settle_run(run: StoredRun, sweep: SweepOnDisk | None, places: Places, dry_run: bool) -> Item:
    item = Item("run", run.record.name, run.dir, Fate.failed)
    try:
        place = places.of(run)
        item = replace(item, uri=place.uri)
        known = logged_id(run, place.uri, place.experiment)
        if known is not None:
            return replace(item, fate=Fate.there, mlflow_run_id=known)
        if dry_run:
            store = places.looked_at(place)
            known = None if store is None else find_whole(store, run)
            fate = Fate.missing if known is None else Fate.there
        else:
            fate, known = _send(run, sweep, places, place)
        return replace(item, fate=fate, mlflow_run_id=known)
    except (OdbenchError, OSError) as error:
        return _failed(item, error, places)


def _send(
    run: StoredRun, sweep: SweepOnDisk | None, places: Places, place: Place
) -> tuple[Fate, str]:
    """Log a run if the store does not have it; two syncs at once do not log it twice."""
    store = places.opened(place)
    with logging_lock(run.dir):
        known = logged_id(run, place.uri, place.experiment)  # by another process since
        if known is not None:
            return Fate.there, known
        there = find_whole(store, run) is not None
        parent = None
        if sweep is not None:
            parent = ensure_parent(sweep, place, own=places.own)
        if not there:
            draw_run(run)
        return Fate.there if there else Fate.sent, log_run(run, place.spec, parent, store)


def _settle_sweep(sweep: SweepOnDisk, places: Places, dry_run: bool) -> Item:
    """End a sweep's MLflow run as an undisturbed sweep does, if it has not ended like that."""
    item = Item("sweep", sweep.dir.name, sweep.dir, Fate.failed)
    try:
        place = places.of(sweep.runs[0])
        item = replace(item, uri=place.uri)
        if is_going(sweep):
            return replace(item, fate=Fate.going)
        if dry_run:
            store = places.looked_at(place)
            known, whole = (None, False) if store is None else sweep_whole(store, sweep)
            fate = Fate.there if whole else Fate.missing
        else:
            known, whole = close(sweep, places, place)
            fate = Fate.there if whole else Fate.sent
        return replace(item, fate=fate, mlflow_run_id=known)
    except (OdbenchError, OSError) as error:
        return _failed(item, error, places)


def _failed(item: Item, error: Exception, places: Places) -> Item:
    fate = Fate.unsent if places.failed(error) else Fate.failed
    return replace(item, fate=fate, error=str(error))
