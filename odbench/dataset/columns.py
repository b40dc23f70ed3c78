"""The boxes and pictures of a split as columns of numbers: small, and quick to count."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from odbench.dataset.types import LabelledImage


class Columns:
    """What the statistics of a split are made of, gathered while it is written.

    One row for each box in the first three columns, one for each picture in the last three.
    """

    def __init__(self) -> None:
        self.class_id = array("i")
        self.width = array("d")  # pixels
        self.height = array("d")
        self.boxes = array("i")  # of each picture
        self.image_width = array("i")  # pixels
        self.image_height = array("i")
        self.mask_area = array("d")  # of each box: square pixels of the object; empty: no masks
        self.crowd = 0  # boxes
        self.difficult = 0

    def add(self, image: LabelledImage, class_ids: Mapping[str, int]) -> None:
        """Add a picture and its boxes."""
        boxes = image.columns
        self.image_width.append(image.width)
        self.image_height.append(image.height)
        self.boxes.append(len(image.boxes))
        if self.mask_area or any(boxes.mask_area):
            self._measure_masks(self)
            self.mask_area.extend(boxes.object_area)
        self.class_id.extend([class_ids[label] for label in boxes.label])
        self.width.extend(boxes.width)
        self.height.extend(boxes.height)
        self.crowd += sum(boxes.crowd)
        self.difficult += sum(boxes.difficult)

    def extend(self, other: Columns) -> None:
        """Add the pictures of another one behind the own."""
        if self.mask_area or other.mask_area:
            self._measure_masks(self)
            self._measure_masks(other)
            self.mask_area.extend(other.mask_area)
        self.image_width.extend(other.image_width)
        self.image_height.extend(other.image_height)
        self.boxes.extend(other.boxes)
        self.class_id.extend(other.class_id)
        self.width.extend(other.width)
        self.height.extend(other.height)
        self.crowd += other.crowd
        self.difficult += other.difficult

    @staticmethod
    def _measure_masks(columns: Columns) -> None:
        """Fill in the areas of boxes from before the first mask: they are those of the boxes."""
        known = len(columns.mask_area)
        sides = zip(columns.width[known:], columns.height[known:], strict=True)
        columns.mask_area.extend([width * height for width, height in sides])
