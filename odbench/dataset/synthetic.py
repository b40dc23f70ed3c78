"""The embedded data set: coloured shapes on noise, the same bytes for the same seed.

Every picture has its own random generator, seeded with (seed, split, index), so that a larger
set begins with the pictures of a smaller one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from odbench.config.dataset_spec import ShapesSpec
from odbench.dataset.masks import encode_mask
from odbench.dataset.picture import encode_jpeg
from odbench.dataset.shapes import SHAPES, Shape, keypoint_names, make_shape
from odbench.dataset.source import SPLITS, TRAIN, VAL, Survey
from odbench.dataset.types import Box, Finding, LabelledImage
from odbench.errors import ConfigError

_BACKGROUND = (0.0, 90.0)  # grey levels of its channels
_FOREGROUND = (110.0, 255.0)  # of a shape's: any hue, brighter than the background
_COLOURS_TRIED = 6  # for each shape
_TRIES = 20  # to find a place for a shape
_HIDDEN, _VISIBLE = 1, 2  # of a keypoint, as COCO counts them
_ABSENT = (0.0, 0.0, 0)  # a keypoint of another class

Pixels = NDArray[np.float64]  # (height, width, 3), 0..255
Owners = NDArray[np.uint8]  # (height, width): number of the shape on top from 1, 0 the background


class ShapesSource:
    """The embedded set as a source for the conversion."""

    def __init__(self, spec: ShapesSpec) -> None:
        self._spec = spec

    def survey(self) -> Survey:
        """What will be drawn; the digest is that of the options and of the way of drawing."""
        options = dataclasses.asdict(self._spec)
        text = json.dumps(options | {"drawing": _drawing_digest()}, sort_keys=True)
        classes = _classes(self._spec)
        keypoints = {name: keypoint_names(name) for name in classes}
        return Survey(
            classes=classes,
            images={TRAIN: self._spec.train_images, VAL: self._spec.val_images},
            digest=hashlib.sha256(text.encode()).hexdigest(),
            provenance={"source": "shapes", "options": options},
            keypoints=keypoints if self._spec.keypoints else {},
            has_masks=self._spec.masks,
        )

    def assign(self, splits: Mapping[str, Sequence[str]]) -> None:
        """Not for drawn pictures: their options say which split has how many.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "the embedded data set has splits of its own",
            where="dataset.split_file",
            fix="set dataset.shapes.train_images and dataset.shapes.val_images",
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
    names = tuple(_slots(spec)) if spec.keypoints else ()
    for index in range(count):
        rng = np.random.default_rng([spec.seed % 2**64, SPLITS.index(split), index])
        pixels, boxes = draw_picture(spec, rng)
        yield LabelledImage(
            filename=f"{split}/{index:06d}.jpg",
            encoded=encode_jpeg(Image.fromarray(pixels)),
            format="jpeg",
            width=spec.width,
            height=spec.image_size,
            boxes=boxes,
            keypoint_names=names,
        )


def _classes(spec: ShapesSpec) -> list[str]:
    return sorted(SHAPES[: spec.classes])


def _slots(spec: ShapesSpec) -> list[str]:
    """The keypoints of every class one after the other: each box has a place for all of them."""
    return [name for label in _classes(spec) for name in keypoint_names(label)]


def _drawing_digest() -> str:
    """Digest of a small sample: it changes with this code and with the encoder's version."""
    sample = ShapesSpec(
        train_images=4,
        image_size=64,
        classes=len(SHAPES),
        max_objects=20,
        masks=True,
        keypoints=True,
    )
    digest = hashlib.sha256()
    for image in iter_shapes(sample, TRAIN):
        digest.update(image.encoded + repr(image.boxes).encode())
    return digest.hexdigest()


def draw_picture(spec: ShapesSpec, rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[Box]]:
    """One picture, (height, width, 3), and its boxes, later ones on top.

    A box holds its whole shape, its mask only the pixels that can be seen.
    """
    size = (spec.image_size, spec.width)
    palette: list[Pixels] = [rng.uniform(*_BACKGROUND, 3)]
    pixels: Pixels = np.broadcast_to(palette[0], (*size, 3)).copy()
    owners: Owners = np.zeros(size, dtype=np.uint8)
    shapes: list[Shape] = []
    boxes: list[Box] = []
    for _ in range(rng.integers(1, spec.max_objects + 1)):
        shape = make_shape(SHAPES[rng.integers(spec.classes)], spec, rng)
        box = _place(shape, boxes, spec, rng)
        if box is not None:
            shapes.append(shape)
            boxes.append(box)
            palette.append(_new_colour(palette, rng))
            region = (slice(int(box.ymin), int(box.ymax)), slice(int(box.xmin), int(box.xmax)))
            pixels[region][shape.mask] = palette[-1]
            owners[region][shape.mask] = len(boxes)
    pixels += rng.normal(0, spec.noise, pixels.shape)
    labelled = [
        _with_details(box, shape, number, owners, spec)
        for number, (box, shape) in enumerate(zip(boxes, shapes, strict=True), start=1)
        if (owners == number).any()  # what nothing is seen of is not labelled
    ]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), labelled


def _with_details(box: Box, shape: Shape, number: int, owners: Owners, spec: ShapesSpec) -> Box:
    """Add the mask and the keypoints, where they are asked for."""
    if spec.masks:
        visible = owners == number
        area = float(visible.sum())
        box = box._replace(mask_png=encode_mask(visible), mask_area=area)
    if spec.keypoints:
        own = _keypoints(box, shape, number, owners)
        points = tuple(own.get(name, _ABSENT) for name in _slots(spec))
        box = box._replace(keypoints=points)
    return box


def _keypoints(
    box: Box, shape: Shape, number: int, owners: Owners
) -> dict[str, tuple[float, float, int]]:
    """The shape's keypoints in the picture; hidden where a later shape lies over one."""
    height, width = owners.shape
    points = np.clip(shape.keypoints + (box.xmin, box.ymin), 0, (width, height))  # noqa: RUF005
    found = {}
    for name, (x, y) in zip(keypoint_names(shape.label), points, strict=True):
        over = owners[min(int(y), height - 1), min(int(x), width - 1)] > number
        found[name] = (float(x), float(y), _HIDDEN if over else _VISIBLE)
    return found


def _place(
    shape: Shape, earlier: list[Box], spec: ShapesSpec, rng: np.random.Generator
) -> Box | None:
    """A place where every earlier box stays visible, or None where none was found."""
    height, width = shape.mask.shape
    for _ in range(_TRIES):
        x = int(rng.integers(0, spec.width - width + 1))
        y = int(rng.integers(0, spec.image_size - height + 1))
        box = Box(shape.label, float(x), float(y), float(x + width), float(y + height))
        if covered_share([*earlier, box]) <= spec.max_overlap:
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
