"""Export to SavedModel by the API's exporter, and latency of the exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from object_detection import exporter_lib_v2

from odbench.backend.tfod.inference import load_images
from odbench.backend.tfod.session import synchronize
from odbench.config.spec import RunSpec
from odbench.dataset.types import Split
from odbench.events import EventLog
from odbench.measure.timer import Timer
from odbench.results import ExportResult, LatencyResult, Stage

EXPORT_DIR = "export"

# Different images of the set that the latency calls go through, again and again.
LATENCY_IMAGES = 32


def export(pipeline: Any, checkpoint: str, run_dir: Path) -> ExportResult:
    """Export a checkpoint with an image tensor of batch 1 as input.

    Args:
        pipeline: ``TrainEvalPipelineConfig``.
        checkpoint: Prefix, relative to the run folder; the newest one in its own folder.
        run_dir: The SavedModel goes to ``export/`` below it.
    """
    target = run_dir / EXPORT_DIR
    seconds, _ = Timer(synchronize).call(
        lambda: exporter_lib_v2.export_inference_graph(
            "image_tensor", pipeline, str((run_dir / checkpoint).parent), str(target)
        )
    )
    saved_model = target / "saved_model"
    files = [path for path in saved_model.rglob("*") if path.is_file()]
    return ExportResult(
        export_s=seconds,
        size_bytes=sum(path.stat().st_size for path in files),
        files=len(files),
        saved_model=str(saved_model.relative_to(run_dir)),
    )


def benchmark_exported(
    spec: RunSpec, saved_model: Path, split: Split, log: EventLog
) -> LatencyResult:
    """Time calls of a SavedModel on images of a split that are already in memory."""
    timer = Timer(synchronize)
    images = load_images(split, min(LATENCY_IMAGES, split.images))
    load_s, loaded = timer.call(lambda: tf.saved_model.load(str(saved_model)))
    detect = loaded.signatures["serving_default"]

    def call(index: int) -> float:
        image = images[index % len(images)]
        return timer.call(lambda: detect(input_tensor=image))[0]

    first = call(0)
    warmup = [call(i) for i in range(spec.timing.latency_warmup)]
    measured: list[float] = []
    for i in range(spec.timing.latency_samples):
        measured.append(call(i))
        log.progress(Stage.latency, i + 1, spec.timing.latency_samples)
    return LatencyResult(
        batch_size=1,
        load_s=load_s,
        first_call_s=first,
        warmup_s=warmup,
        latency_s=measured,
        images=len(images),
        image_sizes=[[int(side) for side in image.shape[1:3]] for image in images],
    )
