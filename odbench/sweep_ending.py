"""How a sweep ends: its cells counted, sent to MLflow where they are not, reported, closed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from odbench.config.spec import RunSpec
from odbench.ending import Outcome, note_unsent, report_folder, write_report_of
from odbench.errors import OdbenchError, TrackingError
from odbench.hydra_job import ending_signals, log_stored
from odbench.records import RECORD_FILE, StoredRun, find_runs, load_record
from odbench.reporting import MOST_SHOWN
from odbench.results import ENDED_WELL, Status
from odbench.sweep import Sweep, write_sweep
from odbench.sweeping.carrying_out import Carrying
from odbench.sweeping.found import begun_in
from odbench.sweeping.options import Options
from odbench.sweeping.plan import SweepPlan, plan_sweep

_log = logging.getLogger(__name__)

REPORT_FILE = "report.md"


@contextmanager
def ending_sweep(
    carrying: Carrying, sweep: Sweep, spec: RunSpec, outcome: Outcome
) -> Iterator[None]:
    """Take signals for Ctrl-C meanwhile, and end the sweep whatever happens."""
    try:
        with ending_signals():
            yield
    except KeyboardInterrupt:
        carrying.interrupted = True
    except OSError as error:  # of Hydra's own files: ours tell of theirs
        carrying.stopped = f"its folder cannot be written: {error.strerror or error}"
    finally:
        end_sweep(carrying, sweep, spec, outcome)


def end_sweep(carrying: Carrying, sweep: Sweep, spec: RunSpec, outcome: Outcome) -> None:
    """Count, send, report and close; where nothing is new, nothing is done again.

    Args:
        carrying: What was to be done.
        sweep: Its identity.
        spec: Of one of its runs.
        outcome: Is filled.
    """
    folder = Path(sweep.dir)
    outcome.interrupted, outcome.stopped = carrying.interrupted, carrying.stopped
    _count(carrying, outcome)
    if carrying.launched == 0 and sweep.closed:
        _known_report(outcome, spec, folder)
        return
    if spec.tracking.enabled and (carrying.plan.goes_on or not carrying.plan.cells):
        _send(carrying, sweep, spec)
    begun = [run.dir for run in begun_in(folder) if run.head is not None]
    note_unsent(begun, outcome, folder)
    wanted = spec.paths.reports_dir is not None or sweep.mlflow_run_id is not None
    if not begun or (len(begun) > MOST_SHOWN and not wanted):
        _close(sweep, outcome)
        return
    outcome.runs = find_runs([folder])
    write_report_of(outcome, spec.paths.reports_dir, folder)
    if sweep.mlflow_run_id is not None:
        _finish(sweep, spec, outcome)
    _close(sweep, outcome)


def _count(carrying: Carrying, outcome: Outcome) -> None:
    """What became of the cells; of a sweep that chooses them as it goes, of those that began."""
    plan = carrying.plan
    heads = [run.head for run in begun_in(plan.dir)]
    ended = [head.status for head in heads if head is not None]
    outcome.failed = sum(status not in (*ENDED_WELL, Status.interrupted) for status in ended)
    outcome.lost = sum(head is None for head in heads)
    if plan.cells:
        cells = [planned.cell for planned in plan.cells]
        outcome.sweep = plan_sweep(cells, plan.dir, Options(), plain_subdir=plan.plain_subdir)
        missing = len(cells) - len(heads)
        stopped = carrying.interrupted or carrying.stopped is not None
        if stopped:
            outcome.not_started = max(0, missing)
        else:
            outcome.lost += max(0, missing)


def _known_report(outcome: Outcome, spec: RunSpec, folder: Path) -> None:
    if spec.paths.reports_dir is not None:
        path = report_folder(Path(spec.paths.reports_dir), folder) / REPORT_FILE
        outcome.report = path if path.is_file() else None


def _send(carrying: Carrying, sweep: Sweep, spec: RunSpec) -> None:
    """Log the runs of an earlier start that it did not come to log; one is in memory at a time."""
    from odbench.tracking.log import logged_id
    from odbench.tracking.store import tracking_uri

    uri, experiment = tracking_uri(spec), spec.tracking.experiment
    for folder in _of_earlier_starts(carrying.plan):
        stored = StoredRun(load_record(folder / RECORD_FILE), folder)
        if logged_id(stored, uri, experiment) is None:
            log_stored(stored, spec, sweep)


def _of_earlier_starts(plan: SweepPlan) -> list[Path]:
    """Folders of runs with a record that were not to be carried out; of a search, of all."""
    if plan.cells:
        left = [each.dir for each in plan.cells if each.dir is not None and not each.chosen]
        return [folder for folder in left if (folder / RECORD_FILE).exists()]
    return [run.dir for run in begun_in(plan.dir) if run.head is not None]


def _finish(sweep: Sweep, spec: RunSpec, outcome: Outcome) -> None:
    from odbench.tracking.log import finish_sweep

    written = None if outcome.report is None else outcome.report.parent
    try:
        finish_sweep(spec, str(sweep.mlflow_run_id), outcome.runs, written)
    except TrackingError as error:
        outcome.untracked.append(str(error))
        outcome.unsent.append(Path(sweep.dir))


def _close(sweep: Sweep, outcome: Outcome) -> None:
    """Note that there is nothing to do again, unless something could not be sent or written."""
    whole = not (outcome.untracked or outcome.unreported or outcome.lost)
    try:
        write_sweep(replace(sweep, closed=whole))
    except OSError as error:
        _log.warning("the sweep is not closed: %s: %s", sweep.dir, error.strerror)


def update_sweep(sweep: Sweep, spec: RunSpec, outcome: Outcome) -> None:
    """Count a resumed run in its sweep's MLflow run."""
    if sweep.mlflow_run_id is None:
        return
    from odbench.tracking.log import finish_sweep

    try:
        finish_sweep(spec, sweep.mlflow_run_id, find_runs([Path(sweep.dir)]), None)
    except OdbenchError as error:
        _log.error("the sweep %s was not updated: %s", sweep.sweep_id, error)
        outcome.untracked.append(str(error))
        outcome.unsent.append(Path(sweep.dir))


def overrides_of(command: Sequence[str]) -> list[str]:
    """Those that a sweep is known by in MLflow."""
    return [text for text in command if not text.startswith("hydra.")]
