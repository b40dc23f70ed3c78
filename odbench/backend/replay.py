"""The replay backend: a whole run in well under a second, without TensorFlow.

It plays back made-up but deterministic results, so that configuration, isolation, sweeps,
tracking and reports can be tried and tested. Its records carry the flag ``replayed``. On demand
it fails, runs out of memory, hangs or kills its own process.
"""

from __future__ import annotations

import json
import math
import os
import signal
import time
from typing import Any

import numpy as np

from odbench.backend import Job
from odbench.config.fingerprint import stable_hash
from odbench.config.spec import ReplayFault
from odbench.errors import OutOfMemoryError, RunError
from odbench.events import EventLog
from odbench.results import (
    CheckpointWrite,
    Device,
    ExportResult,
    InferenceResult,
    LatencyResult,
    LossPoint,
    Stage,
    TrainResult,
)

_PARAMETERS = 1_000_000
_LATENCY_S = 0.01


class ReplayBackend:
    """Plays a run back; the same specification gives the same results."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def open(self, job: Job, log: EventLog) -> Device:
        """Seed from what identifies the run."""
        spec = job.spec
        key = [spec.model.name, spec.train.batch_size, spec.seed, job.dataset.hash]
        self._rng = np.random.default_rng(int(stable_hash(key)[:12], 16))
        return Device(kind="cpu", name="replay")

    def train(self, job: Job, log: EventLog) -> TrainResult:
        """Play the steps back, with losses that fall."""
        spec = job.spec
        samples: list[float] = []
        losses: list[LossPoint] = []
        for step in range(1, spec.num_steps + 1):
            if step == spec.replay.fault_at_step:
                _fault(job, Stage.train)
            if spec.replay.wait_s:
                time.sleep(spec.replay.wait_s)
            samples.append(spec.replay.step_s * float(self._rng.lognormal(0, 0.05)))
            if step in (1, spec.num_steps) or step % spec.train.loss_every_steps == 0:
                point = self._loss(step)
                losses.append(point)
                log.emit("loss", stage=Stage.train, step=step, losses=point.losses)
            log.progress(Stage.train, step, spec.num_steps)
        checkpoint = job.run_dir / "train" / f"ckpt-{spec.num_steps}"
        checkpoint.parent.mkdir(exist_ok=True)
        checkpoint.write_text("replayed\n", encoding="utf-8")
        first = 1 + spec.timing.warmup_steps
        measured = samples[first : first + spec.timing.measured_steps]
        return TrainResult(
            num_steps=spec.num_steps,
            batch_size=spec.train.batch_size,
            build_s=0.5,
            restore_s=None,
            first_step_s=20 * spec.replay.step_s,
            warmup_step_s=samples[1:first],
            input_wait_s=[0.1 * s for s in measured],
            compute_s=[0.9 * s for s in measured],
            checkpoints=[CheckpointWrite(spec.num_steps, 0.1)],
            losses=losses,
            parameters=_PARAMETERS,
            checkpoint=str(checkpoint.relative_to(job.run_dir)),
            seeds={"numpy": spec.seed},
        )

    def _loss(self, step: int) -> LossPoint:
        total = 0.2 + math.exp(-step / 200) * float(self._rng.lognormal(0, 0.1))
        losses: dict[str, float | None] = {
            "Loss/total_loss": total,
            "Loss/classification_loss": 0.6 * total,
            "Loss/localization_loss": 0.4 * total,
        }
        return LossPoint(step, 0.01, losses)

    def evaluate(self, job: Job, log: EventLog) -> InferenceResult:
        """Detections near the ground truth: the nearer, the higher ``replay.quality``."""
        _fault(job, Stage.eval)
        truth = json.loads(job.dataset.splits["val"].ground_truth.read_text(encoding="utf-8"))
        ids = [int(image["id"]) for image in truth["images"]]
        log.progress(Stage.eval, len(ids), len(ids))
        return InferenceResult(
            images_in_set=len(ids),
            image_ids=ids,
            batch_size=job.spec.eval_batch_size,
            build_s=0.1,
            first_batch_s=0.1,
            input_s=0.001 * len(ids),
            inference_s=_LATENCY_S * len(ids),
            detections=[
                self._detection(a, job.spec.replay.quality)
                for a in truth["annotations"]
                if self._rng.random() < 0.5 + 0.5 * job.spec.replay.quality
            ],
        )

    def _detection(self, annotation: dict[str, Any], quality: float) -> dict[str, Any]:
        x, y, width, height = annotation["bbox"]
        spread = 0.3 * (1 - quality)
        dx, dy, dw, dh = self._rng.normal(0, spread, 4)
        return {
            "image_id": annotation["image_id"],
            "category_id": annotation["category_id"],
            "bbox": [
                x + dx * width,
                y + dy * height,
                width * math.exp(dw),
                height * math.exp(dh),
            ],
            "score": float(self._rng.uniform(0.3, 1.0)),
        }

    def export(self, job: Job, log: EventLog) -> ExportResult:
        """Write a small file where the model would be."""
        _fault(job, Stage.export)
        folder = job.run_dir / "export" / "saved_model"
        folder.mkdir(parents=True, exist_ok=True)
        body = b"replayed\n" * 100
        (folder / "saved_model.pb").write_bytes(body)
        return ExportResult(
            export_s=0.2,
            size_bytes=len(body),
            files=1,
            saved_model=str(folder.relative_to(job.run_dir)),
        )

    def benchmark_exported(self, job: Job, log: EventLog) -> LatencyResult:
        """Play latencies back."""
        _fault(job, Stage.latency)
        timing = job.spec.timing
        count = timing.latency_warmup + timing.latency_samples
        samples = [_LATENCY_S * float(self._rng.lognormal(0, 0.1)) for _ in range(count)]
        log.progress(Stage.latency, timing.latency_samples, timing.latency_samples)
        return LatencyResult(
            batch_size=1,
            load_s=0.1,
            first_call_s=0.1,
            warmup_s=samples[: timing.latency_warmup],
            latency_s=samples[timing.latency_warmup :],
            images=1,
            image_sizes=[[128, 128]],
        )

    def memory_peak_bytes(self) -> int | None:
        """Nothing is allocated on a device."""
        return None


def _fault(job: Job, stage: Stage) -> None:
    """Go wrong as the specification asks, if it is this stage's turn."""
    replay = job.spec.replay
    if replay.fault is ReplayFault.none or replay.fault_stage != stage:
        return
    if replay.fault is ReplayFault.fail:
        raise RunError("the replayed failure", where="replay.fault", value="fail")
    if replay.fault is ReplayFault.oom:
        raise OutOfMemoryError("the replayed lack of memory", where="replay.fault", value="oom")
    if replay.fault is ReplayFault.kill:
        os.kill(os.getpid(), signal.SIGKILL)
    if replay.fault is ReplayFault.ignore:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:  # hang until a signal raises
        signal.pause()
