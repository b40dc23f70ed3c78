"""Pascal VOC: what a survey knows, and what is read after it."""

from __future__ import annotations

import hashlib
import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from dataset_builders import A_BOX, picture_bytes, voc_xml
from PIL import ExifTags, Image

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.source import PoolEntry
from odbench.dataset.types import Box
from odbench.dataset.voc import VocSource, load_image, read_annotation
from odbench.errors import DatasetError


def names(source: VocSource, split: str) -> list[str]:
    return [image.filename for image in source.images(split, [])]


def pooled(source: VocSource) -> list[str]:
    """Names of all pictures of a source without splits, read."""
    source.assign({"train": [entry.key for entry in source.survey().pool or []]})
    return names(source, "train")


def test_a_folder_without_splits_is_a_pool(tmp_path, add_image, voc_spec):
    dog = Box("dog", 1, 2, 3, 4)
    add_image(tmp_path, "a", [dog, A_BOX, dog])
    add_image(tmp_path, "b", [])
    source = VocSource(voc_spec(tmp_path))
    survey = source.survey()
    digests = [hashlib.sha256((tmp_path / f"{x}.jpg").read_bytes()).hexdigest() for x in "ab"]
    assert survey.pool == [
        PoolEntry("a.jpg", ("cat", "dog"), digests[0]),
        PoolEntry("b.jpg", (), digests[1]),
    ]
    assert (survey.entries, survey.images) == ({}, {"train": 0, "val": 0})
    source.assign({"train": ["b.jpg"], "val": ["a.jpg"]})
    findings: list = []
    (background,) = source.images("train", findings)
    (image,) = source.images("val", findings)
    assert (background.filename, background.boxes) == ("b.jpg", [])
    assert image.boxes == [dog, A_BOX]
    assert [(f.kind, Path(f.where.split(":")[0]).name) for f in findings] == [
        ("image_without_boxes", "b.xml"),
        ("duplicate_box", "a.xml"),
    ]


def test_a_surveyed_source_works_in_another_process(tmp_path, add_image, voc_spec):
    add_image(tmp_path, "a")
    source = VocSource(voc_spec(tmp_path))
    source.survey()
    image, _ = pickle.loads(pickle.dumps(source)).load("a.jpg")
    assert image.boxes == [A_BOX]


def test_an_annotation_is_parsed_once(tmp_path, add_image, voc_spec):
    flat = Box("cat", 7.0, 9.0, 7.0, 20.0)
    path = add_image(tmp_path, "a", [A_BOX, flat, Box("dög", 1, 1, 9, 9, True, True, pose="Left")])
    source = VocSource(voc_spec(tmp_path))
    source.survey()
    read = load_image(read_annotation(path), tmp_path / "a.jpg")
    part = pickle.loads(pickle.dumps(source.part(["a.jpg"])))
    whole = pickle.loads(pickle.dumps(source))
    path.write_text("no longer needed")
    assert source.load("a.jpg") == part.load("a.jpg") == whole.load("a.jpg") == read


def test_the_same_picture_twice_is_found(tmp_path, add_image, voc_spec):
    data = picture_bytes()
    add_image(tmp_path, "a", data=data)
    add_image(tmp_path, "b", data=data)
    add_image(tmp_path, "c", [Box("cat", 1, 1, 9, 9)], data=data)
    same, other = VocSource(voc_spec(tmp_path)).survey().findings
    assert (same.kind, same.where) == ("duplicate_picture", "b.jpg")
    assert (other.kind, other.where) == ("duplicate_picture_other_boxes", "c.jpg")
    assert "a.jpg" in other.value


def test_boxes_of_a_turned_picture_are_turned_with_it(tmp_path, add_image, voc_spec):
    image = Image.new("RGB", (64, 48))
    image.paste("white", (40, 4, 60, 14))  # the object, as stored
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, exif=exif)
    add_image(tmp_path, "a", [Box("cat", 40, 4, 60, 14)], data=buffer.getvalue())
    source = VocSource(voc_spec(tmp_path))
    source.survey()
    turned, (finding,) = source.load("a.jpg")
    assert (turned.width, turned.height, finding.kind) == (48, 64, "exif_orientation")
    (box,) = turned.boxes
    with Image.open(io.BytesIO(turned.encoded)) as upright:
        pixels = np.asarray(upright.convert("L")).astype(int)
    inside = pixels[int(box.ymin) : int(box.ymax), int(box.xmin) : int(box.xmax)]
    assert inside.size == 200
    assert inside.mean() > 230
    assert (pixels > 128).sum() == pytest.approx(200, abs=20)


def test_a_truncated_picture_stops_the_conversion(tmp_path, add_image, voc_spec):
    add_image(tmp_path, "a")
    add_image(tmp_path, "b", data=picture_bytes()[:-13])
    with pytest.raises(DatasetError, match=r"b\.jpg: picture cannot be read"):
        pooled(VocSource(voc_spec(tmp_path)))


# --- the digest


def test_the_digest_follows_content_but_not_the_place(tmp_path, add_image, voc_spec):
    here, there = tmp_path / "here", tmp_path / "there"
    for index in range(6):
        add_image(here, f"{index}")
    shutil.copytree(here, there)

    def digest(folder: Path) -> str:
        return VocSource(voc_spec(folder)).survey().digest

    assert digest(here) == digest(there)
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
    (left,) = survey.findings
    assert (left.kind, left.value) == ("split_left_out", "72 images")
    for split, file in (("train", "BloodImage_00343.xml"), ("val", "BloodImage_00338.xml")):
        findings: list = []
        assert sum(1 for _ in source.images(split, findings)) == survey.images[split]
        (finding,) = findings
        assert finding.kind == "zero_area_box"
        assert file in finding.where


@pytest.mark.shared
def test_all_annotations_of_bccd_are_read(shared_data):
    files = sorted((shared_data / "sets" / "bccd" / "Annotations").glob("*.xml"))
    boxes = [box for path in files for box, _ in read_annotation(path).objects]
    assert (len(files), len(boxes), len({box.label for box in boxes})) == (364, 4888, 3)


@pytest.mark.shared
def test_microcontroller_has_no_defects(shared_data):
    folder = shared_data / "sets" / "microcontroller" / "images"
    source = VocSource(DatasetSpec(name="boards", kind=DatasetKind.voc, dir=str(folder)))
    survey = source.survey()
    findings = list(survey.findings)
    images = [image for split in ("train", "val") for image in source.images(split, findings)]
    assert (len(images), sum(len(image.boxes) for image in images)) == (149, 177)
    assert (len(survey.classes), findings) == (4, [])
