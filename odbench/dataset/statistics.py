"""What a converted data set holds, counted from its COCO ground truth; no picture is opened.

Sizes are COCO's (https://cocodataset.org/#detection-eval), measured on ``area`` as COCO's scoring
does: the mask's where there is one, else the box's. Crowd boxes are counted with the others.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odbench.dataset.statistics_table import render_statistics
from odbench.dataset.types import Dataset
from odbench.errors import DatasetError

__all__ = [
    "Histogram",
    "ImageSizes",
    "SizeCounts",
    "SplitStatistics",
    "Spread",
    "Statistics",
    "dataset_statistics",
    "render_statistics",
    "statistics_to_json",
]

SMALL_BELOW = 32**2  # square pixels
LARGE_FROM = 96**2

# Edges of the bins. Three bins to a factor of 3, so that 32 and 96 pixels are edges; and two to a
# factor of 2, with square boxes in the middle of one.
SIDE_EDGES = tuple(32 * 3 ** (k / 3) for k in range(-9, 14))  # pixels
ASPECT_EDGES = tuple(2 ** (k / 2 + 0.25) for k in range(-7, 7))  # width to height
SHARE_EDGES = tuple(k / 20 for k in range(21))

MAX_IMAGE_SIZES = 200

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """How a quantity is spread; None where there is nothing to measure."""

    min: float | None
    mean: float | None
    p50: float | None
    max: float | None


@dataclass(frozen=True)
class Histogram:
    """Counts of bins; what lies beyond the outer edges is counted in the outer bins."""

    edges: list[float]  # one more than counts
    counts: list[int]


@dataclass(frozen=True)
class SizeCounts:
    """Boxes by COCO's sizes: below 32x32 pixels, below 96x96, and the rest."""

    small: int
    medium: int
    large: int


@dataclass(frozen=True)
class ImageSizes:
    """Sizes of the pictures in pixels, [width, height]."""

    distinct: int
    commonest: dict[str, int]  # images by WIDTHxHEIGHT, at most 200 sizes
    smallest: list[int] | None  # by area
    largest: list[int] | None


@dataclass(frozen=True)
class SplitStatistics:
    """One split."""

    images: int
    boxes: int
    images_without_boxes: int
    crowd: int  # boxes
    difficult: int  # boxes
    boxes_by_class: dict[str, int]
    images_by_class: dict[str, int]  # images with at least one box of the class
    boxes_per_image: Spread
    images_by_boxes: dict[int, int]  # number of images by their number of boxes
    sizes: SizeCounts
    sizes_by_class: dict[str, SizeCounts]
    side_px: Histogram  # square root of the area
    side_share: Spread  # square root of box area over image area, 0..1
    side_share_histogram: Histogram
    aspect: Spread  # width to height of the boxes
    aspect_histogram: Histogram
    image_sizes: ImageSizes


@dataclass(frozen=True)
class Statistics:
    """A whole data set."""

    name: str
    hash: str
    classes: list[str]
    splits: dict[str, SplitStatistics]
    class_shares: dict[str, dict[str, float | None]]  # by class and split, of the split's boxes
    missing_classes: dict[str, list[str]]  # by split: classes that it has no box of


@dataclass(frozen=True)
class _Boxes:
    """The boxes of a split as columns."""

    label: list[str]
    image: list[int]
    width: Numbers  # pixels
    height: Numbers
    area: Numbers  # square pixels; of the mask where there is one
    image_area: Numbers
    crowd: int
    difficult: int


def dataset_statistics(dataset: Dataset) -> Statistics:
    """Count what each split holds.

    Raises:
        DatasetError: A ground truth file is missing or is not COCO instances JSON.
    """
    splits = {
        name: _split_statistics(split.ground_truth, dataset.classes)
        for name, split in dataset.splits.items()
    }
    return Statistics(
        name=dataset.name,
        hash=dataset.hash,
        classes=list(dataset.classes),
        splits=splits,
        class_shares={
            label: {
                name: split.boxes_by_class[label] / split.boxes if split.boxes else None
                for name, split in splits.items()
            }
            for label in dataset.classes
        },
        missing_classes={
            name: [label for label, boxes in split.boxes_by_class.items() if not boxes]
            for name, split in splits.items()
        },
    )


def statistics_to_json(stats: Statistics) -> dict[str, Any]:
    """The statistics as JSON values."""
    body: dict[str, Any] = json.loads(json.dumps(asdict(stats), allow_nan=False))
    return body


