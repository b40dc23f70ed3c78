from __future__ import annotations

import pickle
import sqlite3

import pytest

from odbench.dataset import catalogue as module
from odbench.dataset.catalogue import Catalogue, known_of, sorted_keys
from odbench.dataset.source import PoolEntry
from odbench.errors import ConfigError

NAMES = ["b.jpg", "ä.jpg", "a\udcff.jpg", "a.jpg", "\U0001f600.jpg", "a\uffee.jpg"]


def filled(names) -> Catalogue:
    catalogue = Catalogue()
    for number, name in enumerate(names):
        assert catalogue.add(
            PoolEntry(name, ("cat",), str(number % 7)), name.encode(errors="replace")
        )
    return catalogue


def test_any_name_is_kept_and_sorted_as_text_is():
    catalogue = filled(NAMES)
    assert list(catalogue) == NAMES
    keys = sorted_keys(catalogue, ["even", "odd"], lambda number: ["even", "odd"][number % 2])
    assert list(keys["even"]) == sorted(NAMES[::2])
    assert list(keys["odd"]) == sorted(NAMES[1::2])


def test_many_are_read_in_pieces_and_in_their_order():
    names = [f"{number * 7919 % 1000:03d}" for number in range(1000)]
    catalogue = filled(names)
    assert list(catalogue.pictures().keys) == names
    assert catalogue.pictures(990).keys[2:5] == names[992:995]
    assert catalogue.pictures()[-1] == PoolEntry(names[-1], ("cat",), str(999 % 7))
    assert known_of(catalogue, names[5:300]) == {name: name.encode() for name in names[5:300]}
    assert list(catalogue.missing(["000", "x", *names, "y"])) == ["x", "y"]
    assert catalogue.numbers_alike()[6][:3] == [6, 13, 20]


def test_a_key_has_one_picture():
    catalogue = filled(["a", "b"])
    assert not catalogue.add(PoolEntry("a", (), "other"), b"other")
    assert (len(catalogue), catalogue["a"]) == (2, b"a")
    with pytest.raises(KeyError):
        catalogue["c"]


def test_another_process_gets_it_as_a_dictionary():
    assert pickle.loads(pickle.dumps(filled(["a", "b"]))) == {"a": b"a", "b": b"b"}


def test_where_there_is_no_room_it_says_what_to_do(monkeypatch):
    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(module.sqlite3, "connect", full)
    with pytest.raises(ConfigError, match=r"TMPDIR: .* disk is full"):
        Catalogue()
