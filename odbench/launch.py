"""``odbench run``: check everything, let Hydra launch the jobs, then report.

Every cell is composed, typed, range-checked and its data converted before the first one starts.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import hydra
from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from odbench import sweep
from odbench.attempt import RunInterrupted
from odbench.config.compose import config_errors, hydra_session, open_overrides, to_spec
from odbench.config.register import PRIMARY, data_dir, register
from odbench.config.spec import RunSpec
from odbench.errors import ConfigError, InputError, OdbenchError, TrackingError
from odbench.job import check_folders, prepare, run_job
from odbench.jobfile import read_job
from odbench.records import StoredRun, find_runs
from odbench.results import Status

FIGURES_DIR = "figures"

# What ends a launch as Ctrl-C does: a polite kill, a terminal that closes.
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

_log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What a launch came to."""

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
    sweep.current = None
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

    def job(config: DictConfig) -> str:
        return str(_job(config, outcome))

    with finishing(plan, outcome), config_errors():
        _hydra(argv, job)


@contextmanager
def finishing(plan: Plan, outcome: Outcome) -> Iterator[None]:
    """Take signals for Ctrl-C meanwhile, and report what was measured whatever happens."""
    previous = {number: signal.signal(number, _interrupt) for number in _ENDING_SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _finish(plan, outcome)


def _job(config: DictConfig, outcome: Outcome) -> Status:
    """One Hydra job: a run, tracked. Never raises but to stop the whole launch."""
    hydra_config = HydraConfig.get()
    spec = to_spec(config)
    overrides = list(hydra_config.overrides.task)
    shared = None
    if hydra_config.mode == RunMode.MULTIRUN:
        shared = sweep.read_sweep(Path(hydra_config.sweep.dir))
    run_dir = Path(hydra_config.runtime.output_dir)
    sweep_id = shared.sweep_id if shared else None
    return tracked(lambda: run_job(spec, run_dir, overrides, sweep_id), spec, shared, outcome)


def tracked(
    work: Callable[[], StoredRun], spec: RunSpec, shared: sweep.Sweep | None, outcome: Outcome
) -> Status:
    """Carry out one run and track it, also one that was interrupted, which ends the launch."""
    try:
        stored = work()
    except RunInterrupted as interruption:
        outcome.runs.append(interruption.stored)
        _track(interruption.stored, spec, shared, outcome)
        raise
    except OdbenchError as error:  # its inputs were good a moment ago
        _log.error("%s", error)
        outcome.lost += 1
        return Status.failed
    outcome.runs.append(stored)
    _track(stored, spec, shared, outcome)
    return stored.record.status


def _track(stored: StoredRun, spec: RunSpec, shared: sweep.Sweep | None, outcome: Outcome) -> None:
    """Log a run to MLflow; a store that is down costs nothing that was measured."""
    if not spec.tracking.enabled:
        return
    from odbench.tracking.log import log_run, logging_lock

    try:
        with logging_lock(stored.dir):
            draw_run(stored)
            log_run(stored, spec, shared.mlflow_run_id if shared else None)
    except TrackingError as error:
        _log.error("%s is on disk and was not tracked: %s", stored.dir, error)
        outcome.untracked.append(str(error))
        outcome.unsent.append(Path(shared.dir) if shared else stored.dir)


def draw_run(stored: StoredRun) -> None:
    """Write what a run is tracked with besides its own files: its figures and its data set's."""
    from odbench.report.comparison import compare
    from odbench.report.figures import draw_figures

    folder = stored.dir / FIGURES_DIR
    folder.mkdir(exist_ok=True)
    draw_figures(compare([stored]).groups[0], folder)
    _describe_dataset(stored.dir)


def _describe_dataset(run_dir: Path) -> None:
    """Write statistics and pictures of a run's data set: a run is tracked without them, too."""
    from odbench.report.dataset_figures import write_dataset_files
    from odbench.tracking.dataset import DATASET_FOLDER

    try:
        write_dataset_files(read_job(run_dir).dataset, run_dir / DATASET_FOLDER)
    except (OdbenchError, OSError) as error:
        _log.warning("nothing is tracked about the data set of %s: %s", run_dir, error)


def _finish(plan: Plan, outcome: Outcome) -> None:
    """Write the report of everything that has a record, and close the sweep."""
    spec = plan.specs[0]
    shared = sweep.current
    if shared is not None:
        outcome.runs = find_runs([Path(shared.dir)])
        missing = max(0, len(plan.specs) - len(outcome.runs))
        outcome.not_started = missing - outcome.lost if outcome.interrupted else 0
        outcome.lost = missing - outcome.not_started
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


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
