"""COCO's instances JSON, parsed and checked piece by piece.

Format: https://cocodataset.org/#format-data. Ids may have gaps, and 0 is an id like any other.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odbench.dataset.annotated import AnnotatedPicture
from odbench.dataset.going_on import one_of_many
from odbench.dataset.types import Box, Finding
from odbench.errors import DatasetError


@dataclass(frozen=True)
class CocoCategory:
    """One class of a file."""

    name: str
    where: str
    keypoints: tuple[str, ...] = ()


@dataclass(frozen=True)
class CocoFile:
    """One file; its boxes are numbers, and nothing has been compared with a picture."""

    categories: dict[int, CocoCategory]
    pictures: list[AnnotatedPicture]  # with segmentation and keypoints as their shapes
    findings: list[Finding]


def read_coco(path: Path) -> CocoFile:
    """Parse one file.

    Raises:
        DatasetError: It is not JSON, not COCO's, an id is unknown or given twice, or a box is not
            four numbers; names line or element. A check goes on after a wrong element.
    """
    body = _load(path)
    reading = _Reading()
    for where, item in _elements(body, "categories", path):
        with one_of_many():
            reading.add_category(item, where)
    for where, item in _elements(body, "images", path):
        with one_of_many():
            reading.add_image(item, where)
    for where, item in _elements(body, "annotations", path):
        with one_of_many():
            reading.add_annotation(item, where)
    return CocoFile(
        reading.categories,
        list(reading.pictures.values()),
        reading.findings + reading.empty_classes(),
    )


class _Reading:
    """What was read of a file so far.

    What refers to an element that is there and wrong is passed over: that one has its error.
    """

    def __init__(self) -> None:
        self.categories: dict[int, CocoCategory] = {}
        self.pictures: dict[int, AnnotatedPicture] = {}
        self.findings: list[Finding] = []
        self._names: dict[str, int] = {}  # of categories
        self._used: Counter[int] = Counter()  # categories
        self._wrong_categories: set[int] = set()
        self._wrong_images: set[int] = set()

    def add_category(self, item: dict[str, Any], where: str) -> None:
        number, name = _id(item, "id", where), item.get("name")
        if number in self.categories:
            raise DatasetError(
                "id of a category is given twice",
                where=where,
                value=number,
                allowed=f"another id than that of {self.categories[number].name}",
            )
        self._wrong_categories.add(number)
        if not isinstance(name, str) or not name.strip():
            raise DatasetError(
                "category without a name", where=where, value=repr(name), allowed="a text"
            )
        keypoints = _keypoint_names(item, where)
        self._wrong_categories.remove(number)
        name = name.strip()
        if name in self._names:
            value = f"{name}: id {number} and id {self._names[name]}"
            self.findings.append(Finding("class_named_twice", where, value, "taken as one class"))
        self._names.setdefault(name, number)
        self.categories[number] = CocoCategory(name, where, keypoints)

    def add_image(self, item: dict[str, Any], where: str) -> None:
        number, name = _id(item, "id", where), item.get("file_name")
        if number in self.pictures:
            raise DatasetError(
                "id of an image is given twice",
                where=where,
                value=number,
                allowed=f"another id than that of {self.pictures[number].name}",
            )
        self._wrong_images.add(number)
        if not isinstance(name, str) or not name:
            raise DatasetError(
                "image without a file_name", where=where, value=repr(name), allowed="a text"
            )
        self.pictures[number] = AnnotatedPicture(name, where, _size(item, where), [])
        self._wrong_images.remove(number)

    def add_annotation(self, item: dict[str, Any], where: str) -> None:
        number, image = _id(item, "category_id", where), _id(item, "image_id", where)
        category, picture = self.categories.get(number), self.pictures.get(image)
        if category is None and number in self._wrong_categories:
            return
        if category is None:
            raise DatasetError(
                "annotation of a category that the file does not name",
                where=where,
                value=number,
                allowed=", ".join(map(str, sorted(self.categories)[:20])),
            )
        if picture is not None or image in self._wrong_images:
            self._used[number] += 1
        box, shape = _box(item, category.name, where), _shape(item, category, where)
        if picture is not None:
            picture.objects.append((box, where))
            picture.shapes.append(shape)
        elif image not in self._wrong_images:
            value = f"image_id {image}"
            self.findings.append(Finding("annotation_without_image", where, value, "left out"))

    def empty_classes(self) -> list[Finding]:
        return [
            Finding("empty_class", category.where, category.name, "not a class of the data set")
            for index, category in self.categories.items()
            if not self._used[index]
        ]


def _load(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"cannot read the JSON: {error.strerror}", where=str(path)) from error
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise DatasetError("not JSON", where=where, value=error.msg) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or a number without end
        raise DatasetError("not JSON", where=str(path), value=error) from error
    if not isinstance(body, dict):
        raise DatasetError(
            "not COCO's JSON: the top is not an object", where=str(path), value=type(body).__name__
        )
    return body


def _elements(body: dict[str, Any], key: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a list, each with its place."""
    items = body.get(key)
    if not isinstance(items, list):
        raise DatasetError(
            f"not COCO's JSON: no list of {key}",
            where=str(path),
            value=", ".join(map(str, body))[:200],
            allowed="images, annotations, categories",
        )
    for index, item in enumerate(items):
        if isinstance(item, dict):
            yield _place(path, key, index, item), item
            continue
        with one_of_many():
            raise DatasetError(
                "not an object",
                where=f"{path}: {key}[{index}]",
                value=repr(item)[:80],
                allowed="{...}",
            )


