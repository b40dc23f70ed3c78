"""What a run's kept detections tell beyond COCO's numbers: :class:`odbench.analyses.Analysis`.

Boxes alone; of models with masks or keypoints it is the boxes that are looked at.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from odbench.analyses import Analysis
from odbench.evaluation.bootstrap import drawn_values
from odbench.evaluation.boxes import Floats, Scene, interpolated_precision, scene_of
from odbench.evaluation.confusion import confusion
from odbench.evaluation.error_types import error_types
from odbench.evaluation.seen import seen_pictures
from odbench.evaluation.weighted import at_overlap, matched, matches_of

DRAWS = 200
SEED = 0
SCORE = 0.5  # from which a detection is shown to people, as in the gallery
DIGITS = 5

# Beyond so many classes there are no curves and no confusion matrix: nobody would read them, and
# the record would be megabytes.
MAX_CLASSES = 200


def analyse(truth: dict[str, Any], detections: list[dict[str, Any]]) -> Analysis:
    """Analyse detections against their ground truth.

    Takes about a minute for 5,000 images with 80 classes, most of it in pycocotools' matching.

    Args:
        truth: COCO instances. Not changed.
        detections: COCO results of boxes. Not changed.

    Raises:
        EvaluationError: An element of either cannot be scored.
    """
    evaluator = matched(truth, detections)
    matches = matches_of(evaluator, "AP")
    sides = {"AP": matches} | {name: at_overlap(matches, name) for name in ("AP50", "AP75")}
    values = drawn_values(DRAWS, SEED, *sides.values())
    scene = scene_of(evaluator, truth, detections)
    categories = sorted(truth["categories"], key=lambda entry: int(entry["id"]))
    images = sorted(truth["images"], key=lambda entry: int(entry["id"]))
    errors = error_types(scene)
    few = len(categories) <= MAX_CLASSES
    return Analysis(
        draws={name: _rounded(drawn) for name, drawn in zip(sides, values, strict=True)},
        draws_key=draws_key(truth),
        precision=_curves(scene, [entry["name"] for entry in categories]) if few else {},
        confusion=confusion(scene, SCORE).tolist() if few else [],
        score_threshold=SCORE,
        errors={
            name: None if lost is None else round(lost, DIGITS)
            for name, lost in errors.lost.items()
        },
        error_counts=errors.counts,
        pictures=seen_pictures(scene, SCORE, images),
    )


def draws_key(truth: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits that draws have in common if they picked the same images."""
    boxes = [
        [entry[name] for name in ("image_id", "category_id", "bbox")] + [entry.get("iscrowd", 0)]
        for entry in truth["annotations"]
    ]
    images = sorted(entry["id"] for entry in truth["images"])
    text = json.dumps([SEED, DRAWS, images, boxes], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rounded(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), DIGITS) for value in values]


def _curves(scene: Scene, names: list[str]) -> dict[str, list[float | None]]:
    """Precision at IoU 0.5 of each class that has objects, see :data:`boxes.RECALLS`."""
    detected, objects = scene.detected, scene.objects
    order = np.lexsort((detected.image, -detected.score))
    order = order[(detected.hit | detected.false)[order]]
    counts = np.bincount(objects.kind[objects.counted], minlength=scene.kinds)
    return {
        name: _rounded(
            interpolated_precision(detected.hit[order][detected.kind[order] == number], int(count))
        )
        for number, (name, count) in enumerate(zip(names, counts, strict=True))
        if count
    }