def _split_statistics(path: Path, classes: list[str]) -> SplitStatistics:
    truth = _read(path)
    try:
        images = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
        boxes = _columns(truth, images)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            "not COCO instances JSON", where=str(path), value=f"{type(error).__name__}: {error}"
        ) from error
    unknown = sorted(set(boxes.label) - set(classes))
    if unknown:
        raise DatasetError(
            "box of a class that the data set has not",
            where=str(path),
            value=unknown[0],
            allowed=", ".join(classes),
        )
    return _count(images, boxes, classes)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(
            f"cannot read the ground truth: {error.strerror}", where=str(path)
        ) from error
    except ValueError as error:
        raise DatasetError("not JSON", where=str(path), value=error) from error


def _columns(truth: Any, images: dict[int, tuple[int, int]]) -> _Boxes:
    names = {category["id"]: category["name"] for category in truth["categories"]}
    found = truth["annotations"]
    corners = np.array([box["bbox"] for box in found], dtype=float).reshape(-1, 4)
    areas = [box.get("area", box["bbox"][2] * box["bbox"][3]) for box in found]
    return _Boxes(
        label=[names[box["category_id"]] for box in found],
        image=[box["image_id"] for box in found],
        width=corners[:, 2],
        height=corners[:, 3],
        area=np.array(areas, dtype=float),
        image_area=np.array([np.prod(images[box["image_id"]]) for box in found], dtype=float),
        crowd=sum(bool(box.get("iscrowd")) for box in found),
        difficult=sum(bool(box.get("difficult")) for box in found),
    )


def _count(
    images: dict[int, tuple[int, int]], boxes: _Boxes, classes: list[str]
) -> SplitStatistics:
    by_class = Counter(boxes.label)
    in_images = Counter(label for label, _ in set(zip(boxes.label, boxes.image, strict=True)))
    by_image = Counter(boxes.image)
    per_image = [by_image[image] for image in images]
    labels = np.array(boxes.label, dtype=object)
    share = np.sqrt(boxes.width * boxes.height / boxes.image_area)
    aspect = boxes.width[boxes.height > 0] / boxes.height[boxes.height > 0]
    return SplitStatistics(
        images=len(images),
        boxes=len(boxes.label),
        images_without_boxes=per_image.count(0),
        crowd=boxes.crowd,
        difficult=boxes.difficult,
        boxes_by_class={label: by_class[label] for label in classes},
        images_by_class={label: in_images[label] for label in classes},
        boxes_per_image=_spread(np.array(per_image, dtype=float)),
        images_by_boxes=dict(sorted(Counter(per_image).items())),
        sizes=_sizes(boxes.area),
        sizes_by_class={label: _sizes(boxes.area[labels == label]) for label in classes},
        side_px=_histogram(np.sqrt(boxes.area), SIDE_EDGES),
        side_share=_spread(share),
        side_share_histogram=_histogram(share, SHARE_EDGES),
        aspect=_spread(aspect),
        aspect_histogram=_histogram(aspect, ASPECT_EDGES),
        image_sizes=_image_sizes(list(images.values())),
    )


def _spread(values: Numbers) -> Spread:
    if not values.size:
        return Spread(None, None, None, None)
    return Spread(
        float(values.min()), float(values.mean()), float(np.median(values)), float(values.max())
    )


def _histogram(values: Numbers, edges: tuple[float, ...]) -> Histogram:
    # A value on an edge belongs to the bin above it, as in COCO's sizes.
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(bins, minlength=len(edges) - 1)
    return Histogram(list(edges), [int(count) for count in counts])


def _sizes(areas: Numbers) -> SizeCounts:
    small, large = int((areas < SMALL_BELOW).sum()), int((areas >= LARGE_FROM).sum())
    return SizeCounts(small, len(areas) - small - large, large)


def _image_sizes(sizes: list[tuple[int, int]]) -> ImageSizes:
    counts = Counter(sizes)
    ordered = sorted(counts, key=lambda size: (size[0] * size[1], size))
    # Of equally common sizes the smaller comes first, whatever the order of the pictures.
    ranked = sorted(ordered, key=lambda size: -counts[size])[:MAX_IMAGE_SIZES]
    return ImageSizes(
        distinct=len(counts),
        commonest={f"{width}x{height}": counts[width, height] for width, height in ranked},
        smallest=list(ordered[0]) if ordered else None,
        largest=list(ordered[-1]) if ordered else None,
    )
