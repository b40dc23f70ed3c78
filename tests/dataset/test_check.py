"""Checks that go on after what is wrong, and what they make of what was left alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from dataset_builders import A_BOX, coco_body, many_pictures, picture_bytes

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.check import CheckReport, check_dataset
from odbench.dataset.coco_source import CocoSource
from odbench.dataset.types import Box

GOOD = {"bbox": [1, 2, 30, 40]}
SQUARE = {"bbox": [10, 5, 10, 10], "segmentation": [[10, 5, 20, 5, 20, 15, 10, 15]]}
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}]


def check(folder: Path, workers: int = 1, **options) -> CheckReport:
    spec = DatasetSpec(name="t", kind=DatasetKind.auto, dir=str(folder), **options)
    return check_dataset(spec, lambda count: None, workers)


def write_coco(folder: Path, body) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "a.json").write_text(json.dumps(body))
    for image in body["images"]:
        if isinstance(image, dict) and isinstance(name := image.get("file_name"), str):
            (folder / name).write_bytes(picture_bytes(comment=name))
    return folder


def places(report: CheckReport) -> list[str]:
    return [str(error.where).partition("a.json: ")[2] for error in report.errors]


# --- every error, not the first


def test_every_wrong_element_of_a_coco_file_is_listed(tmp_path):
    pictures = {f"{i}.jpg": [{"bbox": [x, 2, 30, 40]} for x in (1, 2, 3)] for i in range(4)}
    body = coco_body(pictures, CATEGORIES)
    body["categories"] += [{"id": 8, "name": "emu"}, {"id": "9", "name": "owl"}]
    body["images"][1] |= {"width": "64"}
    body["images"] += ["picture", {"id": 200}]
    one, two, three = body["annotations"][:3]
    one |= {"bbox": [1, 2, 3]}
    two |= {"category_id": 4}
    three |= {"iscrowd": 7}
    body["annotations"][11] |= {"image_id": None}
    report = check(write_coco(tmp_path / "in", body))
    assert places(report) == [
        "categories[2] (id 8)",
        "categories[3]",
        "images[1] (id 101)",
        "images[4]",
        "images[5] (id 200)",
        "annotations[0] (id 1)",
        "annotations[1] (id 2)",
        "annotations[2] (id 3)",
        "annotations[11] (id 12)",
    ]
    assert all(error.value is not None and error.allowed for error in report.errors)
    # the others were read all the same
    assert (sum(report.images.values()), sum(report.boxes.values())) == (3, 5)


def test_what_refers_to_a_wrong_element_is_not_wrong_itself(tmp_path):
    body = coco_body({"a.jpg": [dict(GOOD), GOOD | {"category_id": 8}], "b.jpg": [dict(GOOD)]})
    body["categories"] += [{"id": 8, "name": ""}]
    body["images"][1].pop("file_name")
    report = check(write_coco(tmp_path / "in", body))
    assert places(report) == ["categories[1] (id 8)", "images[1] (id 101)"]
    assert [f.kind for f in report.findings] == []


def test_every_wrong_box_and_mask_of_a_picture_is_listed(tmp_path):
    wide, high = {"bbox": [1, 2, 900, 4]}, {"bbox": [1, 2, 3, 400]}
    small = {"segmentation": {"size": [4, 4], "counts": [16]}}
    body = coco_body({"a.jpg": [SQUARE | small, wide, dict(GOOD), high], "b.jpg": [dict(SQUARE)]})
    report = check(write_coco(tmp_path / "in", body))
    assert places(report) == [f"annotations[{i}] (id {i + 1})" for i in (0, 1, 3)]
    assert [error.what.split()[0] for error in report.errors] == ["mask", "box", "box"]
    assert sum(report.images.values()) == 1
    assert "image_without_boxes" not in {finding.kind for finding in report.findings}


def test_every_wrong_box_of_a_voc_picture_is_listed(tmp_path, add_image):
    many_pictures(tmp_path, add_image, 8)
    lines = [Box("cat", 1.0, 2.0, 900.0, 4.0), A_BOX, Box("cat", 1.0, 2.0, 3.0, 400.0)]
    add_image(tmp_path, "p03", lines)
    report = check(tmp_path)
    assert [str(e.where).partition(".xml:")[2] for e in report.errors] == ["8", "32"]


def test_any_number_of_workers_reports_the_same(tmp_path, add_image):
    many_pictures(tmp_path, add_image, 40)
    add_image(tmp_path, "p03", [A_BOX, Box("cat", 5.0, 5.0, 5.0, 9.0)])
    for stem in ("p07", "p35"):
        add_image(tmp_path, stem, [Box("cat", 1.0, 2.0, 900.0, 4.0)])
    one, two = (check(tmp_path, workers).as_json() for workers in (1, 2))
    assert one == two
    assert (len(one["errors"]), one["findings_by_kind"]) == (2, {"zero_area_box": 1})


# --- a third split


def in_lists(folder: Path, add_image, add_list) -> Path:
    names = [f"p{number:02d}" for number in range(18)]
    for number, name in enumerate(names):
        add_image(folder, name, devkit=True, data=picture_bytes(quality=50 + number))
    for split, chosen in (("train", names[:9]), ("val", names[9:14]), ("test", names[14:])):
        add_list(folder, split, chosen)
    return folder


def in_folders(folder: Path, add_image, add_list) -> Path:
    for split, count in (("train", 9), ("valid", 5), ("test", 4)):
        many_pictures(folder / split, lambda at, stem, data: add_image(at, stem), count)
    return folder


def in_files(folder: Path, add_image, add_list) -> Path:
    for split, count in (("train", 9), ("val", 5), ("test", 4)):
        body = coco_body({f"{split}{i}.jpg": [dict(GOOD)] for i in range(count)})
        write_coco(folder, body)
        (folder / "a.json").rename(folder / f"instances_{split}.json")
    return folder


@pytest.mark.parametrize("make", [in_lists, in_folders, in_files])
def test_a_test_split_that_is_left_alone_is_a_note(tmp_path, add_image, add_list, make):
    report = check(make(tmp_path / "in", add_image, add_list), strict=True)
    assert report.errors == report.warnings == []
    assert report.images == {"train": 9, "val": 5}
    (finding,) = report.as_json()["findings"]
    assert (finding["kind"], finding["level"]) == ("split_left_out", "note")
    assert finding["value"] == "4 images"
    assert "test" in finding["where"]
    assert finding["action"].startswith("left out")


def test_what_is_left_alone_has_no_say_in_the_rest(tmp_path):
    folder = in_files(tmp_path / "in", None, None)
    path = folder / "instances_test.json"
    body = json.loads(path.read_text())
    body["categories"][0]["keypoints"] = ["nose"]
    body["annotations"][0] |= {"keypoints": [3, 3, 2]} | SQUARE
    path.write_text(json.dumps(body))
    spec = DatasetSpec(name="t", kind=DatasetKind.coco, dir=str(folder))
    survey = CocoSource(spec).survey()
    assert (survey.keypoints, survey.has_masks) == ({}, False)
    path.write_text(path.read_text().replace("bbox", "box", 3))  # and what is wrong in it
    report = check(folder)
    assert report.errors == report.warnings == []


# --- a small validation split


@pytest.mark.parametrize(("pictures", "found"), [(5, 1), (22, 1), (25, 0)])
def test_a_validation_split_that_says_little_is_found(tmp_path, add_image, pictures, found):
    report = check(many_pictures(tmp_path, add_image, pictures))
    kinds = Counter(finding.kind for finding in report.warnings)
    assert kinds["val_too_small"] == found
    if found:
        (finding,) = report.findings
        assert finding.value == f"{report.images['val']} of {pictures} images"
