"""What a search was told: ``hydra.sweeper``, checked before anything of it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from odbench.errors import ConfigError
from odbench.report.pick_metrics import Metric, find_metric
from odbench.searching.space import Space, read_space

SAMPLERS = ("tpe", "random")

_WHERE = "hydra.sweeper"


@dataclass(frozen=True)
class Settings:
    """How trials are chosen and compared."""

    objectives: list[Metric]
    n_trials: int
    sampler: str
    seed: int
    at_once: int
    prune_after: int | None


@dataclass(frozen=True)
class Search:
    """A search as it was asked for."""

    settings: Settings
    space: Space


def read_search(
    parser: OverridesParser, given: Mapping[str, Any], overrides: Sequence[str]
) -> Search:
    """Check what a search is told.

    Args:
        parser: Of Hydra's grammar.
        given: ``hydra.sweeper``, resolved.
        overrides: Of the command line, without those of Hydra itself.

    Raises:
        ConfigError: A value that is not allowed, or a space that is none.
    """
    return Search(read_settings(given), read_space(parser, given["params"], overrides))


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Check all but the space.

    Raises:
        ConfigError: A value that is not allowed.
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
