from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dataset_builders import A_BOX, picture_bytes, voc_xml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odbench.config.spec import DatasetKind, DatasetSpec
from odbench.dataset.types import Box
from odbench.dataset.voc import VocSource, load_image, read_annotation
from odbench.errors import DatasetError

FILES = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=8)
NUMBERS = st.floats(-1e6, 1e6)
BOXES = st.builds(
    Box,
    label=WORDS,
    xmin=NUMBERS,
    ymin=NUMBERS,
    xmax=NUMBERS,
    ymax=NUMBERS,
    difficult=st.booleans(),
    truncated=st.booleans(),
    pose=WORDS,
)


def names(source: VocSource, split: str) -> list[str]:
    return [image.filename for image in source.images(split, [])]


def parse(tmp_path: Path, text: str):
    path = tmp_path / "a.xml"
    path.write_text(text)
    return read_annotation(path)


# --- one annotation


@FILES
@given(st.lists(BOXES, max_size=6), st.none() | st.tuples(st.integers(0), st.integers(0)))
def test_what_labelimg_writes_is_read(tmp_path, boxes, size):
    path = tmp_path / "a.xml"
    path.write_bytes(voc_xml("ä b.jpg", boxes, size))
    annotation = read_annotation(path)
    assert [box for box, _ in annotation.objects] == boxes
    assert (annotation.filename, annotation.size) == ("ä b.jpg", size)


