"""Carrying out one run, stage by stage, in the process that was made for it.

A stage's result is written when the stage ends, so a run that is killed keeps what it had.
"""

from __future__ import annotations

import dataclasses
import json
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
    stages = _Stages(job, backend, log)
    stages.carry_out(Stage.train, lambda: backend.train(job, log))
    if spec.eval.enabled:
        stages.carry_out(Stage.eval, lambda: _evaluate(job, backend, log))
        _draw(job)
    if spec.export.enabled:
        stages.carry_out(Stage.export, lambda: backend.export(job, log))
        if spec.timing.latency_enabled:
            stages.carry_out(Stage.latency, lambda: backend.benchmark_exported(job, log))


class _Stages:
    """Takes the device, then carries out stages, measured, each result written as it ends."""

    def __init__(self, job: Job, backend: Backend, log: EventLog) -> None:
        self._folder = job.run_dir / STAGES_DIR
        self._folder.mkdir(exist_ok=True)
        self._backend = backend
        self._log = log
        self._device: Device = backend.open(job, log)
        write_json(self._folder / DEVICE_FILE, dataclasses.asdict(self._device))
        log.emit("device", kind=self._device.kind, name=self._device.name)

    def carry_out(self, stage: Stage, work: Callable[[], Any]) -> None:
        """Do one stage's work and write what it gave and what it used."""
        self._log.emit("stage_begin", stage=stage)
        meter = UsageMeter(self._device, self._backend.memory_peak_bytes)
        result = work()
        usage = meter.stop()
        body = {"usage": dataclasses.asdict(usage), "result": dataclasses.asdict(result)}
        write_json(self._folder / f"{stage}.json", body)
        self._log.emit("stage_end", stage=stage, wall_s=usage.wall_s)


def _evaluate(job: Job, backend: Backend, log: EventLog) -> EvalResult:
    """Inference by the backend, scoring by COCO's rules."""
    inference = backend.evaluate(job, log)
    # An id that the label map skips has an output of the model and no name: nothing can be there
    # to detect. The API's evaluators leave such detections out too.
    known = set(job.dataset.class_ids.values())
    detections = [found for found in inference.detections if found["category_id"] in known]
    write_json(job.run_dir / DETECTIONS_FILE, detections)
    started = time.perf_counter()
    truth = load_ground_truth(job.dataset.splits["val"].ground_truth)
    scores = score(truth, detections, job.spec.eval.engine)
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
    )


def _draw(job: Job) -> None:
    """Keep a few evaluation pictures with their boxes; outside every measured stage."""
    count = job.spec.eval.gallery_images
    if count == 0:
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


def stage_file(run_dir: Path, stage: Stage) -> Path:
    """Where a stage's result is written."""
    return run_dir / STAGES_DIR / f"{stage}.json"
