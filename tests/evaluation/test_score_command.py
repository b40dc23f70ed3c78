"""``odbench score --iou-type``."""

import json

import pytest

pytestmark = pytest.mark.process

MASK = {"size": [4, 4], "counts": [5, 2, 2, 2, 5]}
TRUTH = {
    "images": [{"id": 1, "width": 4, "height": 4}],
    "categories": [{"id": 1, "name": "thing"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [1, 1, 2, 2],
            "segmentation": MASK,
            "keypoints": [1, 1, 2, 2, 2, 1],
        }
    ],
}
FOUND = {
    "image_id": 1,
    "category_id": 1,
    "score": 0.9,
    "segmentation": MASK,
    "keypoints": [1, 1, 1, 2, 2, 1],
}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    (tmp_path / "found.json").write_text(json.dumps([FOUND]))
    return "truth.json", "found.json"


@pytest.mark.parametrize(("iou_type", "count"), [("segm", 12), ("keypoints", 10)])
def test_masks_and_keypoints(odbench, files, iou_type, count):
    done = odbench("score", *files, "--iou-type", iou_type, "--json")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert body["iou_type"] == iou_type
    assert len(body["metrics"]) == count
    assert body["metrics"]["AP"] == pytest.approx(1)


def test_boxes_are_asked_for_where_they_are_missing(odbench, files):
    done = odbench("score", *files)
    assert done.returncode == 2
    assert "[0].bbox" in done.stderr


def test_another_kind_is_refused(odbench, files):
    done = odbench("score", *files, "--iou-type", "mask")
    assert done.returncode == 2
    assert "bbox, segm, keypoints" in done.stderr
