"""The embedded data set: coloured shapes on noise, the same bytes for the same seed.

Every picture has its own random generator, seeded with (seed, split, index), so that a larger
set begins with the pictures of a smaller one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from odbench.config.spec import ShapesSpec
from odbench.dataset.picture import encode_jpeg
from odbench.dataset.source import SPLITS, TRAIN, VAL, Survey
from odbench.dataset.types import Box, Finding, LabelledImage

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")

_SIZE = (0.2, 0.55)  # longer side of a shape, as a share of the picture's side
_STRETCH = 1.1  # largest ratio that a shape is stretched by
_MAX_TURN_DEG = 10.0
_MAX_COVERED = 0.4  # of a box, by all later boxes together
_BACKGROUND = (0.0, 90.0)  # grey levels of its channels
_FOREGROUND = (110.0, 255.0)  # of a shape's: any hue, brighter than the background
_COLOURS_TRIED = 6  # for each shape
_TRIES = 20  # to find a place for a shape
_SUPERSAMPLING = 4
_RING_HOLE = 0.55  # inner radius of the ring, as a share of the outer

Pixels = NDArray[np.float64]  # (height, width, 3), 0..255
Mask = NDArray[np.bool_]
Outline = NDArray[np.float64]  # (corners, 2), around the origin


class ShapesSource:
    """The embedded set as a source for the conversion."""

    def __init__(self, spec: ShapesSpec) -> None:
        self._spec = spec

    def survey(self) -> Survey:
        """What will be drawn; the digest is that of the options and of the way of drawing."""
        options = dataclasses.asdict(self._spec)
        text = json.dumps(options | {"drawing": _drawing_digest()}, sort_keys=True)
        return Survey(
            classes=sorted(SHAPES[: self._spec.classes]),
            images={TRAIN: self._spec.train_images, VAL: self._spec.val_images},
            digest=hashlib.sha256(text.encode()).hexdigest(),
            provenance={"source": "shapes", "options": options},
        )

    def images(self, split: str, findings: list[Finding]) -> Iterator[LabelledImage]:
        """Draw a split; there is never anything to find."""
        return iter_shapes(self._spec, split)


def make_shapes(spec: ShapesSpec) -> dict[str, list[LabelledImage]]:
    """The whole set, by split, in memory."""
    return {split: list(iter_shapes(spec, split)) for split in SPLITS}


def iter_shapes(spec: ShapesSpec, split: str) -> Iterator[LabelledImage]:
    """The pictures of one split, drawn one at a time."""
    count = {TRAIN: spec.train_images, VAL: spec.val_images}[split]
    for index in range(count):
        rng = np.random.default_rng([spec.seed % 2**64, SPLITS.index(split), index])
        pixels, boxes = draw_picture(spec, rng)
        yield LabelledImage(
            filename=f"{split}/{index:06d}.jpg",
            encoded=encode_jpeg(Image.fromarray(pixels)),
            format="jpeg",
            width=spec.image_size,
            height=spec.image_size,
            boxes=boxes,
        )


def _drawing_digest() -> str:
    """Digest of a small sample: it changes with this code and with the encoder's version."""
    sample = ShapesSpec(train_images=4, image_size=64, classes=len(SHAPES), max_objects=20)
    digest = hashlib.sha256()
    for image in iter_shapes(sample, TRAIN):
        digest.update(image.encoded + repr(image.boxes).encode())
    return digest.hexdigest()


def draw_picture(spec: ShapesSpec, rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[Box]]:
    """One picture, (image_size, image_size, 3), and its boxes, later ones on top."""
    side = spec.image_size
    palette: list[Pixels] = [rng.uniform(*_BACKGROUND, 3)]
    pixels: Pixels = np.broadcast_to(palette[0], (side, side, 3)).copy()
    boxes: list[Box] = []
    for _ in range(rng.integers(1, spec.max_objects + 1)):
        label = SHAPES[rng.integers(spec.classes)]
        mask = shape_mask(label, side, rng)
        box = _place(label, mask, boxes, side, rng)
        if box is not None:
            boxes.append(box)
            palette.append(_new_colour(palette, rng))
            region = pixels[int(box.ymin) : int(box.ymax), int(box.xmin) : int(box.xmax)]
            region[mask] = palette[-1]
    pixels += rng.normal(0, spec.noise, pixels.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), boxes


