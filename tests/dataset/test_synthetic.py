from __future__ import annotations

import hashlib
import io
import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from odbench.config.compose import compose_spec
from odbench.config.dataset_spec import ShapesSpec
from odbench.dataset import picture, shapes, synthetic
from odbench.dataset.masks import decode_mask
from odbench.dataset.shapes import SHAPES, make_shape
from odbench.dataset.synthetic import (
    ShapesSource,
    covered_share,
    draw_picture,
    make_shapes,
)
from odbench.dataset.types import Box
from odbench.errors import ConfigError

LARGE = ShapesSpec(image_size=200)


# One other value of every option.
OPTIONS = [
    ("train_images", 7),
    ("val_images", 2),
    ("image_size", 65),
    ("image_width", 80),
    ("classes", 2),
    ("max_objects", 3),
    ("min_size", 0.3),
    ("max_size", 0.5),
    ("max_overlap", 0.1),
    ("max_turn_deg", 0.0),
    ("noise", 3.0),
    ("masks", True),
    ("keypoints", True),
    ("seed", 1),
]


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


@settings(max_examples=25, deadline=None)
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


@settings(max_examples=20, deadline=None)
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
        filled[label] = np.mean([make_shape(label, LARGE, rng).mask.mean() for _ in range(30)])
    assert min(filled["square"], filled["circle"]) > filled["cross"] > filled["star"]
    assert filled["circle"] > filled["ring"]
    assert 0.4 < filled["triangle"] < 0.55
    rng = np.random.default_rng(3)
    ring = make_shape("ring", LARGE, rng).mask
    assert not ring[ring.shape[0] // 2, ring.shape[1] // 2]


def test_colour_does_not_tell_the_class():
    means: dict[str, list[np.ndarray]] = {label: [] for label in SHAPES}
    spec = ShapesSpec(image_size=32, classes=6, max_objects=1, noise=0.0, masks=True)
    for seed in range(600):
        pixels, (box,) = draw_picture(spec, np.random.default_rng(seed))
        means[box.label].append(pixels[decode_mask(box.mask_png)][0].astype(float))
    averages = np.array([np.mean(colours, axis=0) for colours in means.values()])
    assert np.ptp(averages, axis=0).max() < 60  # of 255; separate colours would be far apart


def test_the_digest_names_the_specification():
    digests = {
        ShapesSource(spec).survey().digest
        for spec in (small(), *(small(**{name: value}) for name, value in OPTIONS), small())
    }
    assert len(digests) == 1 + len(OPTIONS)
    survey = ShapesSource(small(classes=3)).survey()
    assert survey.classes == ["circle", "square", "triangle"]
    assert survey.images == {"train": 6, "val": 3}


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (synthetic, "_BACKGROUND", (0.0, 80.0)),
        (shapes, "_STRETCH", 1.2),
        (shapes, "_RING_HOLE", 0.5),
        (picture, "_QUALITY", 90),
    ],
)
def test_another_way_of_drawing_is_another_digest(monkeypatch, module, name, value):
    before = ShapesSource(small()).survey().digest
    monkeypatch.setattr(module, name, value)
    assert ShapesSource(small()).survey().digest != before


def test_every_option_has_another_value_above():
    assert {name for name, _ in OPTIONS} == {field.name for field in fields(ShapesSpec)}


def pixels_digest(spec, pictures):
    """Of pixels and boxes, before a JPEG encoder has a say."""
    digest = hashlib.sha256()
    for index in range(pictures):
        pixels, boxes = draw_picture(spec, np.random.default_rng([spec.seed, 0, index]))
        digest.update(pixels.tobytes())
        digest.update(repr([(b.label, b.xmin, b.ymin, b.xmax, b.ymax) for b in boxes]).encode())
    return digest.hexdigest()[:16]


def test_the_default_pictures_stay_what_published_numbers_were_measured_on():
    """A change here makes every AP on the embedded set another one: say so when it is meant."""
    assert pixels_digest(ShapesSpec(), 40) == "6d3ea0eeae902dab"
    other = ShapesSpec(seed=5, image_size=64, classes=6, max_objects=20, noise=0.0)
    assert pixels_digest(other, 40) == "7f467c5071736edb"


def test_the_options_of_the_default_set():
    spec = ShapesSpec()
    assert (spec.min_size, spec.max_size, spec.max_overlap, spec.max_turn_deg) == (
        0.2,
        0.55,
        0.4,
        10.0,
    )
    assert (spec.image_size, spec.width, spec.classes, spec.max_objects) == (128, 128, 3, 4)
    assert (spec.noise, spec.masks, spec.keypoints, spec.seed) == (8.0, False, False, 0)