def _keypoint_names(item: dict[str, Any], where: str) -> tuple[str, ...]:
    names = item.get("keypoints") or []
    if (
        not isinstance(names, list)
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) < len(names)
    ):
        raise DatasetError(
            "keypoints are not a list of different names",
            where=where,
            value=repr(names)[:80],
            allowed='["nose", "tail", ...]',
        )
    return tuple(names)


def _size(item: dict[str, Any], where: str) -> tuple[int, int] | None:
    width, height = item.get("width"), item.get("height")
    if width is None or height is None:
        return None
    return int(_number(width, "width", where)), int(_number(height, "height", where))


def _box(item: dict[str, Any], label: str, where: str) -> Box:
    corners = item.get("bbox")
    if not isinstance(corners, list) or len(corners) != 4:
        raise DatasetError(
            "bbox is not four numbers",
            where=where,
            value=repr(corners)[:80],
            allowed="[x, y, width, height]",
        )
    x, y, width, height = (_number(value, "bbox", where) for value in corners)
    crowd = item.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DatasetError(
            "iscrowd is neither 0 nor 1", where=where, value=repr(crowd), allowed="0, 1"
        )
    return Box(label, x, y, x + width, y + height, crowd=bool(crowd))


def _shape(item: dict[str, Any], category: CocoCategory, where: str) -> dict[str, Any]:
    """Segmentation and keypoints of an annotation; missing where there are none."""
    shape: dict[str, Any] = {}
    if item.get("segmentation"):
        shape["segmentation"] = item["segmentation"]
    points = item.get("keypoints")
    if points and category.keypoints:
        shape["keypoints"] = list(_points(points, category, where))
    elif points:
        raise DatasetError(
            "keypoints of a category that names none",
            where=where,
            value=repr(points)[:80],
            allowed="none, or name them in the category: keypoints",
        )
    return shape


def _points(points: Any, category: CocoCategory, where: str) -> Iterator[tuple[float, float, int]]:
    count = len(category.keypoints)
    if not isinstance(points, list) or len(points) != 3 * count:
        raise DatasetError(
            "keypoints are not three numbers each",
            where=where,
            value=f"{len(points)} numbers" if isinstance(points, list) else repr(points)[:80],
            allowed=f"{3 * count} numbers",
        )
    for index in range(count):
        x, y = (_number(value, "keypoint", where) for value in points[3 * index : 3 * index + 2])
        seen = points[3 * index + 2]
        if seen not in (0, 1, 2):
            raise DatasetError(
                "visibility of a keypoint", where=where, value=repr(seen), allowed="0, 1, 2"
            )
        yield x, y, int(seen)


def _number(value: Any, name: str, where: str) -> float:
    shown = repr(value)[:80]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DatasetError(f"{name} is not a number", where=where, value=shown, allowed="a number")
    if not abs(value) < 1e12 or math.isnan(value):
        raise DatasetError(
            f"{name} is out of all range", where=where, value=shown, allowed="a number of pixels"
        )
    return float(value)


def _id(item: dict[str, Any], key: str, where: str) -> int:
    value = item.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DatasetError(
            f"{key} is not an integer", where=where, value=repr(value)[:80], allowed="an integer"
        )
    return value


def _place(path: Path, key: str, index: int, item: dict[str, Any]) -> str:
    number = item.get("id")
    return f"{path}: {key}[{index}]" + (f" (id {number})" if isinstance(number, int) else "")
