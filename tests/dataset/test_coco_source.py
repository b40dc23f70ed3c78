from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from dataset_builders import coco_body, picture_bytes, png_mask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.coco_json import read_coco
from odbench.dataset.coco_source import CocoSource, holds_coco
from odbench.dataset.masks import decode_mask
from odbench.dataset.types import Box
from odbench.errors import DatasetError

FILES = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CATEGORIES = ({"id": 0, "name": "things"}, {"id": 3, "name": "cat"}, {"id": 90, "name": "dog"})
SQUARE = [[10, 5, 20, 5, 20, 15, 10, 15]]
WIDTHS = st.integers(0, 40)


def write(path: Path, body: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body))
    return path


def write_set(folder: Path, pictures, *args, name: str = "labels.json", **options) -> Path:
    body = coco_body(pictures, *args, **options)
    path = write(folder / name, body)
    for image in body["images"]:
        (folder / image["file_name"]).write_bytes(picture_bytes(comment=image["file_name"]))
    return path


def source(folder: Path, **options) -> CocoSource:
    return CocoSource(DatasetSpec(name="t", kind=DatasetKind.coco, dir=str(folder), **options))


def load_all(read: CocoSource):
    """Survey, pictures by key, and all findings."""
    survey = read.survey()
    findings = list(survey.findings)
    entries = [*(survey.pool or ()), *(e for listed in survey.entries.values() for e in listed)]
    read.assign({"train": [entry.key for entry in entries]})
    return survey, {i.filename: i for i in read.images("train", findings)}, findings


# --- one file


@FILES
@given(
    st.dictionaries(
        st.sampled_from(["a.jpg", "b.jpg", "ä.jpg"]),
        st.lists(
            st.tuples(WIDTHS, WIDTHS, WIDTHS, WIDTHS, st.sampled_from([3, 90]), st.booleans())
        ),
        min_size=1,
    )
)
def test_what_is_written_is_read(tmp_path, pictures):
    body = coco_body(
        {
            name: [
                {"bbox": [x, y, w, h], "category_id": category, "iscrowd": int(crowd)}
                for x, y, w, h, category, crowd in boxes
            ]
            for name, boxes in pictures.items()
        },
        CATEGORIES,
    )
    file = read_coco(write(tmp_path / "a.json", body))
    labels = {3: "cat", 90: "dog"}
    assert {p.name: [box for box, _ in p.objects] for p in file.pictures} == {
        name: [Box(labels[c], x, y, x + w, y + h, crowd=crowd) for x, y, w, h, c, crowd in boxes]
        for name, boxes in pictures.items()
    }
    used = {box[4] for boxes in pictures.values() for box in boxes}
    assert [f.value for f in file.findings] == ["things"] + [
        labels[index] for index in (3, 90) if index not in used
    ]


