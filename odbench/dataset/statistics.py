"""What a converted data set holds, counted from its COCO ground truth; no picture is opened.

Sizes are COCO's (https://cocodataset.org/#detection-eval), measured on ``area`` as COCO's scoring
does: the mask's where there is one, else the box's. Crowd boxes are counted with the others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odbench.dataset.columns import Columns
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
    "count_columns",
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

_AT_A_TIME = 1 << 14  # values

Numbers = NDArray[np.float64]
Whole = NDArray[np.signedinteger[Any]]


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
class _Table:
    """The boxes and pictures of a split as arrays."""

    label: Whole  # index of the class of each box
    image: Whole  # index of the picture of each box
    width: Numbers  # pixels
    height: Numbers
    area: Numbers  # square pixels; of the mask where there is one
    sizes: Whole  # width and height of each picture, in pixels
    crowd: int
    difficult: int


def dataset_statistics(dataset: Dataset) -> Statistics:
    """Count what each split holds.

    Raises:
        DatasetError: A ground truth file is missing or is not COCO instances JSON.
    """
    splits = {
        name: _count(_read_table(split.ground_truth, dataset.classes), dataset.classes)
        for name, split in dataset.splits.items()
    }
    return _together(dataset.name, dataset.hash, dataset.classes, splits)


def count_columns(
    name: str, digest: str, class_ids: Mapping[str, int], columns: Mapping[str, Columns]
) -> Statistics:
    """The same of what was gathered while a data set was written.

    Args:
        name: Of the data set.
        digest: Its hash.
        class_ids: Of all classes, in the order of the label map.
        columns: By split.
    """
    classes = list(class_ids)
    splits = {split: _count(_table(each, class_ids), classes) for split, each in columns.items()}
    return _together(name, digest, classes, splits)


def _together(
    name: str, digest: str, classes: list[str], splits: dict[str, SplitStatistics]
) -> Statistics:
    return Statistics(
        name=name,
        hash=digest,
        classes=list(classes),
        splits=splits,
        class_shares={
            label: {
                name: split.boxes_by_class[label] / split.boxes if split.boxes else None
                for name, split in splits.items()
            }
            for label in classes
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


def _read_table(path: Path, classes: list[str]) -> _Table:
    truth = _read(path)
    try:
        names = {category["id"]: category["name"] for category in truth["categories"]}
        unknown = sorted({names[box["category_id"]] for box in truth["annotations"]} - set(classes))
        if not unknown:
            index = {number: classes.index(n) for number, n in names.items() if n in classes}
            return _table_of_truth(truth, index)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            "not COCO instances JSON", where=str(path), value=f"{type(error).__name__}: {error}"
        ) from error
    raise DatasetError(
        "box of a class that the data set has not",
        where=str(path),
        value=unknown[0],
        allowed=", ".join(classes),
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(
            f"cannot read the ground truth: {error.strerror}", where=str(path)
        ) from error
    except ValueError as error:
        raise DatasetError("not JSON", where=str(path), value=error) from error


def _table_of_truth(truth: Any, classes: Mapping[Any, int]) -> _Table:
    images = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
    places = {image: index for index, image in enumerate(images)}
    found = truth["annotations"]
    corners = np.array([box["bbox"] for box in found], dtype=float).reshape(-1, 4)
    areas = [box.get("area", box["bbox"][2] * box["bbox"][3]) for box in found]
    return _Table(
        label=np.array([classes[box["category_id"]] for box in found], dtype=int),
        image=np.array([places[box["image_id"]] for box in found], dtype=int),
        width=corners[:, 2],
        height=corners[:, 3],
        area=np.array(areas, dtype=float),
        sizes=np.array(list(images.values()), dtype=int).reshape(-1, 2),
        crowd=sum(bool(box.get("iscrowd")) for box in found),
        difficult=sum(bool(box.get("difficult")) for box in found),
    )


def _table(columns: Columns, class_ids: Mapping[str, int]) -> _Table:
    index = np.zeros(max(class_ids.values(), default=0) + 1, dtype=np.intc)
    index[list(class_ids.values())] = np.arange(len(class_ids))
    pictures = np.arange(len(columns.boxes), dtype=np.intc)
    width, height = np.frombuffer(columns.width), np.frombuffer(columns.height)
    return _Table(
        label=index[np.frombuffer(columns.class_id, np.intc)],
        image=np.repeat(pictures, np.frombuffer(columns.boxes, np.intc)),
        width=width,
        height=height,
        area=np.frombuffer(columns.mask_area) if columns.mask_area else width * height,
        sizes=np.array([columns.image_width, columns.image_height], dtype=int).T,
        crowd=columns.crowd,
        difficult=columns.difficult,
    )


def _count(table: _Table, classes: list[str]) -> SplitStatistics:
    images, number = len(table.sizes), len(classes)
    by_class = np.bincount(table.label, minlength=number)
    images_by_class = [len(np.unique(table.image[table.label == k])) for k in range(number)]
    per_image = np.bincount(table.image, minlength=images)
    # These columns are as long as the data set: no more of them than needed at a time.
    share = table.width * table.height
    share /= table.sizes.prod(axis=1)[table.image]
    np.sqrt(share, out=share)
    share_histogram, share_spread = _histogram(share, SHARE_EDGES), _spread(share)
    del share
    high = table.height > 0
    aspect = table.width[high]
    aspect /= table.height[high]
    aspect_histogram, aspect_spread = _histogram(aspect, ASPECT_EDGES), _spread(aspect)
    del aspect
    return SplitStatistics(
        images=images,
        boxes=len(table.label),
        images_without_boxes=int((per_image == 0).sum()),
        crowd=table.crowd,
        difficult=table.difficult,
        boxes_by_class=dict(zip(classes, by_class.tolist(), strict=True)),
        images_by_class=dict(zip(classes, images_by_class, strict=True)),
        boxes_per_image=_spread(per_image.astype(float)),
        images_by_boxes=dict(sorted(Counter(per_image.tolist()).items())),
        sizes=_sizes(table.area),
        sizes_by_class={
            label: _sizes(table.area[table.label == index]) for index, label in enumerate(classes)
        },
        side_px=_histogram(np.sqrt(table.area), SIDE_EDGES),
        side_share=share_spread,
        side_share_histogram=share_histogram,
        aspect=aspect_spread,
        aspect_histogram=aspect_histogram,
        image_sizes=_image_sizes(table.sizes),
    )


def _spread(values: Numbers) -> Spread:
    """The spread of values whose order is lost by it."""
    if not values.size:
        return Spread(None, None, None, None)
    least, mean, most = float(values.min()), float(values.mean()), float(values.max())
    return Spread(least, mean, float(np.median(values, overwrite_input=True)), most)


def _histogram(values: Numbers, edges: tuple[float, ...]) -> Histogram:
    # A value on an edge belongs to the bin above it, as in COCO's sizes.
    counts = np.zeros(len(edges) - 1, dtype=int)
    for begin in range(0, len(values), _AT_A_TIME):
        found = np.searchsorted(edges, values[begin : begin + _AT_A_TIME], side="right")
        counts += np.bincount(np.clip(found - 1, 0, len(counts) - 1), minlength=len(counts))
    return Histogram(list(edges), counts.tolist())


def _sizes(areas: Numbers) -> SizeCounts:
    small, large = int((areas < SMALL_BELOW).sum()), int((areas >= LARGE_FROM).sum())
    return SizeCounts(small, len(areas) - small - large, large)


def _image_sizes(sizes: Whole) -> ImageSizes:
    distinct, numbers = np.unique(sizes, axis=0, return_counts=True)
    counts = {(w, h): n for (w, h), n in zip(distinct.tolist(), numbers.tolist(), strict=True)}
    ordered = sorted(counts, key=lambda size: (size[0] * size[1], size))
    # Of equally common sizes the smaller comes first, whatever the order of the pictures.
    ranked = sorted(ordered, key=lambda size: -counts[size])[:MAX_IMAGE_SIZES]
    return ImageSizes(
        distinct=len(counts),
        commonest={f"{width}x{height}": counts[width, height] for width, height in ranked},
        smallest=list(ordered[0]) if ordered else None,
        largest=list(ordered[-1]) if ordered else None,
    )
