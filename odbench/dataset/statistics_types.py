"""What is counted of a converted data set."""

from __future__ import annotations

from dataclasses import dataclass


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
