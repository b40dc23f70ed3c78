import copy
import json
import math

import pytest

from odbench.errors import EvaluationError
from odbench.evaluation.coco import score, score_files
from odbench.evaluation.inputs import (
    check_detections,
    check_ground_truth,
    check_references,
    load_detections,
    load_ground_truth,
)

TRUTH = {
    "images": [{"id": 1}, {"id": 2}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}],
    "annotations": [
        {"id": 10, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]},
        {"id": 11, "image_id": 2, "category_id": 7, "bbox": [1.5, 2, 5, 5], "iscrowd": 1},
    ],
}
FOUND = [
    {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.9},
    {"image_id": 2, "category_id": 7, "bbox": [0, 0, 0, 0], "score": 1},
]
MISSING = object()
HUGE = 10**400


def _changed(body, path, value):
    body = copy.deepcopy(body)
    *parents, last = path
    target = body
    for key in parents:
        target = target[key]
    if value is MISSING:
        del target[last]
    else:
        target[last] = value
    return body


def test_good_input_passes():
    check_ground_truth(TRUTH, "gt.json")
    check_detections(FOUND, "det.json")
    check_references(FOUND, TRUTH, "det.json")


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (["images"], MISSING, "gt.json: images"),
        (["annotations"], MISSING, "gt.json: annotations"),
        (["categories"], {}, "gt.json: categories"),
        (["images", 1], 5, "gt.json: images[1]"),
        (["images", 1, "id"], MISSING, "gt.json: images[1].id"),
        (["images", 1, "id"], "2", "gt.json: images[1].id"),
        (["images", 1, "id"], True, "gt.json: images[1].id"),
        (["images", 1, "id"], 1, "gt.json: images[1].id"),
        (["categories", 0], None, "gt.json: categories[0]"),
        (["categories", 0, "id"], 1.0, "gt.json: categories[0].id"),
        (["categories", 1, "id"], 1, "gt.json: categories[1].id"),
        (["categories", 1, "name"], MISSING, "gt.json: categories[1].name"),
        (["categories", 1, "name"], "", "gt.json: categories[1].name"),
        (["categories", 1, "name"], "cat", "gt.json: categories[1].name"),
        (["annotations", 0], [], "gt.json: annotations[0]"),
        (["annotations", 1, "id"], MISSING, "gt.json: annotations[1].id"),
        (["annotations", 1, "id"], 10, "gt.json: annotations[1].id"),
        (["annotations", 1, "image_id"], 3, "gt.json: annotations[1].image_id"),
        (["annotations", 1, "category_id"], 2, "gt.json: annotations[1].category_id"),
        (["annotations", 0, "bbox"], MISSING, "gt.json: annotations[0].bbox"),
        (["annotations", 0, "bbox"], [1, 2, 3], "gt.json: annotations[0].bbox"),
        (["annotations", 0, "bbox"], [1, 2, math.nan, 3], "gt.json: annotations[0].bbox"),
        (["annotations", 0, "bbox"], [1, 2, -1, 3], "gt.json: annotations[0].bbox"),
        (["annotations", 0, "area"], None, "gt.json: annotations[0].area"),
        (["annotations", 0, "area"], math.inf, "gt.json: annotations[0].area"),
        (["annotations", 0, "area"], -1, "gt.json: annotations[0].area"),
        (["annotations", 1, "iscrowd"], 2, "gt.json: annotations[1].iscrowd"),
    ],
)
def test_bad_ground_truth_is_named(path, value, where):
    with pytest.raises(EvaluationError) as caught:
        check_ground_truth(_changed(TRUTH, path, value), "gt.json")
    assert caught.value.where == where
    assert caught.value.allowed


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ([1], "dog", "det.json: [1]"),
        ([1, "image_id"], MISSING, "det.json: [1].image_id"),
        ([1, "image_id"], "2", "det.json: [1].image_id"),
        ([1, "category_id"], None, "det.json: [1].category_id"),
        ([1, "bbox"], MISSING, "det.json: [1].bbox"),
        ([1, "bbox"], "0 0 5 5", "det.json: [1].bbox"),
        ([1, "bbox"], {"x": 1, "y": 1, "w": 1, "h": 1}, "det.json: [1].bbox"),
        ([1, "bbox"], [0, 0, 5, "5"], "det.json: [1].bbox"),
        ([1, "bbox"], [0, 0, 5, True], "det.json: [1].bbox"),
        ([1, "bbox"], [0, 0, 5, -0.1], "det.json: [1].bbox"),
        ([1, "bbox"], [-math.inf, 0, 5, 5], "det.json: [1].bbox"),
        ([1, "bbox"], [HUGE, 0, 5, 5], "det.json: [1].bbox"),
        ([0, "score"], MISSING, "det.json: [0].score"),
        ([0, "score"], math.nan, "det.json: [0].score"),
        ([0, "score"], "0.9", "det.json: [0].score"),
        ([0, "score"], False, "det.json: [0].score"),
    ],
)
def test_bad_detection_is_named(path, value, where):
    with pytest.raises(EvaluationError) as caught:
        check_detections(_changed(FOUND, path, value), "det.json")
    assert caught.value.where == where
    assert caught.value.allowed


