"""COCO's detection metrics, by the reference implementation or by a faster one that equals it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odbench.config.spec import ScoringEngine
from odbench.evaluation.engines import Evaluation, evaluate
from odbench.evaluation.inputs import (
    check_detections,
    check_ground_truth,
    check_references,
    load_detections,
    load_ground_truth,
)
from odbench.evaluation.names import COCO_METRICS


@dataclass(frozen=True)
class Scores:
    """COCO metrics of one set of detections. Values are 0..1; None: no ground truth for it."""

    metrics: dict[str, float | None]  # the twelve of COCO_METRICS, in that order
    per_class: dict[str, float | None]  # AP by class name, in the order of the category ids
    engine: ScoringEngine
    images: int  # in the ground truth
    detections: int  # scored


def score(
    ground_truth: dict[str, Any],
    detections: list[dict[str, Any]],
    engine: ScoringEngine = ScoringEngine.pycocotools,
) -> Scores:
    """Score detections by COCO's bounding-box evaluation (https://cocodataset.org/#detection-eval).

    Args:
        ground_truth: COCO instances; ``bbox`` is ``[x, y, width, height]`` in pixels. A missing
            ``area`` is taken from the box and a missing ``iscrowd`` is 0. Not changed.
        detections: COCO results: ``image_id``, ``category_id``, ``bbox``, ``score``. Not changed.
        engine: Both give the same numbers to the last bit.

    Raises:
        EvaluationError: An element of either cannot be scored.
    """
    check_ground_truth(ground_truth, "ground truth")
    check_detections(detections, "detections")
    check_references(detections, ground_truth, "detections")
    return _score(ground_truth, detections, engine)


def score_files(
    ground_truth: Path,
    detections: Path,
    engine: ScoringEngine = ScoringEngine.pycocotools,
) -> Scores:
    """Score a COCO results file against a COCO instances file, see :func:`score`.

    Raises:
        EvaluationError: A file cannot be read, or an element of it cannot be scored.
    """
    truth = load_ground_truth(ground_truth)
    found = load_detections(detections)
    check_references(found, truth, str(detections))
    return _score(truth, found, engine)


def _score(
    ground_truth: dict[str, Any], detections: list[dict[str, Any]], engine: ScoringEngine
) -> Scores:
    truth, found = _renumbered(ground_truth, detections)
    evaluation = evaluate(truth, found, engine)
    values = (_known(value) for value in evaluation.stats)
    return Scores(
        metrics=dict(zip(COCO_METRICS, values, strict=True)),
        per_class=_per_class(evaluation, truth["categories"]),
        engine=engine,
        images=len(truth["images"]),
        detections=len(detections),
    )


def _renumbered(
    ground_truth: dict[str, Any], detections: list[dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides as COCO data sets of new objects, with every id counted from 1.

    The engines write into what they are given and use the ids of boxes as truth values: a box of
    id 0 would count as never matched. The order of the ids is kept, since images break the ties
    of equal scores by it.
    """
    images = _ranks(ground_truth["images"])
    categories = _ranks(ground_truth["categories"])
    names = {categories[entry["id"]]: entry["name"] for entry in ground_truth["categories"]}
    shared = {
        "images": [{"id": rank} for rank in images.values()],
        "categories": [{"id": rank, "name": names[rank]} for rank in categories.values()],
    }
    truth = _boxes(ground_truth["annotations"], images, categories)
    for box, entry in zip(truth, ground_truth["annotations"], strict=True):
        box["area"] = float(entry.get("area", box["area"]))
        box["iscrowd"] = int(entry.get("iscrowd", 0))
    found = _boxes(detections, images, categories)
    for box, entry in zip(found, detections, strict=True):
        box["score"] = float(entry["score"])
    return {**shared, "annotations": truth}, {**shared, "annotations": found}


def _ranks(entries: list[dict[str, Any]]) -> dict[int, int]:
    ids = sorted(entry["id"] for entry in entries)
    return {identity: rank for rank, identity in enumerate(ids, 1)}


def _boxes(
    entries: list[dict[str, Any]], images: dict[int, int], categories: dict[int, int]
) -> list[dict[str, Any]]:
    boxes = []
    for number, entry in enumerate(entries, 1):
        x, y, width, height = map(float, entry["bbox"])
        boxes.append(
            {
                "id": number,
                "image_id": images[entry["image_id"]],
                "category_id": categories[entry["category_id"]],
                "bbox": [x, y, width, height],
                "area": width * height,
                "iscrowd": 0,
            }
        )
    return boxes


def _per_class(evaluation: Evaluation, categories: list[dict[str, Any]]) -> dict[str, float | None]:
    """AP of each class over all areas, at most 100 detections per image."""
    values: dict[str, float | None] = {}
    for index, category in enumerate(categories):
        curves = evaluation.precision[:, :, index]
        known = curves[curves > -1]
        values[category["name"]] = float(known.mean()) if known.size else None
    return values


def _known(value: float) -> float | None:
    """COCO's -1 stands for "no ground truth"."""
    return None if value < 0 else float(value)