def broken(change) -> dict:
    body = coco_body({"a.jpg": [{"bbox": [1, 2, 3, 4]}, {"bbox": [1, 2, 3, 4]}]}, CATEGORIES)
    change(body)
    return body


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.pop("images"), "no list of images"),
        (lambda b: b.update(annotations={}), "no list of annotations"),
        (lambda b: b["annotations"].append(7), r"annotations\[2\]: not an object"),
        (lambda b: b["annotations"][1].update(category_id=4), r"annotations\[1\] \(id 2\): anno"),
        (lambda b: b["annotations"][1].update(category_id="3"), "category_id is not an integer"),
        (lambda b: b["annotations"][0].update(bbox=[1, 2, 3]), "bbox is not four numbers"),
        (lambda b: b["annotations"][0].update(bbox=[1, 2, 3, "4"]), "bbox is not a number"),
        (lambda b: b["annotations"][0].update(bbox=[1, 2, 3, float("nan")]), "out of all range"),
        (lambda b: b["annotations"][0].update(iscrowd=2), "iscrowd is neither"),
        (lambda b: b["annotations"][0].update(keypoints=[1, 2, 2]), "a category that names none"),
        (lambda b: b["categories"][1].update(id=0), "id of a category is given twice"),
        (lambda b: b["categories"][1].update(name=" "), r"categories\[1\] \(id 3\): category wi"),
        (lambda b: b["images"].append(b["images"][0]), "id of an image is given twice"),
        (lambda b: b["images"][0].pop("file_name"), r"images\[0\] \(id 100\): image without"),
        (lambda b: b["images"][0].update(width="64"), "width is not a number"),
    ],
)
def test_broken_files_are_refused_by_element(tmp_path, change, message):
    with pytest.raises(DatasetError, match=rf"a\.json.*{message}"):
        read_coco(write(tmp_path / "a.json", broken(change)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images":\n[,', r"a\.json:2:2: not JSON"),
        ("[]", "top is not an object"),
        ("", "not JSON"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_coco(path)
    assert not holds_coco(path)


def test_annotations_of_no_image_and_twofold_names_are_found(tmp_path):
    body = coco_body(
        {"a.jpg": [{"bbox": [1, 2, 3, 4]}, {"bbox": [5, 5, 5, 5], "image_id": 7}]},
        ({"id": 0, "name": "cat"}, {"id": 3, "name": "cat "}),
    )
    file = read_coco(write(tmp_path / "a.json", body))
    assert [len(picture.objects) for picture in file.pictures] == [1]
    assert [(f.kind, f.value) for f in file.findings] == [
        ("class_named_twice", "cat: id 3 and id 0"),
        ("annotation_without_image", "image_id 7"),
        ("empty_class", "cat"),
    ]


# --- pictures, masks, keypoints


def test_boxes_crowds_and_background(tmp_path):
    write_set(
        tmp_path,
        {
            "a.jpg": [
                {"bbox": [1, 2, 30, 40]},
                {"bbox": [1, 2, 30, 40], "category_id": 90, "iscrowd": 1},
                {"bbox": [9, 9, -3, 4]},
            ],
            "b.jpg": [],
        },
        CATEGORIES,
    )
    survey, images, findings = load_all(source(tmp_path))
    assert (survey.classes, survey.has_masks, survey.keypoints) == (["cat", "dog"], False, {})
    assert [(e.key, e.labels) for e in survey.pool or []] == [
        ("a.jpg", ("cat", "dog")),
        ("b.jpg", ()),
    ]
    assert images["a.jpg"].boxes == [
        Box("cat", 1, 2, 31, 42),
        Box("dog", 1, 2, 31, 42, crowd=True),
    ]
    assert [f.kind for f in findings] == ["empty_class", "inverted_box", "image_without_boxes"]
    given = source(tmp_path, label_map="classes.pbtxt").survey()
    assert [f.kind for f in given.findings] == []  # the conversion names those of the map


def test_masks_of_polygons_and_run_lengths(tmp_path):
    counts = [5, 3, 64 * 48 - 8]  # three pixels down the first column
    write_set(
        tmp_path,
        {
            "a.jpg": [
                {"bbox": [10, 5, 10, 10], "segmentation": SQUARE},
                {"bbox": [0, 5, 1, 3], "segmentation": {"size": [48, 64], "counts": counts}},
            ],
            "b.jpg": [{"bbox": [1, 2, 3, 4], "segmentation": []}],
        },
    )
    survey, images, findings = load_all(source(tmp_path))
    square, column = images["a.jpg"].boxes
    assert survey.has_masks
    assert np.array_equal(
        decode_mask(square.mask_png or b""), decode_mask(png_mask((10, 5, 20, 15)))
    )
    assert (square.mask_area, square.object_area, column.mask_area) == (100, 100, 3)
    assert decode_mask(column.mask_png or b"")[5:8, 0].all()
    (blank,) = images["b.jpg"].boxes
    assert decode_mask(blank.mask_png or b"").sum() == 0
    assert (blank.mask_area, blank.object_area) == (0, 12)
    assert [f.kind for f in findings] == ["box_without_mask"]


def test_a_mask_of_another_size_is_an_error(tmp_path):
    rle = {"size": [64, 48], "counts": [64 * 48]}
    write_set(tmp_path, {"a.jpg": [{"bbox": [1, 2, 3, 4], "segmentation": rle}]})
    with pytest.raises(DatasetError, match=r"annotations\[0\] \(id 1\): mask of another size"):
        load_all(source(tmp_path))


def test_keypoints_of_all_classes_share_one_order(tmp_path):
    categories = (
        {"id": 3, "name": "cat", "keypoints": ["nose", "tail"]},
        {"id": 90, "name": "dog", "keypoints": ["nose", "ear"]},
        {"id": 7, "name": "car"},
    )
    boxes = [
        {"bbox": [1, 2, 30, 40], "keypoints": [5, 6, 2, 0, 0, 0]},
        {"bbox": [1, 2, 9, 9], "category_id": 90, "keypoints": [7, 8, 1, 90, 9, 2]},
        {"bbox": [1, 2, 9, 9], "category_id": 7},
    ]
    write_set(tmp_path, {"a.jpg": boxes}, categories)
    survey, images, (outside,) = load_all(source(tmp_path))
    assert survey.keypoints == {"cat": ["nose", "tail"], "dog": ["nose", "ear"]}
    none = (0.0, 0.0, 0)
    assert images["a.jpg"].keypoint_names == ("nose", "tail", "ear")
    assert [box.keypoints for box in images["a.jpg"].boxes] == [
        ((5, 6, 2), none, none),
        ((7, 8, 1), none, none),
        (none, none, none),
    ]
    assert (outside.kind, outside.value) == ("keypoint_outside", "ear at 90, 9")
    for points, message in (([1, 2], "three numbers each"), ([1, 2, 3] * 2, "visibility")):
        boxes[0]["keypoints"] = points
        write_set(tmp_path, {"a.jpg": boxes}, categories)
        with pytest.raises(DatasetError, match=message):
            source(tmp_path).survey()


def test_a_surveyed_source_works_in_another_process(tmp_path):
    write_set(tmp_path, {"a.jpg": [{"bbox": [10, 5, 10, 10], "segmentation": SQUARE}]})
    read = source(tmp_path)
    read.survey()
    assert pickle.loads(pickle.dumps(read)).load("a.jpg") == read.load("a.jpg")


def test_pictures_that_no_file_names_are_found(tmp_path):
    write_set(tmp_path, {"a.jpg": [{"bbox": [1, 2, 3, 4]}]})
    (tmp_path / "b.png").write_bytes(b"not looked at")
    (finding,) = source(tmp_path).survey().findings
    assert (finding.kind, finding.value) == ("picture_without_annotation", "b.png")


def test_the_digest_follows_everything_that_is_read(tmp_path):
    def digest(names: list[str], **box) -> str:
        category = {"id": 3, "name": "cat", "keypoints": names}
        box = {"bbox": [1, 2, 3, 4], "keypoints": [1, 2, 2, 3, 4, 1]} | box
        write_set(tmp_path, {"a.jpg": [box]}, (category,))
        return source(tmp_path).survey().digest

    assert digest(["nose", "tail"]) == digest(["nose", "tail"])
    others = [digest(["tail", "nose"]), digest(["nose", "tail"], iscrowd=1)]
    others.append(digest(["nose", "tail"], segmentation=SQUARE))
    assert len({digest(["nose", "tail"]), *others}) == 4


# --- layouts


def test_roboflows_folders(tmp_path):
    box = {"bbox": [1, 2, 30, 40]}
    for split in ("train", "valid", "test"):
        write_set(tmp_path / split, {f"{split}.jpg": [box]}, name="_annotations.coco.json")
    survey, _, (left,) = load_all(source(tmp_path))
    assert {s: [e.key for e in listed] for s, listed in survey.entries.items()} == {
        "train": ["train/train.jpg"],
        "val": ["valid/valid.jpg"],
    }
    assert (left.kind, Path(left.where).parent.name) == ("split_left_out", "test")
    alone = source(tmp_path / "train").survey()
    assert [e.key for e in alone.pool or []] == ["train.jpg"]


def test_cocos_own_folders(tmp_path):
    for split in ("train", "val"):
        name = f"{split}.jpg"
        body = coco_body({name: [{"bbox": [1, 2, 30, 40]}]})
        write(tmp_path / "annotations" / f"instances_{split}2017.json", body)
        write(tmp_path / "annotations" / f"person_keypoints_{split}2017.json", body)
        write(tmp_path / "annotations" / f"captions_{split}2017.json", {"images": []})
        (tmp_path / f"{split}2017").mkdir()
        (tmp_path / f"{split}2017" / name).write_bytes(picture_bytes(comment=name))
    survey, images, findings = load_all(source(tmp_path))
    assert set(images) == {"train2017/train.jpg", "val2017/val.jpg"}
    assert (survey.pool, survey.images, findings) == (None, {"train": 1, "val": 1}, [])


def test_a_folder_without_coco_is_refused(tmp_path):
    write(tmp_path / "a.json", {"images": []})
    with pytest.raises(DatasetError, match=r"dataset\.dir: no COCO JSON"):
        source(tmp_path).survey()


# --- real data


@pytest.mark.shared
def test_chess(shared_data):
    survey, images, findings = load_all(source(shared_data / "sets" / "chess_coco" / "test"))
    boxes = [box for image in images.values() for box in image.boxes]
    assert (len(images), len(boxes), len(survey.classes)) == (29, 376, 12)
    assert [(f.kind, f.value) for f in findings] == [
        ("empty_class", "pieces"),
        ("empty_class", "bishop"),
        ("image_without_boxes", "no box"),
    ]
    assert not survey.has_masks


@pytest.mark.shared
def test_part_of_coco_itself(shared_data):
    folder = shared_data / "sets" / "coco_val_permissive"
    survey, images, findings = load_all(source(folder))
    boxes = [box for image in images.values() for box in image.boxes]
    assert (len(images), len(boxes), len(survey.classes)) == (47, 469, 60)
    assert sum(box.crowd for box in boxes) == 7
    assert Counter(f.kind for f in findings) == {"empty_class": 20}
    body = json.loads((folder / "instances_val_permissive.json").read_text())
    names = {c["id"]: c["name"] for c in body["categories"]}
    stated = sorted((names[a["category_id"]], a["area"]) for a in body["annotations"])
    drawn = sorted((box.label, box.mask_area) for box in boxes)
    assert len(stated) == len(drawn)
    # COCO's areas are those of the outlines, before they were drawn
    total = sum(area for _, area in stated)
    assert sum(area or 0 for _, area in drawn) == pytest.approx(total, rel=0.01)
