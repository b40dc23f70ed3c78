from __future__ import annotations

import json
from dataclasses import replace

import pytest

from odbench.dataset.stored import (
    StoredDataset,
    StoredSplit,
    load_dataset,
    load_if_complete,
    read_stored,
    write_stored,
)
from odbench.dataset.types import Finding
from odbench.errors import DatasetError

FINDING = Finding("zero_area_box", "a.xml:3", "cat [1, 1, 1, 2]", "dropped")


@pytest.fixture
def stored(tmp_path) -> StoredDataset:
    """A data set of one picture in each split, described; its files lie in `tmp_path`."""
    splits = {}
    for name in ("train", "val"):
        (tmp_path / f"{name}.tfrecord").write_bytes(b"12345")
        (tmp_path / f"{name}.json").write_text("{}")
        splits[name] = StoredSplit(
            1, 2, {"cat": 2, "emu": 0}, {f"{name}.tfrecord": 5}, f"{name}.json"
        )
    (tmp_path / "map.pbtxt").write_text("item {}")
    return StoredDataset(
        name="trial",
        hash="0123",
        class_ids={"cat": 3, "emu": 90},
        label_map="map.pbtxt",
        splits=splits,
        findings=[FINDING],
        provenance={"source": "voc"},
        keypoints={"cat": ["nose", "tail"], "emu": ["beak", "tail"]},
        has_masks=True,
        statistics={"splits": {}},
    )


def test_what_is_written_is_read_back(tmp_path, stored):
    write_stored(tmp_path, stored)
    assert read_stored(tmp_path) == stored
    dataset = load_dataset(tmp_path)
    assert dataset.classes == ["cat", "emu"]
    assert dataset.class_ids == {"cat": 3, "emu": 90}
    assert dataset.num_classes == 90
    assert dataset.names_by_output[2] == "cat"
    assert dataset.names_by_output[89] == "emu"
    assert set(dataset.names_by_output[3:89]) == {""}
    assert dataset.findings == [FINDING]
    assert dataset.has_masks
    assert dataset.keypoints["emu"] == ["beak", "tail"]
    assert dataset.keypoint_names == ["nose", "tail", "beak"]
    assert dataset.splits["val"].records == [tmp_path / "val.tfrecord"]


def test_classes_without_given_ids_count_from_one(tmp_path, stored):
    write_stored(tmp_path, stored)
    dataset = replace(load_dataset(tmp_path), class_ids={})
    assert (dataset.class_ids, dataset.num_classes) == ({"cat": 1, "emu": 2}, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 1}, "another schema version"),
        ({"class_ids": ["cat"]}, r"dataset\.json: class_ids: not a valid data set"),
        ({"splits": {"train": {}}}, r"splits\.train"),
    ],
)
def test_a_description_that_does_not_fit_is_said(tmp_path, stored, change, message):
    write_stored(tmp_path, stored)
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DatasetError, match=message):
        read_stored(tmp_path)
    assert load_if_complete(tmp_path) is None


def test_a_folder_that_was_never_converted_is_said(tmp_path):
    with pytest.raises(DatasetError, match="no finished data set") as raised:
        load_dataset(tmp_path)
    assert "odbench data convert" in raised.value.fix
    assert load_if_complete(tmp_path) is None
