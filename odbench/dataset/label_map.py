"""Label maps: class names and their ids, as the API's ``label_map.pbtxt``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from object_detection.protos import string_int_label_map_pb2

from odbench.errors import DatasetError


def class_ids(names: Iterable[str]) -> dict[str, int]:
    """Ids 1..N of the names in sorted order."""
    return {name: index for index, name in enumerate(sorted(set(names)), start=1)}


def write_label_map(
    path: Path, ids: Mapping[str, int], keypoints: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Write the map, ordered by id.

    Args:
        path: Of the file.
        ids: Id of every class.
        keypoints: Names of the keypoints of a class, in order. Their ids count from 0 over all
            classes, since a record has the keypoints of all classes in one list.
    """
    message = string_int_label_map_pb2.StringIntLabelMap()
    numbers: dict[str, int] = {}
    for label in (label for names in (keypoints or {}).values() for label in names):
        numbers.setdefault(label, len(numbers))
    for name, index in sorted(ids.items(), key=lambda item: item[1]):
        item = message.item.add(name=name, id=index, display_name=name)
        for label in (keypoints or {}).get(name, ()):
            item.keypoints.add(id=numbers[label], label=label)
    path.write_text(text_format.MessageToString(message, as_utf8=True), encoding="utf-8")


def read_label_map(path: Path) -> dict[str, int]:
    """Class names and ids, ordered by id.

    Raises:
        DatasetError: The file cannot be read, is no label map, or names an id or a class twice.
    """
    return _as_ids(((item.name, item.id) for item in _parse(path).item), path)


def match_label_map(path: Path, classes: Mapping[str, str]) -> dict[str, int]:
    """A given label map, by the names that the data use: ``name`` or ``display_name``.

    Args:
        path: Of the file. Its ids are kept, gaps and all.
        classes: Every class of the data, and a place where it stands.

    Raises:
        DatasetError: As :func:`read_label_map`; or a class of the data is not in the map.
    """
    items = _parse(path).item
    named = any(item.name in classes for item in items)
    ids = _as_ids(((_name(item, classes, named), item.id) for item in items), path)
    unknown = [name for name in classes if name not in ids]
    if unknown:
        others = f" (nor are {len(unknown) - 1} more classes)" if len(unknown) > 1 else ""
        raise DatasetError(
            f"class is not in the label map {path}{others}",
            where=classes[unknown[0]],
            value=", ".join(unknown[:10]) + (", ..." if len(unknown) > 10 else ""),
            allowed=", ".join(list(ids)[:20]) + (", ..." if len(ids) > 20 else ""),
            fix="add it to the label map, or correct the label",
        )
    return ids


def _name(item: Any, classes: Mapping[str, str], named: bool) -> str:
    """Which of an item's two names the data use; of a class without data, what the others have."""
    name, shown = str(item.name), str(item.display_name)
    if name in classes or not shown:
        return name
    return shown if shown in classes or not named else name


def _as_ids(items: Iterable[tuple[str, int]], path: Path) -> dict[str, int]:
    ids: dict[str, int] = {}
    for name, index in items:
        _check_item(name, index, ids, path)
        ids[name] = index
    if not ids:
        raise DatasetError("label map without a class", where=str(path))
    return dict(sorted(ids.items(), key=lambda pair: pair[1]))


def _parse(path: Path) -> Any:
    message = string_int_label_map_pb2.StringIntLabelMap()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), message)
    except OSError as error:
        raise DatasetError(
            f"cannot read the label map: {error.strerror}", where=str(path)
        ) from error
    except text_format.ParseError as error:
        line = error.GetLine()
        raise DatasetError(
            "not a label map", where=f"{path}:{line}" if line else str(path), value=error
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError("not a label map: not UTF-8", where=str(path)) from error
    return message


def _check_item(name: str, index: int, known: Mapping[str, int], path: Path) -> None:
    if not name:
        raise DatasetError("item without a name", where=str(path), value=f"id {index}")
    if index < 1:
        raise DatasetError(
            "id is reserved for the background",
            where=str(path),
            value=f"{name}: {index}",
            allowed=">= 1",
        )
    if name in known or index in known.values():
        raise DatasetError("class or id named twice", where=str(path), value=f"{name}: {index}")
