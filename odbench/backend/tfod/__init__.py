"""The engine: TF2 Keras models of the TensorFlow Object Detection API.

Importing this package imports neither TensorFlow nor the API; the child process of a run does so
on :meth:`TfodBackend.open`.
"""

from __future__ import annotations

from typing import Any

from odbench.backend import Job
from odbench.backend.tfod import compat
from odbench.errors import RunError
from odbench.events import EventLog
from odbench.pipeline.read import read_pipeline
from odbench.results import Device, ExportResult, InferenceResult, LatencyResult, TrainResult


class TfodBackend:
    """Carries out a run with TensorFlow; one instance, one run, one process."""

    def __init__(self) -> None:
        self._pipeline: Any = None
        self._seeds: dict[str, int] = {}
        self._trained: TrainResult | None = None
        self._exported: ExportResult | None = None

    def open(self, job: Job, log: EventLog) -> Device:
        """Import TensorFlow and the API, take the device, set the seeds."""
        compat.prepare_environment()
        compat.install()
        from odbench.backend.tfod import session

        session.quiet()
        device = session.open_device(job.spec)
        self._seeds = session.set_seeds(job.spec.seed)
        self._pipeline = read_pipeline(job.pipeline_config)
        return device

    def train(self, job: Job, log: EventLog) -> TrainResult:
        """See :func:`odbench.backend.tfod.training.train`."""
        from odbench.backend.tfod import session, training

        with session.memory_errors():
            self._trained = training.train(job.spec, self._pipeline, job.run_dir, self._seeds, log)
        return self._trained

    def evaluate(self, job: Job, log: EventLog) -> InferenceResult:
        """See :func:`odbench.backend.tfod.inference.evaluate`."""
        from odbench.backend.tfod import inference, session

        if self._trained is None or self._trained.checkpoint is None:
            raise RunError("there is no checkpoint to evaluate")
        path = str(job.run_dir / self._trained.checkpoint)
        with session.memory_errors():
            return inference.evaluate(
                job.spec, self._pipeline, path, job.dataset.splits["val"], log
            )

    def export(self, job: Job, log: EventLog) -> ExportResult:
        """See :func:`odbench.backend.tfod.exporting.export`."""
        from odbench.backend.tfod import exporting, session

        with session.memory_errors():
            self._exported = exporting.export(self._pipeline, job.run_dir)
        return self._exported

    def benchmark_exported(self, job: Job, log: EventLog) -> LatencyResult:
        """See :func:`odbench.backend.tfod.exporting.benchmark_exported`."""
        from odbench.backend.tfod import exporting, session

        if self._exported is None:
            raise RunError("there is no exported model to time")
        with session.memory_errors():
            return exporting.benchmark_exported(
                job.spec,
                job.run_dir / self._exported.saved_model,
                job.dataset.splits["val"],
                log,
            )

    def memory_peak_bytes(self) -> int | None:
        """Highest memory allocated on the GPU since the last call."""
        from odbench.backend.tfod import session

        return session.device_memory_peak()
