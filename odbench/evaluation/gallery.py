"""Evaluation pictures with their ground truth and detections drawn."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from odbench.drawing import (
    BLACK,
    WHITE,
    Corners,
    Label,
    Rgb,
    class_colour,
    ink_on,
    outermost_pixels,
    scaled,
)
from odbench.errors import EvaluationError

__all__ = ["MAX_SIDE", "MIN_SIDE", "Picture", "class_colour", "draw_gallery", "drawn", "thumbnails"]

MIN_SIDE = 256  # pixels; a smaller picture is enlarged, so that its labels can be read
MAX_SIDE = 640  # pixels; a larger picture is reduced

_THUMBNAIL = 360  # pixels of the longer side
_QUALITY = 80

_FONT_SIZE = 12
_DASH = 5  # pixels drawn, then as many left out


@dataclass(frozen=True)
class Picture:
    """One evaluation picture."""

    image_id: int
    encoded: bytes  # of its JPEG or PNG file
    boxes: list[tuple[str, float, float, float, float]]  # label, xmin, ymin, xmax, ymax in pixels


def draw_gallery(
    pictures: Iterable[Picture],
    detections: list[dict[str, Any]],
    classes: Sequence[str],
    out_dir: Path,
    score_threshold: float = 0.5,
) -> list[Path]:
    """Draw one PNG per picture: ground truth dashed in white, detections in their class's colour.

    Args:
        pictures: What to draw, one after another.
        detections: COCO results; those of other images are passed over.
        classes: Names; category id 1 is the first.
        out_dir: Made where it does not exist.
        score_threshold: Detections below it are not drawn.

    Returns:
        ``<out_dir>/image_<image id>.png``, in the order of the pictures.

    Raises:
        EvaluationError: A picture cannot be decoded.
    """
    shown: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for detection in detections:
        if detection["score"] >= score_threshold:
            shown[detection["image_id"]].append(detection)
    out_dir.mkdir(parents=True, exist_ok=True)
    paths = []
    for picture in pictures:
        path = out_dir / f"image_{picture.image_id:06d}.png"
        drawn(picture, shown[picture.image_id], classes).save(path)
        paths.append(path)
    return paths


def thumbnails(pictures: Iterable[Picture], out_dir: Path) -> None:
    """Write small JPEGs without boxes, ``<out_dir>/<image id>.jpg``, to draw on later.

    Raises:
        EvaluationError: A picture cannot be decoded.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        image = _decode(picture)
        image.thumbnail((_THUMBNAIL, _THUMBNAIL))
        image.save(out_dir / f"{picture.image_id}.jpg", quality=_QUALITY, optimize=True)


def drawn(
    picture: Picture, detections: list[dict[str, Any]], classes: Sequence[str]
) -> Image.Image:
    """A picture with its ground truth and detections, large enough to look at."""
    image, scale = _readable(_decode(picture))
    names = dict(enumerate(classes, 1))
    canvas = _Canvas(image)
    for label, *box in picture.boxes:
        canvas.truth(label, scaled(box, scale))
    for detection in sorted(detections, key=lambda detection: float(detection["score"])):
        category = int(detection["category_id"])
        x, y, width, height = detection["bbox"]
        canvas.detection(
            f"{names[category]} {detection['score']:.2f}",
            scaled((x, y, x + width, y + height), scale),
            class_colour(category - 1),
        )
    canvas.write_labels()
    return image


def _decode(picture: Picture) -> Image.Image:
    try:
        with Image.open(io.BytesIO(picture.encoded)) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise EvaluationError(
            f"the picture cannot be decoded: {error}", where=f"image {picture.image_id}"
        ) from error


def _readable(image: Image.Image) -> tuple[Image.Image, float]:
    """Resize the picture to where it can be looked at; returns the factor too."""
    low, high = sorted(image.size)
    scale = min(max(1.0, MIN_SIDE / low), MAX_SIDE / high)
    if scale == 1.0:
        return image, scale
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS), scale


class _Canvas:
    """A picture being drawn on; boxes are clipped to it."""

    def __init__(self, image: Image.Image) -> None:
        self._draw = ImageDraw.Draw(image)
        self._font = ImageFont.load_default(_FONT_SIZE)
        self._size = image.size
        self._labels: list[Label] = []

    def truth(self, label: str, corners: Corners) -> None:
        """Draw a ground truth box, with its label below."""
        xmin, ymin, xmax, ymax = outermost_pixels(corners, self._size)
        outline = [(xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax), (xmin, ymin)]
        self._draw.line(outline, fill=BLACK)
        for start, end in pairwise(outline):
            self._dashes(start, end)
        self._labels.append(Label(label, xmin, ymax, True, BLACK, WHITE))

    def detection(self, label: str, corners: Corners, colour: Rgb) -> None:
        """Draw a detection, with its label above."""
        xmin, ymin, xmax, ymax = outermost_pixels(corners, self._size)
        self._draw.rectangle((xmin, ymin, xmax, ymax), outline=colour, width=2)
        self._labels.append(Label(label, xmin, ymin, False, colour, ink_on(colour)))

    def write_labels(self) -> None:
        """Write the labels of all boxes, so that no box is drawn over a label."""
        for label in self._labels:
            label.write(self._draw, self._font, self._size)

    def _dashes(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        (x, y), (to_x, to_y) = start, end
        length = max(abs(to_x - x), abs(to_y - y))
        for begin in range(0, length, 2 * _DASH):
            stop = min(begin + _DASH, length)
            ends = [
                (x + (to_x - x) * at // length, y + (to_y - y) * at // length)
                for at in (begin, stop)
            ]
            self._draw.line(ends, fill=WHITE)
