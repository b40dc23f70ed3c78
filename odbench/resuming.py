"""``odbench resume``: check every run that is named, go on with each of them, then report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from odbench import sweep
from odbench.config.spec import RunSpec
from odbench.errors import OdbenchError
from odbench.hydra_job import track
from odbench.launch import Outcome, Plan, check_store, finishing
from odbench.records import find_runs
from odbench.resume import check_resumable, resume_run

_log = logging.getLogger(__name__)


def resume(folders: Sequence[Path]) -> Outcome:
    """Go on with interrupted runs, one after another; each stays one run in MLflow.

    Raises:
        InputError: One of them cannot be resumed; nothing was started.
        TrackingError: The MLflow store cannot be opened.
    """
    # as Hydra has it for odbench run
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s", datefmt="%H:%M:%S")
    sweep.current = sweep.folder = None
    asked = list(dict.fromkeys(folder.resolve() for folder in folders))
    plan = Plan([check_resumable(folder) for folder in asked], multirun=False)
    check_store(plan)
    outcome = Outcome()
    with finishing(plan, outcome):
        for folder, spec in zip(asked, plan.specs, strict=True):
            outcome.folders.append(folder)
            shared = sweep.read_sweep(folder.parent)
            track(partial(resume_run, folder), spec, shared)
            if shared is not None:
                _update_sweep(shared, spec, outcome)
    return outcome


def _update_sweep(shared: sweep.Sweep, spec: RunSpec, outcome: Outcome) -> None:
    """Count the resumed run in its sweep's MLflow run."""
    if shared.mlflow_run_id is None:
        return
    from odbench.tracking.log import finish_sweep

    try:
        finish_sweep(spec, shared.mlflow_run_id, find_runs([Path(shared.dir)]), None)
    except OdbenchError as error:
        _log.error("the sweep %s was not updated: %s", shared.sweep_id, error)
        outcome.untracked.append(str(error))
        outcome.unsent.append(Path(shared.dir))
