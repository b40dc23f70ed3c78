"""The boxes and pictures of a split as columns of numbers: small, and quick to count."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from odbench.dataset.types import LabelledImage


class Columns:
    """What the statistics of a split are made of, gathered while it is written.

    One row for each box in the first five columns, one for each picture in the last two.
    """

    def __init__(self) -> None:
        self.class_id = array("i")
        self.image = array("i")  # index of its picture, from 0
        self.width = array("d")  # pixels
        self.height = array("d")
        self.area = array("d")  # square pixels; of the mask where there is one
        self.image_width = array("i")  # pixels
        self.image_height = array("i")
        self.crowd = 0  # boxes
        self.difficult = 0

    def add(self, image: LabelledImage, class_ids: Mapping[str, int]) -> None:
        """Add a picture and its boxes."""
        boxes, index = image.boxes, len(self.image_width)
        self.image_width.append(image.width)
        self.image_height.append(image.height)
        self.class_id.extend([class_ids[box.label] for box in boxes])
        self.image.extend([index] * len(boxes))
        self.width.extend([box.xmax - box.xmin for box in boxes])
        self.height.extend([box.ymax - box.ymin for box in boxes])
        self.area.extend([box.object_area for box in boxes])
        self.crowd += sum(box.crowd for box in boxes)
        self.difficult += sum(box.difficult for box in boxes)

    def extend(self, other: Columns) -> None:
        """Add the pictures of another one behind the own."""
        index = len(self.image_width)
        self.image.extend([index + image for image in other.image])
        self.image_width.extend(other.image_width)
        self.image_height.extend(other.image_height)
        self.class_id.extend(other.class_id)
        self.width.extend(other.width)
        self.height.extend(other.height)
        self.area.extend(other.area)
        self.crowd += other.crowd
        self.difficult += other.difficult
