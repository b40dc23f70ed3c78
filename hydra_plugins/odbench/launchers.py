"""Launchers whose jobs run in other processes; the work is done in ``odbench.launching``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class _Workers(Launcher):  # type: ignore[misc]
    """Keeps what Hydra gives to a launcher."""

    def __init__(self, **params: Any) -> None:
        self.params = params

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep the parts of the launch."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config


class SubmititLocal(_Workers):
    """Each job in a process of its own, some at once, by submitit."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Carry the jobs out; returns what they returned, in their order."""
        from odbench.launching.submitit_local import launch

        return launch(self, job_overrides, initial_job_idx)


class RayCluster(_Workers):
    """Jobs as tasks of a Ray cluster."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Carry the jobs out; returns what they returned, in their order."""
        from odbench.launching.ray_cluster import launch

        return launch(self, job_overrides, initial_job_idx)
