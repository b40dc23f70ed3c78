"""Masks and keypoints, against the stock evaluation and by hand."""

import copy
import io
import json
import math
from contextlib import redirect_stdout

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from odbench.config.spec import ScoringEngine
from odbench.errors import EvaluationError
from odbench.evaluation.coco import score, score_further
from odbench.evaluation.keypoints import COCO_SIGMAS, DEFAULT_SIGMA, keypoint_sigmas
from odbench.evaluation.names import COCO_METRICS, KEYPOINT_METRICS, IouType

SIDE = 200  # pixels of the pictures here


def stock(truth, found, iou_type):
    """What pycocotools itself gives for a results file."""
    with redirect_stdout(io.StringIO()):
        side = COCO()
        side.dataset = copy.deepcopy(truth)
        side.createIndex()
        results = side.loadRes(copy.deepcopy(found))
        evaluator = COCOeval(side, results, iou_type)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return [None if value < 0 else value for value in evaluator.stats.tolist()]


def rle(x, y, width, height, side=SIDE):
    pixels = np.zeros((side, side), dtype=np.uint8, order="F")
    pixels[y : y + height, x : x + width] = 1
    runs = coco_mask.encode(pixels)
    return {"size": runs["size"], "counts": runs["counts"].decode()}


def truth_of(objects, classes=("thing",), **of_class):
    images = [{"id": n, "width": SIDE, "height": SIDE} for n in (1, 2, 3)]
    categories = [{"id": n, "name": name, **of_class} for n, name in enumerate(classes, 1)]
    entries = [{"id": n, "iscrowd": 0, **entry} for n, entry in enumerate(objects, 1)]
    return {"images": images, "categories": categories, "annotations": entries}


def masked(x, y, width, height, *, image=1, category=1):
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, width, height],
        "area": width * height,
        "segmentation": rle(x, y, width, height),
    }


def detected(*arguments, value=0.9, **places):
    entry = masked(*arguments, **places)
    return {k: entry[k] for k in ("image_id", "category_id", "segmentation")} | {"score": value}


# --- masks


def test_masks_by_hand():
    # 72 of 100 pixels: IoU 0.72 reaches five of the ten thresholds. Their boxes do not count.
    truth = truth_of([masked(10, 10, 10, 10)])
    scores = score(truth, [detected(10, 10, 9, 8)], iou_type=IouType.segm)
    assert scores.metrics["AP"] == pytest.approx(0.5, abs=1e-12)
    assert scores.metrics["AP75"] == 0
    assert scores.metrics["AP_small"] == scores.metrics["AP"]
    assert scores.metrics["AP_large"] is None
    assert tuple(scores.metrics) == COCO_METRICS


def test_masks_are_scored_by_the_reference_whatever_is_asked_for():
    truth = truth_of([masked(10, 10, 10, 10)])
    scores = score(truth, [], ScoringEngine.faster_coco_eval, IouType.segm)
    assert scores.engine is ScoringEngine.pycocotools


def random_masks(rng, count):
    for number in range(count):
        x, y, width, height = (int(v) for v in rng.integers(1, 100, 4))
        yield (x, y, width, height), {"image": 1 + number % 3, "category": 1 + number % 2}


@pytest.mark.parametrize("seed", range(4))
def test_masks_equal_the_stock_evaluation(seed):
    rng = np.random.default_rng(seed)
    objects, found = [], []
    for box, place in random_masks(rng, 24):
        objects.append(masked(*box, **place) | {"iscrowd": int(rng.random() < 0.1)})
        moved = [max(0, side + int(rng.integers(-4, 5))) for side in box]
        moved[2:] = [max(1, side) for side in moved[2:]]
        found.append(detected(*moved, value=float(rng.random()), **place))
    truth = truth_of(objects, classes="ab")
    scores = score(truth, found, iou_type=IouType.segm)
    assert list(scores.metrics.values()) == stock(truth, found, "segm")
    assert 0 < scores.metrics["AP"] < 1


