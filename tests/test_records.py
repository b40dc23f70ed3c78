import json
import os
import stat

import numpy as np
import pytest
from factories import make_record, store_record
from hypothesis import given
from hypothesis import strategies as st

from odbench.errors import InputError
from odbench.records import (
    find_runs,
    from_json,
    load_record,
    to_json,
    write_json,
    write_record,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def test_record_survives_json(tmp_path):
    record = make_record()
    assert load_record(write_record(record, tmp_path)) == record


def test_derived_parts_are_written_and_derived_anew(tmp_path):
    body = to_json(make_record())
    assert list(body)[:4] == ["status", "reason", "metrics", "flags"]
    assert body["metrics"]["eval/AP"] is not None
    body["metrics"]["eval/AP"] = 99.0
    assert to_json(from_json(body, "here"))["metrics"]["eval/AP"] != 99.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "not an object"),
        ('{"schema_version": 99}', "another schema version"),
        ('{"schema_version": 1}', "not a valid record"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, text, message):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_record(path)
    assert str(path) in str(caught.value)


def test_a_wrong_field_is_named_by_its_path(tmp_path):
    body = to_json(make_record())
    body["train"]["num_steps"] = "many"
    with pytest.raises(InputError, match=r"train\.num_steps"):
        from_json(body, "record.json")


def test_missing_record(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        load_record(tmp_path / "record.json")


def test_runs_are_found_once_and_in_order(tmp_path):
    late = store_record(
        make_record(started_at="2026-02-01T00:00:00+00:00", name="late"), tmp_path / "a"
    )
    early = store_record(
        make_record(started_at="2026-01-01T00:00:00+00:00", name="early"), tmp_path / "b"
    )
    runs = find_runs([tmp_path, tmp_path / "a"])
    assert [run.record.run_id for run in runs] == [early.record.run_id, late.record.run_id]


def test_copies_in_mlflow_are_no_runs(tmp_path):
    write_record(make_record(), _made(tmp_path / "mlartifacts" / "1" / "artifacts"))
    assert find_runs([tmp_path]) == []


def _made(folder):
    folder.mkdir(parents=True)
    return folder


def test_no_such_folder(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_runs([tmp_path / "nowhere"])


@given(json_values)
def test_any_json_is_read_as_a_record_or_refused_clearly(value):
    if isinstance(value, dict):
        with pytest.raises(InputError):
            from_json(value, "x")


def test_numbers_that_are_not_finite_become_null(tmp_path):
    write_json(tmp_path / "a.json", {"a": float("nan"), "b": [float("inf"), 1.5]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [None, 1.5]}


def test_numbers_of_numpy_are_written_as_numbers(tmp_path):
    write_json(tmp_path / "a.json", {"a": [np.float64(0.5), np.int64(3)], "b": np.float64("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [0.5, 3], "b": None}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == "1\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_unwritable_folder(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(PermissionError):
        write_json(tmp_path / "a.json", 1)
