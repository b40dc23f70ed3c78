"""Jobs in processes of their own by submitit's local executor, a few at a time.

Hydra's submitit plugin starts all jobs of a sweep at once and gives up at the first whose process
died; its callable, which a job is, is used as it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn

from odbench.launching.workers import Launching, begin, died
from odbench.measure.gpu import gpu_uuids

_POLL_S = 0.2


def launch(
    launcher: Launching, job_overrides: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Carry the jobs out, ``jobs_at_once`` at a time; they are ended with us."""
    folder = begin(launcher, job_overrides, first)
    executor = _executor(launcher, str(folder / ".submitit" / "%j"))
    call = _callable(launcher)
    waiting = list(enumerate(job_overrides, first))
    going: dict[int, Any] = {}
    results: dict[int, JobReturn] = {}
    try:
        while waiting or going:
            while waiting and len(going) < launcher.params["jobs_at_once"]:
                number, overrides = waiting.pop(0)
                state = Singleton.get_state()
                going[number] = executor.submit(
                    call, list(overrides), "hydra.sweep.dir", number, str(number), state
                )
            for number in [number for number, job in going.items() if job.done()]:
                results[number] = _result(number, going.pop(number))
            if going:
                time.sleep(_POLL_S)
    except KeyboardInterrupt:
        _end(list(going.values()))
        raise
    return [results[number] for number in sorted(results)]


def _executor(launcher: Launching, folder: str) -> Any:
    import submitit

    executor = submitit.AutoExecutor(cluster="local", folder=folder)
    executor.update_parameters(
        timeout_min=launcher.params["timeout_min"],
        gpus_per_node=len(gpu_uuids()),  # all of them: which one a run takes, its lock says
        stderr_to_stdout=True,
    )
    return executor


def _callable(launcher: Launching) -> Any:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher

    call = LocalLauncher()
    call.setup(
        hydra_context=launcher.hydra_context,
        task_function=launcher.task_function,
        config=launcher.config,
    )
    return call


def _result(number: int, job: Any) -> JobReturn:
    try:
        return job.result()
    except Exception as error:  # whatever ended the process, submitit names it in its own way
        return died(number, error)


def _end(jobs: Sequence[Any]) -> None:
    """Pass Ctrl-C on, as a polite kill, and wait: a run ends its step and writes its record."""
    for job in jobs:
        job._process.terminate()
    for job in jobs:
        job._process.wait()
