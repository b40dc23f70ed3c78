"""Jobs as tasks of a Ray cluster: one of this machine's own, gone at the end, or one that exists.

Hydra's Ray plugin leaves its cluster's files in a place of Ray's own, starts a job whose worker
died anew, in the same folder, and then gives the sweep up; what a task does is taken from it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from omegaconf import open_dict

from odbench.launching.workers import Launching, begin, died
from odbench.measure.gpu import gpu_uuids

_OWN = (None, "local")  # addresses of a cluster that is started for the sweep


def launch(
    launcher: Launching, job_overrides: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Carry the jobs out, as many at once as the cluster has room for."""
    import ray

    begin(launcher, job_overrides, first)
    options = dict(launcher.params["remote"])
    if options.get("num_gpus") is None:  # a task that asks for none is shown none
        options["num_gpus"] = min(1, len(gpu_uuids()))
    with _cluster(dict(launcher.params["init"]), launcher.params["temp_dir"]):
        task = ray.remote(**options)(_carry_out)
        jobs = [
            task.remote(str(Path.cwd()), _call(launcher, overrides, number))
            for number, overrides in enumerate(job_overrides, first)
        ]
        return [_result(number, job) for number, job in enumerate(jobs, first)]


def _call(launcher: Launching, overrides: Sequence[str], number: int) -> dict[str, Any]:
    config = launcher.hydra_context.config_loader.load_sweep_config(
        launcher.config, list(overrides)
    )
    with open_dict(config):
        config.hydra.job.id = str(number)
        config.hydra.job.num = number
    return {
        "hydra_context": launcher.hydra_context,
        "sweep_config": config,
        "task_function": launcher.task_function,
        "singleton_state": Singleton.get_state(),
    }


def _carry_out(folder: str, call: dict[str, Any]) -> JobReturn:
    """One job, in a worker; paths are relative to where the sweep was started."""
    from hydra_plugins.hydra_ray_launcher._launcher_util import _run_job

    os.chdir(folder)
    return _run_job(**call)


def _result(number: int, job: Any) -> JobReturn:
    import ray

    try:
        return ray.get(job)
    except ray.exceptions.RayError as error:
        return died(number, error)


@contextmanager
def _cluster(init: dict[str, Any], temp_dir: str | None) -> Iterator[None]:
    """Be connected to a cluster; one of our own writes to a folder that is removed with it."""
    import ray

    if init.get("address") not in _OWN:
        ray.init(**init)
        try:
            yield
        finally:
            ray.shutdown()
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # short: the paths of its sockets must be
    with tempfile.TemporaryDirectory(prefix="ray-", dir=temp_dir, ignore_cleanup_errors=True) as at:
        ray.init(**init, _temp_dir=at)
        try:
            yield
        finally:
            ray.shutdown()
