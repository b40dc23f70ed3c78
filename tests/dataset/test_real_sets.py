"""Real data sets, converted whole; the counts are those of the files that describe them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.check import check_dataset
from odbench.dataset.prepare import convert_dataset
from odbench.evaluation.coco import score
from odbench.evaluation.inputs import load_ground_truth

pytestmark = pytest.mark.shared


def spec_of(folder: Path, kind: str, **options) -> DatasetSpec:
    return DatasetSpec(name="trial", kind=DatasetKind(kind), dir=str(folder), **options)


@pytest.mark.parametrize(
    ("where", "kind", "counts"),
    [
        ("sets/bccd", "auto", ({"train": 205, "val": 87}, 2804 + 1137, 3)),
        ("sets/microcontroller/images", "csv", ({"train": 142, "val": 7}, 177, 4)),
        ("sets/microcontroller/images", "voc", ({"train": 142, "val": 7}, 177, 4)),
        ("sets/microcontroller", "voc", ({"train": 142, "val": 7}, 177, 4)),
        ("sets/chess_coco/test", "auto", (29, 376, 12)),
        ("sets/coco_val_permissive", "auto", (47, 469, 60)),
        ("od_api/test_data/pets_examples.record", "auto", (10, 10, 10)),
    ],
)
def test_counts_and_ground_truth(shared_data, tmp_path, where, kind, counts):
    images, boxes, classes = counts
    dataset = convert_dataset(spec_of(shared_data / where, kind), tmp_path / "out").dataset
    counted = dataset.summary
    assert images in (counted.images, sum(counted.images.values()))
    assert sum(counted.boxes.values()) == boxes
    assert len(dataset.classes) == classes
    again = check_dataset(spec_of(dataset.dir, "auto"), lambda count: None)
    assert (again.errors, again.boxes) == ([], counted.boxes)
    for split in dataset.splits.values():
        truth = load_ground_truth(split.ground_truth)
        found = [
            {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"]}
            | {"score": 1.0}
            for a in truth["annotations"]
            if not a["iscrowd"]  # a crowd is no single object that could be found
        ]
        assert score(truth, found).metrics["AP"] == pytest.approx(1.0, abs=1e-9)


def test_csv_and_xml_of_one_set_give_the_same(shared_data, tmp_path):
    source = shared_data / "sets" / "microcontroller" / "images"
    one, two = (
        convert_dataset(spec_of(source, kind), tmp_path / kind).dataset for kind in ("csv", "voc")
    )
    assert [image_names(one), one.classes] == [image_names(two), two.classes]
    for split in ("train", "val"):
        assert truth_by_name(one, split) == truth_by_name(two, split)


def image_names(dataset) -> dict[str, list[tuple[str, str]]]:
    splits = json.loads((dataset.dir / "splits.json").read_text())
    return {
        name: sorted((e["file"], e["sha256"]) for e in entries) for name, entries in splits.items()
    }


def truth_by_name(dataset, split) -> list[tuple]:
    truth = json.loads(dataset.splits[split].ground_truth.read_text())
    names = {image["id"]: image["file_name"] for image in truth["images"]}
    return sorted(
        (names[a["image_id"]], a["category_id"], *a["bbox"]) for a in truth["annotations"]
    )


def test_boxes_without_area_are_named(shared_data, tmp_path):
    report = check_dataset(spec_of(shared_data / "sets" / "bccd", "voc"), lambda count: None)
    flat = [f for f in report.findings if f.kind == "zero_area_box"]
    assert sorted(Path(f.where.rpartition(":")[0]).name for f in flat) == [
        "BloodImage_00338.xml",
        "BloodImage_00343.xml",
    ]
    assert report.errors == []


def test_the_official_ids_of_coco_are_kept(shared_data, tmp_path):
    label_map = shared_data / "label_maps" / "mscoco_label_map.pbtxt"
    spec = spec_of(shared_data / "sets" / "coco_val_permissive", "coco", label_map=str(label_map))
    dataset = convert_dataset(spec, tmp_path / "out").dataset
    assert (len(dataset.classes), dataset.num_classes) == (80, 90)
    assert dataset.class_ids["person"] == 1
    assert dataset.class_ids["toothbrush"] == 90
