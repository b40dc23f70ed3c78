"""``odbench resume``: check every run that is named, go on with each of them, then report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from odbench import sweep
from odbench.ending import Outcome, check_store, ending
from odbench.hydra_job import track
from odbench.resume import check_resumable, resume_run
from odbench.sweep_ending import update_sweep


def resume(folders: Sequence[Path]) -> Outcome:
    """Go on with interrupted runs, one after another; each stays one run in MLflow.

    Raises:
        InputError: One of them cannot be resumed; nothing was started.
        TrackingError: The MLflow store cannot be opened.
    """
    # as Hydra has it for odbench run
    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s", datefmt="%H:%M:%S")
    asked = list(dict.fromkeys(folder.resolve() for folder in folders))
    specs = [check_resumable(folder) for folder in asked]
    check_store(specs[0])
    outcome = Outcome()
    with ending(specs, outcome):
        for folder, spec in zip(asked, specs, strict=True):
            outcome.folders.append(folder)
            shared = sweep.read_sweep(folder.parent)
            track(partial(resume_run, folder), spec, shared)
            if shared is not None:
                update_sweep(shared, spec, outcome)
    return outcome
