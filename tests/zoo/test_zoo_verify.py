"""Checksums computed anew of what lies in the cache."""

import json

import pytest
from zoo_world import FILES, NAME

from odbench.errors import ZooError
from odbench.zoo.store import find_checkpoint
from odbench.zoo.take import fetch
from odbench.zoo.verify import cached_names, describe, verify


@pytest.fixture
def folder(zoo, cache, quick):
    return fetch(NAME, cache, quick()).folder


def test_a_whole_model(folder, cache):
    verdict = verify(NAME, cache)
    assert verdict.ok
    assert verdict.files == len(FILES)
    assert cached_names(cache) == [NAME]


def test_a_change_that_keeps_the_size_is_found(folder, cache):
    path = folder / "checkpoint" / "ckpt-0.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert find_checkpoint(NAME, cache)  # sizes alone do not tell
    verdict = verify(NAME, cache)
    assert [problem.split()[0] for problem in verdict.problems] == [
        "checkpoint/ckpt-0.data-00000-of-00001"
    ]
    assert f"odbench zoo fetch {NAME} --again" in describe(verdict)


def test_a_file_beside_the_checkpoint_counts_too(folder, cache):
    (folder / "saved_model" / "saved_model.pb").unlink()
    (problem,) = verify(NAME, cache).problems
    assert problem == "saved_model/saved_model.pb cannot be read: No such file or directory"


def test_a_record_that_was_changed_with_the_file_is_found(folder, cache):
    path = folder / "checkpoint" / "ckpt-0.index"
    path.write_bytes(b"other" * 40)
    body = json.loads((folder / "origin.json").read_text())
    body["files"]["checkpoint/ckpt-0.index"]["sha256"] = (
        "5b5c4fd1a2cbb7a5ffdbb1f7da7ba7ed7e85c49c3d2a9b7ac3d1d8d1bb32bc5a"
    )
    (folder / "origin.json").write_text(json.dumps(body))
    problems = verify(NAME, cache).problems
    assert any("not the one that was trusted first" in problem for problem in problems)


def test_a_record_that_is_gone_is_found(folder, cache):
    (cache / "zoo" / "checksums.json").unlink()
    assert verify(NAME, cache).problems == ("no checksum is recorded of what was trusted first",)
    (folder / "origin.json").unlink()
    assert verify(NAME, cache).problems == ("its record is missing or damaged",)
    assert cached_names(cache) == [NAME]


def test_what_is_not_cached_cannot_be_verified(cache):
    assert cached_names(cache) == []
    with pytest.raises(ZooError, match="not in the cache"):
        verify(NAME, cache)
