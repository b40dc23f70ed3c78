"""Ground truth and detections in COCO's JSON formats: read and checked, element by element.

The formats are those of https://cocodataset.org/#format-data (``images``, ``annotations``,
``categories``) and https://cocodataset.org/#format-results (a list of detections).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, cast

from odbench.errors import EvaluationError
from odbench.evaluation.names import IouType

_MAX_FLOAT = sys.float_info.max
_VALUE_LENGTH = 80  # characters of an offending value that a message shows


def load_ground_truth(path: Path) -> dict[str, Any]:
    """Read and check a COCO instances file.

    Raises:
        EvaluationError: The file cannot be read, is not JSON, or an entry is not usable.
    """
    body = _read_json(path)
    check_ground_truth(body, str(path))
    return cast(dict[str, Any], body)


def load_detections(path: Path, iou_type: IouType = IouType.bbox) -> list[dict[str, Any]]:
    """Read and check a COCO results file.

    Raises:
        EvaluationError: The file cannot be read, is not JSON, or a detection is not usable.
    """
    body = _read_json(path)
    check_detections(body, str(path), iou_type)
    return cast(list[dict[str, Any]], body)


def check_ground_truth(body: object, where: str) -> None:
    """Check everything that scoring reads of the ground truth, references included.

    Args:
        body: What the file holds.
        where: Name of the file, for the message.

    Raises:
        EvaluationError: Names the first unusable element.
    """
    if not isinstance(body, dict):
        raise EvaluationError(
            "the top is not an object",
            where=where,
            value=_show(body),
            allowed='{"images": [...], "annotations": [...], "categories": [...]}',
            fix="give a COCO instances file",
        )
    for key, fields in _GROUND_TRUTH.items():
        if not isinstance(body.get(key), list):
            raise EvaluationError(
                f"no list of {key}" if key not in body else f"{key} is not a list",
                where=f"{where}: {key}",
                value=_show(body[key]) if key in body else None,
                allowed="a list, which may be empty",
                fix="give a COCO instances file",
            )
        _check_entries(body[key], fields, f"{where}: {key}")
        _check_unique(body[key], "id", f"{where}: {key}")
    _check_unique(body["categories"], "name", f"{where}: categories")
    _check_known(body["annotations"], body, f"{where}: annotations")


def check_detections(body: object, where: str, iou_type: IouType = IouType.bbox) -> None:
    """Check what scoring reads of the detections, but for their masks and keypoints.

    Args:
        body: What the file holds.
        where: Name of the file, for the message.
        iou_type: Detections need a ``bbox`` where boxes are scored.

    Raises:
        EvaluationError: Names the first unusable element.
    """
    if not isinstance(body, list):
        raise EvaluationError(
            "the top is not a list",
            where=where,
            value=_show(body),
            allowed='[{"image_id": 1, "category_id": 1, "bbox": [x, y, width, height], '
            '"score": 0.9}, ...]',
            fix="give a COCO results file",
        )
    fields = _DETECTION if iou_type is IouType.bbox else (*_DETECTION_IDS, _SCORE)
    _check_entries(body, fields, f"{where}: ")


def check_references(
    detections: list[dict[str, Any]], ground_truth: dict[str, Any], where: str
) -> None:
    """Check that every detection is of an image and a category of the ground truth.

    Args:
        detections: As :func:`check_detections` passed them.
        ground_truth: As :func:`check_ground_truth` passed it.
        where: Name of the detections' file, for the message.

    Raises:
        EvaluationError: Names the first detection of an unknown image or category.
    """
    _check_known(detections, ground_truth, f"{where}: ")


@dataclass(frozen=True)
class _Field:
    """One value that an entry has."""

    name: str
    accepts: Callable[[object], bool]
    allowed: str
    fix: str | None = None
    optional: bool = False


def _is_id(value: object) -> bool:
    return type(value) is int


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_number(value: object) -> TypeGuard[float]:
    # The comparison is false for NaN and infinity, and for integers beyond a float's range.
    return (
        isinstance(value, int | float)
        and -_MAX_FLOAT <= value <= _MAX_FLOAT
        and not isinstance(value, bool)
    )


def _is_size(value: object) -> bool:
    return _is_number(value) and value >= 0


def _is_flag(value: object) -> bool:
    return isinstance(value, int) and value in (0, 1)


def _is_box(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 4:
        return False
    x, y, width, height = value
    return _is_number(x) and _is_number(y) and _is_size(width) and _is_size(height)


_ID = "an integer"
_BOX = _Field(
    "bbox",
    _is_box,
    "[x, y, width, height]: four finite numbers, width and height >= 0",
    "give x and y of the upper left corner, width and height, in pixels",
)
_GROUND_TRUTH: dict[str, tuple[_Field, ...]] = {
    "images": (_Field("id", _is_id, _ID),),
    "categories": (
        _Field("id", _is_id, _ID),
        _Field("name", _is_name, "a text that is not empty"),
    ),
    "annotations": (
        _Field("id", _is_id, _ID),
        _Field("image_id", _is_id, _ID),
        _Field("category_id", _is_id, _ID),
        _BOX,
        _Field("area", _is_size, "a finite number >= 0", "or leave it out", optional=True),
        _Field("iscrowd", _is_flag, "0 or 1", "or leave it out", optional=True),
    ),
}
_DETECTION_IDS = (_Field("image_id", _is_id, _ID), _Field("category_id", _is_id, _ID))
_SCORE = _Field("score", _is_number, "a finite number")
_DETECTION = (*_DETECTION_IDS, _BOX, _SCORE)


def _read_json(path: Path) -> object:
    try:
        body: object = json.loads(path.read_text(encoding="utf-8-sig"))
        return body
    except OSError as error:
        raise EvaluationError(
            f"cannot read the file: {error.strerror}", where=str(path), fix="check the path"
        ) from error
    except json.JSONDecodeError as error:
        raise EvaluationError(
            f"not JSON: {error.msg}",
            where=f"{path}:{error.lineno}:{error.colno}",
            fix="write the file again; it may be cut short",
        ) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, an endless number, nested too deep
        raise EvaluationError(f"not JSON: {error}", where=str(path)) from error


def _check_entries(entries: list[Any], fields: tuple[_Field, ...], where: str) -> None:
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise EvaluationError(
                "not an object",
                where=f"{where}[{index}]",
                value=_show(entry),
                allowed="{" + ", ".join(f'"{f.name}": ...' for f in fields) + "}",
            )
    for field in fields:
        _check_field(entries, field, where)


def _check_field(entries: list[dict[str, Any]], field: _Field, where: str) -> None:
    name, accepts = field.name, field.accepts
    for index, entry in enumerate(entries):
        if name not in entry:
            if field.optional:
                continue
            raise EvaluationError(
                f"no {name}",
                where=f"{where}[{index}].{name}",
                allowed=field.allowed,
                fix=f"add {name} to the entry",
            )
        if not accepts(entry[name]):
            raise EvaluationError(
                f"{name} cannot be used",
                where=f"{where}[{index}].{name}",
                value=_show(entry[name]),
                allowed=field.allowed,
                fix=field.fix,
            )


def _check_unique(entries: list[dict[str, Any]], key: str, where: str) -> None:
    first: dict[Any, int] = {}
    for index, entry in enumerate(entries):
        earlier = first.setdefault(entry[key], index)
        if earlier != index:
            raise EvaluationError(
                f"{key} is used twice, first by [{earlier}]",
                where=f"{where}[{index}].{key}",
                value=_show(entry[key]),
                allowed=f"every {key} once",
            )


def _check_known(entries: list[dict[str, Any]], ground_truth: dict[str, Any], where: str) -> None:
    for name, target in (("image_id", "images"), ("category_id", "categories")):
        known = {entry["id"] for entry in ground_truth[target]}
        for index, entry in enumerate(entries):
            if entry[name] not in known:
                raise EvaluationError(
                    f"{name} is not among the {target} of the ground truth",
                    where=f"{where}[{index}].{name}",
                    value=_show(entry[name]),
                    allowed=_list_ids(known),
                    fix="score detections against the ground truth that they were made for",
                )


def _list_ids(known: set[int]) -> str:
    shown = sorted(known)[:10]
    text = ", ".join(str(item) for item in shown) if shown else "none: the list is empty"
    return text + (f", ... ({len(known)} in all)" if len(known) > len(shown) else "")


def _show(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _VALUE_LENGTH else text[: _VALUE_LENGTH - 3] + "..."
