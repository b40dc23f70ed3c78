"""``odbench run``: plan and check everything, let Hydra launch what is left to do, then report.

Every cell is composed, typed, range-checked and its data converted before the first one starts.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

from odbench.config.compose import config_errors, hydra_session, open_overrides
from odbench.config.composer import Composer
from odbench.config.register import PRIMARY, data_dir, register
from odbench.config.spec import RunSpec
from odbench.ending import Outcome, check_store, ending
from odbench.errors import ConfigError, InputError
from odbench.hydra_job import hydra_job
from odbench.launching.workers import launcher_errors
from odbench.orphans import LAUNCHER_VARIABLE
from odbench.searching.study import check_study
from odbench.sweep import Sweep, track_sweep, write_sweep
from odbench.sweep_ending import ending_sweep, overrides_of
from odbench.sweeping import carrying_out
from odbench.sweeping.asked import OWN, Asked, expand, read_command
from odbench.sweeping.carrying_out import Carrying, quoted
from odbench.sweeping.checking import Checker
from odbench.sweeping.folder import find_folder, held_sweep
from odbench.sweeping.options import Options, lasting, take_options
from odbench.sweeping.plan import Cell, SweepPlan, digest_of, plan_sweep
from odbench.tracking.naming import sweep_name


@dataclass(frozen=True)
class Launch:
    """A command line of ``odbench run``, with its cells composed and their inputs checked."""

    argv: list[str]  # for Hydra
    options: Options
    asked: Asked
    cells: list[Cell]  # of a sweeper that chooses as it goes, samples
    checker: Checker

    @property
    def spec(self) -> RunSpec:
        """Of one of its runs; paths and tracking are the same for all."""
        return self.cells[0].spec

    @property
    def runs_dir(self) -> Path:
        """Where runs are."""
        return Path(self.spec.paths.runs_dir)

    @property
    def digest(self) -> str | None:
        """What a sweep is found again by; None: its cells are not known beforehand."""
        return digest_of(self.cells) if self.asked.enumerated else None


def launch(arguments: Sequence[str]) -> Outcome | None:
    """Carry out ``odbench run ARGUMENTS``; None where only something was shown.

    Raises:
        InputError: Something is wrong with what was given; nothing was started.
        TrackingError: The MLflow store cannot be opened.
    """
    register()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us instead of being printed
    os.environ[LAUNCHER_VARIABLE] = str(os.getpid())
    options, rest = take_options(arguments)
    with config_errors():
        parser = get_args_parser()
        parser.error = _refuse  # argparse's prints all its options
        parsed, unknown = parser.parse_known_intermixed_args(rest)
    if unknown:
        raise ConfigError(
            "no such option", where="command line", value=unknown[0], fix="see odbench run --help"
        )
    flags = [argument for argument in rest if argument not in parsed.overrides]
    parsed.overrides = open_overrides(parsed.overrides)
    argv = [*flags, *parsed.overrides]  # Hydra's own parser wants them apart
    if parsed.help or parsed.hydra_help or parsed.cfg or parsed.info is not None:
        with config_errors():
            _hydra(argv, _no_job)
        return None
    overrides = list(parsed.overrides)
    if parsed.config_dir is not None:
        overrides.append(f"hydra.searchpath=[file://{Path(parsed.config_dir).resolve()}]")
    name = parsed.config_name or PRIMARY
    planned = prepare_launch(name, overrides, argv, options, multirun=parsed.multirun)
    if not planned.asked.multirun:
        return _run(planned)
    outcome = _sweep(planned)
    again = shlex.join(["odbench", "run", *lasting(arguments)])
    outcome.goes_on_by = again
    return outcome


def _refuse(message: str) -> NoReturn:
    raise ConfigError(message, where="command line", fix="see odbench run --help")


def prepare_launch(
    name: str, overrides: list[str], argv: list[str], options: Options, *, multirun: bool
) -> Launch:
    """Compose every cell, and find and convert its inputs.

    Raises:
        InputError: Naming the first cell that cannot be run.
    """
    checker = Checker()
    cells = []
    with hydra_session(), config_errors():
        where = [text for text in overrides if text.startswith("hydra.searchpath=")]
        composer = Composer(name, where)
        asked = read_command(composer, name, overrides, multirun)
        for texts, spec in expand(composer, asked):
            with _named(texts, len(asked.variants)):
                known = checker.identify(spec)
            cells.append(Cell(texts, spec, known.fingerprint, known.variant))
    _check_options(asked, options)
    return Launch(argv, options, asked, cells, checker)


def _check_options(asked: Asked, options: Options) -> None:
    told = " ".join(argument for argument in sys.argv[2:] if argument.startswith("--"))
    if not asked.multirun and options != Options():
        raise ConfigError(
            "only a sweep is planned and gone on with",
            where="command line",
            value=told,
            fix="for a sweep add -m or repeats=N; odbench resume goes on with a single run",
        )
    if asked.sweeper != OWN and replace(options, dry_run=False, as_json=False) != Options():
        raise ConfigError(
            "this sweeper goes by no plan",
            where="command line",
            value=told,
            allowed="--dry-run",
            fix="leave hydra/sweeper at odbench; a search goes on by the same command without it",
        )


class _named:
    """Names the cell in an error about its inputs."""

    def __init__(self, overrides: list[str], cells: int) -> None:
        self._note = f"in the cell: {shlex.join(overrides)}" if cells > 1 else None

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InputError) and self._note is not None:
            error.add_note(self._note)


def _check(planned: Launch, cells: Sequence[Cell]) -> None:
    """The dearer checks, of what is going to be run; and the store.

    Raises:
        InputError: A pipeline that cannot be built, or a study of another search.
        TrackingError: The store cannot be opened.
    """
    for cell in cells:
        with _named(cell.overrides, len(cells)):
            planned.checker.check(cell.spec, cell.variant)
    search = planned.asked.search
    if search is not None:
        objectives = search.settings.objectives
        check_study(planned.asked.folder, search.space, objectives, planned.spec)
    check_store(planned.spec)


def _run(planned: Launch) -> Outcome:
    """One run."""
    _check(planned, planned.cells)
    outcome = Outcome(folders=[planned.asked.folder])
    argv = [*planned.argv, f"hydra.run.dir={quoted(str(planned.asked.folder))}"]
    with ending([planned.spec], outcome), config_errors():
        _hydra(argv, hydra_job)
    return outcome


def _sweep(planned: Launch) -> Outcome:
    """A sweep, or what is left of it."""
    asked, options, digest = planned.asked, planned.options, planned.digest
    again = asked.sweeper == OWN and not (options.new or asked.folder_given)
    known = find_folder(planned.runs_dir, digest) if again and digest is not None else None
    plan = _plan(planned, known or asked.folder)
    if options.dry_run:
        return Outcome(sweep=plan, planned_only=True)
    _check(planned, [each.cell for each in plan.todo] if asked.enumerated else planned.cells)
    outcome = Outcome()
    with held_sweep(planned.runs_dir, asked.folder, digest, again=again) as entered:
        plan = _plan(planned, Path(entered.dir))
        sweep = _opened(planned, plan, entered)
        carrying = Carrying(plan, options.fail_fast)
        with (
            ending_sweep(carrying, sweep, planned.spec, outcome),
            config_errors(),
            launcher_errors(),
        ):
            _launch_cells(planned, carrying)
    return outcome


def _opened(planned: Launch, plan: SweepPlan, sweep: Sweep) -> Sweep:
    """The sweep with its MLflow run; one that is done with is left as it is."""
    if sweep.closed and planned.asked.enumerated and not plan.todo:
        return sweep
    name = sweep_name(planned.asked.config_name, Path(sweep.dir))
    told = overrides_of(planned.asked.overrides)
    tracked = track_sweep(sweep, planned.spec, name, told)
    return write_sweep(replace(tracked, closed=False, fail_fast=planned.options.fail_fast))


def _plan(planned: Launch, folder: Path) -> SweepPlan:
    if not planned.asked.enumerated:
        return SweepPlan(folder, [], goes_on=False)
    plain = planned.asked.plain_subdir
    return plan_sweep(planned.cells, folder, planned.options, plain_subdir=plain)


def _launch_cells(planned: Launch, carrying: Carrying) -> None:
    asked, plan = planned.asked, carrying.plan
    if asked.enumerated and not plan.todo:
        return
    if asked.sweeper != OWN:  # it launches them itself, all of them
        carrying.launched = len(plan.cells) or 1
    multirun = [] if {"-m", "--multirun"} & set(planned.argv) else ["--multirun"]
    argv = [*multirun, *planned.argv, f"hydra.sweep.dir={quoted(str(plan.dir))}"]
    carrying_out.current = carrying
    try:
        _hydra(argv, hydra_job)
    finally:
        carrying_out.current = None


def _hydra(argv: list[str], job: Any) -> None:
    """Hydra's own main, with our arguments."""
    previous = sys.argv
    sys.argv = ["odbench run", *argv]
    try:
        hydra.main(config_path=str(data_dir("conf")), config_name=PRIMARY, version_base="1.3")(
            job
        )()
    finally:
        sys.argv = previous


def _no_job(config: DictConfig) -> None:
    raise ConfigError("nothing is run by this option", where="command line")
