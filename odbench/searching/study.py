"""A study on disk: its trials, what became of them, and what the next ones are measured against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from odbench import derive
from odbench.config.compose import spec_to_dict
from odbench.config.fingerprint import stable_hash
from odbench.config.spec import RunSpec
from odbench.errors import ConfigError
from odbench.records import RECORD_FILE, load_record
from odbench.report.pick_metrics import Metric
from odbench.results import RunRecord, Status
from odbench.searching.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

STORAGE_FILE = "study.log"

# Attributes of trials and of the study.
KILLED, STATUS, REASON, RUN_ID, ON_THE_WAY = "killed", "status", "reason", "run_id", "AP_by_step"
_SPACE, _OBJECTIVES, _COMMON = "space", "objectives", "configuration beside it"

# Parts of a specification that may differ when a study is gone on with.
_NO_MATTER = ("name", "paths", "runtime", "tracking")

SAMPLERS = ("tpe", "random")


def open_study(folder: Path, space: Space, objectives: Sequence[Metric], common: RunSpec) -> Study:
    """The study in a folder, made where there is none.

    Args:
        folder: Of the sweep.
        space: What is searched.
        objectives: One or two.
        common: What all trials have in common; what cannot change a result may differ later.

    Raises:
        ConfigError: The one that is there searches something else.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / STORAGE_FILE))),
        study_name="odbench",
        directions=[_direction(metric) for metric in objectives],
        load_if_exists=True,
    )
    searched = {
        _SPACE: {key: repr(drawn) for key, drawn in space.distributions.items()},
        _OBJECTIVES: [metric.key for metric in objectives],
        _COMMON: stable_hash(
            {key: value for key, value in spec_to_dict(common).items() if key not in _NO_MATTER}
        ),
    }
    for name, value in searched.items():
        known = study.user_attrs.get(name)
        if known is not None and known != value:
            raise ConfigError(
                f"the study there has other {name}",
                where=str(folder),
                value=str(value),
                allowed=str(known),
                fix="give its command to go on with it, or hydra.sweeper.study=NAME for another",
            )
        study.set_user_attr(name, value)
    return study


def _direction(metric: Metric) -> Literal["maximize", "minimize"]:
    return "maximize" if metric.better == "higher" else "minimize"


def sampler(kind: str, seed: int) -> BaseSampler:
    """What chooses one trial.

    Each trial has a sampler and a seed of its own, so that a study that was broken off and gone
    on with chooses as if it had not been.
    """
    import optuna

    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def ask(study: Study, space: Space, kind: str, seed: int) -> Trial:
    """Choose one trial."""
    study.sampler = sampler(kind, seed + len(study.trials))
    return study.ask(space.distributions)


def settle(study: Study, folder: Path, objectives: Sequence[Metric]) -> None:
    """End the trials that were running when a search was killed.

    One whose run has ended counts; any other is marked failed and its configuration asked again.
    """
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        record = record_of(folder, trial.number)
        if record is None or record.status is Status.interrupted:
            _set(study, trial, KILLED, True)
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
        else:
            tell(study, trial.number, record, objectives)


def record_of(folder: Path, number: int) -> RunRecord | None:
    """The record of a trial's run, or None."""
    path = folder / str(number) / RECORD_FILE
    return load_record(path) if path.exists() else None


def tell(study: Study, number: int, record: RunRecord | None, objectives: Sequence[Metric]) -> None:
    """End a trial by what its run came to; one without a record has failed."""
    from optuna.trial import TrialState

    trial = study.get_trials(deepcopy=False)[number]
    if record is None:
        _set(study, trial, REASON, "its run left no record")
        study.tell(number, state=TrialState.FAIL)
        return
    _set(study, trial, STATUS, str(record.status))
    _set(study, trial, RUN_ID, record.run_id)
    _set(study, trial, ON_THE_WAY, aps_on_the_way(record))
    values = [value_of(metric, record) for metric in objectives]
    missing = [
        metric.key for metric, value in zip(objectives, values, strict=True) if value is None
    ]
    if record.status is Status.pruned:
        _set(study, trial, REASON, record.reason)
        study.tell(number, state=TrialState.PRUNED)
    elif record.status is not Status.ok or missing:
        _set(study, trial, REASON, record.reason or f"it has no {', '.join(missing)}")
        study.tell(number, state=TrialState.FAIL)
    else:
        study.tell(number, [float(value) for value in values if value is not None])


def _set(study: Study, trial: FrozenTrial, name: str, value: Any) -> None:
    study._storage.set_trial_user_attr(trial._trial_id, name, value)


def value_of(metric: Metric, record: RunRecord) -> float | None:
    """A run's value of an objective, None where it has none."""
    measured = derive.metrics(record)
    found = [value for key in metric.sources if (value := measured.get(key)) is not None]
    return max(found, default=None)


def aps_on_the_way(record: RunRecord) -> dict[str, float]:
    """AP of each evaluation on the way, by step."""
    points = record.train.evaluations if record.train else []
    found = ((str(point.step), point.metrics.get("AP")) for point in points)
    return {step: ap for step, ap in found if ap is not None}


def finished(study: Study) -> list[FrozenTrial]:
    """Trials that ended, well or not; those that were killed with their search do not count."""
    return [t for t in study.trials if t.state.is_finished() and not t.user_attrs.get(KILLED)]


def thresholds(study: Study, steps: Sequence[int], prune_after: int | None) -> list[float]:
    """For each step, the AP below which a trial is not worth going on: the median rule.

    Median of the complete trials' AP at that step, as Optuna's ``MedianPruner`` has it, which
    knows studies of one objective alone; -1 where fewer than ``prune_after`` came there.
    """
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    found = []
    for step in steps:
        aps = [t.user_attrs.get(ON_THE_WAY, {}).get(str(step)) for t in complete]
        known = [ap for ap in aps if ap is not None]
        enough = prune_after is not None and len(known) >= max(1, prune_after)
        found.append(round(median(known), 6) if enough else -1.0)
    return found
