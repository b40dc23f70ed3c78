"""The still figure of evaluation pictures: one variant a row, the same pictures in columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odbench.analyses import SeenPicture
from odbench.report.comparison import Group
from odbench.report.labels import wrap
from odbench.report.seen import in_words, keepers, side_by_side, small_picture
from odbench.report.variants import variants

if TYPE_CHECKING:
    from PIL import Image

STEM = "pictures"
TITLE = "Evaluation pictures"
NOTE = (
    "The same pictures as every configuration sees them, those detected worst by all first, then "
    "those detected best. Solid boxes are detections with their scores, dashed ones ground truth."
)

MAX_ROWS = 6
MAX_PICTURES = 4

_SIDE, _GAP, _NAMES, _LINE = 256, 8, 230, 18  # pixels
_INK, _PAPER = "#333333", "#ffffff"
_QUALITY = 80


def draw_strip(group: Group, path: Path) -> str | None:
    """Write a JPEG; returns its note, or None where no run has kept pictures."""
    from PIL import Image, ImageDraw, ImageFont

    best = sorted(variants(group), key=lambda v: -(v.metrics.get("eval/AP") or 0.0))
    found = side_by_side(best, MAX_ROWS, MAX_PICTURES)
    kept = keepers(group.rows)
    columns = [
        (views, file)
        for views in found.pictures
        if (file := small_picture(views[0].image_id, kept))
    ]
    if not columns:
        return None
    classes = group.rows[0].record.dataset.classes
    height = _SIDE + _LINE + _GAP
    size = (_NAMES + len(columns) * (_SIDE + _GAP), len(found.variants) * height)
    sheet = Image.new("RGB", size, _PAPER)
    canvas, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, variant in enumerate(found.variants):
        canvas.text((4, row * height), "\n".join(wrap(variant.label, 30)), _INK, font)
        for column, (views, file) in enumerate(columns):
            place = (_NAMES + column * (_SIDE + _GAP), row * height)
            sheet.paste(_tile(views[row], file, classes), place)
            canvas.text((place[0], place[1] + _SIDE + 2), in_words(views[row]), _INK, font)
    sheet.save(path, quality=_QUALITY, optimize=True)
    more = f" {found.left_out} more variants have pictures." if found.left_out else ""
    return NOTE + more


def _tile(seen: SeenPicture, encoded: bytes, classes: Sequence[str]) -> Image.Image:
    """A picture with its boxes, within a square."""
    import io

    from PIL import Image

    from odbench.evaluation.gallery import Picture, drawn

    with Image.open(io.BytesIO(encoded)) as small:
        scale = small.width / seen.size[0]
    boxes = [
        (classes[kind], x * scale, y * scale, (x + w) * scale, (y + h) * scale)
        for kind, (x, y, w, h) in seen.true_boxes()
    ]
    detections: list[dict[str, Any]] = [
        {"category_id": kind + 1, "score": score, "bbox": [value * scale for value in box]}
        for kind, box, score in seen.detected_boxes()
    ]
    image = drawn(Picture(seen.image_id, encoded, boxes), detections, classes)
    image.thumbnail((_SIDE, _SIDE))
    tile = Image.new("RGB", (_SIDE, _SIDE), _PAPER)
    tile.paste(image)
    return tile
