"""COCO instances JSON, the ground truth that evaluation reads.

Format: https://cocodataset.org/#format-data. Image and annotation ids start at 1. COCO knows no
difficult objects: they stay ordinary annotations and carry a key ``difficult`` beside. A mask is
written as compressed RLE, and the area is then the mask's.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from odbench.dataset.types import BoxColumns, LabelledImage


@dataclass
class CocoLines:
    """Some pictures as they stand in the file; the ids of their boxes are put in on writing."""

    images: list[str] = field(default_factory=list)  # JSON objects
    # JSON objects, each with a comma before it and ``%d`` for its id
    annotations: list[str] = field(default_factory=list)
    boxes: Counter[str] = field(default_factory=Counter)  # by label
    keypoints: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of classes that have any

    def add(self, image: LabelledImage, image_id: int, class_ids: Mapping[str, int]) -> None:
        """Format a picture and its boxes."""
        boxes = image.columns
        ids = [class_ids[label] for label in boxes.label]
        self.annotations += _annotations(boxes, image_id, ids)
        self.images.append(
            f'{{"id": {image_id}, "file_name": {json.dumps(image.filename)}, '
            f'"width": {image.width}, "height": {image.height}}}'
        )
        self.boxes.update(boxes.label)
        if any(boxes.keypoints):
            self.keypoints |= {
                box.label: image.keypoint_names
                for box in image.boxes
                if any(seen for _, _, seen in box.keypoints)
            }


class CocoWriter:
    """Writes one split picture by picture; the file is whole once the context is left.

    Args:
        path: Of the JSON file.
        class_ids: Category id of every label, as in the label map.
    """

    def __init__(self, path: Path, class_ids: Mapping[str, int]) -> None:
        self.images = 0
        self.boxes: Counter[str] = Counter()  # by label
        self._written = 0  # boxes
        self._class_ids = class_ids
        self._keypoints: dict[str, tuple[str, ...]] = {}  # of the classes that have any
        self._file = path.open("w", encoding="utf-8")
        # they come behind the annotations
        self._pictures = tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent)  # noqa: SIM115
        self._file.write('{"info": {}, "licenses": [],\n"annotations": [')

    def add(self, image: LabelledImage, image_id: int) -> None:
        """Add a picture and its boxes."""
        lines = CocoLines()
        lines.add(image, image_id, self._class_ids)
        self.write(lines)

    def write(self, lines: CocoLines) -> None:
        """Add pictures that are formatted already."""
        if lines.images:
            self._pictures.write((",\n" if self.images else "") + ",\n".join(lines.images))
        self.images += len(lines.images)
        first, count = self._written + 1, lines.boxes.total()
        text = "".join(lines.annotations) % tuple(range(first, first + count))
        self._file.write(text if self._written else text[1:])  # no comma before the first
        self._written += count
        self.boxes.update(lines.boxes)
        self._keypoints.update(lines.keypoints)

    def __enter__(self) -> CocoWriter:
        """Start writing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; after an error it is left unfinished."""
        with self._file, self._pictures:
            if error is None:
                self._file.write("],\n" + '"images": [\n')
                self._pictures.seek(0)
                shutil.copyfileobj(self._pictures, self._file)
                self._file.write("],\n")
                self._file.write(f'"categories": {json.dumps(self._categories())}}}\n')

    def _categories(self) -> list[dict[str, Any]]:
        """Ids and names, with the keypoints that were seen: the last thing to be known."""
        return [
            {"id": index, "name": name}
            | ({"keypoints": self._keypoints[name]} if name in self._keypoints else {})
            for name, index in self._class_ids.items()
        ]


def _annotations(boxes: BoxColumns, image_id: int, category_ids: list[int]) -> list[str]:
    """The JSON objects of the boxes; numbers of Python are JSON as they are."""
    lines = [
        f',\n{{"id": %d, "image_id": {image_id}, "category_id": {category_id}, '
        f'"bbox": [{x}, {y}, {width}, {height}], "area": {area}, '
        f'"iscrowd": {crowd:d}, "difficult": {difficult:d}}}'
        for category_id, x, y, width, height, area, crowd, difficult in zip(
            category_ids,
            boxes.xmin,
            boxes.ymin,
            boxes.width,
            boxes.height,
            boxes.object_area,
            boxes.crowd,
            boxes.difficult,
            strict=True,
        )
    ]
    if not any(boxes.keypoints) and all(mask is None for mask in boxes.mask_png):
        return lines
    shapes = map(_shape, boxes.mask_png, boxes.keypoints)
    return [
        f"{line[:-1]}, {_verbatim(json.dumps(more))[1:]}" if more else line
        for line, more in zip(lines, shapes, strict=True)
    ]


def _verbatim(text: str) -> str:
    return text.replace("%", "%%")


def _shape(mask_png: bytes | None, keypoints: Sequence[Sequence[float]]) -> dict[str, Any]:
    """What is said of an object beyond its box."""
    more: dict[str, Any] = {}
    if mask_png is not None:
        from odbench.dataset.masks import mask_to_rle

        more["segmentation"] = mask_to_rle(mask_png)
    if keypoints:
        more["keypoints"] = [value for point in keypoints for value in point]
        more["num_keypoints"] = sum(seen > 0 for _, _, seen in keypoints)
    return more
