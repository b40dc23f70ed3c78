"""Carrying out one run, stage by stage, in the process that was made for it.

A stage's result is written when the stage ends, so a run that is killed keeps what it had, and
one that is resumed goes on with the stage that had not ended.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from odbench.backend import Backend, Job
from odbench.backend.checkpoints import chosen_checkpoint
from odbench.backend.loop import Scorer
from odbench.backend.stopping import is_pruned
from odbench.dataset.stored_example import decode_example
from odbench.dataset.tfrecord import read_records
from odbench.dataset.types import Split
from odbench.errors import RunError
from odbench.evaluation.coco import score, score_further
from odbench.evaluation.gallery import Picture, draw_gallery
from odbench.evaluation.inputs import load_ground_truth
from odbench.evaluation.names import IouType
from odbench.events import EventLog
from odbench.measure.usage import UsageMeter
from odbench.records import write_json
from odbench.results import (
    Device,
    EvalPoint,
    EvalResult,
    ExportResult,
    InferenceResult,
    LatencyResult,
    Stage,
    StageUsage,
    TrainResult,
)

STAGES_DIR = "stages"
DEVICE_FILE = "device.json"
DETECTIONS_FILE = "detections.json"
GALLERY_DIR = "gallery"

T = TypeVar("T", bound=TrainResult | EvalResult | ExportResult | LatencyResult)

_RESULTS: dict[Stage, Any] = {
    Stage.train: TrainResult,
    Stage.eval: EvalResult,
    Stage.export: ExportResult,
    Stage.latency: LatencyResult,
}


def run(job: Job, backend: Backend, log: EventLog) -> None:
    """Train, evaluate, export and time one run; each result lands in ``stages/``."""
    spec = job.spec
    stages = _Stages(job, backend, log)
    trained = stages.carry_out(Stage.train, lambda: backend.train(job, log, _scorer(job)))
    if trained.stopped_early and is_pruned(trained.evaluations, spec.train.prune_below):
        raise TrainingPruned(trained.evaluations[-1])
    checkpoint = chosen_checkpoint(trained, spec.export.checkpoint)
    if spec.eval.enabled:
        stages.carry_out(Stage.eval, lambda: _evaluate(job, backend, checkpoint, log))
        _draw(job)
    if spec.export.enabled:
        exported = stages.carry_out(Stage.export, lambda: backend.export(job, checkpoint, log))
        if spec.timing.latency_enabled:
            work = functools.partial(backend.benchmark_exported, job, exported, log)
            stages.carry_out(Stage.latency, work)


class TrainingPruned(Exception):
    """A training was given up as ``train.prune_below`` says; its result was written."""

    def __init__(self, point: EvalPoint) -> None:
        super().__init__(
            f"AP {point.metrics.get('AP') or 0:.3f} at step {point.step} is below train.prune_below"
        )


class _Stages:
    """Takes the device, then carries out stages, measured, each result written as it ends."""

    def __init__(self, job: Job, backend: Backend, log: EventLog) -> None:
        self._run_dir = job.run_dir
        self._folder = job.run_dir / STAGES_DIR
        self._folder.mkdir(exist_ok=True)
        self._backend = backend
        self._log = log
        self._device: Device = backend.open(job, log)
        _check_device(job.run_dir, self._device)
        write_json(self._folder / DEVICE_FILE, dataclasses.asdict(self._device))
        log.emit("device", kind=self._device.kind, name=self._device.name)

    def carry_out(self, stage: Stage, work: Callable[[], T]) -> T:
        """Do one stage's work and write what it gave and what it used; once in a run's life."""
        done = read_stage(self._run_dir, stage)
        if done is not None:
            result: T = done[0]
            return result
        self._log.emit("stage_begin", stage=stage)
        meter = UsageMeter(self._device, self._backend.memory_peak_bytes)
        result = work()
        usage = _of_all_parts(result, meter.stop())
        body = {"usage": dataclasses.asdict(usage), "result": dataclasses.asdict(result)}
        write_json(stage_file(self._run_dir, stage), body)
        self._log.emit("stage_end", stage=stage, wall_s=usage.wall_s)
        return result


def _check_device(run_dir: Path, device: Device) -> None:
    """One run, one device: times of two would make one mean."""
    try:
        begun = json.loads((run_dir / STAGES_DIR / DEVICE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    if (begun["kind"], begun["name"]) != (device.kind, device.name):
        raise RunError(
            "the run was begun on another device",
            where=str(run_dir),
            value=f"{device.kind} {device.name}",
            allowed=f"{begun['kind']} {begun['name']}",
            fix="resume it there, or run it anew here",
        )


def _of_all_parts(result: object, usage: StageUsage) -> StageUsage:
    """What a stage used, where its training began in an earlier process.

    The wall times of the parts add up, as far as their steps count. What an earlier process used
    of the rest went with it, so sums are unknown; peaks and states are the last process's.
    """
    parts = result.parts[:-1] if isinstance(result, TrainResult) else []
    if not parts:
        return usage
    wall_s = usage.wall_s + sum(part.wall_s for part in parts)
    return dataclasses.replace(usage, wall_s=wall_s, cpu_s=None, gpu_energy_j=None)


def _scorer(job: Job) -> Scorer:
    """Scores evaluations on the way as the eval stage does."""
    truth = load_ground_truth(job.dataset.splits["val"].ground_truth)

    def scores(inference: InferenceResult) -> dict[str, float | None]:
        detections = _of_known_classes(job, inference.detections)
        return dict(score(truth, detections, job.spec.eval.engine).metrics)

    return scores


def _of_known_classes(job: Job, detections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Detections of classes that have a name.

    An id that the label map skips has an output of the model and no name: nothing can be there
    to detect. The API's evaluators leave such detections out too.
    """
    known = set(job.dataset.class_ids.values())
    return [found for found in detections if found["category_id"] in known]


