"""The same evaluation pictures as several variants see them, boxes drawn by the browser.

A picture is in the page once and without boxes; these are lines of a few bytes each.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from odbench.analyses import SeenPicture
from odbench.drawing import class_colour
from odbench.report.comparison import Row
from odbench.report.page.parts import Part
from odbench.report.seen import in_words, keepers, side_by_side, small_picture

MAX_RUNS = 8
MAX_PICTURES = 6

_Files = dict[str, tuple[list[int], str]]  # by key: width and height, data URI


def seen_pictures(parts: Sequence[Part], rows: Sequence[Row]) -> dict[str, Any]:
    """What the template shows of each part: pictures by rows, the best variants in columns.

    Args:
        parts: Whose pictures are shown.
        rows: All runs of the report: any on the same data may have kept a picture.
    """
    files: _Files = {}
    shown = []
    kept = keepers(rows)
    for part in parts:
        alike = [row for row in kept if row.record.dataset.hash == part.group.common.dataset_hash]
        found = _of_part(part, alike, files)
        shown += [found] if found else []
    return {"pictures": shown, "picture_files": files}


def _of_part(part: Part, alike: Sequence[Row], files: _Files) -> dict[str, Any] | None:
    found = side_by_side(part.best_first, MAX_RUNS, MAX_PICTURES)
    if not found.pictures:
        return None
    classes = part.group.rows[0].record.dataset.classes
    labels = [part.name(variant) for variant in found.variants]
    rows, without = [], 0
    for views in found.pictures:
        key = f"picture-{part.group.common.dataset_hash[:12]}-{views[0].image_id}"
        if key not in files and (jpeg := small_picture(views[0].image_id, alike)) is not None:
            files[key] = views[0].size, data_uri(jpeg, "jpeg")
        without += key not in files
        cells = [_cell(view, label, classes) for view, label in zip(views, labels, strict=True)]
        rows.append(
            {
                "name": views[0].file_name,
                "key": key,
                "size": views[0].size,
                "objects": views[0].objects,
                "truth": [
                    _box(classes[kind], kind, box, views[0].size)
                    for kind, box in views[0].true_boxes()
                ],
                "cells": cells,
            }
        )
    return {
        "heading": part.group.title,
        "runs": [(part.id_of(variant), part.name(variant)) for variant in found.variants],
        "rows": rows,
        "left_out": found.left_out,
        "without": without,
    }


def _cell(seen: SeenPicture, label: str, classes: Sequence[str]) -> dict[str, Any]:
    words = in_words(seen)
    return {
        "words": words,
        "alt": f"{seen.file_name}, {label}: {words}",
        "boxes": [
            _box(f"{classes[kind]} {score:.2f}", kind, box, seen.size)
            for kind, box, score in seen.detected_boxes()
        ],
    }


def _box(name: str, kind: int, box: Sequence[float], size: Sequence[int]) -> dict[str, Any]:
    """A box with its label above it, or inside where that would be outside the picture."""
    x, y, width, _ = box
    right = x > size[0] * 0.6
    return {
        "text": name,
        "box": [f"{value:g}" for value in box],
        "x": f"{min(x + width, size[0]) if right else max(x, 0):g}",
        "dy": "1.05em" if y < size[0] / 16 else "-.25em",
        "anchor": "end" if right else "start",
        "colour": "#{:02x}{:02x}{:02x}".format(*class_colour(kind)),
    }


def data_uri(picture: bytes, kind: str) -> str:
    """A JPEG or PNG file as the page embeds it."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
