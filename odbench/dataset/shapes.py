"""The forms of the embedded data set: outlines of shapes, turned, stretched and drawn as masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from odbench.config.dataset_spec import ShapesSpec

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")

_SIDES = ["top", "right", "bottom", "left"]
_KEYPOINTS = {
    "circle": _SIDES,
    "square": ["top_left", "top_right", "bottom_right", "bottom_left"],
    "triangle": ["top", "bottom_right", "bottom_left"],
    "star": ["top", "upper_right", "lower_right", "lower_left", "upper_left"],
    "cross": _SIDES,
    "ring": _SIDES,
}

_STRETCH = 1.1  # largest ratio that a shape is stretched by
_SUPERSAMPLING = 4
_RING_HOLE = 0.55  # inner radius of the ring, as a share of the outer
_ARM = 0.33  # half the width of the cross's arms, as a share of their length

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]  # (points, 2): x, y


@dataclass(frozen=True)
class Shape:
    """One shape as it will be drawn, cut to its outermost pixels."""

    label: str
    mask: Mask  # (height, width)
    keypoints: Points  # in pixels of the mask; as many as the class has names


def keypoint_names(label: str) -> list[str]:
    """The keypoints of a class in their order, named by where they are before a turn."""
    return [f"{label}_{name}" for name in (*_KEYPOINTS[label], "centre")]


def make_shape(label: str, spec: ShapesSpec, rng: np.random.Generator) -> Shape:
    """A shape of random size, turn and stretch."""
    longer = min(spec.image_size, spec.width) * rng.uniform(spec.min_size, spec.max_size)
    angle = np.deg2rad(rng.uniform(-spec.max_turn_deg, spec.max_turn_deg))
    stretch = np.array([_STRETCH ** rng.uniform(-0.5, 0.5), 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    outline = (_outline(label) * stretch) @ turn
    low, extent = outline.min(axis=0), np.ptp(outline, axis=0)
    scale = longer / extent.max()
    mask = _draw(label, (outline - low) * scale, extent * scale)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    keypoints = ((_keypoints(label) * stretch) @ turn - low) * scale
    return Shape(
        label=label,
        mask=mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1],
        keypoints=keypoints - (columns[0], rows[0]),
    )


def _draw(label: str, corners: Points, extent: Points) -> Mask:
    """The pixels at least half of which lie inside; corners and extent are in pixels."""
    size = np.ceil(extent).astype(int) * _SUPERSAMPLING
    canvas = Image.new("L", (int(size[0]), int(size[1])))
    draw = ImageDraw.Draw(canvas)
    corners = corners * _SUPERSAMPLING
    draw.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    if label == "ring":
        middle = extent * _SUPERSAMPLING / 2
        hole = middle + (corners - middle) * _RING_HOLE
        draw.polygon([(float(x), float(y)) for x, y in hole], fill=0)
    return np.asarray(canvas.reduce(_SUPERSAMPLING)) >= 128


def _outline(label: str) -> Points:
    """The corners of a shape around the origin."""
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
    quarter = np.array([[-_ARM, -1], [_ARM, -1], [_ARM, -_ARM]], dtype=float)
    quarter_turn = np.array([[0, 1], [-1, 0]], dtype=float)
    quarters = [quarter @ np.linalg.matrix_power(quarter_turn, k) for k in range(4)]
    return np.concatenate(quarters)


def _keypoints(label: str) -> Points:
    """The keypoints of a shape around the origin, its centre last."""
    outer = _outline(label) if label == "square" else _regular(len(_KEYPOINTS[label]))
    return np.concatenate([outer, np.zeros((1, 2))])


def _regular(corners: int) -> Points:
    """A regular polygon on the unit circle, one corner at the top, clockwise."""
    angles = 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.sin(angles), -np.cos(angles)], axis=1)
