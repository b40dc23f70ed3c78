from __future__ import annotations

import pytest
from google.protobuf import text_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from object_detection.protos import string_int_label_map_pb2

from odbench.dataset.label_map import (
    class_ids,
    match_label_map,
    read_label_map,
    write_label_map,
)
from odbench.errors import DatasetError

NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name.isprintable())


def test_ids_follow_the_sorted_names():
    assert class_ids(["dog", "cat", "dog", "Ant"]) == {"Ant": 1, "cat": 2, "dog": 3}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(NAMES, min_size=1, max_size=6))
def test_what_is_written_is_read_back(tmp_path, names):
    path = tmp_path / "label_map.pbtxt"
    write_label_map(path, class_ids(names))
    read = read_label_map(path)
    assert read == class_ids(names)
    assert list(read.values()) == sorted(read.values())


def test_maps_written_by_hand_are_read(tmp_path):
    path = tmp_path / "label_map.pbtxt"
    path.write_text("# ours\nitem { id: 7 name: 'b' }\nitem {\n  id: 2\n  name: \"a\"\n}\n")
    assert read_label_map(path) == {"a": 2, "b": 7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item { id: 1 name: 'a' }\nitem { idd: 2 }", r"map\.pbtxt:2: not a label map"),
        ("", "without a class"),
        ("item { id: 0 name: 'a' }", "reserved"),
        ("item { id: 1 }", "without a name"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "named twice"),
        ("item { id: 1 name: 'a' } item { id: 2 name: 'a' }", "named twice"),
    ],
)
def test_broken_maps_are_refused(tmp_path, text, message):
    path = tmp_path / "map.pbtxt"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_label_map(path)


def test_a_missing_map_is_said(tmp_path):
    with pytest.raises(DatasetError, match="No such file"):
        read_label_map(tmp_path / "none.pbtxt")


@pytest.mark.shared
def test_the_apis_own_map_is_read(shared_data):
    ids = read_label_map(shared_data / "label_maps" / "mscoco_label_map.pbtxt")
    assert (len(ids), max(ids.values())) == (80, 90)


MAP = """
item { id: 4 name: '/m/1' display_name: 'cat' }
item { id: 2 name: '/m/2' display_name: 'dog' }
item { id: 90 name: '/m/3' display_name: 'emu' }
"""


def test_a_given_map_keeps_its_ids_under_the_names_of_the_data(tmp_path):
    path = tmp_path / "map.pbtxt"
    path.write_text(MAP)
    shown = {"dog": 2, "cat": 4, "emu": 90}
    assert list(match_label_map(path, {"dog": "a.jpg", "cat": "b.jpg"}).items()) == list(
        shown.items()
    )
    assert match_label_map(path, {"/m/2": "a.jpg"}) == {"/m/2": 2, "/m/1": 4, "/m/3": 90}


def test_a_class_that_the_map_lacks_is_said_with_its_place(tmp_path):
    path = tmp_path / "map.pbtxt"
    path.write_text(MAP)
    with pytest.raises(DatasetError, match="nor are 1 more classes") as raised:
        match_label_map(path, {"dog": "a.jpg", "cow": "b.jpg", "yak": "c.jpg"})
    assert (raised.value.where, raised.value.value) == ("b.jpg", "cow, yak")
    assert raised.value.allowed == "dog, cat, emu"


def test_keypoints_are_numbered_over_all_classes(tmp_path):
    path = tmp_path / "map.pbtxt"
    keypoints = {"person": ["nose", "knee"], "dog": ["nose", "tail"]}
    write_label_map(path, {"person": 1, "cup": 2, "dog": 3}, keypoints)
    message = string_int_label_map_pb2.StringIntLabelMap()
    text_format.Parse(path.read_text(), message)
    assert [[(k.id, k.label) for k in item.keypoints] for item in message.item] == [
        [(0, "nose"), (1, "knee")],
        [],
        [(0, "nose"), (2, "tail")],
    ]
    assert read_label_map(path) == {"person": 1, "cup": 2, "dog": 3}
