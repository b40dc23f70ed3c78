from __future__ import annotations

import itertools

import numpy as np
import pytest
from dataset_builders import png_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from odbench.dataset.masks import (
    blank_mask,
    decode_mask,
    encode_mask,
    mask_to_rle,
    read_segmentation,
)
from odbench.errors import DatasetError

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


def runs(mask) -> list[int]:
    """Uncompressed run lengths, down the columns and from zeros."""
    flat = [0, *mask.T.ravel().astype(int).tolist()]
    changes = [i - 1 for i in range(1, len(flat)) if flat[i] != flat[i - 1]]
    ends = [0, *changes, len(flat) - 1]
    return [b - a for a, b in itertools.pairwise(ends)]


@settings(deadline=None, max_examples=40)
@given(MASKS)
def test_run_lengths_are_read_packed_and_plain(mask):
    height, width = mask.shape
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    packed["counts"] = packed["counts"].decode()
    for value in (packed, {"size": [height, width], "counts": runs(mask)}):
        read, findings = read_segmentation(value, width, height, "here")
        if mask.any():
            assert np.array_equal(read, mask)
            assert findings == []
        else:
            assert (read, [f.kind for f in findings]) == (None, ["empty_mask"])


@settings(deadline=None, max_examples=40)
@given(MASKS)
def test_png_and_run_lengths_hold_the_same(mask):
    png = encode_mask(mask)
    assert np.array_equal(decode_mask(png), mask)
    rle = mask_to_rle(png)
    assert coco_mask.area(rle) == mask.sum()
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert rle == {"size": list(mask.shape), "counts": packed["counts"].decode()}


def test_polygons_are_drawn_together():
    square, other = [10, 5, 20, 5, 20, 15, 10, 15], [30, 5, 34, 5, 34, 9, 30, 9]
    mask, findings = read_segmentation([square, other], 64, 48, "here")
    assert findings == []
    assert mask.sum() == 100 + 16
    assert mask[5:15, 10:20].all()
    assert mask[5:9, 30:34].all()


def test_what_cannot_be_drawn_is_named():
    polygons = [[1, 2, 3, 4], [60.0, 40, 70, 40, 70, 60, 60, 60]]
    mask, (thin, clipped) = read_segmentation(polygons, 64, 48, "here")
    assert (thin.kind, thin.value) == ("polygon_without_area", "2 corners")
    assert (clipped.kind, clipped.value) == ("polygon_clipped", "12 pixels beyond the picture")
    assert mask[40:48, 60:64].all()
    assert mask.sum() == 32
    assert read_segmentation([[1, 2, 3, 4]], 64, 48, "here")[0] is None


@pytest.mark.parametrize("value", [None, []])
def test_no_segmentation_is_no_mask(value):
    assert read_segmentation(value, 4, 4, "here") == (None, [])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", "not a segmentation"),
        ([1, 2, 3, 4, 5, 6], "not a segmentation"),
        ([[1, 2, 3, "4", 5, 6]], "not a number"),
        ([[1, 2, 3, float("nan"), 5, 6]], "not a number"),
        ([[1, 2, 3, 10**400, 5, 6]], "not a number"),
        ([[1, 2, 3, 4, 5, 6, 7]], "half a corner"),
        ({"size": [4, 5], "counts": [20]}, "another size"),
        ({"size": [4, 4], "counts": [15]}, "do not add up"),
        ({"size": [4, 4], "counts": [17, -1]}, "do not add up"),
        ({"size": [4, 4], "counts": [8.0, 8.0]}, "do not add up"),
        ({"size": [4, 4], "counts": None}, "do not add up"),
        ({"size": [4, 4], "counts": "zz"}, "not compressed"),
        ({"size": [4, 4], "counts": "oooooooooooooooo"}, "not compressed"),
        ({"size": [4, 4], "counts": "P"}, "end too early"),
    ],
)
def test_what_is_no_mask_is_refused(value, message):
    with pytest.raises(DatasetError, match=f"here: .*{message}"):
        read_segmentation(value, 4, 4, "here")


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=20))
def test_any_packed_text_is_read_or_refused(text):
    try:
        read_segmentation({"size": [6, 6], "counts": text}, 6, 6, "here")
    except DatasetError as error:
        assert error.where == "here"


def test_other_bytes_are_no_mask():
    with pytest.raises(DatasetError, match="mask cannot be read"):
        decode_mask(b"\x89PNG nothing")
    assert decode_mask(blank_mask(3, 2)).shape == (2, 3)
    assert decode_mask(png_mask((0, 0, 2, 1))).sum() == 2
