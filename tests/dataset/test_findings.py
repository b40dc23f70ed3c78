from __future__ import annotations

import json

import pytest
from dataset_builders import A_BOX, coco_body, many_pictures, picture_bytes

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.findings import refuse_findings, relative_findings, warnings_in
from odbench.dataset.prepare import convert_dataset
from odbench.dataset.types import Box, Finding
from odbench.errors import DatasetError

FLAT = Box("cat", 5.0, 5.0, 5.0, 9.0)
LEFT = Finding("split_left_out", "test.txt", "3 images", "left out")


def test_findings_of_a_converted_set_are_relative_to_its_source(tmp_path, add_image, voc_spec):
    source = many_pictures(tmp_path / "in" / "train", add_image, 8).parent
    many_pictures(source / "val", lambda at, stem, data: add_image(at, stem), 5)
    add_image(source / "train", "p03", [A_BOX, FLAT])
    add_image(source / "test", "p00")
    dataset = convert_dataset(voc_spec(source), tmp_path / "out").dataset
    assert [(f.kind, f.where) for f in dataset.findings] == [
        ("split_left_out", "test"),
        ("zero_area_box", "train/p03.xml:20"),
    ]
    body = (tmp_path / "out" / "dataset.json").read_text()
    assert json.loads(body)["provenance"]["dir"] == str(source)
    assert body.count(str(tmp_path)) == 1  # where it came from, once


def test_of_a_source_that_is_a_file_they_are_relative_to_its_folder(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    body = coco_body({f"{i}.jpg": [{"bbox": [1, 2, 30, 40]}] for i in range(25)})
    body["annotations"][7]["bbox"] = [5, 5, 0, 4]
    (folder / "a.json").write_text(json.dumps(body))
    for i in range(25):
        (folder / f"{i}.jpg").write_bytes(picture_bytes(comment=str(i)))
    monkeypatch.chdir(tmp_path)
    told = set()
    for number, place in enumerate(("in/a.json", str(folder / "a.json"), "in")):
        spec = DatasetSpec(name="t", kind=DatasetKind.coco, dir=place)
        dataset = convert_dataset(spec, tmp_path / f"out{number}").dataset
        told |= {(f.kind, f.where) for f in dataset.findings}
    assert told == {
        ("zero_area_box", "a.json: annotations[7] (id 8)"),
        ("image_without_boxes", "a.json: images[7] (id 107)"),
    }


def test_what_lies_elsewhere_keeps_its_path(tmp_path):
    spec = DatasetSpec(name="t", kind=DatasetKind.voc, dir=str(tmp_path))
    other = Finding("wrong_extension", f"{tmp_path}2/a.jpg", "", "")
    assert relative_findings([other], spec) == [other]


def test_strictness_allows_what_is_only_noted():
    refuse_findings([LEFT], "here")
    flat = Finding("zero_area_box", "a.xml:3", "cat", "dropped")
    assert warnings_in([LEFT, flat]) == [flat]
    with pytest.raises(DatasetError, match="1 findings, and a strict") as raised:
        refuse_findings([LEFT, flat], "here")
    assert "split_left_out" not in str(raised.value)
