"""odbench's sweeper, ``hydra/sweeper=odbench``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from omegaconf import OmegaConf

from hydra_plugins.odbench.parts import LaunchingSweeper

_OF_ANOTHER_LAUNCHER = 64  # cells that it is given at once


class OdbenchSweeper(LaunchingSweeper):
    """Carries out the cells of a sweep that are left to do.

    ``odbench run`` has planned them before Hydra begins, so that nothing is written where a cell
    cannot be run.

    Args:
        max_batch_size: Cells that the launcher is given at once; None: one of the basic launcher,
            which carries them out one after another anyway, else 64.
        params: What is swept, as on the command line; the plan has it.
    """

    def __init__(
        self, max_batch_size: int | None = None, params: dict[str, str] | None = None
    ) -> None:
        self.max_batch_size = max_batch_size
        self.params = params or {}

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        """Carry out what ``odbench run`` planned for these arguments."""
        from odbench.sweeping import carrying_out

        carrying = carrying_out.current
        if carrying is None or self.config is None:
            raise RuntimeError("hydra/sweeper=odbench is started by odbench run")
        OmegaConf.save(self.config, Path(self.config.hydra.sweep.dir) / "multirun.yaml")
        basic = isinstance(self.launcher, BasicLauncher)
        if basic:  # what is launched is told with what it has of its own
            logging.getLogger(BasicLauncher.__module__).setLevel(logging.WARNING)
        batch = self.max_batch_size or (1 if basic else _OF_ANOTHER_LAUNCHER)
        carrying_out.carry_out(carrying, self.launcher, batch)
        return []
