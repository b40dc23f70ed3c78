"""A study on disk: its trials, what became of them, and what the next ones are measured against."""

from __future__ import annotations

import os
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
    from optuna.storages import JournalStorage
    from optuna.trial import FrozenTrial, Trial

STORAGE_FILE = "study.log"

# Attributes of trials.
STATUS, REASON, RUN_ID, ON_THE_WAY = "status", "reason", "run_id", "AP_by_step"
_NAME = "odbench"  # of the one study in a file

# Parts of a specification that may differ when a study is gone on with.
_NO_MATTER = ("name", "paths", "runtime", "tracking")


def open_study(folder: Path, space: Space, objectives: Sequence[Metric], common: RunSpec) -> Study:
    """The study in a folder, made where there is none; the caller holds the folder.

    Args:
        folder: Of the sweep.
        space: What is searched.
        objectives: One or two.
        common: A sample of its trials; what cannot change a result may differ later.

    Raises:
        ConfigError: The one that is there searches something else.
    """
    import optuna

    folder.mkdir(parents=True, exist_ok=True)
    _mend(folder / STORAGE_FILE)
    study = optuna.create_study(
        storage=_storage(folder),
        study_name=_NAME,
        directions=[_direction(metric) for metric in objectives],
        load_if_exists=True,
    )
    searched = _searched(space, objectives, common)
    _compare(study, searched, folder)
    for name, value in searched.items():
        if name not in study.user_attrs:
            study.set_user_attr(name, value)
    return study


def check_study(folder: Path, space: Space, objectives: Sequence[Metric], common: RunSpec) -> None:
    """Make sure that a study can be gone on with, if there is one; nothing is written.

    Raises:
        ConfigError: It searches something else.
    """
    import optuna

    if (folder / STORAGE_FILE).exists():
        storage = _storage(folder)
        if storage.get_all_studies():
            study = optuna.load_study(study_name=_NAME, storage=storage)
            _compare(study, _searched(space, objectives, common), folder)


def _storage(folder: Path) -> JournalStorage:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.storages.JournalStorage(JournalFileBackend(str(folder / STORAGE_FILE)))


def _mend(path: Path) -> None:
    """Take away what a kill or a full disk left: Optuna would wait for it, or write behind it."""
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if path.exists():
        text = path.read_bytes()
        os.truncate(path, text.rfind(b"\n") + 1)


def _searched(space: Space, objectives: Sequence[Metric], common: RunSpec) -> dict[str, Any]:
    """What a study is told by."""
    matters = {key: value for key, value in spec_to_dict(common).items() if key not in _NO_MATTER}
    return {
        "space": {key: repr(drawn) for key, drawn in space.distributions.items()},
        "objectives": [metric.key for metric in objectives],
        "configuration beside it": stable_hash(matters),
    }


def _compare(study: Study, searched: dict[str, Any], folder: Path) -> None:
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


def ask_again(study: Study, space: Space, kind: str, seed: int, number: int) -> Trial:
    """A trial without an end; a kill may have come before all of its values were chosen."""
    import optuna

    study.sampler = sampler(kind, seed + number)
    trial = optuna.trial.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
    for name, drawn in space.distributions.items():
        trial._suggest(name, drawn)
    return trial


def running(study: Study) -> list[FrozenTrial]:
    """Trials that have no end yet: they are carried out, or were cut off."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def settle(study: Study, folder: Path, objectives: Sequence[Metric]) -> list[FrozenTrial]:
    """End the trials whose runs have ended; returns them.

    One whose run left no record, or was interrupted, stays without an end: its run is gone on with
    in its folder.
    """
    ended = []
    for trial in running(study):
        path = folder / str(trial.number) / RECORD_FILE
        record = load_record(path) if path.exists() else None
        if record is not None and record.status is not Status.interrupted:
            _tell(study, trial, record, objectives)
            ended.append(study.get_trials(deepcopy=False)[trial.number])
    return ended


def _tell(
    study: Study, trial: FrozenTrial, record: RunRecord, objectives: Sequence[Metric]
) -> None:
    """End a trial by what its run came to."""
    from optuna.trial import TrialState

    number = trial.number
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


def refuse(study: Study, number: int, reason: str) -> None:
    """End a trial that is no run."""
    from optuna.trial import TrialState

    _set(study, study.get_trials(deepcopy=False)[number], REASON, reason)
    study.tell(number, state=TrialState.FAIL)


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
