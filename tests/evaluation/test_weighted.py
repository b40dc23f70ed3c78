import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odbench.errors import EvaluationError
from odbench.evaluation.coco import score
from odbench.evaluation.names import COCO_METRICS
from odbench.evaluation.weighted import match, metric_of

EXACT = 1e-12


def example(boxes, found, images):
    """Ground truth of (image, class, bbox, extra), detections of (image, class, bbox, score)."""
    truth = {
        "images": [{"id": number} for number in images],
        "categories": [{"id": 3, "name": "dog"}, {"id": 7, "name": "cat"}],
        "annotations": [
            {"id": number, "image_id": image, "category_id": kind, "bbox": bbox, **extra}
            for number, (image, kind, bbox, extra) in enumerate(boxes)
        ],
    }
    detections = [
        {"image_id": image, "category_id": kind, "bbox": bbox, "score": value}
        for image, kind, bbox, value in found
    ]
    return truth, detections


def copied(truth, detections, times):
    """Every image as often as it counts, each copy an image of its own, in the same order."""
    ids = sorted(image["id"] for image in truth["images"])
    copies, total = {}, 0
    for identity, count in zip(ids, times, strict=True):
        copies[identity] = range(total, total + int(count))
        total += int(count)
    boxes = [
        {**box, "image_id": new} for box in truth["annotations"] for new in copies[box["image_id"]]
    ]
    found = [{**box, "image_id": new} for box in detections for new in copies[box["image_id"]]]
    numbered = [{**box, "id": number} for number, box in enumerate(boxes)]
    images = [{"id": number} for number in range(total)]
    return {**truth, "images": images, "annotations": numbered}, found


def assert_equal(value, expected):
    if expected is None:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(expected, abs=EXACT)


@pytest.fixture(scope="module")
def known(shared_data):
    folder = shared_data / "eval_fixtures" / "cocoapi_val2014_100"
    names = ("instances_val2014_100", "instances_val2014_fakebbox100_results")
    truth, found = (json.loads((folder / f"{name}.json").read_text()) for name in names)
    for box in truth["annotations"]:
        del box["segmentation"]
    return truth, found


@pytest.mark.shared
def test_every_image_once_equals_pycocotools(known):
    metrics = score(*known).metrics
    for metric in COCO_METRICS:
        assert_equal(metric_of(match(*known, metric), np.ones((100, 1)))[0], metrics[metric])


@pytest.mark.shared
def test_drawn_images_equal_pycocotools_on_their_copies(known):
    truth, found = known
    # scores have three decimals: told apart, since an image's equal ones are ordered by copies
    found = [{**box, "score": box["score"] - i * 1e-7} for i, box in enumerate(found)]
    times = np.bincount(np.random.default_rng(1).integers(100, size=100), minlength=100)
    metrics = score(*copied(truth, found, times)).metrics
    for metric in ("AP", "AP_small", "AR10"):
        value = metric_of(match(truth, found, metric), times[:, None].astype(float))[0]
        assert_equal(value, metrics[metric])


IMAGES = [9, 4, 6]
sides = st.sampled_from([4.0, 20.0, 40.0, 120.0])
places = st.sampled_from([0.0, 5.0, 60.0])
bboxes = st.tuples(places, places, sides, sides).map(list)
kinds = st.sampled_from([3, 7])
extras = st.sampled_from([{}, {}, {"iscrowd": 1}, {"area": 500.0}])
objects = st.lists(st.tuples(st.sampled_from(IMAGES), kinds, bboxes, extras), max_size=8)
detected = st.lists(st.tuples(st.sampled_from(IMAGES), kinds, bboxes), max_size=16)
counts = st.lists(st.integers(0, 3), min_size=3, max_size=3)


