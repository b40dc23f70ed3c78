"""The MLflow run of a sweep, made and ended from what the sweep left on disk."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from odbench.config.spec import RunSpec
from odbench.ending import report_of
from odbench.errors import InputError, OdbenchError
from odbench.records import SWEEP_FILE, StoredRun, find_runs, unfinished_runs, write_json
from odbench.sweep import read_sweep
from odbench.sweeping.found import is_held
from odbench.tracking.content import times_ms
from odbench.tracking.entries import logging_lock
from odbench.tracking.log import find_sweep, finish_sweep, start_sweep
from odbench.tracking.naming import sweep_folder, sweep_told
from odbench.tracking.store import Store
from odbench.tracking.sync import Place, Places, adopt_runs

_log = logging.getLogger(__name__)


@dataclass
class SweepOnDisk:
    """A sweep as it lies on disk: all its runs, also those that are not being synced."""

    sweep_id: str
    dir: Path
    runs: list[StoredRun]
    whole_dir: bool  # its folder was found, and is nothing but this sweep
    parents: dict[Place, str] = field(default_factory=dict)  # MLflow run ids


def sweeps_of(runs: Sequence[StoredRun]) -> dict[str | None, SweepOnDisk]:
    """The sweeps that runs belong to, by their ids.

    Raises:
        InputError: A record in a sweep's folder cannot be read.
    """
    found: dict[str | None, SweepOnDisk] = {}
    for run in runs:
        sweep_id = run.record.sweep_id
        if sweep_id is None:
            continue
        if sweep_id in found:
            if not found[sweep_id].whole_dir:
                found[sweep_id].runs.append(run)
            continue
        folder = sweep_folder(run)
        if folder is None:
            found[sweep_id] = SweepOnDisk(sweep_id, run.dir.parent, [run], whole_dir=False)
        else:
            found[sweep_id] = SweepOnDisk(sweep_id, folder, _runs_in(folder, run), whole_dir=True)
    return found


def is_going(sweep: SweepOnDisk) -> bool:
    """Whether a run of it is carried out at this moment."""
    return sweep.whole_dir and any(map(is_held, unfinished_runs([sweep.dir])))


def sweep_whole(store: Store, sweep: SweepOnDisk) -> tuple[str | None, bool]:
    """MLflow run id of a sweep, and whether it ended there with the runs that there are now.

    Raises:
        TrackingError: The store failed.
    """
    return find_sweep(store, sweep.sweep_id, sweep.runs)


def ensure_parent(sweep: SweepOnDisk, place: Place, *, own: bool) -> str:
    """MLflow run id of a sweep, which is made if the store does not know it.

    Args:
        sweep: The sweep.
        place: Where it is looked for.
        own: Whether that is where the sweep was told to go.

    Raises:
        TrackingError: The store failed.
    """
    if place not in sweep.parents:
        name, overrides = _told(sweep)
        begun = min(times_ms(run.record)[0] for run in sweep.runs)
        with logging_lock(sweep.dir):
            made = start_sweep(place.spec, sweep.sweep_id, name, overrides, begun)
            if own and sweep.whole_dir:
                _note_parent(sweep.dir, made)
        sweep.parents[place] = made
    return sweep.parents[place]


def close_sweep(sweep: SweepOnDisk, places: Places, place: Place) -> tuple[str, bool]:
    """End a sweep's MLflow run; MLflow run id, and whether it had ended like that before.

    Raises:
        TrackingError: The store failed.
    """
    store = places.opened(place)
    with logging_lock(sweep.dir):
        known, whole = sweep_whole(store, sweep)
        if known is not None and whole:
            return known, True
        parent = ensure_parent(sweep, place, own=places.own)
        adopt_runs(store, sweep.sweep_id, parent)
        ended = max(times_ms(run.record)[1] for run in sweep.runs)
        finish_sweep(place.spec, parent, sweep.runs, _report(sweep, place.spec), ended)
    return parent, False


def _report(sweep: SweepOnDisk, spec: RunSpec) -> Path | None:
    """Folder of the sweep's report, written as at its end; None where it cannot be."""
    if spec.paths.reports_dir is None:
        return None
    try:
        folder = sweep.dir.resolve()
        return report_of(sweep.runs, Path(spec.paths.reports_dir), folder).parent
    except (OdbenchError, OSError) as error:
        _log.warning("the sweep %s is sent without a report: %s", sweep.dir, error)
        return None


def _runs_in(folder: Path, run: StoredRun) -> list[StoredRun]:
    """A sweep's runs; where another's record cannot be read, those that can."""
    sweep_id = run.record.sweep_id
    found = []
    for path in sorted(folder.iterdir()):
        try:
            found += find_runs([path]) if path.is_dir() else []
        except InputError as error:
            _log.warning("left out of its sweep: %s", error)
    ours = [each for each in found if each.record.sweep_id == sweep_id]
    return sorted(ours, key=lambda each: (each.record.started_at, each.record.run_id))


def _told(sweep: SweepOnDisk) -> tuple[str, list[str]]:
    """Name and overrides of a sweep, as it was started; else what its runs have in common."""
    told = sweep_told(sweep.dir)
    if told is not None:
        return told
    shared = set.intersection(*(set(run.record.overrides) for run in sweep.runs))
    first = sweep.runs[0].record.overrides
    return f"sweep-{sweep.dir.resolve().name}", [each for each in first if each in shared]


def _note_parent(folder: Path, mlflow_run_id: str) -> None:
    """Let a later resume of the sweep's runs find its MLflow run."""
    known = read_sweep(folder)
    if known is not None and known.mlflow_run_id is None:
        changed = dataclasses.replace(known, mlflow_run_id=mlflow_run_id)
        write_json(folder / SWEEP_FILE, dataclasses.asdict(changed))
