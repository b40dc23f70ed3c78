from __future__ import annotations

import json
from pathlib import Path

import pytest
from dataset_builders import A_BOX, coco_body, picture_bytes

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.coco_source import CocoSource
from odbench.dataset.csv_source import CsvSource
from odbench.dataset.example import encode_example
from odbench.dataset.source import open_source
from odbench.dataset.tfrecord import write_record
from odbench.dataset.tfrecord_source import RecordSource
from odbench.dataset.types import LabelledImage
from odbench.dataset.voc import VocSource
from odbench.errors import DatasetError


def opened(path: Path):
    return open_source(DatasetSpec(name="t", kind=DatasetKind.auto, dir=str(path)))


def add_csv(folder: Path) -> Path:
    (folder / "a.csv").write_text("a.jpg,1,2,30,40,cat\n")
    return folder / "a.csv"


def add_coco(folder: Path) -> Path:
    (folder / "a.json").write_text(json.dumps(coco_body({"a.jpg": [{"bbox": [1, 2, 3, 4]}]})))
    return folder / "a.json"


def add_record(folder: Path) -> Path:
    image = LabelledImage("a.jpg", picture_bytes(), "jpeg", 64, 48, [A_BOX])
    with (folder / "a.tfrecord-00000-of-00001").open("wb") as file:
        write_record(file, encode_example(image, 1, {"cat": 1}))
    return folder / "a.tfrecord-00000-of-00001"


@pytest.mark.parametrize(
    ("add", "kind"), [(add_csv, CsvSource), (add_coco, CocoSource), (add_record, RecordSource)]
)
def test_each_kind_is_known_by_its_content(tmp_path, add, kind):
    (tmp_path / "a.jpg").write_bytes(picture_bytes())
    # none of these is what its extension suggests
    (tmp_path / "credits.csv").write_text("name,licence\nx,y\n")
    (tmp_path / "other.json").write_text('{"images": 3}')
    (tmp_path / "page.xml").write_text("<html/>")
    path = add(tmp_path)
    for place in (tmp_path, path):
        source = opened(place)
        assert isinstance(source, kind)
        assert [entry.key for entry in source.survey().pool or []] == ["a.jpg"]


@pytest.mark.parametrize("devkit", [True, False])
def test_xml_is_known_wherever_it_lies(tmp_path, add_image, devkit):
    add_image(tmp_path / "VOCdevkit" / "VOC2012" if devkit else tmp_path, "a", devkit=devkit)
    assert isinstance(opened(tmp_path), VocSource)


def test_several_kinds_are_listed(tmp_path, add_image):
    add_image(tmp_path, "a")
    add_csv(tmp_path)
    with pytest.raises(DatasetError, match="several kinds of annotations") as raised:
        opened(tmp_path)
    text = str(raised.value)
    assert "voc (" in text
    assert "a.xml" in text
    assert "csv (" in text
    assert "dataset.kind=csv|voc" in text


def test_csv_and_xml_of_the_same_pictures_are_told_to_be(tmp_path, add_image):
    for stem in ("a", "b"):
        add_image(tmp_path / "train", stem)
    (tmp_path / "labels.csv").write_text("train/a.jpg,1,2,30,40,cat\nb.jpg,1,2,30,40,cat\n")
    with pytest.raises(DatasetError, match="several kinds") as raised:
        opened(tmp_path)
    assert "of the same 2 pictures" in raised.value.value
    assert raised.value.fix.endswith("either has all of them")
    for text in ("a.jpg,1,2,30,40,cat\n", "a.jpg,1,2,3,4,cat\nb.jpg,x,y\n"):  # fewer; broken
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(DatasetError, match="several kinds") as raised:
            opened(tmp_path)
        assert "of the same" not in raised.value.value


def test_nothing_is_said_too(tmp_path):
    with pytest.raises(DatasetError, match="no annotations in the folder"):
        opened(tmp_path)
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DatasetError, match="no annotations in the file"):
        opened(tmp_path / "notes.txt")
    with pytest.raises(DatasetError, match="no such folder or file"):
        opened(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "message"),
    [('{\n "images" [', r"bad\.json:2:11: not JSON"), ("{}", r"not COCO's JSON: no list of cat")],
)
def test_a_json_file_is_told_what_is_wrong_with_it(tmp_path, text, message):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        opened(tmp_path / "bad.json").survey()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "kind"),
    [("bccd", VocSource), ("chess_coco", CocoSource), ("coco_val_permissive", CocoSource)],
)
def test_real_sets_are_known(shared_data, name, kind):
    assert isinstance(opened(shared_data / "sets" / name), kind)
