"""Carrying out one run, stage by stage, in the process that was made for it.

A stage's result is written when the stage ends, so a run that is killed keeps what it had.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from odbench.backend import Backend, Job
from odbench.dataset.example import decode_example
from odbench.dataset.tfrecord import read_records
from odbench.dataset.types import Split
from odbench.evaluation.coco import score
from odbench.evaluation.gallery import Picture, draw_gallery
from odbench.evaluation.inputs import load_ground_truth
from odbench.events import EventLog
from odbench.measure.usage import UsageMeter
from odbench.records import write_json
from odbench.results import Device, EvalResult, Stage

STAGES_DIR = "stages"
DEVICE_FILE = "device.json"
DETECTIONS_FILE = "detections.json"
GALLERY_DIR = "gallery"


def run(job: Job, backend: Backend, log: EventLog) -> None:
    """Train, evaluate, export and time one run; each result lands in ``stages/``."""
    spec = job.spec
    device = _open(job, backend, log)
    _stage(job, backend, device, log, Stage.train, lambda: backend.train(job, log))
    if spec.eval.enabled:
        _stage(job, backend, device, log, Stage.eval, lambda: _evaluate(job, backend, log))
        _draw(job)
    if spec.export.enabled:
        _stage(job, backend, device, log, Stage.export, lambda: backend.export(job, log))
        if spec.timing.latency_enabled:
            _stage(
                job,
                backend,
                device,
                log,
                Stage.latency,
                lambda: backend.benchmark_exported(job, log),
            )


def _open(job: Job, backend: Backend, log: EventLog) -> Device:
    device = backend.open(job, log)
    log.emit("device", kind=device.kind, name=device.name)
    (job.run_dir / STAGES_DIR).mkdir(exist_ok=True)
    write_json(job.run_dir / STAGES_DIR / DEVICE_FILE, dataclasses.asdict(device))
    return device


def _stage(
    job: Job,
    backend: Backend,
    device: Device,
    log: EventLog,
    stage: Stage,
    work: Callable[[], Any],
) -> None:
    """Carry out one stage, measure what it uses, and write its result."""
    log.emit("stage_begin", stage=stage)
    meter = UsageMeter(device, backend.memory_peak_bytes)
    result = work()
    usage = meter.stop()
    body = {"usage": dataclasses.asdict(usage), "result": dataclasses.asdict(result)}
    write_json(job.run_dir / STAGES_DIR / f"{stage}.json", body)
    log.emit("stage_end", stage=stage, wall_s=usage.wall_s)


def _evaluate(job: Job, backend: Backend, log: EventLog) -> EvalResult:
    """Inference by the backend, scoring by COCO's rules."""
    inference = backend.evaluate(job, log)
    write_json(job.run_dir / DETECTIONS_FILE, inference.detections)
    started = time.perf_counter()
    truth = load_ground_truth(job.dataset.splits["val"].ground_truth)
    scores = score(truth, inference.detections, job.spec.eval.engine)
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
        num_detections=len(inference.detections),
        engine=job.spec.eval.engine.name,
        metrics=dict(scores.metrics),
        per_class=dict(scores.per_class),
        detections=DETECTIONS_FILE,
    )


def _draw(job: Job) -> None:
    """Keep a few evaluation pictures with their boxes; outside every measured stage."""
    count = job.spec.eval.gallery_images
    if count == 0:
        return
    import json

    detections = json.loads((job.run_dir / DETECTIONS_FILE).read_text(encoding="utf-8"))
    pictures = gallery_pictures(job.dataset.splits["val"], count)
    draw_gallery(pictures, detections, job.dataset.classes, job.run_dir / GALLERY_DIR)


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


def stage_file(run_dir: Path, stage: Stage) -> Path:
    """Where a stage's result is written."""
    return run_dir / STAGES_DIR / f"{stage}.json"