@pytest.mark.shared
def test_masks_of_real_pictures_equal_the_stock_evaluation(shared_data):
    path = shared_data / "eval_fixtures" / "cocoapi_val2014_100" / "instances_val2014_100.json"
    truth = json.loads(path.read_text())
    with redirect_stdout(io.StringIO()):
        side = COCO()
        side.dataset = copy.deepcopy(truth)
        side.createIndex()
    shapes = [(a, side.annToRLE(a)) for a in truth["annotations"] if not a["iscrowd"]]
    found = [
        {
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "segmentation": {"size": runs["size"], "counts": runs["counts"].decode()},
            "score": 1 - number / 10_000,
        }
        for number, (a, runs) in enumerate(shapes)
        if number % 5
    ]
    scores = score(truth, found, iou_type=IouType.segm)
    expected = stock(truth, found, "segm")
    assert list(scores.metrics.values()) == pytest.approx(expected, abs=1e-9)
    assert 0.5 < scores.metrics["AP"] < 1


def test_masks_against_themselves_are_perfect():
    objects = [masked(n, n, 10 * n, 11 * n, image=1 + n % 3) for n in range(1, 12)]
    found = [{**entry, "score": 0.5} for entry in objects]
    scores = score(truth_of(objects), found, iou_type=IouType.segm)
    assert scores.metrics["AP"] == scores.metrics["AR100"] == pytest.approx(1)


def test_an_object_without_a_mask_counts_neither_way():
    blank = masked(50, 50, 40, 40) | {"segmentation": rle(0, 0, 0, 0)}
    missing = {k: v for k, v in masked(120, 120, 40, 40).items() if k != "segmentation"}
    truth = truth_of([masked(10, 10, 10, 10), blank, missing])
    found = [detected(50, 50, 30, 30, value=0.95), detected(121, 121, 30, 30, value=0.94)]
    found.append(detected(10, 10, 10, 10))
    assert score(truth, found, iou_type=IouType.segm).metrics["AP"] == pytest.approx(1)
    far = detected(0, 100, 9, 9, value=0.99)
    assert score(truth, [*found, far], iou_type=IouType.segm).metrics["AP"] == pytest.approx(0.5)


def test_masks_that_cannot_be_scored():
    truth = truth_of([masked(10, 10, 10, 10)])
    plain = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 0.5}
    bad = [
        ([plain], "no segmentation"),
        ([plain | {"segmentation": rle(1, 1, 2, 2, side=50)}], "another size"),
        ([plain | {"segmentation": {"size": [SIDE, SIDE], "counts": "\x10"}}], "run lengths"),
        ([plain | {"segmentation": 5}], "not a segmentation"),
    ]
    for found, message in bad:
        with pytest.raises(EvaluationError, match=message):
            score(truth, found, iou_type=IouType.segm)
    unsized = copy.deepcopy(truth)
    del unsized["images"][2]["width"]
    with pytest.raises(EvaluationError, match="no width and height"):
        score(unsized, [], iou_type=IouType.segm)
    del truth["annotations"][0]["segmentation"]
    with pytest.raises(EvaluationError, match="no object of the ground truth has a mask"):
        score(truth, [], iou_type=IouType.segm)


# --- keypoints


def pointed(points, area=10_000, image=1, category=1, **more):
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [0, 0, 100, 100],
        "area": area,
        "keypoints": [v for point in points for v in point],
        "num_keypoints": sum(seen > 0 for *_, seen in points),
        **more,
    }


def placed(points, value=0.9, image=1, category=1):
    numbers = [v for x, y, *_ in points for v in (x, y, 1)]
    return {"image_id": image, "category_id": category, "keypoints": numbers, "score": value}


