"""A contact sheet: some pictures of a converted data set with what is labelled in them."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from odbench.dataset.picture import to_rgb
from odbench.dataset.stored_example import decode_example
from odbench.dataset.tfrecord import pick_records
from odbench.dataset.types import Box, Dataset, LabelledImage
from odbench.drawing import (
    BLACK,
    WHITE,
    Font,
    Label,
    Rgb,
    class_colour,
    ink_on,
    outermost_pixels,
    scaled,
)
from odbench.errors import DatasetError, InputError

TILE = 320  # pixels, the longer side of a picture in the sheet
MAX_COUNT = 400

_MOST_ENLARGED = 4.0
_GAP = 10
_FONT_SIZE = 13
_LINE = 20  # pixels, height of a line of text
_MASK_OPACITY = 0.45
_DOT = 3  # pixels, radius of a keypoint
_INK, _PALE = (51, 51, 51), (119, 119, 119)
_COLOURS = 256  # of the file: noise in pictures compresses badly
_DIFFICULT, _CROWD = " (difficult)", " (crowd)"


def draw_contact_sheet(
    dataset: Dataset, path: Path, count: int = 16, split: str = "train", seed: int = 0
) -> Path:
    """Draw pictures of a split with their boxes, class names, masks and keypoints into one PNG.

    Args:
        dataset: Converted.
        path: Of the PNG file; its folder is there.
        count: How many pictures; all where the split has fewer.
        split: Such as train or val.
        seed: Of the choice: the same pictures for the same data set, split, count and seed.

    Raises:
        InputError: No such split, or a count out of range.
        DatasetError: The records cannot be read.
    """
    if split not in dataset.splits:
        allowed = ", ".join(dataset.splits)
        raise InputError("no such split", where=dataset.name, value=split, allowed=allowed)
    if not 1 <= count <= MAX_COUNT:
        raise InputError("number of pictures out of range", value=count, allowed=f"1..{MAX_COUNT}")
    records = dataset.splits[split].records
    number = dataset.splits[split].images
    chosen = random.Random(f"{seed} {split}").sample(range(number), min(count, number))
    colours = {label: class_colour(index) for index, label in enumerate(dataset.classes)}
    tiles = [
        _tile(decode_example(record, f"{split} of {dataset.dir}").image, colours)
        for record in pick_records(records, frozenset(chosen))
    ]
    title = f"{dataset.name} {dataset.hash[:12]}: {len(tiles)} of {number} pictures of {split}"
    _sheet(tiles, title, colours).quantize(_COLOURS).save(path, "PNG", optimize=True)
    return path


@dataclass(frozen=True)
class _Tile:
    """A picture with its labels drawn, and what stands below it."""

    image: Image.Image
    caption: str


def _tile(labelled: LabelledImage, colours: dict[str, Rgb]) -> _Tile:
    image = _decode(labelled)
    scale = min(TILE / max(image.size), _MOST_ENLARGED)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.LANCZOS)
    # Large boxes first, so that the small ones inside them stay visible.
    boxes = sorted(labelled.boxes, key=lambda box: -box.area)
    for box in boxes:
        if box.mask_png is not None:
            _overlay(image, box.mask_png, colours[box.label], labelled.filename)
    draw, font = ImageDraw.Draw(image), _font()
    labels = []
    for box in boxes:
        colour = colours[box.label]
        corners = scaled((box.xmin, box.ymin, box.xmax, box.ymax), scale)
        left, top, right, bottom = outermost_pixels(corners, size)
        draw.rectangle((left, top, right, bottom), outline=colour, width=2)
        labels.append(Label(_name(box), left, top, False, colour, ink_on(colour)))
    for box in boxes:
        _dots(draw, box, scale, colours[box.label])
    _write_apart(draw, font, labels, size)
    boxes_text = "1 box" if len(boxes) == 1 else f"{len(boxes)} boxes"
    return _Tile(image, f"{boxes_text}  {labelled.filename}")


def _decode(labelled: LabelledImage) -> Image.Image:
    try:
        with Image.open(io.BytesIO(labelled.encoded)) as image:
            return to_rgb(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise DatasetError(
            "the picture cannot be decoded", where=labelled.filename, value=error
        ) from error


def _overlay(image: Image.Image, mask_png: bytes, colour: Rgb, where: str) -> None:
    """Tint the pixels of a mask."""
    try:
        with Image.open(io.BytesIO(mask_png)) as mask:
            grey = mask.convert("L").point(lambda value: 255 if value else 0)
    except (OSError, ValueError, SyntaxError) as error:
        raise DatasetError("the mask cannot be decoded", where=where, value=error) from error
    shade = grey.resize(image.size, Image.Resampling.BILINEAR)
    image.paste(colour, None, shade.point(lambda value: round(value * _MASK_OPACITY)))


def _dots(draw: ImageDraw.ImageDraw, box: Box, scale: float, colour: Rgb) -> None:
    """Keypoints: filled where visible, hollow where hidden."""
    for x, y, visibility in box.keypoints:
        if visibility:
            at = (x * scale, y * scale)
            fill = colour if visibility > 1 else None
            draw.circle(at, _DOT + 1, fill=fill, outline=WHITE)
            draw.circle(at, _DOT, fill=fill, outline=BLACK)


def _write_apart(
    draw: ImageDraw.ImageDraw, font: Font, labels: Sequence[Label], size: tuple[int, int]
) -> None:
    """Write the labels that cover no other one; the colours say the class of the others."""
    taken: list[tuple[int, int, int, int]] = []
    for label in reversed(labels):
        area = label.area(font, size)
        if area[2] <= size[0] and not any(_meet(area, other) for other in taken):
            taken.append(area)
            label.write(draw, font, size)


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _name(box: Box) -> str:
    return box.label + _DIFFICULT * box.difficult + _CROWD * box.crowd


def _sheet(tiles: Sequence[_Tile], title: str, colours: dict[str, Rgb]) -> Image.Image:
    """Lay the tiles out in a square, under the title and above the colours of the classes."""
    columns = max(1, round(len(tiles) ** 0.5 + 0.49))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    width = columns * (TILE + _GAP) + _GAP
    heights = [max(tile.image.height for tile in row) + _LINE + _GAP for row in rows]
    keys = _key_lines(colours, width - 2 * _GAP)
    top = _GAP + _LINE + _GAP
    sheet = Image.new("RGB", (width, top + sum(heights) + len(keys) * _LINE + _GAP), WHITE)
    draw, font = ImageDraw.Draw(sheet), _font()
    draw.text((_GAP, _GAP), _fitting(title, width - 2 * _GAP), font=font, fill=_INK)
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = _GAP + column * (TILE + _GAP)
            sheet.paste(tile.image, (left, top))
            below = (left, top + tile.image.height + 2)
            draw.text(below, _fitting(tile.caption, TILE), font=font, fill=_PALE)
        top += height
    for line in keys:
        for x, label in line:
            draw.rectangle((x, top + 2, x + 12, top + 14), fill=colours[label])
            draw.text((x + 18, top), label, font=font, fill=_INK)
        top += _LINE
    return sheet


def _key_lines(colours: dict[str, Rgb], width: int) -> list[list[tuple[int, str]]]:
    """The classes in lines, each with its x."""
    lines: list[list[tuple[int, str]]] = [[]]
    x = _GAP
    for label in colours:
        needed = 18 + round(_font().getlength(label)) + 16
        if lines[-1] and x + needed > width:
            lines.append([])
            x = _GAP
        lines[-1].append((x, label))
        x += needed
    return lines


def _fitting(text: str, width: int) -> str:
    """The text, its middle left out where it is wider than so many pixels."""
    font, shown = _font(), text
    half = len(text) // 2
    while font.getlength(shown) > width and half > 1:
        half -= 1
        shown = f"{text[:half]}…{text[-half:]}"
    return shown


def _font() -> Font:
    return ImageFont.load_default(_FONT_SIZE)
