"""Pascal VOC: folders and lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_builders import A_BOX, picture_bytes, voc_xml

from odbench.dataset.voc import VocSource
from odbench.errors import DatasetError


def names(source: VocSource, split: str) -> list[str]:
    return [image.filename for image in source.images(split, [])]


def pooled(source: VocSource) -> list[str]:
    """Names of all pictures of a source without splits, read."""
    source.assign({"train": [entry.key for entry in source.survey().pool or []]})
    return names(source, "train")


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
    twice, left, stray = survey.findings
    assert (twice.kind, twice.value) == ("named_twice", "b")
    assert twice.where.endswith("val.txt:2")
    assert (left.kind, left.value, Path(left.where).name) == (
        "split_left_out",
        "2 images",
        "test.txt",
    )
    assert (stray.kind, stray.value) == ("outside_the_splits", "f.xml")
    assert survey.pool is None
    assert [entry.key for entry in survey.entries["train"]] == names(source, "train")


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
    source = VocSource(voc_spec(tmp_path))
    (finding,) = source.survey().findings
    assert names(source, "val") == ["val/val.jpg"]
    assert (finding.kind, finding.value) == ("split_left_out", "1 images")


@pytest.mark.parametrize("hidden", [None, ".cache"])
def test_the_only_sub_folder_holds_the_pictures(tmp_path, add_image, voc_spec, hidden):
    add_image(tmp_path / "flat" / "images", "a")
    source = VocSource(voc_spec(tmp_path / "flat"))
    assert pooled(source) == ["images/a.jpg"]
    for split in ("train", "test"):
        add_image(tmp_path / "split" / "images" / split, "a")
    if hidden:
        (tmp_path / "split" / hidden).mkdir()
    source = VocSource(voc_spec(tmp_path / "split"))
    assert source.survey().images == {"train": 1, "val": 1}
    assert names(source, "val") == ["images/test/a.jpg"]
    add_image(tmp_path / "split" / "others", "b")  # two of them: which is meant is not known
    with pytest.raises(DatasetError, match="no annotated pictures"):
        VocSource(voc_spec(tmp_path / "split")).survey()


def test_splits_in_some_folders_only_are_refused(tmp_path, add_image, add_list, voc_spec):
    for year in ("VOC2007", "VOC2012"):
        add_image(tmp_path / year, "a", devkit=True)
        add_image(tmp_path / year, "b", devkit=True)
    add_list(tmp_path / "VOC2007", "train", "a")
    add_list(tmp_path / "VOC2007", "val", "b")
    with pytest.raises(DatasetError, match="some folders name their splits"):
        VocSource(voc_spec(tmp_path)).survey()


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
    assert sorted(pooled(source)) == ["Other Name.jpg", "a.jpg"]


def test_of_two_pictures_of_one_stem_the_named_one_is_taken(tmp_path, add_image, voc_spec):
    path = add_image(tmp_path, "a")
    add_image(tmp_path, "b")
    (tmp_path / "a.png").write_bytes(picture_bytes(kind="PNG"))
    source = VocSource(voc_spec(tmp_path))
    assert "a.jpg" in pooled(source)
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
