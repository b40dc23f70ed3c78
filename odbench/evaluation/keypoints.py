"""Keypoints of ground truth and detections, and how exactly each kind of them is marked."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odbench.errors import EvaluationError

# Standard deviations, as shares of an object's scale, of how people mark COCO's keypoints, in
# COCO's order (https://cocodataset.org/#keypoints-eval).
COCO_SIGMAS: dict[str, float] = {
    "nose": 0.026,
    "left_eye": 0.025,
    "right_eye": 0.025,
    "left_ear": 0.035,
    "right_ear": 0.035,
    "left_shoulder": 0.079,
    "right_shoulder": 0.079,
    "left_elbow": 0.072,
    "right_elbow": 0.072,
    "left_wrist": 0.062,
    "right_wrist": 0.062,
    "left_hip": 0.107,
    "right_hip": 0.107,
    "left_knee": 0.087,
    "right_knee": 0.087,
    "left_ankle": 0.089,
    "right_ankle": 0.089,
}

# Of keypoints that nobody has measured: what the API's own keypoint evaluator takes.
DEFAULT_SIGMA = 0.05

_SIZE = 3  # numbers of a keypoint: x, y, visibility

Points = NDArray[np.float64]  # (keypoints, 3)


def keypoint_sigmas(names: Sequence[str]) -> list[float]:
    """Sigma of each keypoint: COCO's where all are COCO's, else :data:`DEFAULT_SIGMA` for all.

    One measured sigma among assumed ones would weigh that keypoint apart from the others.
    """
    if names and all(name in COCO_SIGMAS for name in names):
        return [COCO_SIGMAS[name] for name in names]
    return [DEFAULT_SIGMA] * len(names)


@dataclass(frozen=True)
class KeypointProblem:
    """What is compared: keypoints by class, those of other classes left out."""

    truth: dict[int, Points]  # by place in the annotations; classes without keypoints left out
    found: dict[int, Points]  # by place in the detections; likewise
    sigmas: dict[int, NDArray[np.float64]]  # by category id


def compared_keypoints(
    ground_truth: dict[str, Any], detections: list[dict[str, Any]], where: str
) -> KeypointProblem:
    """Check the keypoints of both sides and bring them into arrays.

    Where all classes have the same list of keypoints, because a record has one for all, a class
    keeps those that no other class alone has.

    Args:
        ground_truth: COCO instances. A class has keypoints where one of its objects has.
        detections: COCO results; those of classes without keypoints are passed over.
        where: Name of the detections' file, for the message.

    Raises:
        EvaluationError: Keypoints that are none, differ in number or are missing; or there are
            objects and none has a keypoint.
    """
    names = _names(ground_truth["categories"])
    truth = _truth_points(ground_truth["annotations"])
    category = {i: entry["category_id"] for i, entry in enumerate(ground_truth["annotations"])}
    counts = _counts(truth, category, names)
    truth = {i: points for i, points in truth.items() if category[i] in counts}
    if category and not counts:
        raise EvaluationError(
            "no object of the ground truth has keypoints",
            where="ground truth: annotations",
            fix="score boxes, or give a COCO person_keypoints file",
        )
    found = _found_points(detections, counts, where)
    kept = _own_slots(truth, category, counts)
    return KeypointProblem(
        truth={i: points[kept[category[i]]] for i, points in truth.items()},
        found={i: p[kept[detections[i]["category_id"]]] for i, p in found.items()},
        sigmas={c: _sigmas(names.get(c, []), counts[c])[kept[c]] for c in counts},
    )


def has_keypoints(ground_truth: dict[str, Any]) -> bool:
    """Whether an object has a labelled keypoint."""
    points = _truth_points(ground_truth["annotations"]).values()
    return any(bool((each[:, 2] > 0).any()) for each in points)


def extent(points: Points) -> float:
    """Square pixels of the box around all keypoints, as pycocotools sizes such a detection."""
    if not len(points):
        return 0.0
    width, height = np.ptp(points[:, :2], axis=0)
    return float(width * height)


def _names(categories: list[dict[str, Any]]) -> dict[int, list[str]]:
    return {
        entry["id"]: [str(name) for name in entry["keypoints"]]
        for entry in categories
        if isinstance(entry.get("keypoints"), list) and entry["keypoints"]
    }


def _sigmas(names: list[str], count: int) -> NDArray[np.float64]:
    """Without names seventeen keypoints are taken for COCO's, as pycocotools takes them."""
    if not names:
        names = list(COCO_SIGMAS) if count == len(COCO_SIGMAS) else [""] * count
    return np.array(keypoint_sigmas(names))


def _truth_points(annotations: list[dict[str, Any]]) -> dict[int, Points]:
    places = ((i, entry) for i, entry in enumerate(annotations) if entry.get("keypoints"))
    return {
        i: _points(entry["keypoints"], f"ground truth: annotations[{i}].keypoints")
        for i, entry in places
    }


def _counts(
    truth: dict[int, Points], category: dict[int, int], names: dict[int, list[str]]
) -> dict[int, int]:
    """Number of keypoints of every class with a labelled one; objects of a class agree on it."""
    labelled = {category[i] for i, points in truth.items() if (points[:, 2] > 0).any()}
    counts: dict[int, int] = {c: len(names[c]) for c in sorted(labelled) if c in names}
    for i, points in truth.items():
        if category[i] not in labelled:
            continue
        expected = counts.setdefault(category[i], len(points))
        _check_count(points, expected, f"ground truth: annotations[{i}].keypoints")
    return counts


def _found_points(
    detections: list[dict[str, Any]], counts: dict[int, int], where: str
) -> dict[int, Points]:
    found = {}
    for i, entry in enumerate(detections):
        if entry["category_id"] not in counts:
            continue
        place = f"{where}: [{i}].keypoints"
        if "keypoints" not in entry:
            raise EvaluationError("no keypoints", where=place, fix="score boxes instead")
        found[i] = _points(entry["keypoints"], place)
        _check_count(found[i], counts[entry["category_id"]], place)
    return found


def _own_slots(
    truth: dict[int, Points], category: dict[int, int], counts: dict[int, int]
) -> dict[int, NDArray[np.bool_]]:
    """Which keypoints each class keeps: all but those that other classes alone have labelled."""
    seen = {c: np.zeros(count, dtype=bool) for c, count in counts.items()}
    for i, points in truth.items():
        seen[category[i]] |= points[:, 2] > 0
    if len(set(counts.values())) > 1:  # each class has a list of its own
        return {c: np.ones(count, dtype=bool) for c, count in counts.items()}
    classes_of = np.sum([*seen.values()], axis=0)
    return {c: own | (classes_of == 0) for c, own in seen.items()}


def _points(values: Iterable[Any], where: str) -> Points:
    numbers = list(values) if isinstance(values, list | tuple) else []
    if not numbers or len(numbers) % _SIZE or not all(_is_number(value) for value in numbers):
        raise EvaluationError(
            "keypoints cannot be used",
            where=where,
            value=str(values)[:80],
            allowed="[x, y, v, x, y, v, ...]: finite numbers, three for each keypoint",
        )
    return np.array(numbers, dtype=np.float64).reshape(-1, _SIZE)


def _is_number(value: object) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def _check_count(points: Points, expected: int, where: str) -> None:
    if len(points) != expected:
        raise EvaluationError(
            "another number of keypoints than the class has",
            where=where,
            value=len(points),
            allowed=str(expected),
        )
