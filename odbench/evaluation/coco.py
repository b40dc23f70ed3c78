"""COCO's detection metrics, by the reference implementation or by a faster one that equals it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odbench.config.spec import ScoringEngine
from odbench.evaluation.engines import Evaluation, Sigmas, engine_of, evaluate
from odbench.evaluation.inputs import (
    check_detections,
    check_ground_truth,
    check_references,
    load_detections,
    load_ground_truth,
)
from odbench.evaluation.keypoints import compared_keypoints, extent, has_keypoints
from odbench.evaluation.masks import found_masks, has_masks, mask_area, picture_sizes, truth_masks
from odbench.evaluation.names import IouType, metric_names

_NO_BOX = (0.0, 0.0, 0.0, 0.0)  # of a detection that is scored by its mask or keypoints


@dataclass(frozen=True)
class Scores:
    """COCO metrics of one set of detections. Values are 0..1; None: no ground truth for it."""

    metrics: dict[str, float | None]  # as :func:`odbench.evaluation.names.metric_names` has them
    per_class: dict[str, float | None]  # AP by class name, in the order of the category ids
    engine: ScoringEngine  # that scored: of masks and keypoints always the reference
    images: int  # in the ground truth
    detections: int  # scored
    iou_type: IouType = IouType.bbox


def score(
    ground_truth: dict[str, Any],
    detections: list[dict[str, Any]],
    engine: ScoringEngine = ScoringEngine.pycocotools,
    iou_type: IouType = IouType.bbox,
) -> Scores:
    """Score detections by COCO's evaluation (https://cocodataset.org/#detection-eval).

    Args:
        ground_truth: COCO instances; ``bbox`` is ``[x, y, width, height]`` in pixels. A missing
            ``area`` is taken from the box (or mask) and a missing ``iscrowd`` is 0. Not changed.
        detections: COCO results: ``image_id``, ``category_id``, ``score`` and what is scored,
            ``bbox``, ``segmentation`` or ``keypoints``. Not changed.
        engine: Of boxes; both give the same numbers to the last bit. Masks and keypoints are
            scored by pycocotools, whichever is asked for.
        iou_type: What is scored. See :func:`odbench.evaluation.masks.truth_masks` for objects
            without a mask, :func:`odbench.evaluation.keypoints.keypoint_sigmas` for the sigmas.

    Raises:
        EvaluationError: An element of either cannot be scored.
    """
    check_ground_truth(ground_truth, "ground truth")
    check_detections(detections, "detections", iou_type)
    check_references(detections, ground_truth, "detections")
    return _score(ground_truth, detections, engine, iou_type)


def score_further(
    ground_truth: dict[str, Any], detections: list[dict[str, Any]], iou_type: IouType
) -> dict[str, float | None]:
    """Metrics of masks or keypoints beside those of boxes; all None where none is labelled.

    Raises:
        EvaluationError: As :func:`score`.
    """
    labelled = has_masks if iou_type is IouType.segm else has_keypoints
    if not labelled(ground_truth):
        return dict.fromkeys(metric_names(iou_type))
    return dict(score(ground_truth, detections, iou_type=iou_type).metrics)


def score_files(
    ground_truth: Path,
    detections: Path,
    engine: ScoringEngine = ScoringEngine.pycocotools,
    iou_type: IouType = IouType.bbox,
) -> Scores:
    """Score a COCO results file against a COCO instances file, see :func:`score`.

    Raises:
        EvaluationError: A file cannot be read, or an element of it cannot be scored.
    """
    truth = load_ground_truth(ground_truth)
    found = load_detections(detections, iou_type)
    check_references(found, truth, str(detections))
    return _score(truth, found, engine, iou_type)


def _score(
    ground_truth: dict[str, Any],
    detections: list[dict[str, Any]],
    engine: ScoringEngine,
    iou_type: IouType,
) -> Scores:
    truth, found, sigmas = _problem(ground_truth, detections, iou_type)
    evaluation = evaluate(truth, found, engine, iou_type, sigmas)
    values = (_known(value) for value in evaluation.stats)
    return Scores(
        metrics=dict(zip(metric_names(iou_type), values, strict=True)),
        per_class=_per_class(evaluation, truth["categories"]),
        engine=engine_of(iou_type, engine),
        images=len(truth["images"]),
        detections=len(found["annotations"]),
        iou_type=iou_type,
    )


def _problem(
    ground_truth: dict[str, Any], detections: list[dict[str, Any]], iou_type: IouType
) -> tuple[dict[str, Any], dict[str, Any], Sigmas | None]:
    """Both sides as COCO data sets of new objects, with every id counted from 1.

    The engines write into what they are given and use the ids of boxes as truth values: a box of
    id 0 would count as never matched. The order of the ids is kept, since images break the ties
    of equal scores by it.
    """
    images = _ranks(ground_truth["images"])
    categories = _ranks(ground_truth["categories"])
    names = {categories[entry["id"]]: entry["name"] for entry in ground_truth["categories"]}
    shared = {
        "images": [_image(entry, images) for entry in ground_truth["images"]],
        "categories": [{"id": rank, "name": names[rank]} for rank in categories.values()],
    }
    truth = _boxes(ground_truth["annotations"], images, categories)
    for box, entry in zip(truth, ground_truth["annotations"], strict=True):
        box["area"] = float(entry.get("area", box["area"]))
        box["iscrowd"] = int(entry.get("iscrowd", 0))
    found = _boxes(detections, images, categories)
    for box, entry in zip(found, detections, strict=True):
        box["score"] = float(entry["score"])
    sigmas = None
    if iou_type is IouType.segm:
        _add_masks(ground_truth, detections, truth, found)
    elif iou_type is IouType.keypoints:
        truth, found, of_class = _with_keypoints(ground_truth, detections, truth, found)
        sigmas = {categories[identity]: values for identity, values in of_class.items()}
    return {**shared, "annotations": truth}, {**shared, "annotations": found}, sigmas


def _add_masks(
    ground_truth: dict[str, Any],
    detections: list[dict[str, Any]],
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
) -> None:
    """Give both sides their masks; a detection's size is that of its mask, not of its box."""
    sizes = picture_sizes(ground_truth)
    entries = ground_truth["annotations"]
    masks = truth_masks(entries, sizes)
    for box, entry, (rle, stands_in) in zip(truth, entries, masks, strict=True):
        box["segmentation"] = rle
        if stands_in:
            box["iscrowd"] = 1
        elif "area" not in entry:
            box["area"] = mask_area(rle)
    for box, rle in zip(found, found_masks(detections, sizes, "detections"), strict=True):
        box |= {"segmentation": rle, "area": mask_area(rle)}


