"""What a command line of ``odbench run`` asks for: one run, or which cells of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from odbench.config.composer import Composer
from odbench.config.spec import RunSpec
from odbench.errors import ConfigError, InputError
from odbench.launching.workers import check_installed
from odbench.searching.settings import Search, read_search

OWN, BASIC, SEARCH = "OdbenchSweeper", "BasicSweeper", "SearchSweeper"

_HYDRAS = ("hydra.", "hydra/")
_PLAIN_SUBDIR = "${hydra.job.num}"


@dataclass(frozen=True)
class Asked:
    """What a command line asks for."""

    config_name: str
    overrides: list[str]
    multirun: bool
    sweeper: str  # name of its class
    folder: Path  # of the run, or of the sweep
    folder_given: bool  # on the command line, and not by the configuration
    plain_subdir: bool  # a cell's folder is named by its number
    variants: list[list[str]]  # overrides; where the sweeper chooses as it goes, of some samples
    search: Search | None  # what is searched, by a sweeper of ours

    @property
    def enumerated(self) -> bool:
        """Whether all cells are known beforehand."""
        return not self.multirun or self.sweeper in (OWN, BASIC)


def read_command(
    composer: Composer, config_name: str, overrides: Sequence[str], multirun: bool
) -> Asked:
    """Parse and compose what the command line asks for; no cell is composed yet.

    Raises:
        InputError: It cannot be parsed or composed, or has several values for one run.
    """
    given = composer.parser.parse_overrides(list(overrides))
    fixed = [str(o.input_line) for o in given if not o.is_sweep_override()]
    config = compose(config_name, fixed, return_hydra_config=True)
    hydra = config.hydra
    check_installed(hydra.runtime.choices.get("hydra/launcher"))
    multirun = multirun or hydra.mode == RunMode.MULTIRUN or config.repeats > 1
    sweeper = str(hydra.sweeper._target_).rpartition(".")[2]
    variants, search = [_of_the_task(overrides)], None
    if multirun and sweeper == SEARCH:
        given_to_it: Any = OmegaConf.to_container(hydra.sweeper, resolve=True)
        search = read_search(composer.parser, given_to_it, variants[0])
        variants = search.space.samples()
    elif multirun:
        variants = _variants(composer, hydra.sweeper, sweeper, overrides, fixed)
    else:
        for override in given:
            if override.is_sweep_override():
                raise _several_values(override)
    raw: Any = OmegaConf.to_container(hydra.sweep, resolve=False)
    return Asked(
        config_name=config_name,
        overrides=list(overrides),
        multirun=multirun,
        sweeper=sweeper,
        folder=Path(hydra.sweep.dir if multirun else hydra.run.dir),
        folder_given=any(o.key_or_group == "hydra.sweep.dir" for o in given),
        plain_subdir=raw["subdir"] == _PLAIN_SUBDIR,
        variants=variants,
        search=search,
    )


def _variants(
    composer: Composer, config: DictConfig, sweeper: str, given: Sequence[str], fixed: list[str]
) -> list[list[str]]:
    if sweeper not in (OWN, BASIC):
        return [_of_the_task(fixed)]
    params = [f"{key}={value}" for key, value in (config.get("params") or {}).items()]
    parsed = composer.parser.parse_overrides([*params, *given])
    batches = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    cells = (list(cell) for batch in batches for cell in batch)
    return [_of_the_task(cell) for cell in cells]


def _of_the_task(overrides: Sequence[str]) -> list[str]:
    return [text for text in overrides if not text.lstrip("+~").startswith(_HYDRAS)]


def expand(composer: Composer, asked: Asked) -> list[tuple[list[str], RunSpec]]:
    """Overrides and specification of every cell; repeats are interleaved: A B A B.

    Raises:
        InputError: A cell that cannot be composed, named in a note.
    """
    variants = []
    for overrides in asked.variants:
        try:
            variants.append((overrides, composer.spec(overrides)))
        except InputError as error:
            if len(asked.variants) > 1:
                error.add_note(f"in the cell: {' '.join(overrides)}")
            raise
    repeats = max(spec.repeats for _, spec in variants)
    if asked.sweeper != OWN and repeats > 1:
        raise ConfigError(
            "this sweeper carries out no repeats",
            where="repeats",
            value=repeats,
            allowed="1 with another sweeper than odbench's",
            fix="leave hydra/sweeper at odbench, or sweep over the seed: seed=0,1,2",
        )
    cells = []
    for repeat in range(repeats):
        for overrides, spec in variants:
            if repeat < spec.repeats:
                texts = _repeated(overrides, spec, repeat)
                cells.append((texts, composer.spec(texts) if repeat else spec))
    return cells


def _repeated(overrides: list[str], spec: RunSpec, repeat: int) -> list[str]:
    if repeat == 0:
        return overrides
    seed = spec.seed if spec.same_seed else spec.seed + repeat
    kept = [text for text in overrides if not text.lstrip("+").startswith(("seed=", "repeat="))]
    return [*kept, f"seed={seed}", f"repeat={repeat}"]


def _several_values(override: Any) -> ConfigError:
    text = str(override.input_line)
    key, _, value = text.partition("=")
    return ConfigError(
        "several values for one run",
        where=key.lstrip("+~"),
        value=value,
        allowed="one value",
        fix=f"for a sweep add -m; for a list write {key}=[{value}]",
    )
