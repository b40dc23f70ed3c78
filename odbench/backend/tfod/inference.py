"""Our own evaluation: batched inference from a checkpoint, every image once.

The API's ``eager_eval_loop`` swallows exceptions, runs one image at a time, draws pictures and
computes losses; a damaged record there gives an AP over part of the set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from object_detection.builders import model_builder

from odbench.backend.tfod.session import synchronize
from odbench.config.spec import RunSpec
from odbench.dataset.types import Split
from odbench.events import EventLog
from odbench.measure.timer import Timer
from odbench.results import InferenceResult, Stage

_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/source_id": tf.io.FixedLenFeature([], tf.string),
}


def decode(record: Any) -> tuple[Any, Any]:
    """Image id (int64) and pixels (uint8, [height, width, 3]) of a serialized Example."""
    parsed = tf.io.parse_single_example(record, _FEATURES)
    image = tf.io.decode_image(parsed["image/encoded"], channels=3, expand_animations=False)
    image.set_shape((None, None, 3))
    return tf.strings.to_number(parsed["image/source_id"], tf.int64), image


def records(split: Split) -> Any:
    """Serialized Examples of a split, in file order."""
    return tf.data.TFRecordDataset([str(path) for path in split.records])


def evaluate(
    spec: RunSpec, pipeline: Any, checkpoint: str, split: Split, log: EventLog
) -> InferenceResult:
    """Run a checkpoint over a split.

    Args:
        spec: The run.
        pipeline: ``TrainEvalPipelineConfig``.
        checkpoint: Path prefix of the checkpoint.
        split: What to evaluate on.
        log: Progress goes there.
    """
    started = time.perf_counter()
    model = model_builder.build(pipeline.model, is_training=False, add_summaries=False)
    status = tf.train.Checkpoint(model=model).restore(checkpoint).expect_partial()
    size = min(spec.eval_batch_size, split.images)
    batches = iter(_batches(model, split, size))
    detect = _detector(model)
    build_s = time.perf_counter() - started

    timer = Timer(synchronize)
    result: dict[str, Any] = {"first_batch_s": 0.0, "input_s": 0.0, "inference_s": 0.0}
    image_ids: list[int] = []
    detections: list[dict[str, Any]] = []
    total = -(-split.images // size)
    for index in range(total):
        sample = timer.step(lambda: next(batches), lambda batch: (batch, detect(*batch[2:])))
        if index == 0:
            # the first batch has created the variables: now every one of them must be restored
            status.assert_existing_objects_matched()
            result["first_batch_s"] = sample.total_s
        else:
            result["input_s"] += sample.input_wait_s
            result["inference_s"] += sample.compute_s
        batch, outputs = sample.result
        ids = batch[0].numpy()[: split.images - index * size]
        image_ids += [int(i) for i in ids]
        detections += _as_coco(ids, batch[1].numpy(), outputs, spec.eval.score_threshold)
        log.progress(Stage.eval, min((index + 1) * size, split.images), split.images)
    return InferenceResult(
        images_in_set=split.images,
        image_ids=image_ids,
        batch_size=size,
        build_s=build_s,
        detections=detections,
        **result,
    )


def _batches(model: Any, split: Split, size: int) -> Any:
    """Batches of (ids, original [height, width], preprocessed images, true shapes).

    The images go round once more so that the last batch is as large as the others: another size
    would be traced anew inside the measured time.
    """

    def preprocess(record: Any) -> Any:
        image_id, image = decode(record)
        size_hw = tf.shape(image)[:2]
        resized, true_shape = model.preprocess(tf.cast(image, tf.float32)[tf.newaxis])
        return image_id, size_hw, resized[0], true_shape[0]

    dataset = records(split).repeat(2).map(preprocess, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.padded_batch(size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _detector(model: Any) -> Callable[[Any, Any], dict[str, Any]]:
    model._is_training = False
    tf.keras.backend.set_learning_phase(False)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def detect(images: Any, true_shapes: Any) -> dict[str, Any]:
        found = model.postprocess(model.predict(images, true_shapes), true_shapes)
        names = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
        return {name: found[name] for name in names}

    return detect  # type: ignore[no-any-return]


def _as_coco(
    ids: Any, sizes_hw: Any, outputs: dict[str, Any], threshold: float
) -> list[dict[str, Any]]:
    """Detections as COCO results; the model's class 0 is category 1, boxes become pixels."""
    boxes, scores, classes = (
        outputs[name].numpy()
        for name in ("detection_boxes", "detection_scores", "detection_classes")
    )
    counts = outputs["num_detections"].numpy().astype(int)
    found: list[dict[str, Any]] = []
    for row, image_id in enumerate(ids):
        height, width = (float(side) for side in sizes_hw[row])
        scale = np.array([height, width, height, width])
        for index in range(counts[row]):
            score = float(scores[row, index])
            ymin, xmin, ymax, xmax = (float(v) for v in boxes[row, index] * scale)
            # a model that diverged predicts no numbers: such a box detects nothing
            if score < threshold or not np.isfinite([score, ymin, xmin, ymax, xmax]).all():
                continue
            found.append(
                {
                    "image_id": int(image_id),
                    "category_id": int(classes[row, index]) + 1,
                    "bbox": [xmin, ymin, max(0.0, xmax - xmin), max(0.0, ymax - ymin)],
                    "score": score,
                }
            )
    return found


def load_images(split: Split, count: int) -> list[Any]:
    """The first images of a split as uint8 tensors of shape [1, height, width, 3]."""
    dataset = records(split).take(count).map(decode)
    return [image[tf.newaxis] for _, image in dataset]
