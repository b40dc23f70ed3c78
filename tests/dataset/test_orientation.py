from __future__ import annotations

import io

import numpy as np
import pytest
from dataset_builders import png_mask
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from odbench.dataset.masks import decode_mask
from odbench.dataset.orientation import turn_box, turn_point, turned_size
from odbench.dataset.types import Box

WIDTH, HEIGHT = 64, 48
BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
ORIENTATIONS = st.sampled_from(sorted(BACK))
X, Y = st.integers(0, WIDTH), st.integers(0, HEIGHT)


@given(ORIENTATIONS, X, Y, X, Y)
def test_there_and_back_again(orientation, xmin, ymin, xmax, ymax):
    box = Box("cat", xmin, ymin, xmax, ymax, keypoints=((xmin, ymax, 2), (0.0, 0.0, 0)))
    turned = turn_box(box, orientation, WIDTH, HEIGHT)
    size = turned_size(orientation, WIDTH, HEIGHT)
    assert turn_box(turned, BACK[orientation], *size) == box
    assert turned.area == box.area
    assert turned.keypoints[1] == (0.0, 0.0, 0)
    assert (turned.xmax < turned.xmin) + (turned.ymax < turned.ymin) == (xmax < xmin) + (
        ymax < ymin
    )


@given(ORIENTATIONS, st.floats(0, WIDTH), st.floats(0, HEIGHT))
def test_a_place_inside_stays_inside(orientation, x, y):
    turned_x, turned_y = turn_point(x, y, orientation, WIDTH, HEIGHT)
    width, height = turned_size(orientation, WIDTH, HEIGHT)
    assert 0 <= turned_x <= width
    assert 0 <= turned_y <= height


@pytest.mark.parametrize("orientation", sorted(BACK))
def test_box_mask_and_keypoint_follow_the_pixels(orientation):
    """Pillow turns a picture with one white rectangle; the label has to be where that went."""
    region = (5, 7, 21, 15)
    stored = Image.new("L", (WIDTH, HEIGHT))
    stored.paste(255, region)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    buffer = io.BytesIO()
    stored.save(buffer, "PNG", exif=exif)
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(buffer))) > 0
    points = ((6.0, 8.0, 2),)
    box = Box("cat", *region, mask_png=png_mask(region), keypoints=points)
    turned = turn_box(box, orientation, WIDTH, HEIGHT)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    assert (turned.xmin, turned.ymin) == (columns[0], rows[0])
    assert (turned.xmax, turned.ymax) == (columns[-1] + 1, rows[-1] + 1)
    assert np.array_equal(decode_mask(turned.mask_png or b""), pixels)
    ((x, y, _),) = turned.keypoints
    assert min(x - turned.xmin, turned.xmax - x) == 1 or min(y - turned.ymin, turned.ymax - y) == 1
    assert pixels[int(y), int(x)]
