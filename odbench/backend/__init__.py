"""The seam: what carries out a run. ``tfod`` is the real engine, ``replay`` its fake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from odbench.backend.loop import Scorer
from odbench.config.spec import BackendName, RunSpec
from odbench.dataset.types import Dataset
from odbench.errors import ConfigError
from odbench.events import EventLog
from odbench.results import (
    Device,
    ExportResult,
    InferenceResult,
    LatencyResult,
    TrainResult,
)


@dataclass(frozen=True)
class Job:
    """What a backend is handed: one run, prepared.

    ``pipeline_config`` is the path of the run's ``pipeline.config``; everything that the run
    writes goes below ``run_dir``.
    """

    spec: RunSpec
    dataset: Dataset
    pipeline_config: Path
    run_dir: Path


class Backend(Protocol):
    """Carries out the stages of one run, in order, in one process of its own.

    Every method reports progress to the log and raises
    :class:`~odbench.errors.OutOfMemoryError` when memory ran out.
    """

    def open(self, job: Job, log: EventLog) -> Device:
        """Take the device and set seeds; returns where the computing will be done."""
        ...

    def train(self, job: Job, log: EventLog, score: Scorer) -> TrainResult:
        """Train ``job.spec.num_steps`` steps, or until it stops early, and leave a checkpoint.

        Goes on from the last checkpoint in the run folder where there is one. ``score`` scores
        the evaluations on the way, outside every timed step.
        """
        ...

    def evaluate(self, job: Job, checkpoint: str, log: EventLog) -> InferenceResult:
        """Run a checkpoint (prefix, relative to the run folder) over the validation split."""
        ...

    def export(self, job: Job, checkpoint: str, log: EventLog) -> ExportResult:
        """Write the SavedModel of a checkpoint (prefix, relative to the run folder)."""
        ...

    def benchmark_exported(self, job: Job, exported: ExportResult, log: EventLog) -> LatencyResult:
        """Load the SavedModel and time calls of it on real images."""
        ...

    def memory_peak_bytes(self) -> int | None:
        """Highest device memory since the last call, or None on a CPU."""
        ...


def load_backend(name: BackendName) -> Backend:
    """The backend of that name; its heavy imports happen here."""
    if name is BackendName.replay:
        from odbench.backend.replay import ReplayBackend

        return ReplayBackend()
    if name is BackendName.tfod:
        from odbench.backend.tfod import TfodBackend

        return TfodBackend()
    raise ConfigError("unknown backend", where="backend", value=name, allowed="tfod, replay")
