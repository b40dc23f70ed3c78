"""Turning labels along with their picture.

Orientations are the values of EXIF's tag 0x0112, 1 to 8; 5 to 8 swap width and height. Source:
CIPA DC-008 (Exif 2.32), 4.6.4, and Pillow's ``ImageOps.exif_transpose`` for the pixels.
"""

from __future__ import annotations

import io

from PIL import Image

from odbench.dataset.types import Box

QUARTER_TURNS = frozenset((5, 6, 7, 8))

# Which sides of the upright picture count from the far end.
_MIRROR_X, _MIRROR_Y = (2, 3, 6, 7), (3, 4, 7, 8)

_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turned_size(orientation: int, width: int, height: int) -> tuple[int, int]:
    """Width and height of a picture once it is upright."""
    return (height, width) if orientation in QUARTER_TURNS else (width, height)


def turn_box(box: Box, orientation: int, width: int, height: int) -> Box:
    """The box, its mask and keypoints, on the upright picture.

    Args:
        box: On the picture as stored.
        orientation: Of the stored picture.
        width: Of the stored picture, in pixels.
        height: Of the stored picture, in pixels.
    """
    if orientation not in _METHODS:
        return box
    size = (width, height)
    xmin, ymin = turn_point(box.xmin, box.ymin, orientation, *size)
    xmax, ymax = turn_point(box.xmax, box.ymax, orientation, *size)
    # Swapped and not sorted: an inverted box has to stay one, so that it is found.
    if orientation in _MIRROR_X:
        xmin, xmax = xmax, xmin
    if orientation in _MIRROR_Y:
        ymin, ymax = ymax, ymin
    return box._replace(
        xmin=xmin,
        ymin=ymin,
        xmax=xmax,
        ymax=ymax,
        mask_png=None if box.mask_png is None else _turn_mask(box.mask_png, orientation),
        keypoints=tuple(
            (*turn_point(x, y, orientation, *size), seen) if seen else (x, y, seen)
            for x, y, seen in box.keypoints
        ),
    )


def turn_point(
    x: float, y: float, orientation: int, width: int, height: int
) -> tuple[float, float]:
    """The place on the upright picture of a place on the stored one, in pixels."""
    if orientation in QUARTER_TURNS:
        x, y, width, height = y, x, height, width
    return (
        width - x if orientation in _MIRROR_X else x,
        height - y if orientation in _MIRROR_Y else y,
    )


def _turn_mask(mask: bytes, orientation: int) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(mask)) as image:
        image.transpose(_METHODS[orientation]).save(buffer, "PNG")
    return buffer.getvalue()
