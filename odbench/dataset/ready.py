"""Pictures that a survey finds nothing wrong with: the conversion only reads them again.

A survey has a picture's bytes at hand, to hash them. If it is an ordinary JPEG, and its annotation
says nothing that has to be mended or named, all that its record needs is kept in a few bytes.
The conversion then makes sure by a checksum that the file is still the same. Of any other picture
nothing is kept here; it is read, checked and labelled when its turn comes.
"""

from __future__ import annotations

import marshal
from typing import Any

import google_crc32c

from odbench.dataset.jpeg import SUFFIXES, plain_jpeg
from odbench.dataset.labelled import Corners
from odbench.dataset.types import BoxColumns, BoxesOnDemand, LabelledImage

_CROWD = BoxColumns._fields.index("crowd")


def pack_ready(
    path: str, data: bytes, sha256: str, size: tuple[int, int] | None, boxes: BoxColumns
) -> bytes | None:
    """All that the record needs but the picture itself; None: something is to be looked at.

    Args:
        path: Of the picture.
        data: Its file.
        sha256: Of the file.
        size: (width, height) that the annotation was made on, where it says.
        boxes: Of the annotation; without shapes, and none of them a crowd.
    """
    picture = plain_jpeg(data)
    if picture is None or size not in (None, picture) or not boxes.label:
        return None
    if f".{path.rpartition('.')[2].lower()}" not in SUFFIXES or not _all_fit(picture, boxes):
        return None
    if len(set(zip(*boxes[:5], strict=True))) < len(boxes.label):  # one of them twice
        return None
    plain: Any = (*boxes[:_CROWD], boxes.pose)
    return marshal.dumps((sha256, google_crc32c.value(data), picture, plain))


def read_ready(packed: bytes, key: str, path: str) -> LabelledImage | None:
    """The picture, read again; None where its file is no longer the same.

    Args:
        packed: By :func:`pack_ready`.
        key: Becomes the file name of the record.
        path: Of the picture.
    """
    sha256, checksum, (width, height), boxes = marshal.loads(packed)
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - quick
            data = file.read()
    except OSError:
        return None
    if google_crc32c.value(data) != checksum:
        return None
    found = BoxesOnDemand(BoxColumns.plain(*boxes))
    return LabelledImage(key, data, "jpeg", width, height, found, sha256=sha256)


def ready_boxes(packed: bytes) -> list[Corners]:
    """The label and the corners of each box."""
    return list(zip(*marshal.loads(packed)[-1][:5], strict=True))


def _all_fit(size: tuple[int, int], boxes: BoxColumns) -> bool:
    """Whether every box has an area and lies within the picture."""
    return (
        min(boxes.object_area) > 0
        and min(boxes.xmin) >= 0
        and min(boxes.ymin) >= 0
        and max(boxes.xmax) <= size[0]
        and max(boxes.ymax) <= size[1]
    )
