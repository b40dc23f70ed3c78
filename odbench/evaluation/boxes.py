"""Detections and objects of a whole set as arrays, with what COCO matched at IoU 0.5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

RECALLS = np.linspace(0, 1, 101)  # at which precision is read


@dataclass(frozen=True)
class Detected:
    """D detections, in the order in which they were given."""

    image: Ints  # [D] index among the images by id
    kind: Ints  # [D] index among the categories by id
    box: Floats  # [D, 4] x, y, width, height in pixels
    score: Floats  # [D]
    hit: Bools  # [D] whether it found an object
    false: Bools  # [D] whether it counts and found none; neither where COCO ignores it


@dataclass(frozen=True)
class Objects:
    """G objects of the ground truth."""

    image: Ints  # [G]
    kind: Ints  # [G]
    box: Floats  # [G, 4]
    counted: Bools  # [G] whether it is to be found; crowds are not
    found: Bools  # [G]


@dataclass(frozen=True)
class Scene:
    """Both sides of a set, and its images."""

    detected: Detected
    objects: Objects
    images: int
    kinds: int

    def by_image(self) -> Iterator[tuple[int, Ints, Ints]]:
        """Index of each image, indices of its detections by falling score, and of its objects."""
        falling = np.lexsort((-self.detected.score, self.detected.image))
        places = np.arange(self.images + 1)
        first = np.searchsorted(self.detected.image[falling], places)
        by_image = np.argsort(self.objects.image, kind="stable")
        start = np.searchsorted(self.objects.image[by_image], places)
        for index in range(self.images):
            found = falling[first[index] : first[index + 1]]
            yield index, found, by_image[start[index] : start[index + 1]]

    def overlaps(self, detections: Ints, objects: Ints) -> Floats:
        """IoU of each detection with each object, [detections, objects]; crowds as COCO has it."""
        from pycocotools import mask

        if not len(detections) or not len(objects):
            return np.zeros((len(detections), len(objects)))
        crowds = (~self.objects.counted[objects]).astype(np.uint8)
        boxes = self.detected.box[detections], self.objects.box[objects]
        return np.asarray(mask.iou(*boxes, crowds), dtype=float)


def scene_of(evaluator: Any, truth: dict[str, Any], detections: list[dict[str, Any]]) -> Scene:
    """The arrays of what :func:`odbench.evaluation.weighted.matched` gave for ``AP``."""
    images = {identity: n for n, identity in enumerate(evaluator.params.imgIds)}
    kinds = {identity: n for n, identity in enumerate(evaluator.params.catIds)}
    entries = truth["annotations"]
    hit, false = np.zeros(len(detections), bool), np.zeros(len(detections), bool)
    counted, found = np.zeros(len(entries), bool), np.zeros(len(entries), bool)
    for part in evaluator.evalImgs:
        if part is None:
            continue
        ids = np.asarray(part["dtIds"], dtype=np.int64) - 1
        ignored = part["dtIgnore"][0].astype(bool)
        matched = part["dtMatches"][0] > 0
        hit[ids], false[ids] = matched & ~ignored, ~matched & ~ignored
        objects = np.asarray(part["gtIds"], dtype=np.int64) - 1
        counted[objects] = ~np.asarray(part["gtIgnore"], dtype=bool)
        found[objects] = part["gtMatches"][0] > 0
    return Scene(
        Detected(
            *_where(detections, images, kinds),
            np.array([entry["score"] for entry in detections], dtype=float),
            hit,
            false,
        ),
        Objects(*_where(entries, images, kinds), counted, found & counted),
        len(images),
        len(kinds),
    )


def interpolated_precision(hits: Bools, objects: int) -> Floats:
    """COCO's precision at :data:`RECALLS`; its mean is the AP.

    Args:
        hits: [D] Of the detections of one class that count, by falling score.
        objects: To be found, at least one.
    """
    right = np.cumsum(hits)
    precision = right / (np.arange(1, len(hits) + 1) + np.spacing(1))
    best = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(right / objects, RECALLS, side="left")
    values: Floats = np.append(best, 0.0)[np.minimum(reached, len(best))]
    return values


def _where(
    entries: list[dict[str, Any]], images: dict[int, int], kinds: dict[int, int]
) -> tuple[Ints, Ints, Floats]:
    image = np.array([images[entry["image_id"]] for entry in entries], dtype=np.int64)
    kind = np.array([kinds[entry["category_id"]] for entry in entries], dtype=np.int64)
    box = np.array([entry["bbox"] for entry in entries], dtype=float).reshape(-1, 4)
    return image, kind, box