@FILES
@given(st.data())
def test_damaged_xml_is_read_or_refused_by_name(tmp_path, data):
    damaged = bytearray(voc_xml("a.jpg", [A_BOX, A_BOX]))
    start = data.draw(st.integers(0, len(damaged) - 1))
    damaged[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=5))
    path = tmp_path / "a.xml"
    path.write_bytes(damaged)
    try:
        annotation = read_annotation(path)
    except DatasetError as error:
        assert str(path) in (error.where or "")
    else:
        assert len(annotation.objects) <= 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>\n<object>", r"a\.xml:2: not well-formed XML"),
        ("", r"a\.xml:1: not well-formed XML"),
        ("<?xml version='1.0'?>\n<svg/>", r"a\.xml:2: not a Pascal VOC annotation"),
        ("<annotation>\n<object/></annotation>", r"a\.xml:2: object without a class name"),
        (
            "<annotation>\n<object><name> </name><bndbox/></object></annotation>",
            r"a\.xml:2: object without a class name",
        ),
        (
            "<annotation>\n<object><name>a</name></object></annotation>",
            r"a\.xml:2: object without a bndbox",
        ),
        (
            "<annotation><object><name>a</name>\n<bndbox><xmin>1</xmin></bndbox></object>"
            "</annotation>",
            r"a\.xml:2: bndbox without ymin",
        ),
        (
            "<annotation><object><name>a</name><bndbox>\n<xmin>1</xmin>\n<ymin>two</ymin>"
            "</bndbox></object></annotation>",
            r"a\.xml:3: ymin is not a number\n  value:   'two'",
        ),
        (
            "<annotation><object><name>a</name><bndbox><xmin>nan</xmin></bndbox></object>"
            "</annotation>",
            "xmin is not a number",
        ),
        (
            "<annotation><size><width>\n6O</width><height>4</height></size></annotation>",
            "width is not a number",
        ),
        (
            "<annotation><object><name>a</name><difficult>perhaps</difficult><bndbox><xmin>1"
            "</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object></annotation>",
            "difficult is neither yes nor no",
        ),
    ],
)
def test_broken_annotations_are_refused_by_file_and_line(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        parse(tmp_path, text)


def test_entities_are_not_resolved(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("7")
    text = (
        f'<!DOCTYPE annotation [<!ENTITY e SYSTEM "{secret.as_uri()}">]>'
        "<annotation><object><name>a</name><bndbox><xmin>&e;</xmin></bndbox></object></annotation>"
    )
    with pytest.raises(DatasetError, match="xmin is not a number"):
        parse(tmp_path, text)


def test_parts_of_an_object_are_not_objects(tmp_path):
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    part = f"<part><name>head</name>{box.replace('1', '9')}</part>"
    text = f"<annotation><object>{part}<name>person</name>{box}</object></annotation>"
    ((read, _),) = parse(tmp_path, text).objects
    assert read == Box("person", 1, 2, 3, 4)


# --- an annotation and its picture


def test_the_size_of_the_picture_wins(tmp_path, add_image):
    annotation = read_annotation(add_image(tmp_path, "a", tagged=(640, 480)))
    image, (finding,) = load_image(annotation, tmp_path / "a.jpg")
    assert (image.width, image.height, image.boxes) == (64, 48, [A_BOX])
    assert finding.kind == "size_mismatch"
    assert finding.value == "640x480 in the annotation, 64x48 in the picture"


def test_a_wrong_size_tag_whose_boxes_do_not_fit_is_an_error(tmp_path, add_image):
    path = add_image(tmp_path, "a", [Box("cat", 400, 300, 500, 400)], tagged=(640, 480))
    with pytest.raises(DatasetError, match=r"a\.xml:\d+: box outside the picture of 64x48"):
        load_image(read_annotation(path), tmp_path / "a.jpg")


def test_unusable_boxes_are_dropped_by_line(tmp_path, add_image):
    flat = Box("cat", 7.0, 9.0, 7.0, 20.0)
    path = add_image(tmp_path, "a", [A_BOX, flat, Box("cat", 0.0, 0.0, 64.5, 48.0)])
    image, (zero, clipped) = load_image(read_annotation(path), tmp_path / "a.jpg")
    assert image.boxes == [A_BOX, Box("cat", 0, 0, 64, 48)]
    assert (zero.kind, zero.action) == ("zero_area_box", "dropped")
    file, line = zero.where.rsplit(":", 1)
    assert file == str(path)
    lines = path.read_text().splitlines()
    starts = [number for number, text in enumerate(lines, 1) if "<object>" in text]
    assert int(line) == starts[1]
    assert clipped.kind == "box_clipped"


def test_a_truncated_picture_stops_the_conversion(tmp_path, add_image, voc_spec):
    add_image(tmp_path, "a")
    add_image(tmp_path, "b", data=picture_bytes()[:-13])
    source = VocSource(voc_spec(tmp_path))
    source.survey()
    with pytest.raises(DatasetError, match=r"b\.jpg: picture cannot be read"):
        [names(source, split) for split in ("train", "val")]


# --- folders


def test_devkit_with_its_lists(tmp_path, add_image, add_list, voc_spec):
    for stem in "abcdef":
        add_image(tmp_path, stem, devkit=True)
    add_list(tmp_path, "train", ["c", "a", ""])
    add_list(tmp_path, "val", ["b", "b"])
    add_list(tmp_path, "trainval", ["a", "b", "c"])
    add_list(tmp_path, "test", ["d", "e"])
    source = VocSource(voc_spec(tmp_path))
    survey = source.survey()
    assert names(source, "train") == ["JPEGImages/c.jpg", "JPEGImages/a.jpg"]
    assert names(source, "val") == ["JPEGImages/b.jpg"]
    assert survey.images == {"train": 2, "val": 1}
    (finding,) = survey.findings
    assert (finding.kind, finding.value) == ("named_twice", "b")
    assert finding.where.endswith("val.txt:2")


def test_devkit_with_trainval_and_test(tmp_path, add_image, add_list, voc_spec):
    for stem in "abc":
        add_image(tmp_path, stem, devkit=True)
    add_list(tmp_path, "trainval", ["a", "b"])
    add_list(tmp_path, "test", ["c"])
    source = VocSource(voc_spec(tmp_path))
    assert source.survey().images == {"train": 2, "val": 1}
    assert names(source, "val") == ["JPEGImages/c.jpg"]


def test_years_below_a_devkit_are_taken_together(tmp_path, add_image, add_list, voc_spec):
    for year, stems in (("VOC2007", "ab"), ("VOC2012", "cd")):
        for stem in stems:
            add_image(tmp_path / "VOCdevkit" / year, stem, devkit=True)
        add_list(tmp_path / "VOCdevkit" / year, "train", stems[0])
        add_list(tmp_path / "VOCdevkit" / year, "val", stems[1])
    for folder in (tmp_path, tmp_path / "VOCdevkit"):
        source = VocSource(voc_spec(folder))
        assert source.survey().images == {"train": 2, "val": 2}
        found = [name.rsplit("VOC20")[1] for name in names(source, "train")]
        assert found == ["07/JPEGImages/a.jpg", "12/JPEGImages/c.jpg"]


@pytest.mark.parametrize("val", ["val", "valid", "test", "Val"])
def test_sub_folders_are_the_splits(tmp_path, add_image, voc_spec, val):
    add_image(tmp_path / "train", "a")
    add_image(tmp_path / "train", "b")
    add_image(tmp_path / val, "c")
    add_image(tmp_path, "stray")
    source = VocSource(voc_spec(tmp_path))
    survey = source.survey()
    assert names(source, "train") == ["train/a.jpg", "train/b.jpg"]
    assert names(source, "val") == [f"{val}/c.jpg"]
    assert [(f.kind, f.value) for f in survey.findings] == [("outside_the_splits", "stray.xml")]


def test_val_is_preferred_to_test(tmp_path, add_image, voc_spec):
    for folder in ("train", "val", "test"):
        add_image(tmp_path / folder, folder)
    assert names(VocSource(voc_spec(tmp_path)), "val") == ["val/val.jpg"]


def test_flat_folder_is_split_by_name_and_seed(tmp_path, add_image, voc_spec):
    for index in range(20):
        add_image(tmp_path, f"{index:02d}")

    def held_out(**options) -> list[str]:
        source = VocSource(voc_spec(tmp_path, **options))
        survey = source.survey()
        val, train = names(source, "val"), names(source, "train")
        assert survey.images == {"train": len(train), "val": len(val)}
        assert sorted(train + val) == [f"{index:02d}.jpg" for index in range(20)]
        return val

    assert held_out() == held_out()
    assert len(held_out()) == 4
    assert len(held_out(val_fraction=0.5)) == 10
    assert set(held_out()) < set(held_out(val_fraction=0.5))
    assert held_out() != held_out(split_seed=1)


def test_one_image_cannot_be_split(tmp_path, add_image, voc_spec):
    add_image(tmp_path, "a")
    assert VocSource(voc_spec(tmp_path)).survey().images == {"train": 1, "val": 0}


def test_pictures_without_annotation_are_named(tmp_path, add_image, voc_spec):
    add_image(tmp_path, "a")
    add_image(tmp_path, "b")
    (tmp_path / "c.png").write_bytes(b"not looked at")
    (finding,) = VocSource(voc_spec(tmp_path)).survey().findings
    assert (finding.kind, finding.value) == ("picture_without_annotation", "c.png")


def test_a_picture_is_found_by_the_name_in_the_annotation(tmp_path, add_image, voc_spec):
    add_image(tmp_path, "a")
    path = add_image(tmp_path, "b")
    path.write_bytes(voc_xml("C:\\pictures\\Other Name.jpg", [A_BOX]))
    (tmp_path / "b.jpg").rename(tmp_path / "Other Name.jpg")
    source = VocSource(voc_spec(tmp_path))
    source.survey()
    found = names(source, "train") + names(source, "val")
    assert sorted(found) == ["Other Name.jpg", "a.jpg"]


def test_of_two_pictures_of_one_stem_the_named_one_is_taken(tmp_path, add_image, voc_spec):
    path = add_image(tmp_path, "a")
    add_image(tmp_path, "b")
    (tmp_path / "a.png").write_bytes(picture_bytes(kind="PNG"))
    source = VocSource(voc_spec(tmp_path))
    source.survey()
    assert "a.jpg" in names(source, "train") + names(source, "val")
    path.write_bytes(voc_xml("elsewhere.jpg", [A_BOX]))
    with pytest.raises(DatasetError, match="several pictures for one annotation"):
        VocSource(voc_spec(tmp_path)).survey()


def test_a_missing_picture_is_an_error(tmp_path, add_image, voc_spec):
    add_image(tmp_path, "a")
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DatasetError, match=r"a\.xml: picture is missing"):
        VocSource(voc_spec(tmp_path)).survey()


def test_wrong_folders_are_refused(tmp_path, voc_spec):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "half" / "Annotations").mkdir(parents=True)
    for folder, message in {
        "none": "dataset.dir: no such folder",
        "file": "dataset.dir: not a folder",
        "empty": "dataset.dir: no annotated pictures",
        "half": "dataset.dir: no folder of pictures",
    }.items():
        with pytest.raises(DatasetError, match=message):
            VocSource(voc_spec(tmp_path / folder)).survey()


