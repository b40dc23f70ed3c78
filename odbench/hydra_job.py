"""The function that Hydra calls for each cell: one run, tracked.

A launcher may call it in another process, on another machine. So it is importable by name, shares
nothing with who launched it, and leaves what became of the run in the run's folder alone.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from odbench import sweep
from odbench.attempt import RunInterrupted, wait_until_free
from odbench.config.compose import to_spec
from odbench.config.register import register_resolvers
from odbench.config.spec import RunSpec
from odbench.errors import OdbenchError, TrackingError
from odbench.job import run_job
from odbench.jobfile import JOB_FILE, read_dataset
from odbench.orphans import end_with_launcher
from odbench.records import RECORD_FILE, StoredRun, load_record
from odbench.results import ENDED_WELL, Status
from odbench.resume import resume_run
from odbench.tracking.untracked import note_untracked

FIGURES_DIR = "figures"

NOT_STARTED = "not started"  # what stands for the status of a cell after the sweep was stopped

# What ends a launch as Ctrl-C does: a polite kill, a terminal that closes.
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

_log = logging.getLogger(__name__)

# A worker imports this module to find the function, and resolves the configuration before it
# calls it. The rest of what is registered comes to it with Hydra's singletons.
register_resolvers()


def hydra_job(config: DictConfig) -> str:
    """Carry out one cell; returns the status. Raises only to stop the whole launch."""
    end_with_launcher()
    hydra_config = HydraConfig.get()
    spec = to_spec(config)
    overrides = list(hydra_config.overrides.task)
    shared = None
    if hydra_config.mode == RunMode.MULTIRUN:
        shared = sweep.read_sweep(Path(hydra_config.sweep.dir))
        if sweep.is_asked_to_stop(Path(hydra_config.sweep.dir)):
            return NOT_STARTED
    run_dir = Path(hydra_config.runtime.output_dir)
    sweep_id = shared.sweep_id if shared else None
    with ending_signals():
        status = track(lambda: _cell(spec, run_dir, overrides, sweep_id), spec, shared)
    if shared is not None and shared.fail_fast and status not in ENDED_WELL:
        sweep.ask_to_stop(Path(hydra_config.sweep.dir))
    return str(status)


def _cell(spec: RunSpec, run_dir: Path, overrides: list[str], sweep_id: str | None) -> StoredRun:
    """Begin a run, or go on with the one that was begun in the folder by an earlier start."""
    if sweep_id is None or not (run_dir / JOB_FILE).exists():
        return run_job(spec, run_dir, overrides, sweep_id)
    wait_until_free(run_dir)
    path = run_dir / RECORD_FILE
    known = load_record(path) if path.exists() else None
    if known is not None and known.status is Status.ok:  # meanwhile
        return StoredRun(known, run_dir)
    return resume_run(run_dir)


@contextmanager
def ending_signals() -> Iterator[None]:
    """Take a polite kill for Ctrl-C meanwhile; in a thread, where Python cannot, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, _interrupt) for number in _ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def track(work: Callable[[], StoredRun], spec: RunSpec, shared: sweep.Sweep | None) -> Status:
    """Carry out one run and track it, also one that was interrupted, which ends the launch."""
    try:
        stored = work()
    except RunInterrupted as interruption:
        log_stored(interruption.stored, spec, shared)
        raise
    except OdbenchError as error:  # its inputs were good a moment ago
        _log.error("%s", error)
        return Status.failed
    log_stored(stored, spec, shared)
    return stored.record.status


def log_stored(stored: StoredRun, spec: RunSpec, shared: sweep.Sweep | None) -> None:
    """Log a run to MLflow; a store that is down costs nothing that was measured."""
    if not spec.tracking.enabled:
        return
    from odbench.tracking.entries import logging_lock
    from odbench.tracking.log import log_run

    try:
        with logging_lock(stored.dir):
            draw_run(stored)
            log_run(stored, spec, shared.mlflow_run_id if shared else None)
    except TrackingError as error:
        _log.error("%s is on disk and was not tracked: %s", stored.dir, error)
        note_untracked(stored.dir, str(error))


def draw_run(stored: StoredRun) -> None:
    """Write what a run is tracked with besides its own files: its figures and its data set's.

    Runs of a sweep have none of their own: the sweep's report draws all of them side by side.
    """
    from odbench.report.comparison import compare
    from odbench.report.figures import draw_figures

    if stored.record.sweep_id is None:
        folder = stored.dir / FIGURES_DIR
        folder.mkdir(exist_ok=True)
        draw_figures(compare([stored]).groups[0], folder)
    _describe_dataset(stored.dir)


def _describe_dataset(run_dir: Path) -> None:
    """Write statistics and pictures of a run's data set: a run is tracked without them, too."""
    from odbench.report.dataset_figures import write_dataset_files
    from odbench.tracking.dataset import DATASET_FOLDER

    try:
        write_dataset_files(read_dataset(run_dir), run_dir / DATASET_FOLDER)
    except (OdbenchError, OSError) as error:
        _log.warning("nothing is tracked about the data set of %s: %s", run_dir, error)
