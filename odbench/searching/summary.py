"""What a study came to: ``study.json``, which reports read."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odbench.records import write_json
from odbench.report.pick_metrics import Metric
from odbench.report.study import STUDY_FILE, trial_line
from odbench.searching.study import ON_THE_WAY, REASON, RUN_ID, STATUS

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

_ENOUGH = 4  # complete trials, for the importance of parameters


def write_study(study: Study, folder: Path, objectives: Sequence[Metric]) -> dict[str, Any]:
    """Write ``study.json``; returns what it holds.

    ``importances`` (each objective's by parameter, adding up to 1, PED-ANOVA, Watanabe et al. 2023,
    arXiv:2304.10255) is null with fewer than four complete trials.
    """
    complete = [t for t in study.trials if t.state.name == "COMPLETE"]
    body = {
        "objectives": [{"name": m.key, "short": m.short, "better": m.better} for m in objectives],
        "finished": sum(trial.state.is_finished() for trial in study.trials),
        "best": [trial.number for trial in study.best_trials] if complete else [],
        "importances": _importances(study, objectives) if len(complete) >= _ENOUGH else None,
        "trials": [_trial(trial) for trial in study.trials],
    }
    write_json(folder / STUDY_FILE, body)
    return body


def _trial(trial: FrozenTrial) -> dict[str, Any]:
    state = trial.state.name.lower()
    return {
        "number": trial.number,
        "state": state,  # complete, pruned, fail; running: its run was cut off, or is going
        "params": trial.params,
        "values": trial.values if state == "complete" else None,
        "run_id": trial.user_attrs.get(RUN_ID),
        "status": trial.user_attrs.get(STATUS),
        "reason": trial.user_attrs.get(REASON),
        "AP_by_step": trial.user_attrs.get(ON_THE_WAY, {}),
    }


def _importances(study: Study, objectives: Sequence[Metric]) -> dict[str, dict[str, float]]:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    found = {}
    for place, metric in enumerate(objectives):

        def cost(trial: FrozenTrial, place: int = place, metric: Metric = metric) -> float:
            return metric.cost(float(trial.values[place]))

        with warnings.catch_warnings():  # it reminds us that less must be better
            warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator")
            found[metric.short] = get_param_importances(
                study, evaluator=PedAnovaImportanceEvaluator(), target=cost
            )
    return found


def describe_trial(trial: FrozenTrial, names: Sequence[str]) -> str:
    """A trial that ended, in a line."""
    return trial_line(_trial(trial), names)