def test_wrong_lists_are_refused_by_line(tmp_path, add_image, add_list, voc_spec):
    add_image(tmp_path, "a", devkit=True)
    add_image(tmp_path, "b", devkit=True)
    for train, val, message in (
        (["a"], ["b", "a"], r"val\.txt:2: image is also in train\.txt"),
        (["a", "nosuch"], ["b"], r"train\.txt:2: no annotation for the image"),
    ):
        add_list(tmp_path, "train", train)
        add_list(tmp_path, "val", val)
        with pytest.raises(DatasetError, match=message):
            VocSource(voc_spec(tmp_path)).survey()


# --- the digest


def test_the_digest_follows_content_and_split_but_not_the_place(tmp_path, add_image, voc_spec):
    here, there = tmp_path / "here", tmp_path / "there"
    for index in range(6):
        add_image(here, f"{index}")
    shutil.copytree(here, there)

    def digest(folder: Path, **options) -> str:
        return VocSource(voc_spec(folder, **options)).survey().digest

    assert digest(here) == digest(there)
    assert digest(here) != digest(here, val_fraction=0.5)
    (there / "0.jpg").write_bytes(picture_bytes() + b" ")
    changed_picture = digest(there)
    (there / "1.xml").write_bytes(voc_xml("1.jpg", []))
    assert len({digest(here), changed_picture, digest(there)}) == 3


