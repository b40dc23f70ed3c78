"""What the runs of one multirun share: an identity, an MLflow parent run, a folder."""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from odbench.config.compose import to_spec
from odbench.errors import TrackingError
from odbench.records import SWEEP_FILE, write_json

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sweep:
    """One multirun."""

    sweep_id: str
    dir: str
    mlflow_run_id: str | None  # the parent run; None where nothing is tracked


# Set in the process that started the launch, once it has begun: the multirun, if it is one, and
# the folder that its runs lie in or below.
current: Sweep | None = None
folder: Path | None = None


def read_sweep(directory: Path) -> Sweep | None:
    """The multirun that a folder belongs to, or None."""
    try:
        return Sweep(**json.loads((directory / SWEEP_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


class SweepCallback(Callback):  # type: ignore[misc]
    """Begins a launch: Hydra calls it in the process that launches the jobs."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Note where a single run lies."""
        global folder
        folder = Path(config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Make the sweep's folder, its identity and its MLflow parent run."""
        global current, folder
        folder = directory = Path(config.hydra.sweep.dir)
        directory.mkdir(parents=True, exist_ok=True)
        sweep_id = uuid.uuid4().hex
        current = Sweep(sweep_id, str(directory), self._parent_run(config, sweep_id, directory))
        write_json(directory / SWEEP_FILE, asdict(current))

    def _parent_run(self, config: DictConfig, sweep_id: str, directory: Path) -> str | None:
        if not config.tracking.enabled:
            return None
        from odbench.tracking.log import start_sweep

        bare = config.copy()
        try:
            name = f"{config.hydra.job.config_name}-{directory.name}"
            overrides = list(config.hydra.overrides.task)
            return start_sweep(to_spec(bare), sweep_id, name, overrides)
        except TrackingError as error:
            _log.warning("the sweep is not tracked: %s", error)
            return None
