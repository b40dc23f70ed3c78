"""The search itself: choose trials, launch them, learn what they came to."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from odbench.config.compose import to_spec
from odbench.config.spec import RunSpec
from odbench.errors import ConfigError
from odbench.job import lacking_room
from odbench.report.study import summary
from odbench.searching.settings import Search, read_search
from odbench.searching.study import ask, ask_again, open_study, refuse, running, settle, thresholds
from odbench.searching.summary import describe_trial, write_study

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

_log = logging.getLogger(__name__)


class Searching(Protocol):
    """What Hydra gave to the sweeper."""

    settings: dict[str, Any]
    hydra_context: HydraContext
    config: DictConfig
    launcher: Any


def search(sweeper: Searching, arguments: Sequence[str]) -> str | None:
    """Search until there are as many trials as asked for; a study that is there is gone on with.

    The caller holds the sweep's folder: nobody else goes on with the study meanwhile.

    Returns:
        Why it did not come to its end; None: it did.

    Raises:
        ConfigError: Bad settings or space, or the study there is of another search.
    """
    folder = Path(sweeper.config.hydra.sweep.dir)
    parser = OverridesParser.create(config_loader=sweeper.hydra_context.config_loader)
    wanted = read_search(parser, sweeper.settings, arguments)
    objectives = wanted.settings.objectives
    OmegaConf.save(sweeper.config, folder / "multirun.yaml")
    common = _spec(sweeper, wanted.space.samples()[0])
    study = open_study(folder, wanted.space, objectives, common)
    settle(study, folder, objectives)
    for trials in _batches(study, wanted):
        if (lack := lacking_room(common)) is not None:
            return lack
        _carry_out(sweeper, wanted, study, folder, trials)
    _log.info("study: %s", summary(write_study(study, folder, objectives)))
    cut_off = ", ".join(str(trial.number) for trial in running(study))
    return f"runs that left no record are trials without an end: {cut_off}" if cut_off else None


def _batches(study: Study, wanted: Search) -> Iterator[Sequence[Trial]]:
    """Trials to launch together: those that an earlier start was cut off in, then new ones."""
    settings, space = wanted.settings, wanted.space
    how = (settings.sampler, settings.seed)
    begun = [ask_again(study, space, *how, trial.number) for trial in running(study)]
    for start in range(0, len(begun), settings.at_once):
        yield begun[start : start + settings.at_once]
    while (left := settings.n_trials - len(study.trials)) > 0:
        count = min(left, settings.at_once)
        yield [ask(study, space, *how) for _ in range(count)]


def _carry_out(
    sweeper: Searching, wanted: Search, study: Study, folder: Path, trials: Sequence[Trial]
) -> None:
    """Launch trials, each in the folder of its number, and tell the study what they came to."""
    settings, jobs = wanted.settings, []
    for trial in trials:
        try:
            jobs.append(_job(sweeper, wanted, study, trial))
        except ConfigError as error:  # these values together are none of a run
            _log.error("trial %d: %s", trial.number, error)
            refuse(study, trial.number, str(error))
    _log.info("trials %d to %d of %d", trials[0].number, trials[-1].number, settings.n_trials)
    if jobs:
        sweeper.launcher.launch(jobs, initial_job_idx=trials[0].number)
    for ended in settle(study, folder, settings.objectives):
        _log.info("%s", describe_trial(ended, [metric.short for metric in settings.objectives]))
    write_study(study, folder, settings.objectives)


def _job(sweeper: Searching, wanted: Search, study: Study, trial: Trial) -> list[str]:
    """The overrides of a trial, with its folder and what it has to reach on the way."""
    overrides = wanted.space.overrides(trial.params)
    steps = steps_on_the_way(_spec(sweeper, overrides))
    below = thresholds(study, steps, wanted.settings.prune_after)
    if any(ap >= 0 for ap in below):
        overrides.append(f"train.prune_below=[{','.join(map(str, below))}]")
    return [*overrides, f"hydra.sweep.subdir='{trial.number}'"]


def _spec(sweeper: Searching, overrides: list[str]) -> RunSpec:
    return to_spec(sweeper.hydra_context.config_loader.load_sweep_config(sweeper.config, overrides))


def steps_on_the_way(spec: RunSpec) -> list[int]:
    """The steps of a run's evaluations on the way, but for the last step."""
    every = spec.train.eval_every_steps
    return [] if every is None else list(range(every, spec.num_steps, every))
