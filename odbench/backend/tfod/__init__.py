"""The engine: TF2 Keras models of the TensorFlow Object Detection API.

Importing this package imports neither TensorFlow nor the API; the child process of a run does so
on :meth:`TfodBackend.open`.
"""

from __future__ import annotations

from typing import Any

from odbench.backend import Job
from odbench.backend.loop import Scorer
from odbench.backend.tfod import compat
from odbench.events import EventLog
from odbench.pipeline.read import read_pipeline
from odbench.results import Device, ExportResult, InferenceResult, LatencyResult, TrainResult


class TfodBackend:
    """Carries out a run with TensorFlow; one instance, one run, one process."""

    def __init__(self) -> None:
        self._pipeline: Any = None
        self._seeds: dict[str, int] = {}

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

    def train(self, job: Job, log: EventLog, score: Scorer) -> TrainResult:
        """See :func:`odbench.backend.tfod.training.train`."""
        from odbench.backend.tfod import session, training

        with session.memory_errors():
            return training.train(job, self._pipeline, self._seeds, log, score)

    def evaluate(self, job: Job, checkpoint: str, log: EventLog) -> InferenceResult:
        """See :func:`odbench.backend.tfod.inference.evaluate`."""
        from odbench.backend.tfod import inference, session

        path = str(job.run_dir / checkpoint)
        with session.memory_errors():
            return inference.evaluate(
                job.spec, self._pipeline, path, job.dataset.splits["val"], log
            )

    def export(self, job: Job, checkpoint: str, log: EventLog) -> ExportResult:
        """See :func:`odbench.backend.tfod.exporting.export`."""
        from odbench.backend.tfod import exporting, session

        with session.memory_errors():
            return exporting.export(self._pipeline, checkpoint, job.run_dir)

    def benchmark_exported(self, job: Job, exported: ExportResult, log: EventLog) -> LatencyResult:
        """See :func:`odbench.backend.tfod.exporting.benchmark_exported`."""
        from odbench.backend.tfod import exporting, session

        with session.memory_errors():
            return exporting.benchmark_exported(
                job.spec, job.run_dir / exported.saved_model, job.dataset.splits["val"], log
            )

    def memory_peak_bytes(self) -> int | None:
        """Highest memory allocated on the GPU since the last call."""
        from odbench.backend.tfod import session

        return session.device_memory_peak()