def _with_keypoints(
    ground_truth: dict[str, Any],
    detections: list[dict[str, Any]],
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Sigmas]:
    """Both sides' objects that have keypoints, with them, and the sigmas by category id."""
    problem = compared_keypoints(ground_truth, detections, "detections")
    objects = []
    for index, points in problem.truth.items():
        labelled = int((points[:, 2] > 0).sum())
        body = {"keypoints": points.ravel().tolist(), "num_keypoints": labelled}
        objects.append(truth[index] | body)
    results = [
        found[index] | {"keypoints": points.ravel().tolist(), "area": extent(points)}
        for index, points in problem.found.items()
    ]
    return _numbered(objects), _numbered(results), problem.sigmas


def _numbered(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry | {"id": number} for number, entry in enumerate(entries, 1)]


def _image(entry: dict[str, Any], images: dict[int, int]) -> dict[str, Any]:
    size: dict[str, Any] = {s: entry[s] for s in ("width", "height") if s in entry}
    return {"id": images[entry["id"]], **size}


def _ranks(entries: list[dict[str, Any]]) -> dict[int, int]:
    ids = sorted(entry["id"] for entry in entries)
    return {identity: rank for rank, identity in enumerate(ids, 1)}


def _boxes(
    entries: list[dict[str, Any]], images: dict[int, int], categories: dict[int, int]
) -> list[dict[str, Any]]:
    boxes = []
    for number, entry in enumerate(entries, 1):
        x, y, width, height = map(float, entry.get("bbox", _NO_BOX))
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
