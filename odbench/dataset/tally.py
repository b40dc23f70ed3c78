"""The statistics of a split, counted a few pictures at a time: memory does not grow with it.

Sizes are COCO's (https://cocodataset.org/#detection-eval), measured on ``area`` as COCO's scoring
does: the mask's where there is one, else the box's. Crowd boxes are counted with the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odbench.dataset.columns import Columns
from odbench.dataset.statistics_types import (
    Histogram,
    ImageSizes,
    SizeCounts,
    SplitStatistics,
    Spread,
)
from odbench.dataset.values import Numbers, Values

SMALL_BELOW = 32**2  # square pixels
LARGE_FROM = 96**2

# Edges of the bins. Three bins to a factor of 3, so that 32 and 96 pixels are edges; and two to a
# factor of 2, with square boxes in the middle of one.
SIDE_EDGES = tuple(32 * 3 ** (k / 3) for k in range(-9, 14))  # pixels
ASPECT_EDGES = tuple(2 ** (k / 2 + 0.25) for k in range(-7, 7))  # width to height
SHARE_EDGES = tuple(k / 20 for k in range(21))

MAX_IMAGE_SIZES = 200

_AT_A_TIME = 4096  # boxes, or pictures, that are counted together

Whole = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True)
class Table:
    """Some pictures of a split, and all boxes of these, as arrays."""

    label: Whole  # index of the class of each box
    image: Whole  # index of the picture of each box
    width: Numbers  # pixels
    height: Numbers
    area: Numbers  # square pixels; of the mask where there is one
    sizes: Whole  # width and height of each picture, in pixels
    crowd: int
    difficult: int


class Tally:
    """Counts the pictures of one split.

    Args:
        class_ids: Of all classes, in the order of the label map.
    """

    def __init__(self, class_ids: Mapping[str, int]) -> None:
        self._classes = list(class_ids)
        self._index = np.zeros(max(class_ids.values(), default=0) + 1, dtype=np.intc)
        self._index[list(class_ids.values())] = np.arange(len(class_ids))
        self._waiting = Columns()
        self._crowd = self._difficult = 0
        self._boxes_of = np.zeros(len(class_ids), dtype=int)  # by class
        self._images_of = self._boxes_of.copy()
        self._small, self._large = self._boxes_of.copy(), self._boxes_of.copy()
        self._images_by_boxes: Counter[int] = Counter()
        self._image_sizes: Counter[tuple[int, int]] = Counter()
        self._share, self._aspect = Values(), Values()
        self._shares, self._aspects, self._sides = (
            _Bins(edges) for edges in (SHARE_EDGES, ASPECT_EDGES, SIDE_EDGES)
        )

    def extend(self, columns: Columns) -> None:
        """Count some pictures, sooner or later."""
        self._waiting.extend(columns)
        if max(len(self._waiting.class_id), len(self._waiting.boxes)) >= _AT_A_TIME:
            self._count_waiting()

    def _count_waiting(self) -> None:
        columns, self._waiting = self._waiting, Columns()
        pictures = np.arange(len(columns.boxes), dtype=np.intc)
        width, height = np.frombuffer(columns.width), np.frombuffer(columns.height)
        table = Table(
            label=self._index[np.frombuffer(columns.class_id, np.intc)],
            image=np.repeat(pictures, np.frombuffer(columns.boxes, np.intc)),
            width=width,
            height=height,
            area=np.frombuffer(columns.mask_area) if columns.mask_area else width * height,
            sizes=np.array([columns.image_width, columns.image_height], dtype=int).T,
            crowd=columns.crowd,
            difficult=columns.difficult,
        )
        self.add(table)

    def add(self, table: Table) -> None:
        """Count some pictures."""
        number = len(self._classes)
        self._crowd += table.crowd
        self._difficult += table.difficult
        self._boxes_of += np.bincount(table.label, minlength=number)
        pairs = np.unique(table.image.astype(int) * number + table.label)
        self._images_of += np.bincount(pairs % max(number, 1), minlength=number)
        self._small += np.bincount(table.label[table.area < SMALL_BELOW], minlength=number)
        self._large += np.bincount(table.label[table.area >= LARGE_FROM], minlength=number)
        per_image = np.bincount(table.image, minlength=len(table.sizes))
        self._images_by_boxes.update(per_image.tolist())
        self._image_sizes.update((width, height) for width, height in table.sizes.tolist())
        share = np.sqrt(table.width * table.height / table.sizes.prod(axis=1)[table.image])
        high = table.height > 0
        aspect = table.width[high] / table.height[high]
        self._share.add(share)
        self._shares.add(share)
        self._aspect.add(aspect)
        self._aspects.add(aspect)
        self._sides.add(np.sqrt(table.area))

    def result(self) -> SplitStatistics:
        """What was counted."""
        self._count_waiting()
        boxes, small, large = (each.tolist() for each in (self._boxes_of, self._small, self._large))
        sizes = [SizeCounts(s, n - s - b, b) for n, s, b in zip(boxes, small, large, strict=True)]
        return SplitStatistics(
            images=self._images_by_boxes.total(),
            boxes=sum(boxes),
            images_without_boxes=self._images_by_boxes[0],
            crowd=self._crowd,
            difficult=self._difficult,
            boxes_by_class=self._by_class(boxes),
            images_by_class=self._by_class(self._images_of.tolist()),
            boxes_per_image=_spread(self._images_by_boxes),
            images_by_boxes=dict(sorted((+self._images_by_boxes).items())),
            sizes=SizeCounts(sum(small), sum(boxes) - sum(small) - sum(large), sum(large)),
            sizes_by_class=dict(zip(self._classes, sizes, strict=True)),
            side_px=self._sides.histogram(),
            side_share=self._share.spread(),
            side_share_histogram=self._shares.histogram(),
            aspect=self._aspect.spread(),
            aspect_histogram=self._aspects.histogram(),
            image_sizes=_image_sizes(self._image_sizes),
        )

    def _by_class(self, counts: Sequence[int]) -> dict[str, int]:
        return dict(zip(self._classes, counts, strict=True))


class _Bins:
    """A histogram that is being filled."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self._counts = np.zeros(len(edges) - 1, dtype=int)

    def add(self, values: Numbers) -> None:
        # A value on an edge belongs to the bin above it, as in COCO's sizes.
        found = np.clip(np.searchsorted(self._edges, values, side="right") - 1, 0, None)
        last = len(self._counts) - 1
        self._counts += np.bincount(np.minimum(found, last), minlength=last + 1)

    def histogram(self) -> Histogram:
        return Histogram(list(self._edges), self._counts.tolist())


def _spread(counts: Counter[int]) -> Spread:
    """The spread of numbers by how often there is each."""
    total = counts.total()
    if not total:
        return Spread(None, None, None, None)
    values = sorted(+counts)
    ends = np.cumsum([counts[value] for value in values])
    middle = [values[np.searchsorted(ends, at, "right")] for at in ((total - 1) // 2, total // 2)]
    mean = sum(value * counts[value] for value in values) / total
    return Spread(float(values[0]), mean, sum(middle) / 2, float(values[-1]))


def _image_sizes(counts: Counter[tuple[int, int]]) -> ImageSizes:
    ordered = sorted(counts, key=lambda size: (size[0] * size[1], size))
    # Of equally common sizes the smaller comes first, whatever the order of the pictures.
    ranked = sorted(ordered, key=lambda size: -counts[size])[:MAX_IMAGE_SIZES]
    return ImageSizes(
        distinct=len(counts),
        commonest={f"{width}x{height}": counts[width, height] for width, height in ranked},
        smallest=list(ordered[0]) if ordered else None,
        largest=list(ordered[-1]) if ordered else None,
    )
