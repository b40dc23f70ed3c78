"""``odbench run``: check everything, let Hydra launch the jobs, then report.

Every cell is composed, typed, range-checked and its data converted before the first one starts.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from odbench import sweep
from odbench.config.compose import config_errors, hydra_session, open_overrides, to_spec
from odbench.config.register import PRIMARY, data_dir, register
from odbench.config.spec import RunSpec
from odbench.errors import ConfigError, InputError, OdbenchError, TrackingError
from odbench.hydra_job import ending_signals, hydra_job
from odbench.job import check_folders, prepare
from odbench.launching.workers import check_installed, launcher_errors
from odbench.records import StoredRun, find_runs, unfinished_runs
from odbench.results import Status
from odbench.tracking.untracked import untracked_reason


@dataclass
class Outcome:
    """What a launch came to."""

    folders: list[Path] = field(default_factory=list)  # that the runs lie in or below
    runs: list[StoredRun] = field(default_factory=list)
    lost: int = 0  # cells that left no record
    not_started: int = 0  # cells that an interruption came before
    untracked: list[str] = field(default_factory=list)  # why something was not logged
    unsent: list[Path] = field(default_factory=list)  # folders to send to the store later
    unreported: str | None = None  # why there is no report
    interrupted: bool = False
    report: Path | None = None

    @property
    def exit_code(self) -> int:
        """0 all well, 1 something failed, 130 interrupted."""
        if self.interrupted:
            return 130
        bad = (
            self.lost
            or self.untracked
            or self.unreported
            or any(r.record.status != Status.ok for r in self.runs)
        )
        return 1 if bad else 0


@dataclass(frozen=True)
class Plan:
    """The cells of a launch, checked."""

    specs: list[RunSpec]
    multirun: bool


def launch(arguments: Sequence[str]) -> Outcome | None:
    """Carry out ``odbench run ARGUMENTS``; None where only something was shown.

    Raises:
        InputError: Something is wrong with what was given; nothing was started.
    """
    register()
    sweep.current = sweep.folder = None
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us instead of being printed
    with config_errors():
        parsed, unknown = get_args_parser().parse_known_intermixed_args(list(arguments))
    if unknown:
        raise ConfigError(
            "no such option", where="command line", value=unknown[0], fix="see odbench run --help"
        )
    options = [argument for argument in arguments if argument not in parsed.overrides]
    parsed.overrides = open_overrides(parsed.overrides)
    argv = [*options, *parsed.overrides]  # Hydra's own parser wants them apart
    if parsed.help or parsed.hydra_help or parsed.cfg or parsed.info is not None:
        with config_errors():
            _hydra(argv, _no_job)
        return None
    overrides = list(parsed.overrides)
    if parsed.config_dir is not None:
        overrides.append(f"hydra.searchpath=[file://{Path(parsed.config_dir).resolve()}]")
    plan = make_plan(parsed.config_name or PRIMARY, overrides, parsed.multirun)
    outcome = Outcome()
    _run(argv, plan, outcome)
    return outcome


def check_store(plan: Plan) -> None:
    """Open the MLflow store: one that is down is better known now than after hours.

    Raises:
        TrackingError: It cannot be opened.
    """
    if plan.specs[0].tracking.enabled:
        from odbench.tracking.store import open_store

        open_store(plan.specs[0])


def make_plan(config_name: str, overrides: Sequence[str], multirun: bool) -> Plan:
    """Compose and check every cell and prepare its data.

    Raises:
        InputError: Naming the first cell that cannot be run.
        TrackingError: The MLflow store cannot be opened.
    """
    cells, multirun = _cells(config_name, overrides, multirun)
    specs = [_compose(config_name, cell) for cell in cells]
    for spec in specs:
        check_folders(spec)
    for cell, spec in zip(cells, specs, strict=True):
        try:
            prepare(spec)
        except InputError as error:
            if len(cells) > 1:
                error.add_note(f"in the cell: {shlex.join(cell)}")
            raise
    plan = Plan(specs, multirun)
    check_store(plan)
    return plan


def _compose(config_name: str, overrides: Sequence[str]) -> RunSpec:
    with hydra_session(), config_errors():
        return to_spec(compose(config_name, list(overrides)))


def _cells(
    config_name: str, overrides: Sequence[str], multirun: bool
) -> tuple[list[list[str]], bool]:
    """The overrides of every cell, and whether this is a multirun.

    A sweeper that chooses its cells as it goes cannot be asked: its defaults stand for all.
    """
    with hydra_session(), config_errors():
        # the loader knows the choices of a group, which glob(*) asks for
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        given = parser.parse_overrides(list(overrides))
        fixed = [str(o.input_line) for o in given if not o.is_sweep_override()]
        config = compose(config_name, fixed, return_hydra_config=True)
        multirun = multirun or config.hydra.mode == RunMode.MULTIRUN
        check_installed(config.hydra.runtime.choices.get("hydra/launcher"))
        if not multirun:
            for override in given:
                if override.is_sweep_override():
                    raise _several_values(override)
            return [list(overrides)], False
        sweeper = config.hydra.sweeper
        if not str(sweeper._target_).endswith("BasicSweeper"):
            return [fixed], True
        params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
        parsed = parser.parse_overrides(params + list(overrides))
        batches = BasicSweeper.split_arguments(parsed, max_batch_size=None)
        return [list(cell) for batch in batches for cell in batch], True


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


def _run(argv: list[str], plan: Plan, outcome: Outcome) -> None:
    """Let Hydra launch the jobs; whatever happens, report what was measured."""
    with finishing(plan, outcome), config_errors(), launcher_errors():
        _hydra(argv, hydra_job)


@contextmanager
def finishing(plan: Plan, outcome: Outcome) -> Iterator[None]:
    """Take signals for Ctrl-C meanwhile, and report what was measured whatever happens."""
    try:
        with ending_signals():
            yield
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        _finish(plan, outcome)


def _finish(plan: Plan, outcome: Outcome) -> None:
    """Write the report of everything that has a record, and close the sweep.

    What became of the runs is read from their folders: they may have been carried out anywhere.
    """
    spec = plan.specs[0]
    shared = sweep.current
    if sweep.folder is not None:
        outcome.folders.append(sweep.folder)
    folders = [folder for folder in outcome.folders if folder.is_dir()]
    outcome.runs = find_runs(folders)
    outcome.lost = max(0, len(plan.specs) - len(outcome.runs))
    if outcome.interrupted:
        begun = len(unfinished_runs(folders))
        outcome.not_started, outcome.lost = max(0, outcome.lost - begun), begun
    for run in outcome.runs:
        if (reason := untracked_reason(run.dir)) is not None:
            outcome.untracked.append(reason)
            outcome.unsent.append(Path(shared.dir) if shared else run.dir)
    if not outcome.runs:
        return
    if spec.paths.reports_dir is not None:
        folder = Path(shared.dir) if shared else outcome.runs[0].dir
        try:
            outcome.report = report_of(outcome.runs, Path(spec.paths.reports_dir), folder)
        except OdbenchError as error:  # what was measured is on disk and must be shown
            outcome.unreported = f"{error}\n  do:      odbench report {folder}, when it is mended"
    if shared is None or shared.mlflow_run_id is None:
        return
    from odbench.tracking.log import finish_sweep

    try:
        written = None if outcome.report is None else outcome.report.parent
        finish_sweep(spec, shared.mlflow_run_id, outcome.runs, written)
    except TrackingError as error:
        outcome.untracked.append(str(error))
        outcome.unsent.append(Path(shared.dir))


def report_of(runs: list[StoredRun], reports_dir: Path, folder: Path) -> Path:
    """The report of a run or sweep, named by its folder's last two parts."""
    from odbench.report.write import write_report

    target = reports_dir / "-".join(folder.parts[-2:])
    return write_report(runs, target, title=f"odbench: {target.name}")


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
