"""The same evaluation pictures as several runs see them, side by side, small enough to embed."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from odbench.report.figures import GALLERY
from odbench.report.page.parts import Part
from odbench.report.variants import Variant
from odbench.results import PictureQuality

MAX_RUNS = 6
MAX_PICTURES = 6
MAX_BYTES = 1_500_000  # of all pictures, as they stand in the page
_SIDE = 360  # pixels
_QUALITY = 75

_Files = dict[int, Path]  # by image id


def side_by_side(part: Part) -> dict[str, Any]:
    """What the template shows: pictures by rows, the best runs by AP in columns.

    Where analyses say how well a picture was detected, the worst ones by their mean come first,
    then the best.
    """
    galleries = [(variant, files) for variant in part.best_first[:50] if (files := _files(variant))]
    shown = galleries[:MAX_RUNS]
    rows, spent = [], 0
    for image in _chosen(shown):
        cells = [_cell(variant, files, image) for variant, files in shown]
        spent += sum(len(cell["uri"]) for cell in cells)
        if spent > MAX_BYTES:
            break
        rows.append({"name": f"Image {image}", "cells": cells})
    return {
        "pictures": rows,
        "picture_runs": [variant.label for variant, _ in shown],
        "picture_note": f" The first {MAX_RUNS} runs by AP." if len(galleries) > MAX_RUNS else "",
    }


def _files(variant: Variant) -> _Files:
    found = {}
    for path in sorted((variant.counted[0].run.dir / GALLERY).glob("*.png")):
        number = re.search(r"(\d+)$", path.stem)
        if number is not None:
            found[int(number[1])] = path
    return found


def _chosen(shown: Sequence[tuple[Variant, _Files]]) -> list[int]:
    """Images that most runs have a picture of: the worst half, then the best half."""
    images = list(dict.fromkeys(image for _, files in shown for image in files))
    images.sort(key=lambda image: -sum(image in files for _, files in shown))
    scores = {image: _score(image, shown) for image in images}
    known = sorted((i for i in images if scores[i] is not None), key=lambda i: scores[i] or 0.0)
    half = MAX_PICTURES // 2
    if len(known) > MAX_PICTURES:
        known = known[:half] + known[-half:]
    others = [image for image in images if scores[image] is None]
    return (known + others)[:MAX_PICTURES]


def _score(image: int, shown: Iterable[tuple[Variant, _Files]]) -> float | None:
    """Mean over the runs of the share of objects found, less the false detections for each."""
    found = [
        (quality.found - quality.false) / max(1, quality.objects)
        for variant, _ in shown
        if (quality := _quality(variant, image)) is not None
    ]
    return sum(found) / len(found) if found else None


def _quality(variant: Variant, image: int) -> PictureQuality | None:
    analysis = variant.record.analysis
    pictures = analysis.pictures if analysis is not None else []
    return next((quality for quality in pictures if quality.image_id == image), None)


def _cell(variant: Variant, files: _Files, image: int) -> dict[str, str]:
    quality = _quality(variant, image)
    words = ""
    if quality is not None:
        words = f"{quality.found} of {quality.objects} found, {quality.false} false"
    uri = _uri(files[image]) if image in files else ""
    return {"uri": uri, "words": words, "alt": f"Image {image}, {variant.label}. {words}".strip()}


def _uri(path: Path) -> str:
    """A small JPEG as a data URI; empty where the file is no picture."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, SyntaxError, ValueError):  # how Pillow reports a broken PNG
        return ""
    small.thumbnail((_SIDE, _SIDE))
    body = io.BytesIO()
    small.save(body, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(body.getvalue()).decode('ascii')}"


def png_uri(path: Path) -> str:
    """A PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
