"""COCO's metrics of boxes with every image counted as often as it is told.

pycocotools matches detections with objects once, image by image. What is left of its work, the
accumulation over images, is done here for many ways of counting the images side by side; with
every image counted once the metric equals pycocotools'. An image that counts twice is one that is
there twice; its detections of one class with the same score are taken one after the other, each
with all its copies.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odbench.errors import EvaluationError
from odbench.evaluation.inputs import check_detections, check_ground_truth, check_references
from odbench.evaluation.names import COCO_METRICS

Floats = NDArray[np.float64]

_SHARED = ("images", "categories")
_CELLS = 1_000_000  # hits x counts of one class at once: 8 MB an array


@dataclass(frozen=True)
class _OfClass:
    """Detections of one class by falling score. T IoU thresholds, D detections, I images."""

    objects: NDArray[np.int64]  # [I] objects to be found in each image
    image: NDArray[np.int64]  # [D] index of each detection's image
    counted: NDArray[np.bool_]  # [T, D] whether it is a hit or a miss
    hit: NDArray[np.bool_]  # [T, D]


@dataclass(frozen=True)
class Matches:
    """Which detections hit, image by image: all that is needed of them for one metric."""

    metric: str
    images: tuple[int, ...]  # ids
    classes: tuple[_OfClass, ...]
    recalls: Floats  # at which the precision is read


@dataclass(frozen=True)
class _Metric:
    iou: float | None = None  # None: the mean of 0.50 to 0.95
    area: str = "all"
    limit: int = 100  # detections per image and class
    recall: bool = False


_METRICS = {
    "AP": _Metric(),
    "AP50": _Metric(iou=0.5),
    "AP75": _Metric(iou=0.75),
    "AP_small": _Metric(area="small"),
    "AP_medium": _Metric(area="medium"),
    "AP_large": _Metric(area="large"),
    "AR1": _Metric(limit=1, recall=True),
    "AR10": _Metric(limit=10, recall=True),
    "AR100": _Metric(recall=True),
    "AR_small": _Metric(area="small", recall=True),
    "AR_medium": _Metric(area="medium", recall=True),
    "AR_large": _Metric(area="large", recall=True),
}


def match(truth: dict[str, Any], detections: list[dict[str, Any]], metric: str = "AP") -> Matches:
    """Match detections with objects by pycocotools, once for every way of counting the images.

    Args:
        truth: COCO instances. Not changed.
        detections: COCO results. Not changed.
        metric: One of :data:`odbench.evaluation.names.COCO_METRICS`.

    Raises:
        EvaluationError: An element of either cannot be scored, or the metric is unknown.
    """
    if metric not in _METRICS:
        raise EvaluationError(
            "no such metric of boxes",
            where="metric",
            value=metric,
            allowed=", ".join(COCO_METRICS),
        )
    return matches_of(matched(truth, detections, metric), metric)


def matched(truth: dict[str, Any], detections: list[dict[str, Any]], metric: str = "AP") -> Any:
    """The evaluator of pycocotools after matching for one metric of boxes.

    Its ids count from 1, in the order of ``truth["annotations"]`` and ``detections``.

    Raises:
        EvaluationError: An element of either cannot be scored.
    """
    check_ground_truth(truth, "ground truth")
    check_detections(detections, "detections")
    check_references(detections, truth, "detections")
    return _evaluated(truth, detections, _METRICS[metric])


def matches_of(evaluator: Any, metric: str) -> Matches:
    """What is needed for one metric of what :func:`matched` gave for it."""
    images = evaluator.params.imgIds
    found = evaluator.evalImgs  # class by class, image by image; None where both sides are empty
    classes = [
        _of_class(found[start : start + len(images)], len(evaluator.params.iouThrs))
        for start in range(0, len(found), len(images) or 1)
    ]
    return Matches(
        metric=metric,
        images=tuple(int(identity) for identity in images),
        classes=tuple(entry for entry in classes if entry.objects.any()),
        recalls=evaluator.params.recThrs,
    )


def at_overlap(matches: Matches, metric: str) -> Matches:
    """Those of ``AP50`` or ``AP75``, from those of ``AP``: every threshold is matched apart."""
    place = round((_METRICS[metric].iou or 0.0) * 20) - 10  # of 0.50, 0.55 .. 0.95
    classes = tuple(
        replace(entry, counted=entry.counted[[place]], hit=entry.hit[[place]])
        for entry in matches.classes
    )
    return replace(matches, metric=metric, classes=classes)


def metric_of(matches: Matches, times: Floats) -> Floats:
    """The metric under each way of counting the images.

    Args:
        matches: Of one set of detections.
        times: [images, counts] How often each image counts, whole numbers >= 0.

    Returns:
        [counts] 0..1: the mean over the classes that have ground truth, NaN where none has.
    """
    total, known = np.zeros(times.shape[1]), np.zeros(times.shape[1])
    for entry in matches.classes:
        objects = entry.objects @ times
        step = max(1, _CELLS // max(1, int(entry.hit.any(axis=0).sum())))
        for start in range(0, times.shape[1], step):
            part = slice(start, start + step)
            if _METRICS[matches.metric].recall:
                value = _recall(entry, times[:, part], objects[part])
            else:
                value = _precision(entry, times[:, part], objects[part], matches.recalls)
            total[part] += value  # 0 without objects, since there are no hits then
        known += objects > 0
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)


def _recall(entry: _OfClass, times: Floats, objects: Floats) -> Floats:
    hits = np.bincount(entry.image, weights=entry.hit.sum(axis=0), minlength=len(times))
    share: Floats = hits @ times / np.maximum(objects, 1) / len(entry.hit)
    return share


def _precision(entry: _OfClass, times: Floats, objects: Floats, recalls: Floats) -> Floats:
    """Mean of the interpolated precision over recalls and IoU thresholds, of each count.

    Precision and recall are followed at the hits alone. A miss changes no recall and lowers the
    precision, so that COCO's interpolation, the best precision at this recall or beyond it, is
    always that at a hit; likewise nothing is lost by an image that counts several times.
    """
    total = np.zeros(times.shape[1])
    masks, of_mask = np.unique(entry.counted, axis=0, return_inverse=True)
    for number, counted in enumerate(masks):  # mostly one for all thresholds
        hits = entry.hit[of_mask == number]
        places = np.flatnonzero(hits.any(axis=0))
        taken = _taken_until(places, entry.image, counted, times)
        for hit in hits[:, places]:
            right = np.cumsum(times[entry.image[places[hit]]], axis=0)
            total += _area(right, taken[hit], objects, recalls)
    return total / len(entry.hit)


def _taken_until(
    places: NDArray[np.int64],
    image: NDArray[np.int64],
    counted: NDArray[np.bool_],
    times: Floats,
) -> Floats:
    """[places, counts] Detections up to and with each place, those that count."""
    from scipy import sparse

    which = np.flatnonzero(counted)
    row = np.searchsorted(places, which)
    which, row = which[row < len(places)], row[row < len(places)]
    shape = (len(places), len(times))
    between = sparse.csr_array((np.ones(len(row)), (row, image[which])), shape=shape)
    return np.cumsum(between @ times, axis=0)


def _area(right: Floats, taken: Floats, objects: Floats, recalls: Floats) -> Floats:
    """Area under each interpolated precision.

    Args:
        right: [hits, counts] Hits up to and with each one.
        taken: [hits, counts] Hits and misses up to and with each hit.
        objects: [counts] To be found.
        recalls: At which the precision is read.
    """
    precision = right / (taken + np.spacing(1))
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    reached = np.searchsorted(recalls, right / np.maximum(objects, 1), side="right")
    area: Floats = (best * np.diff(reached, axis=0, prepend=0)).sum(axis=0) / len(recalls)
    return area


def _evaluated(truth: dict[str, Any], detections: list[dict[str, Any]], metric: _Metric) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    objects, found = _boxes(truth["annotations"]), _boxes(detections)
    for box, entry in zip(objects, truth["annotations"], strict=True):
        box["area"] = float(entry.get("area", box["area"]))
        box["iscrowd"] = int(entry.get("iscrowd", 0))
    for box, entry in zip(found, detections, strict=True):
        box["score"] = float(entry["score"])
    shared = {key: [{"id": entry["id"]} for entry in truth[key]] for key in _SHARED}
    sides = (COCO(), COCO())
    with redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        for side, boxes in zip(sides, (objects, found), strict=True):
            side.dataset = {**shared, "annotations": boxes}
            side.createIndex()
        evaluator = COCOeval(*sides, iouType="bbox")
        params = evaluator.params
        params.areaRng = [params.areaRng[params.areaRngLbl.index(metric.area)]]
        params.maxDets = [metric.limit]
        if metric.iou is not None:
            params.iouThrs = params.iouThrs[params.iouThrs == metric.iou]
        evaluator.evaluate()
    return evaluator


def _boxes(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What matching reads. Ids count from 1: the matcher takes an id of 0 for no match."""
    boxes = []
    for number, entry in enumerate(entries, 1):
        x, y, width, height = map(float, entry["bbox"])
        boxes.append(
            {
                "id": number,
                "image_id": entry["image_id"],
                "category_id": entry["category_id"],
                "bbox": [x, y, width, height],
                "area": width * height,
            }
        )
    return boxes


def _of_class(found: list[dict[str, Any] | None], thresholds: int) -> _OfClass:
    """One class of all images, in the order in which pycocotools accumulates."""
    objects = np.array([np.sum(e["gtIgnore"] == 0) if e else 0 for e in found], dtype=np.int64)
    some = [(index, e) for index, e in enumerate(found) if e]
    image = np.array([index for index, e in some for _ in e["dtScores"]], dtype=np.int64)
    scores = np.array([value for _, e in some for value in e["dtScores"]], dtype=float)
    none = np.zeros((thresholds, 0))
    matched = np.concatenate([none, *(e["dtMatches"] for _, e in some)], axis=1) > 0
    counted = ~np.concatenate([none, *(e["dtIgnore"] for _, e in some)], axis=1).astype(bool)
    order = np.argsort(-scores, kind="stable")
    return _OfClass(objects, image[order], counted[:, order], (matched & counted)[:, order])
