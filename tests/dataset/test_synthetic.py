from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from odbench.config.spec import ShapesSpec
from odbench.dataset import picture, synthetic
from odbench.dataset.synthetic import (
    SHAPES,
    ShapesSource,
    covered_share,
    draw_picture,
    make_shapes,
    shape_mask,
)
from odbench.dataset.types import Box


def small(**options) -> ShapesSpec:
    return ShapesSpec(**{"train_images": 6, "val_images": 3, "image_size": 64} | options)


def test_the_same_seed_gives_the_same_bytes():
    assert make_shapes(small(seed=7)) == make_shapes(small(seed=7))


def test_another_seed_split_or_index_gives_other_pictures():
    pictures = [
        image.encoded
        for seed in (0, 1)
        for images in make_shapes(small(seed=seed)).values()
        for image in images
    ]
    assert len(set(pictures)) == len(pictures) == 18


def test_a_larger_set_begins_with_the_smaller_one():
    assert make_shapes(small(train_images=9))["train"][:6] == make_shapes(small())["train"]


def test_a_negative_seed_is_a_seed():
    assert make_shapes(small(seed=-1)) != make_shapes(small(seed=1))


def test_pictures_are_jpegs_of_the_size_asked_for():
    for image in itertools.chain(*make_shapes(small()).values()):
        with Image.open(io.BytesIO(image.encoded)) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (64, 64))
        assert (image.format, image.width, image.height) == ("jpeg", 64, 64)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), side=st.integers(32, 200), classes=st.integers(1, 6))
def test_a_lone_shape_is_boxed_to_the_pixel(seed, side, classes):
    spec = ShapesSpec(image_size=side, classes=classes, max_objects=1, noise=0.0)
    pixels, boxes = draw_picture(spec, np.random.default_rng(seed))
    (box,) = boxes
    values, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    drawn = (pixels != values[counts.argmax()]).any(axis=2)  # the background is what is most
    rows, columns = np.nonzero(drawn)
    assert (box.xmin, box.ymin) == (columns.min(), rows.min())
    assert (box.xmax, box.ymax) == (columns.max() + 1, rows.max() + 1)
    assert box.label in SHAPES[:classes]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), side=st.integers(32, 160), objects=st.integers(1, 50))
def test_boxes_lie_inside_and_stay_visible(seed, side, objects):
    spec = ShapesSpec(image_size=side, classes=6, max_objects=objects)
    _, boxes = draw_picture(spec, np.random.default_rng(seed))
    assert 1 <= len(boxes) <= objects
    for index, box in enumerate(boxes):
        assert 0 <= box.xmin < box.xmax <= side
        assert 0 <= box.ymin < box.ymax <= side
        longer = max(box.xmax - box.xmin, box.ymax - box.ymin)
        assert 0.05 * side <= longer <= 0.6 * side
        covered = {
            (x, y)
            for later in boxes[index + 1 :]
            for x in range(int(max(box.xmin, later.xmin)), int(min(box.xmax, later.xmax)))
            for y in range(int(max(box.ymin, later.ymin)), int(min(box.ymax, later.ymax)))
        }
        assert len(covered) <= 0.5 * box.area


def test_covered_share_of_boxes_worked_out_by_hand():
    below = Box("a", 0, 0, 10, 10)
    assert covered_share([below]) == 0
    assert covered_share([below, Box("b", 20, 20, 30, 30)]) == 0
    assert covered_share([below, Box("b", 5, 0, 15, 10)]) == pytest.approx(0.5)
    # Two later boxes that overlap one another cover their union, not their sum.
    later = [Box("b", 5, 0, 15, 10), Box("c", 5, 0, 15, 6)]
    assert covered_share([below, *later]) == pytest.approx(0.6)


def test_classes_differ_in_form():
    filled = {}
    for label in SHAPES:
        rng = np.random.default_rng(3)
        filled[label] = np.mean([shape_mask(label, 200, rng).mean() for _ in range(30)])
    assert min(filled["square"], filled["circle"]) > filled["cross"] > filled["star"]
    assert filled["circle"] > filled["ring"]
    assert 0.4 < filled["triangle"] < 0.55
    rng = np.random.default_rng(3)
    ring = shape_mask("ring", 200, rng)
    assert not ring[ring.shape[0] // 2, ring.shape[1] // 2]


def test_colour_does_not_tell_the_class():
    means: dict[str, list[np.ndarray]] = {label: [] for label in SHAPES}
    spec = ShapesSpec(image_size=32, classes=6, max_objects=1, noise=0.0)
    for seed in range(600):
        pixels, (box,) = draw_picture(spec, np.random.default_rng(seed))
        region = pixels[int(box.ymin) : int(box.ymax), int(box.xmin) : int(box.xmax)]
        middle_row = region[region.shape[0] // 2]
        means[box.label].append(middle_row[0].astype(float))
    averages = np.array([np.mean(colours, axis=0) for colours in means.values()])
    assert np.ptp(averages, axis=0).max() < 60  # of 255; separate colours would be far apart


def test_the_digest_names_the_specification():
    digests = {
        ShapesSource(spec).survey().digest
        for spec in (small(), small(seed=1), small(noise=3.0), small(classes=2), small())
    }
    assert len(digests) == 4
    survey = ShapesSource(small(classes=3)).survey()
    assert survey.classes == ["circle", "square", "triangle"]
    assert survey.images == {"train": 6, "val": 3}


@pytest.mark.parametrize(
    ("name", "value"), [("_SIZE", (0.3, 0.5)), ("_MAX_COVERED", 0.2), ("_QUALITY", 90)]
)
def test_another_way_of_drawing_is_another_digest(monkeypatch, name, value):
    before = ShapesSource(small()).survey().digest
    monkeypatch.setattr(picture if name == "_QUALITY" else synthetic, name, value)
    assert ShapesSource(small()).survey().digest != before