def shape_mask(label: str, side: int, rng: np.random.Generator) -> Mask:
    """The pixels of one shape of random size and turn, cut to its outermost pixels."""
    longer = side * rng.uniform(*_SIZE)
    angle = np.deg2rad(rng.uniform(-_MAX_TURN_DEG, _MAX_TURN_DEG))
    stretch = np.array([_STRETCH ** rng.uniform(-0.5, 0.5), 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    outline = (_outline(label) * stretch) @ turn
    low, extent = outline.min(axis=0), np.ptp(outline, axis=0)
    scale = longer / extent.max()
    size = np.ceil(extent * scale).astype(int) * _SUPERSAMPLING
    canvas = Image.new("L", (int(size[0]), int(size[1])))
    draw = ImageDraw.Draw(canvas)
    corners = (outline - low) * scale * _SUPERSAMPLING
    draw.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    if label == "ring":
        middle = extent * scale * _SUPERSAMPLING / 2
        hole = middle + (corners - middle) * _RING_HOLE
        draw.polygon([(float(x), float(y)) for x, y in hole], fill=0)
    mask = np.asarray(canvas.reduce(_SUPERSAMPLING)) >= 128
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _outline(label: str) -> Outline:
    if label in ("circle", "ring"):
        return _regular(48)
    if label == "square":
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=float)
    if label == "triangle":
        return _regular(3)
    if label == "star":
        points = _regular(10)
        points[1::2] *= 0.42
        return points
    arm = 0.33
    quarter = np.array([[-arm, -1], [arm, -1], [arm, -arm]], dtype=float)
    quarter_turn = np.array([[0, 1], [-1, 0]], dtype=float)
    quarters = [quarter @ np.linalg.matrix_power(quarter_turn, k) for k in range(4)]
    return np.concatenate(quarters)


def _regular(corners: int) -> Outline:
    """A regular polygon on the unit circle, one corner at the top."""
    angles = 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)


def _place(
    label: str, mask: Mask, earlier: list[Box], side: int, rng: np.random.Generator
) -> Box | None:
    """A place where every earlier box stays visible, or None where none was found."""
    height, width = mask.shape
    for _ in range(_TRIES):
        x = int(rng.integers(0, side - width + 1))
        y = int(rng.integers(0, side - height + 1))
        box = Box(label, float(x), float(y), float(x + width), float(y + height))
        if covered_share([*earlier, box]) <= _MAX_COVERED:
            return box
    return None


def covered_share(boxes: list[Box]) -> float:
    """The largest share of any box that the boxes after it cover together, 0..1."""
    if len(boxes) < 2:
        return 0.0
    worst = 0.0
    side = int(max(max(box.xmax, box.ymax) for box in boxes))
    covered = np.zeros((side, side), dtype=bool)
    for box in reversed(boxes):
        region = covered[int(box.ymin) : int(box.ymax), int(box.xmin) : int(box.xmax)]
        worst = max(worst, float(region.mean()))
        region[:] = True
    return worst


def _new_colour(palette: list[Pixels], rng: np.random.Generator) -> Pixels:
    """Of some random colours the one that stands out most from all that are in the picture."""
    candidates = rng.uniform(*_FOREGROUND, (_COLOURS_TRIED, 3))
    distances = np.abs(candidates[:, None] - np.array(palette)[None]).max(axis=2).min(axis=1)
    colour: Pixels = candidates[distances.argmax()]
    return colour
