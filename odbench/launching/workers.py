"""What launchers of ours have in common."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from odbench.errors import ConfigError, RunError
from odbench.results import Status

_log = logging.getLogger(__name__)

# By the name of a launcher: the modules that it needs, which the extra brings.
_NEEDED = {
    "joblib": ("joblib", "hydra_plugins.hydra_joblib_launcher"),
    "submitit_local": ("submitit", "hydra_plugins.hydra_submitit_launcher"),
    "submitit_slurm": ("submitit", "hydra_plugins.hydra_submitit_launcher"),
    "ray": ("ray", "hydra_plugins.hydra_ray_launcher"),
}


class Launching(Protocol):
    """What Hydra gave to a launcher."""

    params: dict[str, Any]
    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig


def check_installed(launcher: str | None) -> None:
    """Make sure that a launcher can be used.

    Raises:
        ConfigError: A package is missing.
    """
    missing = [name for name in _NEEDED.get(launcher or "", ()) if not _is_there(name)]
    if missing:
        raise ConfigError(
            f"this launcher needs packages that are not installed: {', '.join(missing)}",
            where="hydra/launcher",
            value=launcher,
            fix="install the extra odbench[launchers], or leave the launcher out",
        )


@contextmanager
def launcher_errors() -> Iterator[None]:
    """Say which launcher failed: joblib, submitit, SLURM and Ray each raise their own errors."""
    try:
        yield
    except Exception as error:
        name = type(error).__module__.partition(".")[0]
        if name not in ("joblib", "submitit", "ray", "concurrent"):
            raise
        raise RunError(
            f"the launcher gave the sweep up: {_first_line(error)}",
            where="hydra/launcher",
            fix="what had ended has its record; look into the sweep's folder for the rest",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent
        return False


def begin(launcher: Launching, job_overrides: Sequence[Sequence[str]], first: int) -> Path:
    """Make the sweep's folder and say what will be launched; returns the folder."""
    folder = Path(launcher.config.hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    _log.info("launching %d runs, in %s", len(job_overrides), folder)
    for number, overrides in enumerate(job_overrides, first):
        _log.info("\t#%d: %s", number, " ".join(filter_overrides(overrides)))
    return folder


def died(number: int, error: Exception) -> JobReturn:
    """What stands for the return of a job whose worker died: its run has no record."""
    _log.error("the worker of run #%d died: %s", number, _first_line(error))
    result = JobReturn()
    result.status = JobStatus.COMPLETED  # Hydra would end the sweep otherwise
    result.return_value = str(Status.failed)
    return result