@given(objects, detected, st.lists(st.sampled_from([0.2, 0.5, 0.9]), min_size=16, max_size=16))
@settings(max_examples=40, deadline=None)
def test_small_sets_equal_pycocotools(boxes, found, scores):
    """Crowds, equal scores and areas of their own included."""
    problem = example(boxes, [(*f, s) for f, s in zip(found, scores, strict=False)], IMAGES)
    metrics = score(*problem).metrics
    for metric in COCO_METRICS:
        assert_equal(metric_of(match(*problem, metric), np.ones((3, 1)))[0], metrics[metric])


@given(objects, detected, st.permutations(range(1, 17)), st.lists(counts, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_counted_images_equal_pycocotools_on_their_copies(boxes, found, order, times):
    problem = example(boxes, [(*f, s / 20) for f, s in zip(found, order, strict=False)], IMAGES)
    weights = np.array(times, dtype=float).T
    expected = [score(*copied(*problem, column)).metrics for column in times]
    for metric in ("AP", "AP50", "AP_medium", "AR1", "AR100"):
        for value, metrics in zip(
            metric_of(match(*problem, metric), weights), expected, strict=True
        ):
            assert_equal(value, metrics[metric])


def test_by_hand():
    # One object in each of two images: found in the first (id 4), not in the second (id 9), where
    # a better scored box lies beside it. As they are: precision 1/2 at recall 1/2, that is 1/2 at
    # 51 of the 101 recalls. The first twice: 1. The second twice: 0.
    box, beside = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 10.0, 10.0]
    truth, found = example(
        [(4, 3, box, {}), (9, 3, box, {})], [(4, 3, box, 0.5), (9, 3, beside, 0.9)], [9, 4]
    )
    matches = match(truth, found)
    assert matches.images == (4, 9)
    values = metric_of(matches, np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 2.0]]))
    assert values == pytest.approx([51 / 202, 1.0, 0.0], abs=EXACT)
    recalls = metric_of(match(truth, found, "AR100"), np.array([[1.0, 2.0], [1.0, 1.0]]))
    assert recalls == pytest.approx([1 / 2, 2 / 3], abs=EXACT)


def test_a_class_without_objects_is_left_out():
    box = [0.0, 0.0, 10.0, 10.0]
    problem = example([(1, 3, box, {}), (2, 7, box, {})], [(1, 3, box, 0.5)], [1, 2, 3])
    times = np.array([[1.0, 2.0, 0.0, 0.0], [1.0, 0.0, 2.0, 0.0], [1.0, 1.0, 1.0, 3.0]])
    values = metric_of(match(*problem), times)
    # dog alone 1, cat alone 0, together 1/2, and neither of them
    assert values[:3] == pytest.approx([0.5, 1.0, 0.0], abs=EXACT)
    assert np.isnan(values[3])


def test_parts_give_the_same(monkeypatch):
    box, generator = [0.0, 0.0, 10.0, 10.0], np.random.default_rng(0)
    images = list(range(1, 9))
    problem = example(
        [(i, 3, box, {}) for i in images], [(i, 3, box, i / 10) for i in images[::2]], images
    )
    matches, times = match(*problem), generator.integers(0, 3, (8, 50)).astype(float)
    whole = metric_of(matches, times)
    monkeypatch.setattr("odbench.evaluation.weighted._CELLS", 30)
    assert np.array_equal(metric_of(matches, times), whole)


def test_what_is_given_stays_as_it_was():
    box = [0, 0, 10, 10]
    problem = example([(1, 3, box, {})], [(1, 3, box, 1)], [1])
    before = copy.deepcopy(problem)
    match(*problem)
    assert problem == before


def test_unusable_input_is_named():
    truth, found = example([], [(1, 3, [0, 0, 1, 1], 0.5)], [1])
    with pytest.raises(EvaluationError, match="no such metric") as error:
        match(truth, found, "AP90")
    assert "AP_small" in str(error.value)
    with pytest.raises(EvaluationError, match="image_id is not among"):
        match(truth, [{**found[0], "image_id": 2}])
    with pytest.raises(EvaluationError, match="no score"):
        match(truth, [{key: found[0][key] for key in ("image_id", "category_id", "bbox")}])
