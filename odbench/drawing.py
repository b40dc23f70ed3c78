"""What pictures with boxes have in common: colours of classes, clipped corners, written labels."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from PIL import ImageDraw, ImageFont

BLACK = (0, 0, 0)
WHITE = (255, 255, 255)

_PAD = 2  # pixels around a label's text

Rgb: TypeAlias = tuple[int, int, int]
Corners: TypeAlias = tuple[float, float, float, float]  # xmin, ymin, xmax, ymax in pixels
Font: TypeAlias = ImageFont.ImageFont | ImageFont.FreeTypeFont


def class_colour(index: int) -> Rgb:
    """Colour of the class at that index, from 0: hues a golden ratio of the circle apart."""
    hue = (0.08 + index * 0.618034) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def ink_on(colour: Rgb) -> Rgb:
    """Black or white, whichever can be read on a colour."""
    red, green, blue = colour
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 140  # ITU-R BT.601 luma
    return BLACK if bright else WHITE


def scaled(corners: Sequence[float], scale: float) -> Corners:
    """The corners in a picture that was resized by a factor."""
    xmin, ymin, xmax, ymax = (value * scale for value in corners)
    return xmin, ymin, xmax, ymax


def outermost_pixels(corners: Corners, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The first and last column and row that a box covers, clipped to a (width, height)."""
    xmin, ymin, xmax, ymax = corners
    width, height = size
    left = round(min(max(xmin, 0), width - 1))
    top = round(min(max(ymin, 0), height - 1))
    right = round(min(max(xmax - 1, left), width - 1))
    bottom = round(min(max(ymax - 1, top), height - 1))
    return left, top, right, bottom


@dataclass(frozen=True)
class Label:
    """Text at a corner of a box, below or above it."""

    text: str
    x: int
    y: int
    below: bool
    fill: Rgb
    ink: Rgb

    def area(self, font: Font, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """What it covers of a picture of that (width, height): x, y, x end, y end."""
        left, top, right, bottom = font.getbbox(self.text)
        width, height = int(right - left) + 2 * _PAD, int(bottom - top) + 2 * _PAD
        y = self.y + 1 if self.below else self.y - height
        x = max(0, min(self.x, size[0] - width))
        y = max(0, min(y, size[1] - height))
        return x, y, x + width, y + height

    def write(self, draw: ImageDraw.ImageDraw, font: Font, size: tuple[int, int]) -> None:
        """Write it into a picture of that (width, height)."""
        left, top, _, _ = font.getbbox(self.text)
        x, y, x_end, y_end = self.area(font, size)
        draw.rectangle((x, y, x_end - 1, y_end - 1), fill=self.fill)
        draw.text((x + _PAD - left, y + _PAD - top), self.text, font=font, fill=self.ink)
