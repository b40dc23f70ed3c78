"""Evaluation pictures with their ground truth and detections drawn."""

from __future__ import annotations

import colorsys
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from odbench.errors import EvaluationError

MIN_SIDE = 256  # pixels; a smaller picture is enlarged, so that its labels can be read
MAX_SIDE = 640  # pixels; a larger picture is reduced

_FONT_SIZE = 12
_DASH = 5  # pixels drawn, then as many left out
_TRUTH = (255, 255, 255)
_SHADOW = (0, 0, 0)

Rgb = tuple[int, int, int]
Corners = tuple[float, float, float, float]  # xmin, ymin, xmax, ymax in pixels


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
        _draw(picture, shown[picture.image_id], classes).save(path)
        paths.append(path)
    return paths


def class_colour(index: int) -> Rgb:
    """Colour of the class at that index, from 0: hues a golden ratio of the circle apart."""
    hue = (0.08 + index * 0.618034) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _draw(
    picture: Picture, detections: list[dict[str, Any]], classes: Sequence[str]
) -> Image.Image:
    image, scale = _readable(_decode(picture))
    names = dict(enumerate(classes, 1))
    canvas = _Canvas(image)
    for label, *box in picture.boxes:
        canvas.truth(label, _scaled(box, scale))
    for detection in sorted(detections, key=lambda detection: float(detection["score"])):
        category = int(detection["category_id"])
        x, y, width, height = detection["bbox"]
        canvas.detection(
            f"{names[category]} {detection['score']:.2f}",
            _scaled((x, y, x + width, y + height), scale),
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


def _scaled(corners: Sequence[float], scale: float) -> Corners:
    xmin, ymin, xmax, ymax = (value * scale for value in corners)
    return xmin, ymin, xmax, ymax


@dataclass(frozen=True)
class _Label:
    """Text at a corner of a box, below or above it."""

    text: str
    x: int
    y: int
    below: bool
    fill: Rgb
    ink: Rgb


class _Canvas:
    """A picture being drawn on; boxes are clipped to it."""

    def __init__(self, image: Image.Image) -> None:
        self._draw = ImageDraw.Draw(image)
        self._font = ImageFont.load_default(_FONT_SIZE)
        self._width, self._height = image.size
        self._labels: list[_Label] = []

    def truth(self, label: str, corners: Corners) -> None:
        """Draw a ground truth box, with its label below."""
        xmin, ymin, xmax, ymax = self._clipped(corners)
        outline = [(xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax), (xmin, ymin)]
        self._draw.line(outline, fill=_SHADOW)
        for start, end in pairwise(outline):
            self._dashes(start, end)
        self._labels.append(_Label(label, xmin, ymax, True, _SHADOW, _TRUTH))

    def detection(self, label: str, corners: Corners, colour: Rgb) -> None:
        """Draw a detection, with its label above."""
        xmin, ymin, xmax, ymax = self._clipped(corners)
        self._draw.rectangle((xmin, ymin, xmax, ymax), outline=colour, width=2)
        red, green, blue = colour
        bright = 0.299 * red + 0.587 * green + 0.114 * blue > 140  # ITU-R BT.601 luma
        ink = _SHADOW if bright else _TRUTH
        self._labels.append(_Label(label, xmin, ymin, False, colour, ink))

    def write_labels(self) -> None:
        """Write the labels of all boxes, so that no box is drawn over a label."""
        for label in self._labels:
            self._write(label)

    def _clipped(self, corners: Corners) -> tuple[int, int, int, int]:
        xmin, ymin, xmax, ymax = corners
        left = round(min(max(xmin, 0), self._width - 1))
        top = round(min(max(ymin, 0), self._height - 1))
        right = round(min(max(xmax - 1, left), self._width - 1))
        bottom = round(min(max(ymax - 1, top), self._height - 1))
        return left, top, right, bottom

    def _dashes(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        (x, y), (to_x, to_y) = start, end
        length = max(abs(to_x - x), abs(to_y - y))
        for begin in range(0, length, 2 * _DASH):
            stop = min(begin + _DASH, length)
            ends = [
                (x + (to_x - x) * at // length, y + (to_y - y) * at // length)
                for at in (begin, stop)
            ]
            self._draw.line(ends, fill=_TRUTH)

    def _write(self, label: _Label) -> None:
        left, top, right, bottom = self._font.getbbox(label.text)
        width, height = int(right - left) + 4, int(bottom - top) + 4
        y = label.y + 1 if label.below else label.y - height
        x = max(0, min(label.x, self._width - width))
        y = max(0, min(y, self._height - height))
        self._draw.rectangle((x, y, x + width - 1, y + height - 1), fill=label.fill)
        self._draw.text((x + 2 - left, y + 2 - top), label.text, font=self._font, fill=label.ink)
