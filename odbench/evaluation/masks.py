"""Instance masks of ground truth and detections, as checked run lengths for scoring."""

from __future__ import annotations

from typing import Any

import numpy as np

from odbench.dataset.masks import segmentation_to_rle
from odbench.errors import DatasetError, EvaluationError

Rle = dict[str, Any]  # size [height, width], counts as text


def picture_sizes(ground_truth: dict[str, Any]) -> dict[int, tuple[int, int]]:
    """Width and height of every picture, by its id.

    Raises:
        EvaluationError: A picture has none: run lengths could not be checked.
    """
    sizes = {}
    for index, image in enumerate(ground_truth["images"]):
        size = (image.get("width"), image.get("height"))
        if not all(type(side) is int and side >= 1 for side in size):
            raise EvaluationError(
                "no width and height, which masks need",
                where=f"ground truth: images[{index}]",
                value=str(size),
                allowed="two integers >= 1",
                fix="give a COCO instances file with the sizes of its pictures",
            )
        sizes[image["id"]] = size
    return sizes


def has_masks(ground_truth: dict[str, Any]) -> bool:
    """Whether an object has a mask with a pixel."""
    sizes = picture_sizes(ground_truth)
    return any(
        _rle(entry.get("segmentation"), sizes[entry["image_id"]], "ground truth") is not None
        for entry in ground_truth["annotations"]
    )


def truth_masks(
    annotations: list[dict[str, Any]], sizes: dict[int, tuple[int, int]]
) -> list[tuple[Rle, bool]]:
    """Mask of every object, and whether it is a stand-in.

    For an object without a mask its box stands in. It is to be taken for a crowd: what is
    detected there counts neither as found nor as wrong.

    Raises:
        EvaluationError: A segmentation that is none, or there are objects and none has a mask.
    """
    masks: list[tuple[Rle, bool]] = []
    for index, entry in enumerate(annotations):
        size = sizes[entry["image_id"]]
        rle = _rle(entry.get("segmentation"), size, f"ground truth: annotations[{index}]")
        masks.append((_box_rle(entry["bbox"], size), True) if rle is None else (rle, False))
    if masks and all(stands_in for _, stands_in in masks):
        raise EvaluationError(
            "no object of the ground truth has a mask",
            where="ground truth: annotations",
            fix="score boxes, or give a COCO instances file with segmentation",
        )
    return masks


def found_masks(
    detections: list[dict[str, Any]], sizes: dict[int, tuple[int, int]], where: str
) -> list[Rle]:
    """Mask of every detection; one without a pixel overlaps with nothing.

    Raises:
        EvaluationError: A segmentation that is none, or is missing.
    """
    masks = []
    for index, entry in enumerate(detections):
        size, place = sizes[entry["image_id"]], f"{where}: [{index}].segmentation"
        if "segmentation" not in entry:
            raise EvaluationError("no segmentation", where=place, fix="score boxes instead")
        masks.append(_rle(entry["segmentation"], size, place) or _box_rle([0, 0, 0, 0], size))
    return masks


def mask_area(rle: Rle) -> float:
    """Pixels of a mask."""
    from pycocotools import mask as coco_mask

    return float(coco_mask.area(rle))


def _rle(value: Any, size: tuple[int, int], where: str) -> Rle | None:
    try:
        return segmentation_to_rle(value, *size, where)
    except DatasetError as error:
        raise EvaluationError(
            error.what, where=error.where, value=error.value, allowed=error.allowed
        ) from error


def _box_rle(box: list[float], size: tuple[int, int]) -> Rle:
    from pycocotools import mask as coco_mask

    width, height = size
    (runs,) = coco_mask.frPyObjects(np.array([box], dtype=np.float64), height, width)
    return {"size": [height, width], "counts": runs["counts"].decode("ascii")}
