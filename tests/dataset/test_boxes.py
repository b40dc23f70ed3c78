from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odbench.dataset.boxes import fit_box
from odbench.dataset.types import Box
from odbench.errors import DatasetError

WIDTH, HEIGHT = 100, 80
ANYWHERE = st.floats(-300, 300)
NEAR_X, NEAR_Y = st.floats(-1, WIDTH + 1), st.floats(-1, HEIGHT + 1)


def fit(*corners: float):
    return fit_box(Box("cat", *corners, difficult=True), WIDTH, HEIGHT, "a.xml:7")


def test_a_box_inside_stays_as_it_is():
    assert fit(0, 0, 100, 80) == (Box("cat", 0, 0, 100, 80, difficult=True), [])


@pytest.mark.parametrize("corners", [(5, 5, 5, 9), (5, 5, 9, 5), (5, 5, 5, 5), (100, 3, 101, 9)])
def test_a_box_without_area_is_dropped(corners):
    box, findings = fit(*corners)
    assert box is None
    assert findings[-1].kind == "zero_area_box"
    assert (findings[-1].where, findings[-1].action) == ("a.xml:7", "dropped")


def test_an_inverted_box_is_dropped():
    box, (finding,) = fit(9, 5, 5, 9)
    assert (box, finding.kind, finding.value) == (None, "inverted_box", "cat [9, 5, 5, 9]")


def test_a_pixel_beyond_is_clipped_and_said():
    box, (finding,) = fit(-1, 2, 101, 80.5)
    assert box == Box("cat", 0, 2, 100, 80, difficult=True)
    assert finding.kind == "box_clipped"


@pytest.mark.parametrize(
    "corners", [(-1.5, 0, 9, 9), (0, -2, 9, 9), (0, 0, 102, 9), (0, 0, 9, 81.1)]
)
def test_more_than_a_pixel_beyond_is_an_error(corners):
    with pytest.raises(DatasetError, match=r"a\.xml:7: box outside the picture of 100x80"):
        fit(*corners)


@given(ANYWHERE, ANYWHERE, ANYWHERE, ANYWHERE)
def test_whatever_comes_out_lies_inside_and_has_area(xmin, ymin, xmax, ymax):
    try:
        box, findings = fit(xmin, ymin, xmax, ymax)
    except DatasetError:
        assert min(xmin, ymin) < -1 or xmax > WIDTH + 1 or ymax > HEIGHT + 1
        return
    if box is None:
        assert findings
    else:
        assert 0 <= box.xmin < box.xmax <= WIDTH
        assert 0 <= box.ymin < box.ymax <= HEIGHT


@given(NEAR_X, NEAR_Y, NEAR_X, NEAR_Y)
def test_what_was_changed_is_always_said(xmin, ymin, xmax, ymax):
    box, findings = fit(xmin, ymin, xmax, ymax)
    unchanged = box == Box("cat", xmin, ymin, xmax, ymax, difficult=True)
    assert unchanged == (not findings)
    assert len(findings) <= 2