def test_keypoints_by_hand():
    # OKS = exp(-d^2 / (2 * area * (2 * sigma)^2)), at 0.72 five of the ten thresholds are reached.
    distance = math.sqrt(-math.log(0.72) * 2 * 10_000 * (2 * DEFAULT_SIGMA) ** 2)
    truth = truth_of([pointed([(50, 50, 2), (0, 0, 0)])], keypoints=["tip", "tail"])
    scores = score(truth, [placed([(50 + distance, 50), (99, 9)])], iou_type=IouType.keypoints)
    assert scores.metrics["AP"] == pytest.approx(0.5, abs=1e-12)
    assert scores.metrics["AR75"] == 0
    assert scores.metrics["AP_medium"] is None
    assert tuple(scores.metrics) == KEYPOINT_METRICS


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("names", [list(COCO_SIGMAS), None])
def test_persons_equal_the_stock_evaluation(seed, names):
    rng = np.random.default_rng(seed)
    objects, found = [], []
    for number in range(20):
        xy, seen = rng.uniform(5, 150, (17, 2)), rng.integers(0, 3, 17)
        points = [(*p, int(v)) if v else (0, 0, 0) for p, v in zip(xy.tolist(), seen, strict=True)]
        crowd = int(number == 3)
        objects.append(
            pointed(points, float(rng.uniform(500, 20_000)), 1 + number % 3) | {"iscrowd": crowd}
        )
        moved = xy + rng.normal(0, 4, xy.shape)
        found.append(placed(moved.tolist(), float(rng.random()), 1 + number % 3))
    truth = truth_of(objects, classes=["person"], **({"keypoints": names} if names else {}))
    scores = score(truth, found, iou_type=IouType.keypoints)
    assert list(scores.metrics.values()) == stock(truth, found, "keypoints")
    assert 0 < scores.metrics["AP"] < 1


def test_classes_that_share_one_list_keep_their_own_keypoints():
    # A record has the keypoints of all classes in one list, those of others not labelled.
    both = ["a_tip", "a_tail", "b_tip"]
    first = pointed([(10, 10, 2), (20, 10, 1), (0, 0, 0)], category=1)
    second = pointed([(0, 0, 0), (0, 0, 0), (80, 80, 2)], category=2, image=2)
    truth = truth_of([first, second], classes=["a", "b", "plain"], keypoints=both)
    found = [
        placed([(10, 10), (20, 10), (0, 0)], category=1),
        placed([(0, 0), (0, 0), (80, 80)], category=2, image=2),
        {"image_id": 1, "category_id": 3, "score": 1.0, "bbox": [0, 0, 9, 9]},
    ]
    scores = score(truth, found, iou_type=IouType.keypoints)
    assert scores.per_class == {"a": pytest.approx(1), "b": pytest.approx(1), "plain": None}
    assert scores.detections == 2


def test_classes_may_have_lists_of_different_lengths():
    truth = truth_of(
        [pointed([(10, 10, 2)], category=1), pointed([(1, 1, 2), (9, 9, 2)], category=2)],
        classes=["a", "b"],
    )
    found = [placed([(10, 10)], category=1), placed([(1, 1), (9, 9)], category=2)]
    scores = score(truth, found, iou_type=IouType.keypoints)
    assert scores.metrics["AP"] == pytest.approx(1)


def test_sigmas_are_cocos_where_all_names_are():
    assert keypoint_sigmas(["left_hip", "nose"]) == [0.107, 0.026]
    assert keypoint_sigmas(["left_hip", "tail"]) == [DEFAULT_SIGMA] * 2
    assert keypoint_sigmas([]) == []


def test_keypoints_that_cannot_be_scored():
    truth = truth_of([pointed([(50, 50, 2), (1, 1, 1)])])
    plain = {"image_id": 1, "category_id": 1, "score": 0.5}
    bad = [
        (plain, "no keypoints"),
        (plain | {"keypoints": [1, 2]}, "cannot be used"),
        (plain | {"keypoints": [1, 2, float("nan")]}, "cannot be used"),
        (plain | {"keypoints": [1, 2, 1]}, "another number of keypoints"),
    ]
    for found, message in bad:
        with pytest.raises(EvaluationError, match=message):
            score(truth, [found], iou_type=IouType.keypoints)
    truth["annotations"][0] |= {"keypoints": [0] * 6}
    with pytest.raises(EvaluationError, match="no object of the ground truth has keypoints"):
        score(truth, [], iou_type=IouType.keypoints)


# --- beside boxes


def test_a_split_without_labels_has_no_value():
    truth = truth_of([masked(1, 1, 9, 9) | {"segmentation": rle(0, 0, 0, 0)}])
    assert score_further(truth, [], IouType.segm) == dict.fromkeys(COCO_METRICS)
    assert score_further(truth, [], IouType.keypoints) == dict.fromkeys(KEYPOINT_METRICS)
    truth["annotations"].append(masked(1, 1, 9, 9) | {"id": 2})
    assert score_further(truth, [], IouType.segm)["AP"] == 0
