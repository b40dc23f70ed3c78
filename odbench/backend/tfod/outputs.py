"""What a model puts out to COCO results: boxes, instance masks and keypoints in pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odbench.dataset.masks import mask_rle

# Of a model's outputs; the last three where it predicts masks or keypoints.
NAMES = (
    "detection_boxes",
    "detection_scores",
    "detection_classes",
    "num_detections",
    "detection_masks",
    "detection_keypoints",
    "detection_keypoint_scores",
)

# A pixel belongs to an object from here on, as in the API's evaluation.
MASK_THRESHOLD = 0.5

Array = NDArray[np.float32]


def as_coco(
    ids: Any,
    sizes_hw: Any,
    outputs: dict[str, Any],
    threshold: float,
    keypoint_classes: frozenset[int] = frozenset(),
) -> Iterator[dict[str, Any]]:
    """Detections of a batch as COCO results; the model's class 0 is category 1.

    Masks are pasted and encoded one picture and one object at a time: drawn, a hundred of them
    would take a hundred times the picture's memory.

    Args:
        ids: Of the pictures, the first of the batch.
        sizes_hw: Original [height, width] of every picture.
        outputs: Arrays by the :data:`NAMES` that the model has.
        threshold: Detections scored below it are left out.
        keypoint_classes: The model's classes that have keypoints, from 0.
    """
    counts = outputs["num_detections"].astype(int)
    for row, image_id in enumerate(ids):
        size = (int(sizes_hw[row][0]), int(sizes_hw[row][1]))
        for index in range(counts[row]):
            found = {name: kept[row, index] for name, kept in outputs.items() if kept.ndim > 1}
            score = float(found["detection_scores"])
            ymin, xmin, ymax, xmax = _in_pixels(found["detection_boxes"], size)
            # a model that diverged predicts no numbers: such a box detects nothing
            if score < threshold or not np.isfinite([score, ymin, xmin, ymax, xmax]).all():
                continue
            label = int(found["detection_classes"])
            detection: dict[str, Any] = {
                "image_id": int(image_id),
                "category_id": label + 1,
                "bbox": [xmin, ymin, max(0.0, xmax - xmin), max(0.0, ymax - ymin)],
                "score": score,
            }
            if "detection_masks" in found:
                mask = paste(found["detection_masks"], found["detection_boxes"], size)
                detection["segmentation"] = mask_rle(mask)
            if label in keypoint_classes:
                detection["keypoints"] = _keypoints(found, size)
            yield detection


def paste(mask: Array, box: Array, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of a picture that an object's mask covers.

    The mask's outermost values lie on the box's edges, where the API took them for training:
    as its ``reframe_box_masks_to_image_masks``, which draws all masks of a picture at once.

    Args:
        mask: Probabilities within the box, [mask height, mask width].
        box: ymin, xmin, ymax, xmax, as shares of the picture.
        size: Height and width of the picture.
    """
    pixels = np.zeros(size, dtype=bool)
    rows, at_row = _positions(float(box[0]), float(box[2]), size[0], mask.shape[0])
    columns, at_column = _positions(float(box[1]), float(box[3]), size[1], mask.shape[1])
    if len(at_row) and len(at_column):
        values = _between(_between(mask.astype(np.float32), at_row).T, at_column).T
        pixels[rows, columns] = values > MASK_THRESHOLD
    return pixels


def _positions(low: float, high: float, side: int, cells: int) -> tuple[slice, Array]:
    """Pixels of a side that lie in a box, and where in the mask each of them is."""
    last = max(side - 1, 1)
    if not high > low:
        return slice(0, 0), np.zeros(0, dtype=np.float32)
    first = int(np.clip(np.ceil(low * last), 0, side))
    end = int(np.clip(np.floor(high * last) + 1, first, side))
    shares = (np.arange(first, end) / last - low) / (high - low)
    return slice(first, end), np.clip(shares * (cells - 1), 0, cells - 1).astype(np.float32)


def _between(values: Array, at: Array) -> Array:
    """Linear interpolation along the first axis."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    share = (at - low)[:, None]
    mixed: Array = values[low] * (1 - share) + values[high] * share
    return mixed


def _in_pixels(box: Array, size: tuple[int, int]) -> tuple[float, float, float, float]:
    height, width = (float(side) for side in size)
    scale = np.array([height, width, height, width])
    ymin, xmin, ymax, xmax = (float(side) for side in box * scale)
    return ymin, xmin, ymax, xmax


def _keypoints(found: dict[str, Any], size: tuple[int, int]) -> list[float]:
    """x, y and score of each keypoint; zeros where the model has no numbers for it."""
    height, width = size
    numbers: list[float] = []
    scores = found.get("detection_keypoint_scores")
    for place, (y, x) in enumerate(found["detection_keypoints"]):
        point = [float(x) * width, float(y) * height, 1.0 if scores is None else scores[place]]
        numbers += [float(v) for v in point] if np.isfinite(point).all() else [0.0, 0.0, 0.0]
    return numbers