@pytest.mark.parametrize(("key", "value"), [("image_id", 3), ("category_id", 2)])
def test_detection_of_something_unknown_is_named(key, value):
    with pytest.raises(EvaluationError) as caught:
        check_references(_changed(FOUND, [1, key], value), TRUTH, "det.json")
    assert caught.value.where == f"det.json: [1].{key}"
    assert caught.value.value == str(value)
    assert caught.value.allowed == ("1, 2" if key == "image_id" else "1, 7")


@pytest.mark.parametrize("body", [[], 3, None, "text"])
def test_top_of_ground_truth_must_be_an_object(body):
    with pytest.raises(EvaluationError, match="top is not an object"):
        check_ground_truth(body, "gt.json")


@pytest.mark.parametrize("body", [{}, 3, None, "text"])
def test_top_of_detections_must_be_a_list(body):
    with pytest.raises(EvaluationError, match="top is not a list"):
        check_detections(body, "det.json")


def test_a_long_value_is_shown_cut():
    with pytest.raises(EvaluationError) as caught:
        check_detections([{"image_id": "x" * 9999}], "det.json")
    assert len(str(caught.value.value)) == 80


def test_many_known_ids_are_shown_cut():
    truth = {"images": [{"id": n} for n in range(500)], "categories": [], "annotations": []}
    with pytest.raises(EvaluationError) as caught:
        check_references([{"image_id": -1, "category_id": 1}], truth, "det.json")
    assert caught.value.allowed == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... (500 in all)"


@pytest.mark.parametrize("load", [load_ground_truth, load_detections])
@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b'{"images": [\n  1,\n  oops]}', ":3:3"),
        (b"", ":1:1"),
        (b'[{"image_id": 1, "bb', ":1:"),
        (b"\xff\xfe\x00", ""),
        (b"[" * 100_000, ""),
        (b"[" + b"9" * 5000 + b"]", ""),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(load, content, where, tmp_path):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match="not JSON") as caught:
        load(path)
    assert str(caught.value.where).startswith(f"{path}{where}")


@pytest.mark.parametrize("load", [load_ground_truth, load_detections])
def test_unreadable_file_is_refused(load, tmp_path):
    for path in (tmp_path / "nowhere.json", tmp_path):
        with pytest.raises(EvaluationError, match="cannot read") as caught:
            load(path)
        assert caught.value.where == str(path)
        assert caught.value.exit_code == 2


def test_byte_order_mark_is_read_over(tmp_path):
    path = tmp_path / "det.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(FOUND).encode())
    assert load_detections(path) == FOUND


def test_score_files_names_the_file(tmp_path):
    truth, found = tmp_path / "gt.json", tmp_path / "det.json"
    truth.write_text(json.dumps(TRUTH))
    found.write_text(json.dumps(_changed(FOUND, [1, "category_id"], 91)))
    with pytest.raises(EvaluationError) as caught:
        score_files(truth, found)
    assert caught.value.where == f"{found}: [1].category_id"


def test_score_refuses_what_a_model_that_diverged_gives():
    with pytest.raises(EvaluationError) as caught:
        score(TRUTH, _changed(FOUND, [0, "score"], math.nan))
    assert caught.value.where == "detections: [0].score"
