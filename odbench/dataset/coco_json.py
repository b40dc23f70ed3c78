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
            four numbers; names line or element.
    """
    body = _load(path)
    findings: list[Finding] = []
    categories = _categories(body, path, findings)
    pictures = _pictures(body, path)
    used: Counter[int] = Counter()
    for index, item in enumerate(_list(body, "annotations", path)):
        where = _place(path, "annotations", index, item)
        category = _id(item, "category_id", where)
        if category not in categories:
            raise DatasetError(
                "annotation of a category that the file does not name",
                where=where,
                value=category,
                allowed=", ".join(map(str, sorted(categories)[:20])),
            )
        box = _box(item, categories[category].name, where)
        picture = pictures.get(_id(item, "image_id", where))
        if picture is None:
            value = f"image_id {item['image_id']}"
            findings.append(Finding("annotation_without_image", where, value, "left out"))
            continue
        used[category] += 1
        picture.objects.append((box, where))
        picture.shapes.append(_shape(item, categories[category], where))
    findings += [
        Finding("empty_class", category.where, category.name, "not a class of the data set")
        for index, category in categories.items()
        if not used[index]
    ]
    return CocoFile(categories, list(pictures.values()), findings)


def _load(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"cannot read the JSON: {error.strerror}", where=str(path)) from error
    except json.JSONDecodeError as error:
        raise DatasetError("not JSON", where=f"{path}:{error.lineno}", value=error.msg) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, or a number without end
        raise DatasetError("not JSON", where=str(path), value=error) from error
    if not isinstance(body, dict):
        raise DatasetError(
            "not COCO's JSON: the top is not an object", where=str(path), value=type(body).__name__
        )
    return body


def _list(body: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    items = body.get(key)
    if not isinstance(items, list):
        raise DatasetError(
            f"not COCO's JSON: no list of {key}",
            where=str(path),
            value=", ".join(map(str, body))[:200],
            allowed="images, annotations, categories",
        )
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise DatasetError("not an object", where=f"{path}: {key}[{index}]", value=repr(item))
    return items


def _categories(
    body: dict[str, Any], path: Path, findings: list[Finding]
) -> dict[int, CocoCategory]:
    found: dict[int, CocoCategory] = {}
    names: dict[str, int] = {}
    for index, item in enumerate(_list(body, "categories", path)):
        where = _place(path, "categories", index, item)
        number, name = _id(item, "id", where), item.get("name")
        if not isinstance(name, str) or not name.strip():
            raise DatasetError("category without a name", where=where, value=repr(name))
        if number in found:
            raise DatasetError("id of a category is given twice", where=where, value=number)
        name = name.strip()
        if name in names:
            value = f"{name}: id {number} and id {names[name]}"
            findings.append(Finding("class_named_twice", where, value, "taken as one class"))
        names.setdefault(name, number)
        found[number] = CocoCategory(name, where, _keypoint_names(item, where))
    return found


def _keypoint_names(item: dict[str, Any], where: str) -> tuple[str, ...]:
    names = item.get("keypoints") or []
    if (
        not isinstance(names, list)
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) < len(names)
    ):
        raise DatasetError("keypoints are not a list of different names", where=where, value=names)
    return tuple(names)


def _pictures(body: dict[str, Any], path: Path) -> dict[int, AnnotatedPicture]:
    found: dict[int, AnnotatedPicture] = {}
    for index, item in enumerate(_list(body, "images", path)):
        where = _place(path, "images", index, item)
        number, name = _id(item, "id", where), item.get("file_name")
        if not isinstance(name, str) or not name:
            raise DatasetError("image without a file_name", where=where, value=repr(name))
        if number in found:
            raise DatasetError("id of an image is given twice", where=where, value=number)
        found[number] = AnnotatedPicture(name, where, _size(item, where), [])
    return found


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
        raise DatasetError("iscrowd is neither 0 nor 1", where=where, value=repr(crowd))
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
        raise DatasetError("keypoints of a category that names none", where=where)
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
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DatasetError(f"{name} is not a number", where=where, value=repr(value)[:80])
    if not abs(value) < 1e12 or math.isnan(value):
        raise DatasetError(f"{name} is out of all range", where=where, value=repr(value)[:80])
    return float(value)


def _id(item: dict[str, Any], key: str, where: str) -> int:
    value = item.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DatasetError(f"{key} is not an integer", where=where, value=repr(value)[:80])
    return value


def _place(path: Path, key: str, index: int, item: dict[str, Any]) -> str:
    number = item.get("id")
    return f"{path}: {key}[{index}]" + (f" (id {number})" if isinstance(number, int) else "")
