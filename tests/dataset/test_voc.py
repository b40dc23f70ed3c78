"""Pascal VOC: one annotation, and what its picture makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_builders import A_BOX, voc_xml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odbench.dataset.types import Box
from odbench.dataset.voc import load_image, read_annotation
from odbench.errors import DatasetError

FILES = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=8)
NUMBERS = st.floats(-1e6, 1e6)
SIDES = st.integers(0, 10**9)
BOXES = st.builds(
    Box,
    label=WORDS,
    xmin=NUMBERS,
    ymin=NUMBERS,
    xmax=NUMBERS,
    ymax=NUMBERS,
    difficult=st.booleans(),
    truncated=st.booleans(),
    crowd=st.just(False),
    pose=WORDS,
    mask_png=st.none(),
    mask_area=st.none(),
    keypoints=st.just(()),
)


def parse(tmp_path: Path, text: str):
    path = tmp_path / "a.xml"
    path.write_text(text)
    return read_annotation(path)


# --- one annotation


@FILES
@given(st.lists(BOXES, max_size=6), st.none() | st.tuples(SIDES, SIDES))
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