def test_a_picture_need_not_be_square():
    spec = small(image_size=48, image_width=160, max_objects=10)
    images = make_shapes(spec)["train"]
    assert {(image.width, image.height) for image in images} == {(160, 48)}
    with Image.open(io.BytesIO(images[0].encoded)) as picture_:
        assert picture_.size == (160, 48)
    assert max(box.xmax for image in images for box in image.boxes) > 80
    assert max(box.ymax for image in images for box in image.boxes) <= 48


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.tuples(st.floats(0.1, 0.5), st.floats(0.5, 0.95)),
    overlap=st.floats(0, 0.9),
    size=st.tuples(st.integers(64, 128), st.integers(64, 128)),
    turn=st.floats(0, 180),
)
def test_options_are_kept_to(seed, sizes, overlap, size, turn):
    spec = ShapesSpec(
        image_size=size[0],
        image_width=size[1],
        classes=6,
        max_objects=12,
        min_size=sizes[0],
        max_size=sizes[1],
        max_overlap=overlap,
        max_turn_deg=turn,
        masks=True,
    )
    pixels, boxes = draw_picture(spec, np.random.default_rng(seed))
    assert pixels.shape == (*size, 3)
    assert 1 <= len(boxes) <= 12
    assert covered_share(boxes) <= overlap
    for box in boxes:
        assert 0 <= box.xmin < box.xmax <= size[1]
        assert 0 <= box.ymin < box.ymax <= size[0]
        # Cut to whole pixels: a pixel less at either end, no more.
        longer = max(box.xmax - box.xmin, box.ymax - box.ymin)
        assert spec.min_size * min(size) - 3 <= longer <= spec.max_size * min(size) + 1
        mask = decode_mask(box.mask_png)
        assert mask.shape == size
        assert mask.sum() == box.mask_area > 0


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"image_width": 16}, "image_width"),
        ({"image_width": 5000}, "image_width"),
        ({"min_size": 0.6}, "min_size"),
        ({"min_size": 0.01}, "min_size"),
        ({"image_size": 32, "min_size": 0.18}, "min_size"),
        ({"image_size": 128, "image_width": 32, "min_size": 0.1}, "min_size"),
        ({"max_size": 1.0}, "max_size"),
        ({"max_size": 0.0}, "max_size"),
        ({"max_overlap": 1.0}, "max_overlap"),
        ({"max_overlap": -0.1}, "max_overlap"),
        ({"max_turn_deg": 200.0}, "max_turn_deg"),
    ],
)
def test_options_out_of_range_are_named(options, where):
    with pytest.raises(ConfigError, match=rf"dataset\.shapes\.{where}: value out of range"):
        ShapesSpec(**options)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), label=st.sampled_from(SHAPES), turn=st.floats(0, 180))
def test_the_smallest_shape_has_pixels(seed, label, turn):
    spec = ShapesSpec(image_size=60, min_size=0.1, max_size=0.1, max_turn_deg=turn)
    shape = make_shape(label, spec, np.random.default_rng(seed))
    assert shape.mask.any(axis=0).all() or label in ("ring", "star")
    assert shape.mask.sum() >= 6


@pytest.mark.parametrize(
    ("name", "classes"), [("shapes", 3), ("shapes_easy", 3), ("shapes_hard", 6)]
)
def test_the_sets_that_can_be_chosen(name, classes):
    spec = compose_spec([f"dataset={name}", "dataset.shapes.train_images=3"]).dataset
    assert (spec.name, spec.shapes.classes) == (name, classes)
    assert spec.shapes.masks and spec.shapes.keypoints  # for every model of the zoo
    images = make_shapes(replace(spec.shapes, val_images=1))["train"]
    assert len(images) == 3


def test_difficulty_is_in_the_pictures():
    def mean_boxes(name):
        spec = compose_spec([f"dataset={name}", "dataset.shapes.train_images=30"]).dataset.shapes
        boxes = [image.boxes for image in make_shapes(replace(spec, val_images=1))["train"]]
        share = np.mean([covered_share(each) for each in boxes])
        return np.mean([len(each) for each in boxes]), share

    (few, apart), (some, nearer), (many, covered) = map(
        mean_boxes, ("shapes_easy", "shapes", "shapes_hard")
    )
    assert few < some < many
    assert apart < nearer < covered
