"""COCO instances JSON, the ground truth that evaluation reads.

Format: https://cocodataset.org/#format-data. Image and annotation ids start at 1. COCO knows no
difficult objects: they stay ordinary annotations and carry a key ``difficult`` beside. A mask is
written as compressed RLE, and the area is then the mask's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from odbench.dataset.types import Box, LabelledImage


class CocoLines(NamedTuple):
    """One picture as it stands in the file; the ids of its boxes are put in on writing."""

    image: str
    annotations: list[str]  # JSON objects from behind their id on
    labels: list[str]  # of the boxes
    keypoints: dict[str, tuple[str, ...]]  # of the classes that have any here


def coco_lines(image: LabelledImage, image_id: int, class_ids: Mapping[str, int]) -> CocoLines:
    """Format a picture and its boxes."""
    entry = {
        "id": image_id,
        "file_name": image.filename,
        "width": image.width,
        "height": image.height,
    }
    return CocoLines(
        json.dumps(entry),
        [_annotation(box, image_id, class_ids[box.label]) for box in image.boxes],
        [box.label for box in image.boxes],
        {
            box.label: image.keypoint_names
            for box in image.boxes
            if any(seen for _, _, seen in box.keypoints)
        },
    )


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
        self._image_lines: list[str] = []
        self._keypoints: dict[str, tuple[str, ...]] = {}  # of the classes that have any
        self._file = path.open("w", encoding="utf-8")
        self._file.write('{"info": {}, "licenses": [],\n"annotations": [')

    def add(self, image: LabelledImage, image_id: int) -> None:
        """Add a picture and its boxes."""
        self.write(coco_lines(image, image_id, self._class_ids))

    def write(self, lines: CocoLines) -> None:
        """Add a picture that is formatted already."""
        self.images += 1
        self._image_lines.append(lines.image)
        self.boxes.update(lines.labels)
        self._keypoints.update(lines.keypoints)
        text = []
        for line in lines.annotations:
            comma = "," if self._written else ""
            self._written += 1
            text.append(f'{comma}\n{{"id": {self._written}, {line}')
        self._file.write("".join(text))

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
        with self._file:
            if error is None:
                self._file.write("],\n" + '"images": [\n' + ",\n".join(self._image_lines) + "],\n")
                self._file.write(f'"categories": {json.dumps(self._categories())}}}\n')

    def _categories(self) -> list[dict[str, Any]]:
        """Ids and names, with the keypoints that were seen: the last thing to be known."""
        return [
            {"id": index, "name": name}
            | ({"keypoints": self._keypoints[name]} if name in self._keypoints else {})
            for name, index in self._class_ids.items()
        ]


def _annotation(box: Box, image_id: int, category_id: int) -> str:
    """The JSON object of a box without its id; numbers of Python are JSON as they are."""
    x, y, width, height = box.xmin, box.ymin, box.xmax - box.xmin, box.ymax - box.ymin
    line = (
        f'"image_id": {image_id}, "category_id": {category_id}, '
        f'"bbox": [{x}, {y}, {width}, {height}], "area": {box.object_area}, '
        f'"iscrowd": {int(box.crowd)}, "difficult": {int(box.difficult)}'
    )
    more: dict[str, Any] = {}
    if box.mask_png is not None:
        from odbench.dataset.masks import mask_to_rle

        more["segmentation"] = mask_to_rle(box.mask_png)
    if box.keypoints:
        more["keypoints"] = [value for point in box.keypoints for value in point]
        more["num_keypoints"] = sum(seen > 0 for _, _, seen in box.keypoints)
    return f"{line}, {json.dumps(more)[1:]}" if more else f"{line}}}"
