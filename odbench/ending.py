"""How a launch ends: what it came to is read from the runs' folders, reported and told.

The runs may have been carried out in any process, and in several starts of one command.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from odbench.config.spec import RunSpec
from odbench.errors import OdbenchError, TrackingError
from odbench.hydra_job import ending_signals
from odbench.records import StoredRun, find_runs, unfinished_runs
from odbench.results import ENDED_WELL
from odbench.sweeping.plan import SweepPlan
from odbench.tracking.untracked import untracked_reason


@dataclass
class Outcome:
    """What a launch came to."""

    folders: list[Path] = field(default_factory=list)  # that the runs lie in or below
    runs: list[StoredRun] = field(default_factory=list)  # not all, where they are very many
    failed: int = 0  # runs that did not end well
    lost: int = 0  # runs that left no record
    not_started: int = 0  # runs that the launch did not come to
    untracked: list[str] = field(default_factory=list)  # why something was not logged
    unsent: list[Path] = field(default_factory=list)  # folders to send to the store later
    unreported: str | None = None  # why there is no report
    interrupted: bool = False
    stopped: str | None = None  # why it did not come to its end
    report: Path | None = None
    sweep: SweepPlan | None = None  # as it is now
    goes_on_by: str | None = None  # the command
    planned_only: bool = False  # a plan was to be shown, and nothing to be run

    @property
    def exit_code(self) -> int:
        """0 all well, 1 something failed, 130 interrupted."""
        if self.planned_only:
            return 0
        if self.interrupted:
            return 130
        bad = self.failed or self.lost or self.untracked or self.unreported or self.stopped
        return 1 if bad else 0


@contextmanager
def ending(specs: Sequence[RunSpec], outcome: Outcome) -> Iterator[None]:
    """Take signals for Ctrl-C meanwhile, and report what was measured whatever happens."""
    try:
        with ending_signals():
            yield
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        end_runs(specs, outcome)


def end_runs(specs: Sequence[RunSpec], outcome: Outcome) -> None:
    """Read what became of single runs, and write their report.

    Args:
        specs: What was to be run.
        outcome: Has their folders.
    """
    folders = [folder for folder in outcome.folders if folder.is_dir()]
    outcome.runs = find_runs(folders)
    outcome.lost = max(0, len(specs) - len(outcome.runs))
    if outcome.interrupted:
        begun = len(unfinished_runs(folders))
        outcome.not_started, outcome.lost = max(0, outcome.lost - begun), begun
    outcome.failed = sum(run.record.status not in ENDED_WELL for run in outcome.runs)
    note_unsent([run.dir for run in outcome.runs], outcome)
    if outcome.runs:
        write_report_of(outcome, specs[0].paths.reports_dir, outcome.runs[0].dir)


def note_unsent(run_dirs: Sequence[Path], outcome: Outcome, folder: Path | None = None) -> None:
    """Tell of the runs that were not logged; the sweep's folder stands for all of its runs."""
    for run_dir in run_dirs:
        if (reason := untracked_reason(run_dir)) is not None:
            outcome.untracked.append(reason)
            outcome.unsent.append(folder or run_dir)


def write_report_of(outcome: Outcome, reports_dir: str | None, folder: Path) -> None:
    """Write the report of the runs; what was measured is shown where it cannot be written."""
    if reports_dir is None:
        return
    try:
        outcome.report = report_of(outcome.runs, Path(reports_dir), folder)
    except OdbenchError as error:
        outcome.unreported = f"{error}\n  do:      odbench report {folder}, when it is mended"


def report_folder(reports_dir: Path, folder: Path) -> Path:
    """Where the report of a run or sweep is: it is named by its folder's last two parts."""
    return reports_dir / "-".join(folder.parts[-2:])


def report_of(runs: list[StoredRun], reports_dir: Path, folder: Path) -> Path:
    """Write the report of a run or sweep."""
    from odbench.report.write import write_report

    target = report_folder(reports_dir, folder)
    return write_report(runs, target, title=f"odbench: {target.name}")


def check_store(spec: RunSpec) -> None:
    """Open the MLflow store: one that is down is better known now than after hours.

    Raises:
        TrackingError: It cannot be opened.
    """
    if spec.tracking.enabled:
        from odbench.tracking.store import open_store

        try:
            open_store(spec)
        except TrackingError as error:
            without = "or run without it: tracking.enabled=false"
            error.fix = f"{error.fix}; {without}" if error.fix else without.removeprefix("or ")
            raise
