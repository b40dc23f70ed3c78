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
from odbench.backend.checkpoints import CHECKPOINT_DIR, keep_best
from odbench.backend.course import Course
from odbench.backend.loop import Scorer, train_loop
from odbench.config.fingerprint import stable_hash
from odbench.config.spec import ReplayFault
from odbench.errors import OutOfMemoryError, RunError
from odbench.events import EventLog
from odbench.measure.timer import StepSample
from odbench.records import write_json
from odbench.results import (
    Device,
    ExportResult,
    InferenceResult,
    LatencyResult,
    Stage,
    TrainResult,
)

_PARAMETERS = 1_000_000
_LATENCY_S = 0.01
_KEPT = 2  # last checkpoints
_FAULT_FILE = "replayed-fault"


class ReplayBackend:
    """Plays a run back; the same specification gives the same results."""

    def open(self, job: Job, log: EventLog) -> Device:
        """Nothing is taken."""
        return Device(kind="cpu", name="replay")

    def train(self, job: Job, log: EventLog, score: Scorer) -> TrainResult:
        """Play the steps back, with losses that fall."""
        course = Course(job.spec, job.run_dir)
        restore_s = 0.1 if course.resumed else None
        course.set_up(build_s=0.5, restore_s=restore_s, seeds={"numpy": job.spec.seed})
        return train_loop(job.spec, _Trainer(job, course), course, log, score)

    def evaluate(self, job: Job, checkpoint: str, log: EventLog) -> InferenceResult:
        """Detections near the ground truth: the nearer, the better the checkpoint."""
        _fault(job, Stage.eval)
        found = _detect(job, checkpoint)
        log.progress(Stage.eval, found.images_in_set, found.images_in_set)
        return found

    def export(self, job: Job, checkpoint: str, log: EventLog) -> ExportResult:
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

    def benchmark_exported(self, job: Job, exported: ExportResult, log: EventLog) -> LatencyResult:
        """Play latencies back."""
        _fault(job, Stage.latency)
        timing = job.spec.timing
        count = timing.latency_warmup + timing.latency_samples
        rng = _generator(job, "latency")
        samples = [_LATENCY_S * float(rng.lognormal(0, 0.1)) for _ in range(count)]
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


class _Trainer:
    """The engine of :func:`~odbench.backend.loop.train_loop`; a checkpoint is a small JSON file."""

    def __init__(self, job: Job, course: Course) -> None:
        self._job = job
        self._course = course
        self._rng = _generator(job, course.seed)
        last = course.kept.checkpoint
        self._saved = [] if last is None else [job.run_dir / f"{last}.json"]
        (job.run_dir / CHECKPOINT_DIR).mkdir(exist_ok=True)

    def step(self) -> StepSample[int]:
        replay = self._job.spec.replay
        step = self._course.step + 1
        if step == replay.fault_at_step:
            _fault(self._job, Stage.train)
        if replay.wait_s:
            time.sleep(replay.wait_s)
        # the first step of a process traces
        usual = replay.step_s * (20 if self._course.part_begins else 1)
        seconds = usual * float(self._rng.lognormal(0, 0.05))
        return StepSample(0.1 * seconds, 0.9 * seconds, step)

    def losses(self, result: int) -> tuple[float, dict[str, float | None]]:
        total = 0.2 + math.exp(-result / 200) * float(self._rng.lognormal(0, 0.1))
        return 0.01, {
            "Loss/total_loss": total,
            "Loss/classification_loss": 0.6 * total,
            "Loss/localization_loss": 0.4 * total,
        }

    def save(self, step: int) -> tuple[float, str]:
        prefix = f"{CHECKPOINT_DIR}/ckpt-{step}"
        path = self._job.run_dir / f"{prefix}.json"
        write_json(path, {"step": step})
        self._saved.append(path)
        for old in self._saved[:-_KEPT]:
            old.unlink(missing_ok=True)
        self._saved = self._saved[-_KEPT:]
        return 0.1, prefix

    def keep_best(self, prefix: str) -> str:
        return keep_best(self._job.run_dir, prefix)

    def evaluate(self, prefix: str) -> InferenceResult:
        return _detect(self._job, prefix)

    def parameters(self) -> int:
        return _PARAMETERS


def _generator(job: Job, *key: Any) -> np.random.Generator:
    """Random numbers of what identifies the run, and of what they are for."""
    spec = job.spec
    parts = [spec.model.name, spec.train.batch_size, spec.seed, job.dataset.hash, *key]
    return np.random.default_rng(int(stable_hash(parts)[:12], 16))


def _detect(job: Job, checkpoint: str) -> InferenceResult:
    """What a checkpoint detects; the same at every call."""
    body = json.loads((job.run_dir / f"{checkpoint}.json").read_text(encoding="utf-8"))
    quality = _quality(job, body["step"])
    rng = _generator(job, "detections")
    truth = json.loads(job.dataset.splits["val"].ground_truth.read_text(encoding="utf-8"))
    ids = [int(image["id"]) for image in truth["images"]]
    return InferenceResult(
        images_in_set=len(ids),
        image_ids=ids,
        batch_size=job.spec.eval_batch_size,
        build_s=0.1,
        first_batch_s=0.1,
        input_s=0.001 * len(ids),
        inference_s=_LATENCY_S * len(ids),
        detections=[
            _detection(annotation, quality, rng)
            for annotation in truth["annotations"]
            if rng.random() < 0.5 + 0.5 * quality
        ],
    )


def _quality(job: Job, step: int) -> float:
    """How good the model is after a step: it rises to ``replay.quality``, then may overfit."""
    replay, total = job.spec.replay, job.spec.num_steps
    peak = min(replay.overfit_from_step or total, total)
    if step <= peak:
        return replay.quality * (1 - math.exp(-5 * step / peak)) / (1 - math.exp(-5))
    return replay.quality * max(0.0, 1 - (step - peak) / peak)


def _detection(
    annotation: dict[str, Any], quality: float, rng: np.random.Generator
) -> dict[str, Any]:
    x, y, width, height = annotation["bbox"]
    dx, dy, dw, dh = rng.normal(0, 0.3 * (1 - quality), 4)
    return {
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "bbox": [x + dx * width, y + dy * height, width * math.exp(dw), height * math.exp(dh)],
        "score": float(rng.uniform(0.3, 1.0)),
    }


def _fault(job: Job, stage: Stage) -> None:
    """Go wrong as the specification asks, if it is this stage's turn, and once in a run."""
    replay = job.spec.replay
    struck = job.run_dir / _FAULT_FILE
    if replay.fault is ReplayFault.none or replay.fault_stage != stage or struck.exists():
        return
    struck.touch()
    if replay.fault is ReplayFault.fail:
        raise RunError("the replayed failure", where="replay.fault", value="fail")
    if replay.fault is ReplayFault.oom:
        raise OutOfMemoryError("the replayed lack of memory", where="replay.fault", value="oom")
    if replay.fault is ReplayFault.kill:
        os.kill(os.getpid(), signal.SIGKILL)
    hang = replay.fault is ReplayFault.hang
    signal.signal(signal.SIGTERM, signal.default_int_handler if hang else signal.SIG_IGN)
    while True:  # hang until a signal raises
        signal.pause()
