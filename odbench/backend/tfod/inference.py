"""Our own evaluation: batched inference from a checkpoint, every image once.

The API's ``eager_eval_loop`` swallows exceptions, runs one image at a time, draws pictures and
computes losses; a damaged record there gives an AP over part of the set.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from object_detection.builders import model_builder

from odbench.backend.tfod.outputs import NAMES, as_coco
from odbench.backend.tfod.session import synchronize
from odbench.config.spec import RunSpec
from odbench.dataset.types import Split
from odbench.events import EventLog
from odbench.measure.timer import Timer
from odbench.results import InferenceResult, Stage

_TIMES = ("first_batch_s", "input_s", "inference_s", "postprocess_s")

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
    evaluator = Evaluator(spec, pipeline, split)
    built_s = time.perf_counter() - started
    found = evaluator.run(checkpoint, lambda n: log.progress(Stage.eval, n, split.images))
    return dataclasses.replace(found, build_s=built_s + found.build_s)


class Evaluator:
    """A model for inference over a split, traced once however many checkpoints it runs.

    Args:
        spec: The run.
        pipeline: ``TrainEvalPipelineConfig``.
        split: What to evaluate on.
    """

    def __init__(self, spec: RunSpec, pipeline: Any, split: Split) -> None:
        self._spec = spec
        self._split = split
        self._size = min(spec.eval_batch_size, split.images)
        self._model = model_builder.build(pipeline.model, is_training=False, add_summaries=False)
        self._batches = _batches(self._model, split, self._size)
        self._detect = _detector(self._model)
        self._keypoint_classes = _keypoint_classes(self._model)

    def run(
        self, checkpoint: str, on_images: Callable[[int], None] = lambda images: None
    ) -> InferenceResult:
        """Run a checkpoint, given by its path prefix; ``on_images`` gets the images done so far.

        ``build_s`` of the result is the restoring alone.
        """
        started = time.perf_counter()
        tf.keras.backend.set_learning_phase(False)  # a training sets it, too
        status = tf.train.Checkpoint(model=self._model).restore(checkpoint).expect_partial()
        batches = iter(self._batches)
        build_s = time.perf_counter() - started

        split, size, detect = self._split, self._size, self._detect
        timer = Timer(synchronize)
        result: dict[str, Any] = dict.fromkeys(_TIMES, 0.0)
        image_ids: list[int] = []
        detections: list[dict[str, Any]] = []
        total = -(-split.images // size)
        for index in range(total):
            sample = timer.step(lambda: next(batches), lambda batch: (batch, detect(*batch[2:])))
            if index == 0:
                # the first batch has created the variables: now all of them must be restored
                status.assert_existing_objects_matched()
                result["first_batch_s"] = sample.total_s
            else:
                result["input_s"] += sample.input_wait_s
                result["inference_s"] += sample.compute_s
            batch, outputs = sample.result
            ids = batch[0].numpy()[: split.images - index * size]
            image_ids += [int(i) for i in ids]
            seconds, found = timer.call(lambda: self._as_coco(ids, batch[1], outputs))  # noqa: B023
            detections += found
            result["postprocess_s"] += seconds
            on_images(min((index + 1) * size, split.images))
        if total == 1:  # the first batch is the only one: nothing of the others was measured
            result["input_s"] = result["inference_s"] = None
        return InferenceResult(
            images_in_set=split.images,
            image_ids=image_ids,
            batch_size=size,
            build_s=build_s,
            detections=detections,
            has_masks="detection_masks" in outputs,
            has_keypoints=bool(self._keypoint_classes),
            **result,
        )

    def _as_coco(self, ids: Any, sizes_hw: Any, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Detections of a batch; the time is neither the device's nor the scoring's."""
        arrays = {name: values.numpy() for name, values in outputs.items()}
        threshold = self._spec.eval.score_threshold
        return list(as_coco(ids, sizes_hw.numpy(), arrays, threshold, self._keypoint_classes))


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
        return {name: found[name] for name in NAMES if name in found}

    return detect  # type: ignore[no-any-return]


def _keypoint_classes(model: Any) -> frozenset[int]:
    """Classes, from 0, that the model has a keypoint head for; an attribute of CenterNet alone."""
    heads = getattr(model, "_kp_params_dict", None) or {}
    return frozenset(int(head.class_id) for head in heads.values())


def load_images(split: Split, count: int) -> list[Any]:
    """The first images of a split as uint8 tensors of shape [1, height, width, 3]."""
    dataset = records(split).take(count).map(decode)
    return [image[tf.newaxis] for _, image in dataset]
