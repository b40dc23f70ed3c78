from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odbench.dataset.split_file import read_split_file
from odbench.errors import DatasetError

KEYS = ["a/one.jpg", "a/two.jpg", "b/two.jpg", "b/three words.png"]
WANTED = {"train": ["a/one.jpg", "b/three words.png"], "val": ["a/two.jpg", "b/two.jpg"]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(WANTED),
        json.dumps({s: [{"file": k, "image_id": 1} for k in keys] for s, keys in WANTED.items()}),
        '{"val": ["a/two", "b/two"], "train": ["one", "three words"]}',
        "one train\nthree words.png\ttrain\na/two val\nb/two.jpg\tval\n",
        "# ours\n\n./a/one.jpg train\r\nb\\three words train\na/two.jpg val\nb/two.jpg   val",
        "\ufeffone train\nthree words train\na/two val\nb/two val\n",
    ],
)
def test_forms(tmp_path, text):
    path = tmp_path / "split"
    path.write_text(text, encoding="utf-8")
    assert read_split_file(path, KEYS) == WANTED


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("one train\nfour val\n", 2, "no such picture"),
        ("one train\ntwo val\n", 2, "several pictures have this name"),
        ("one train\n\na/one.jpg val\n", 3, "named twice, first in .*:1"),
        ("one train\nthree words train\n", 2, "2 of 4 pictures are in no split"),
        ("one train\na/two holdout\n", 2, "no such split"),
        ("one train\na/two\n", 2, "no such split"),
        ('{\n "train": ["one"],\n "val": ["nine"]\n}', 3, "no such picture"),
        ('{\n "train": ["one",\n  "one.jpg"],\n "val": []\n}', 3, "named twice"),
        ('{\n "train": "one"\n}', 2, "not a list of names"),
        ('{\n "train": [3]\n}', 2, "not a name"),
        ('{\n "test": []\n}', 2, "no such split"),
        ('{\n "train": [\n', 3, "not JSON"),
        ("", 1, "4 of 4 pictures are in no split"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, line, message):
    path = tmp_path / "split.txt"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as raised:
        read_split_file(path, KEYS)
    assert raised.value.where == f"{path}:{line}"


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(DatasetError, match="No such file"):
        read_split_file(tmp_path / "none", KEYS)
    (tmp_path / "latin").write_bytes(b"\xe4 train\n")
    with pytest.raises(DatasetError, match="not UTF-8"):
        read_split_file(tmp_path / "latin", KEYS)


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(st.text(max_size=80), st.binary(max_size=80), st.dictionaries(st.text(), st.text()))
)
def test_whatever_is_in_it_gives_a_clear_error(tmp_path, content):
    path = tmp_path / "split"
    data = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    with pytest.raises(DatasetError):
        read_split_file(path, KEYS)
