from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odbench.dataset.label_map import class_ids, read_label_map, write_label_map
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