# --- real data


@pytest.mark.shared
def test_bccd_has_exactly_two_boxes_without_area(shared_data):
    folder = shared_data / "sets" / "bccd"
    source = VocSource(DatasetSpec(name="bccd", kind=DatasetKind.voc, dir=str(folder)))
    survey = source.survey()
    assert survey.images == {"train": 205, "val": 87}
    assert survey.classes == ["Platelets", "RBC", "WBC"]
    assert survey.findings == []
    for split, file in (("train", "BloodImage_00343.xml"), ("val", "BloodImage_00338.xml")):
        findings: list = []
        assert sum(1 for _ in source.images(split, findings)) == survey.images[split]
        (finding,) = findings
        assert finding.kind == "zero_area_box"
        assert file in finding.where


@pytest.mark.shared
def test_microcontroller_has_no_defects(shared_data):
    folder = shared_data / "sets" / "microcontroller" / "images"
    source = VocSource(DatasetSpec(name="boards", kind=DatasetKind.voc, dir=str(folder)))
    survey = source.survey()
    findings = list(survey.findings)
    images = [image for split in ("train", "val") for image in source.images(split, findings)]
    assert (len(images), sum(len(image.boxes) for image in images)) == (149, 177)
    assert (len(survey.classes), findings) == (4, [])
