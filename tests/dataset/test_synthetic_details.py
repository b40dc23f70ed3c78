"""Masks and keypoints of the embedded data set."""

from __future__ import annotations

import numpy as np
import pytest

from odbench.config.dataset_spec import ShapesSpec
from odbench.dataset import synthetic
from odbench.dataset.masks import decode_mask
from odbench.dataset.shapes import keypoint_names, make_shape
from odbench.dataset.synthetic import ShapesSource, draw_picture, make_shapes
from odbench.dataset.types import Box


def small(**options) -> ShapesSpec:
    return ShapesSpec(**{"train_images": 6, "val_images": 3, "image_size": 64} | options)


def test_masks_and_keypoints_change_no_pixel():
    plain, detailed = make_shapes(small()), make_shapes(small(masks=True, keypoints=True))
    for before, after in zip(plain["train"], detailed["train"], strict=True):
        assert before.encoded == after.encoded
        boxes = [b._replace(mask_png=None, mask_area=None, keypoints=()) for b in after.boxes]
        assert boxes == before.boxes
        assert all(box.mask_png is None and not box.keypoints for box in before.boxes)


def test_masks_are_the_visible_pixels():
    spec = ShapesSpec(noise=0.0, classes=6, max_objects=12, masks=True)
    for seed in range(20):
        pixels, boxes = draw_picture(spec, np.random.default_rng(seed))
        masks = [decode_mask(box.mask_png) for box in boxes]
        assert (np.sum(masks, axis=0) <= 1).all()  # no pixel is two objects'
        free = ~np.any(masks, axis=0)
        assert len(np.unique(pixels[free], axis=0)) == 1  # and every other one the background's
        colours = {tuple(np.unique(pixels[mask], axis=0).ravel()) for mask in masks}
        assert len(colours) == len(masks)  # of one colour each
        for box, mask in zip(boxes, masks, strict=True):
            rows, columns = np.nonzero(mask)
            assert box.xmin <= columns.min() and columns.max() < box.xmax
            assert box.ymin <= rows.min() and rows.max() < box.ymax


def test_what_is_hidden_altogether_is_not_labelled(monkeypatch):
    """Two stars at one place: of the lower one nothing can be seen."""
    spec = ShapesSpec(max_overlap=0.9, max_turn_deg=0.0, masks=True)
    star = make_shape("star", spec, np.random.default_rng(0))
    monkeypatch.setattr(synthetic, "make_shape", lambda *_: star)
    height, width = star.mask.shape
    place = Box("star", 3.0, 4.0, 3.0 + width, 4.0 + height)
    monkeypatch.setattr(synthetic, "_place", lambda *_: place)
    for seed in range(8):
        _, boxes = draw_picture(spec, np.random.default_rng(seed))
        assert len(boxes) == 1
        assert boxes[0].mask_area == star.mask.sum()


def test_keypoints_of_a_lone_square():
    spec = small(classes=6, max_objects=1, keypoints=True, max_turn_deg=0.0, train_images=40)
    image, box = next(
        (image, box)
        for image in make_shapes(spec)["train"]
        for box in image.boxes
        if box.label == "square"
    )
    named = dict(zip(image.keypoint_names, box.keypoints, strict=True))
    own = {name: named.pop(name) for name in keypoint_names("square")}
    assert set(named.values()) == {(0.0, 0.0, 0)}  # of the other classes
    x_middle, y_middle = (box.xmin + box.xmax) / 2, (box.ymin + box.ymax) / 2
    expected = {
        "square_top_left": (box.xmin, box.ymin),
        "square_top_right": (box.xmax, box.ymin),
        "square_bottom_right": (box.xmax, box.ymax),
        "square_bottom_left": (box.xmin, box.ymax),
        "square_centre": (x_middle, y_middle),
    }
    for name, (x, y, visibility) in own.items():
        assert visibility == 2
        assert (x, y) == pytest.approx(expected[name], abs=1.0)


def test_keypoints_under_a_later_shape_are_hidden():
    spec = ShapesSpec(classes=6, max_objects=12, masks=True, keypoints=True, max_overlap=0.6)
    seen = {1: 0, 2: 0}
    for seed in range(20):
        pixels, boxes = draw_picture(spec, np.random.default_rng(seed))
        masks = [decode_mask(box.mask_png) for box in boxes]
        for number, box in enumerate(boxes):
            for x, y, visibility in box.keypoints:
                if visibility:
                    assert 0 <= x <= pixels.shape[1] and 0 <= y <= pixels.shape[0]
                    at = min(int(y), pixels.shape[0] - 1), min(int(x), pixels.shape[1] - 1)
                    later = any(mask[at] for mask in masks[number + 1 :])
                    assert visibility == (1 if later else 2)
                    seen[visibility] += 1
    assert min(seen.values()) > 20


def test_the_survey_tells_of_masks_and_keypoints():
    plain = ShapesSource(small()).survey()
    assert (plain.keypoints, plain.has_masks) == ({}, False)
    detailed = ShapesSource(small(masks=True, keypoints=True)).survey()
    assert detailed.has_masks
    assert list(detailed.keypoints) == ["circle", "square", "triangle"]
    names = tuple(name for names in detailed.keypoints.values() for name in names)
    assert make_shapes(small(keypoints=True))["val"][0].keypoint_names == names
    assert len(set(names)) == len(names)
