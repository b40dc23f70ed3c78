"""What the runs of one sweep share: an identity, an MLflow parent run, a folder."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from odbench.config.spec import RunSpec
from odbench.errors import TrackingError
from odbench.records import SWEEP_FILE, write_json

STOP_FILE = "stop"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sweep:
    """One sweep."""

    sweep_id: str
    dir: str
    mlflow_run_id: str | None  # the parent run; None where nothing is tracked
    cells: str | None = None  # digest of its cells' fingerprints; None: chosen as it goes
    fail_fast: bool = False  # no cell starts after one that failed
    closed: bool = False  # reported and ended in MLflow, with the runs that there are


def read_sweep(directory: Path) -> Sweep | None:
    """The sweep that a folder belongs to, or None."""
    try:
        return Sweep(**json.loads((directory / SWEEP_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def write_sweep(sweep: Sweep) -> Sweep:
    """Write what a folder's sweep is."""
    write_json(Path(sweep.dir) / SWEEP_FILE, asdict(sweep))
    return sweep


def ask_to_stop(directory: Path) -> None:
    """Let no cell of a sweep start any more, whichever process would start it."""
    (directory / STOP_FILE).touch()


def is_asked_to_stop(directory: Path) -> bool:
    """Whether a cell must not start any more."""
    return (directory / STOP_FILE).exists()


def may_start(directory: Path) -> None:
    """Let cells start, again."""
    (directory / STOP_FILE).unlink(missing_ok=True)


def enter_sweep(directory: Path, cells: str | None) -> Sweep:
    """Make a sweep's folder and identity, or take those that there are.

    Args:
        directory: Its folder.
        cells: Digest of its cells' fingerprints.
    """
    directory.mkdir(parents=True, exist_ok=True)
    known = read_sweep(directory)
    if known is None:
        return write_sweep(Sweep(uuid.uuid4().hex, str(directory), None, cells))
    return replace(known, dir=str(directory), cells=cells)  # it may have been moved


def track_sweep(sweep: Sweep, spec: RunSpec, name: str, overrides: Sequence[str]) -> Sweep:
    """Make the sweep's MLflow run, or find it; a store that is down holds nothing up.

    Args:
        sweep: The sweep.
        spec: Of one of its runs.
        name: Shown in MLflow.
        overrides: Of the command line.
    """
    if not spec.tracking.enabled:
        return sweep
    from odbench.tracking.log import start_sweep

    try:
        made = start_sweep(spec, sweep.sweep_id, name, list(overrides))
    except TrackingError as error:
        _log.warning("the sweep is not tracked: %s", error)
        return sweep
    return replace(sweep, mlflow_run_id=made)
