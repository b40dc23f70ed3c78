from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import pytest
from dataset_builders import png_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from odbench.dataset.coco import CocoWriter
from odbench.dataset.masks import read_segmentation
from odbench.dataset.types import Box, LabelledImage

IDS = {"cat": 1, "dög": 2}


def labelled(name: str, *boxes: Box) -> LabelledImage:
    return LabelledImage(name, b"", "jpeg", 64, 48, list(boxes))


def write(path, *images: LabelledImage) -> CocoWriter:
    with CocoWriter(path, IDS) as coco:
        for image_id, image in enumerate(images, start=1):
            coco.add(image, image_id)
    return coco


def test_the_whole_file(tmp_path):
    path = tmp_path / "truth.json"
    writer = write(
        path,
        labelled("a.jpg"),
        labelled("ä/b.jpg", Box("dög", 1, 2, 11, 7.5, difficult=True), Box("cat", 0, 0, 64, 48)),
        labelled("c.jpg", Box("dög", 3, 3, 9, 9, crowd=True)),
    )
    body = json.loads(path.read_text())
    assert body["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dög"}]
    assert body["images"][1] == {"id": 2, "file_name": "ä/b.jpg", "width": 64, "height": 48}
    assert [image["id"] for image in body["images"]] == [1, 2, 3]
    assert body["annotations"][0] == {
        "id": 1,
        "image_id": 2,
        "category_id": 2,
        "bbox": [1, 2, 10, 5.5],
        "area": 55,
        "iscrowd": 0,
        "difficult": 1,
    }
    assert [a["id"] for a in body["annotations"]] == [1, 2, 3]
    assert [a["iscrowd"] for a in body["annotations"]] == [0, 0, 1]
    assert (writer.images, dict(writer.boxes)) == (3, {"dög": 2, "cat": 1})


def test_images_without_boxes_make_a_valid_file(tmp_path):
    path = tmp_path / "truth.json"
    write(path, labelled("a.jpg"), labelled("b.jpg"))
    body = json.loads(path.read_text())
    assert (len(body["images"]), body["annotations"]) == (2, [])


def test_an_error_on_the_way_leaves_no_valid_file(tmp_path):
    path = tmp_path / "truth.json"
    with pytest.raises(KeyError), CocoWriter(path, IDS) as coco:
        coco.add(labelled("a.jpg", Box("bird", 1, 1, 2, 2)), 1)
    with pytest.raises(ValueError, match=r"delimiter|value"):
        json.loads(path.read_text())


def test_ground_truth_scores_one_against_itself(tmp_path):
    path = tmp_path / "truth.json"
    write(
        path,
        labelled("a.jpg", Box("cat", 1, 2, 30, 40), Box("dög", 5, 5, 20, 25, difficult=True)),
        labelled("b.jpg", Box("cat", 0, 0, 64, 48)),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        found = truth.loadRes(
            [
                {k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.9}
                for a in truth.dataset["annotations"]
            ]
        )
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_masks_and_keypoints(tmp_path):
    path = tmp_path / "truth.json"
    points = ((5.0, 6.0, 2), (0.0, 0.0, 0))
    masked = Box("cat", 4, 5, 30, 40, mask_png=png_mask((4, 5, 30, 20)), mask_area=390.0)
    image = labelled("a.jpg", masked._replace(keypoints=points))
    write(path, replace(image, keypoint_names=("nose", "tail")))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
    (annotation,) = truth.dataset["annotations"]
    assert (annotation["area"], annotation["num_keypoints"]) == (390.0, 1)
    assert annotation["keypoints"] == [5.0, 6.0, 2, 0.0, 0.0, 0]
    assert annotation["segmentation"]["size"] == [48, 64]
    mask, _ = read_segmentation(truth.annToRLE(annotation), 64, 48, "here")
    assert mask is not None
    assert mask[5:20, 4:30].all()
    assert mask.sum() == 390
    cat, dog = truth.dataset["categories"]
    assert (cat["keypoints"], "keypoints" in dog) == (["nose", "tail"], False)
