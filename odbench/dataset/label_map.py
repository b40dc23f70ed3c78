"""Label maps: class names and their ids, as the API's ``label_map.pbtxt``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from google.protobuf import text_format
from object_detection.protos import string_int_label_map_pb2

from odbench.errors import DatasetError


def class_ids(names: Iterable[str]) -> dict[str, int]:
    """Ids 1..N of the names in sorted order."""
    return {name: index for index, name in enumerate(sorted(set(names)), start=1)}


def write_label_map(path: Path, ids: Mapping[str, int]) -> None:
    """Write the map, ordered by id."""
    message = string_int_label_map_pb2.StringIntLabelMap()
    for name, index in sorted(ids.items(), key=lambda item: item[1]):
        message.item.add(name=name, id=index, display_name=name)
    path.write_text(text_format.MessageToString(message, as_utf8=True), encoding="utf-8")


def read_label_map(path: Path) -> dict[str, int]:
    """Class names and ids, ordered by id.

    Raises:
        DatasetError: The file cannot be read, is no label map, or names an id or a class twice.
    """
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
    ids: dict[str, int] = {}
    for item in message.item:
        _check_item(item.name, item.id, ids, path)
        ids[item.name] = item.id
    if not ids:
        raise DatasetError("label map without a class", where=str(path))
    return dict(sorted(ids.items(), key=lambda pair: pair[1]))


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
