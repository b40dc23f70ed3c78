"""Tarballs and folders that a user has already."""

import json
import os

import pytest
from zoo_world import (
    FILES,
    NAME,
    TOP,
    add,
    left,
    model_files,
    remove,
    tarball,
    unpacked,
)

from odbench.errors import ZooError
from odbench.zoo.limits import Limits
from odbench.zoo.store import find_checkpoint
from odbench.zoo.take import fetch, import_model

OTHER = {**FILES, "checkpoint/ckpt-0.index": b"other" * 40}


def test_the_same_checkpoint_is_trusted_from_tarball_and_folder(zoo, cache, quick, tmp_path):
    edited = {**FILES, "pipeline.config": b"model { ssd { num_classes: 3 } }\n"}
    import_model(unpacked(tmp_path / TOP, edited), cache)
    remove(cache)
    fetch(NAME, cache, quick())  # the same checkpoint
    archive = json.loads((cache / "zoo" / "checksums.json").read_text())[NAME]["archive"]
    assert archive is not None
    remove(cache)
    import_model(tmp_path / TOP, cache)
    kept = json.loads((cache / "zoo" / "checksums.json").read_text())[NAME]["archive"]
    assert kept == archive  # a folder does not make it forgotten


def test_another_checkpoint_is_not_trusted_from_a_folder(zoo, cache, quick, tmp_path):
    fetch(NAME, cache, quick())
    before = model_files(cache / "zoo" / NAME)
    folder = unpacked(tmp_path / TOP, OTHER)
    with pytest.raises(ZooError, match=r"checkpoint/ckpt-0\.index, from .* trusted first"):
        import_model(folder, cache)
    assert model_files(cache / "zoo" / NAME) == before
    import_model(folder, cache, how=quick(accept_new=True))
    assert model_files(cache / "zoo" / NAME) == OTHER
    assert left(cache) == ["checksums.json", NAME]


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar"])
def test_a_tarball_is_imported_by_its_name(cache, tmp_path, suffix):
    source = tmp_path / f"{TOP}{suffix}"
    source.write_bytes(tarball(mode="w" if suffix == ".tar" else "w:gz"))
    made = import_model(source, cache)
    assert made.origin.name == NAME
    assert model_files(made.folder) == FILES
    assert find_checkpoint(NAME, cache) == made.checkpoint
    assert source.is_file()


@pytest.mark.parametrize("inside", ["", "anything/"])
def test_an_unpacked_folder_is_imported(cache, tmp_path, inside):
    unpacked(tmp_path / "mine" / inside)
    (tmp_path / "mine" / inside / "checkpoint" / "ckpt-7.index").write_bytes(b"without shards")
    made = import_model(tmp_path / "mine", cache, NAME)
    assert made.origin.checkpoint == "checkpoint/ckpt-0"
    assert made.origin.archive_sha256 is None
    assert model_files(made.folder).items() >= FILES.items()
    assert left(cache) == ["checksums.json", NAME]


def test_a_folder_that_is_called_after_a_model_needs_no_name(cache, tmp_path):
    assert import_model(unpacked(tmp_path / NAME), cache).origin.name == NAME


def test_the_copy_of_another_cache_is_imported(cache, tmp_path, zoo, quick):
    fetch(NAME, tmp_path / "elsewhere", quick())
    made = import_model(tmp_path / "elsewhere" / "zoo" / NAME, cache)
    assert made.origin.source == str(tmp_path / "elsewhere" / "zoo" / NAME)
    assert "origin.json" not in made.origin.files
    with pytest.raises(ZooError, match="in the cache already"):
        import_model(made.folder, cache)


def test_what_is_no_model_is_refused(cache, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar.gz").write_text("text")
    halves = unpacked(tmp_path / "halves")
    data = halves / "checkpoint" / "ckpt-0.data-00000-of-00001"
    data.rename(data.with_name("ckpt-0.data-00000-of-00002"))
    linked = unpacked(tmp_path / "linked")
    (linked / "checkpoint" / "ckpt-1.index").symlink_to("ckpt-0.index")
    piped = unpacked(tmp_path / "piped")
    os.mkfifo(piped / "pipe")
    for source, told in {
        "nothing": "no such file or folder",
        "empty": "not a model of the zoo",
        "text.tar.gz": "not a whole tarball",
        "halves": "not a model of the zoo",
        "linked": "neither a file nor a folder",
        "piped": "neither a file nor a folder",
        "piped/pipe": "neither a file nor a folder",
    }.items():
        with pytest.raises(ZooError, match=told):
            import_model(tmp_path / source, cache, NAME)
    for name, told in {None: "which model it is", "x": "no such", "extremenet": "cannot"}.items():
        with pytest.raises(ZooError, match=told):
            import_model(halves, cache, name)
    assert not (cache / "zoo").exists() or left(cache) == []


def test_an_import_is_bounded(cache, tmp_path, quick):
    folder = unpacked(tmp_path / TOP)
    source = tmp_path / f"{TOP}.tar.gz"
    source.write_bytes(tarball(extra=lambda tar: add(tar, f"{TOP}/more", bytes(10))))
    with pytest.raises(ZooError, match="larger than allowed"):
        import_model(source, cache, how=quick(limits=Limits(max_bytes=1000)))
    for limits in (Limits(max_members=2), Limits(max_bytes=1000)):
        with pytest.raises(ZooError, match="holds more than a model"):
            import_model(folder, cache, how=quick(limits=limits))
    assert not (cache / "zoo").exists() or left(cache) == []