def _evaluate(job: Job, backend: Backend, checkpoint: str, log: EventLog) -> EvalResult:
    """Inference by the backend, scoring by COCO's rules."""
    inference = backend.evaluate(job, checkpoint, log)
    detections = _of_known_classes(job, inference.detections)
    write_json(job.run_dir / DETECTIONS_FILE, detections)
    started = time.perf_counter()
    truth = load_ground_truth(job.dataset.splits["val"].ground_truth)
    scores = score(truth, detections, job.spec.eval.engine)
    further = {
        kind: score_further(truth, detections, kind)
        for kind, predicted in (
            (IouType.segm, inference.has_masks),
            (IouType.keypoints, inference.has_keypoints),
        )
        if predicted
    }
    metric_s = time.perf_counter() - started
    return EvalResult(
        images_in_set=len(truth["images"]),
        images_evaluated=len(set(inference.image_ids) & {i["id"] for i in truth["images"]}),
        batch_size=inference.batch_size,
        build_s=inference.build_s,
        first_batch_s=inference.first_batch_s,
        input_s=inference.input_s,
        inference_s=inference.inference_s,
        metric_s=metric_s,
        num_detections=len(detections),
        engine=job.spec.eval.engine.name,
        metrics=dict(scores.metrics),
        per_class=dict(scores.per_class),
        detections=DETECTIONS_FILE,
        checkpoint=checkpoint,
        mask_metrics=further.get(IouType.segm),
        keypoint_metrics=further.get(IouType.keypoints),
        postprocess_s=inference.postprocess_s,
    )


def _draw(job: Job) -> None:
    """Keep a few evaluation pictures with their boxes; outside every measured stage."""
    count = job.spec.eval.gallery_images
    if count == 0 or any((job.run_dir / GALLERY_DIR).glob("*.png")):
        return
    detections = json.loads((job.run_dir / DETECTIONS_FILE).read_text(encoding="utf-8"))
    pictures = gallery_pictures(job.dataset.splits["val"], count)
    draw_gallery(pictures, detections, job.dataset.names_by_output, job.run_dir / GALLERY_DIR)


def gallery_pictures(split: Split, count: int) -> list[Picture]:
    """The first pictures of a split, with their ground truth."""
    pictures: list[Picture] = []
    for path in split.records:
        for record in read_records(path):
            if len(pictures) == count:
                return pictures
            example = decode_example(record, str(path))
            boxes = [(b.label, b.xmin, b.ymin, b.xmax, b.ymax) for b in example.image.boxes]
            pictures.append(Picture(int(example.source_id), example.image.encoded, boxes))
    return pictures


def read_stage(run_dir: Path, stage: Stage) -> tuple[Any, StageUsage] | None:
    """The result of a stage that ended and what the stage used; None of one that did not."""
    try:
        body = json.loads(stage_file(run_dir, stage).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    result = TypeAdapter(_RESULTS[stage]).validate_python(body["result"])
    return result, TypeAdapter(StageUsage).validate_python(body["usage"])


def stage_file(run_dir: Path, stage: Stage) -> Path:
    """Where a stage's result is written."""
    return run_dir / STAGES_DIR / f"{stage}.json"
