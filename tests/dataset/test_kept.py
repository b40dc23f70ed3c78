from __future__ import annotations

import tempfile

import pytest

from odbench.dataset.kept import Kept


def test_what_is_kept_comes_back():
    kept = Kept()
    body = {f"k{n}": bytes([n]) * n for n in range(200)}
    for number, (key, data) in enumerate(body.items()):
        kept.keep(key, data)
        if number == 100:  # between two writes
            assert kept["k7"] == b"\7" * 7
    assert dict(kept) == body
    with pytest.raises(KeyError):
        kept["other"]


def test_without_a_file_nothing_is_kept(monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    kept = Kept()
    kept.keep("a", b"a")
    assert kept.get("a") is None
    assert len(kept) == 0


@pytest.mark.parametrize("room", [0, 7, 10])
def test_a_write_that_fails_makes_it_forget(monkeypatch, room):
    class Small:
        def __init__(self, buffering):
            self.left = room

        def write(self, data):
            written = min(len(data), self.left)
            self.left -= written
            if not written:
                raise OSError(28, "No space left on device")
            return written

        def close(self):
            pass

    monkeypatch.setattr(tempfile, "TemporaryFile", Small)
    kept = Kept()
    for key in "abc":
        kept.keep(key, b"12345")
    assert [kept.get(key) for key in "abc"] == [None] * 3
