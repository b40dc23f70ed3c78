"""The search itself: choose trials, launch them, learn what they came to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from odbench.config.compose import to_spec
from odbench.config.spec import RunSpec
from odbench.errors import ConfigError
from odbench.report.pick_metrics import Metric, find_metric
from odbench.report.study import summary
from odbench.searching.space import Space, read_space
from odbench.searching.study import (
    SAMPLERS,
    ask,
    finished,
    open_study,
    record_of,
    settle,
    tell,
    thresholds,
)
from odbench.searching.summary import describe_trial, write_study

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

_WHERE = "hydra.sweeper"

_log = logging.getLogger(__name__)


class Searching(Protocol):
    """What Hydra gave to the sweeper."""

    settings: dict[str, Any]
    hydra_context: HydraContext
    config: DictConfig
    launcher: Any


@dataclass(frozen=True)
class Settings:
    """What a search was told, checked."""

    objectives: list[Metric]
    n_trials: int
    sampler: str
    seed: int
    at_once: int
    prune_after: int | None


def read_settings(given: dict[str, Any]) -> Settings:
    """Check ``hydra.sweeper``.

    Raises:
        ConfigError: An unknown key or a value that is not allowed.
    """
    names = [str(name) for name in given["objectives"]]
    metrics = [find_metric(name, f"{_WHERE}.objectives") for name in names]
    checks = [
        ("objectives", 1 <= len(set(names)) == len(names) <= 2, "one or two different metrics"),
        ("n_trials", _at_least(1, given["n_trials"]), "an integer >= 1"),
        ("sampler", given["sampler"] in SAMPLERS, ", ".join(SAMPLERS)),
        ("seed", _at_least(0, given["seed"]), "an integer >= 0"),
        ("at_once", _at_least(1, given["at_once"]), "an integer >= 1"),
        ("prune_after", given["prune_after"] is None or _at_least(1, given["prune_after"]), "an "
         "integer >= 1, or null"),
    ]  # fmt: skip
    for key, good, allowed in checks:
        if not good:
            raise ConfigError(
                "this value is not allowed",
                where=f"{_WHERE}.{key}",
                value=given[key],
                allowed=allowed,
            )
    rest = {key: given[key] for key in ("n_trials", "sampler", "seed", "at_once", "prune_after")}
    return Settings(objectives=metrics, **rest)


def _at_least(least: int, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def search(sweeper: Searching, arguments: Sequence[str]) -> None:
    """Search until so many trials ended; a study that is there is gone on with.

    The caller holds the sweep's folder: nobody else goes on with the study meanwhile.

    Raises:
        ConfigError: Bad settings or space, or the study there is of another search.
    """
    settings = read_settings(sweeper.settings)
    folder = Path(sweeper.config.hydra.sweep.dir)
    parser = OverridesParser.create(config_loader=sweeper.hydra_context.config_loader)
    space = read_space(parser, sweeper.settings["params"], arguments)
    OmegaConf.save(sweeper.config, folder / "multirun.yaml")
    study = open_study(folder, space, settings.objectives, _spec(sweeper, space.fixed))
    settle(study, folder, settings.objectives)
    _search(sweeper, settings, space, study, folder)
    _log.info("study: %s", summary(write_study(study, folder, settings.objectives)))


def _search(
    sweeper: Searching, settings: Settings, space: Space, study: Study, folder: Path
) -> None:
    while (left := settings.n_trials - len(finished(study))) > 0:
        count = min(left, settings.at_once)
        trials = [ask(study, space, settings.sampler, settings.seed) for _ in range(count)]
        jobs = [
            _with_thresholds(sweeper, study, space.overrides(trial.params), settings.prune_after)
            for trial in trials
        ]
        _log.info("trials %d to %d of %d", trials[0].number, trials[-1].number, settings.n_trials)
        sweeper.launcher.launch(jobs, initial_job_idx=trials[0].number)
        for trial in trials:
            _end(study, trial, folder, settings)
        write_study(study, folder, settings.objectives)


def _end(study: Study, trial: Trial, folder: Path, settings: Settings) -> None:
    tell(study, trial.number, record_of(folder, trial.number), settings.objectives)
    ended = study.get_trials(deepcopy=False)[trial.number]
    _log.info("%s", describe_trial(ended, [metric.short for metric in settings.objectives]))


def _with_thresholds(
    sweeper: Searching, study: Study, overrides: list[str], prune_after: int | None
) -> list[str]:
    """The overrides of a trial, and what it has to reach on the way."""
    steps = steps_on_the_way(_spec(sweeper, overrides))
    below = thresholds(study, steps, prune_after)
    if not any(ap >= 0 for ap in below):
        return overrides
    return [*overrides, f"train.prune_below=[{','.join(map(str, below))}]"]


def _spec(sweeper: Searching, overrides: list[str]) -> RunSpec:
    return to_spec(sweeper.hydra_context.config_loader.load_sweep_config(sweeper.config, overrides))


def steps_on_the_way(spec: RunSpec) -> list[int]:
    """The steps of a run's evaluations on the way, but for the last step."""
    every = spec.train.eval_every_steps
    return [] if every is None else list(range(every, spec.num_steps, every))
