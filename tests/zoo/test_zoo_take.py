"""Fetching into the cache and importing into it: what is trusted, and what is left behind."""

import errno

import pytest
from zoo_world import (
    FILES,
    NAME,
    TOP,
    answer,
    cut,
    left,
    model_files,
    remove,
    tarball,
)

from odbench.errors import ConfigError, DownloadError, ZooError
from odbench.zoo.address import MIRROR_VARIABLE, PUBLISHED_AT
from odbench.zoo.limits import Limits
from odbench.zoo.store import ensure_checkpoint, find_checkpoint, published_config
from odbench.zoo.take import fetch

OTHER = {**FILES, "checkpoint/ckpt-0.index": b"other" * 40}


def test_a_model_is_fetched_once_and_found_ever_after(zoo, cache, quick):
    made = fetch(NAME, cache, quick())
    assert made.made
    assert made.checkpoint == find_checkpoint(NAME, cache) == ensure_checkpoint(NAME, cache)
    assert made.checkpoint == cache / "zoo" / NAME / "checkpoint" / "ckpt-0"
    assert published_config(NAME, cache).read_bytes() == FILES["pipeline.config"]
    assert model_files(made.folder) == FILES
    assert made.origin.source == zoo.url
    assert made.origin.archive_bytes == len(zoo.content)
    sizes = [len(FILES[f"checkpoint/ckpt-0.{end}"]) for end in ("index", "data-00000-of-00001")]
    assert made.origin.checkpoint_bytes == sum(sizes)
    assert left(cache) == ["checksums.json", NAME]
    assert not fetch(NAME, cache, quick()).made
    assert len(zoo.asked) == 1


def test_ensure_fetches_where_nothing_is_cached(zoo, cache):
    assert ensure_checkpoint(NAME, cache).with_suffix(".index").is_file()
    assert len(zoo.asked) == 1


def test_the_mirror_of_the_call_comes_before_that_of_the_environment(
    zoo, cache, quick, monkeypatch
):
    monkeypatch.setenv(MIRROR_VARIABLE, "http://127.0.0.1:1")
    made = fetch(NAME, cache, quick(mirror=f"{zoo.address}/copy/"))
    assert zoo.paths == [f"/copy/tf2/20200711/{TOP}.tar.gz"]
    assert made.origin.source == f"{zoo.address}/copy/tf2/20200711/{TOP}.tar.gz"


@pytest.mark.parametrize(
    "mirror", ["ftp://host/zoo", "somewhere", "http://", "http://[x", "file:///zoo"]
)
def test_a_mirror_is_an_http_address(cache, quick, mirror):
    with pytest.raises(ConfigError, match="not the address of a mirror"):
        fetch(NAME, cache, quick(mirror=mirror))
    assert not cache.exists()


def test_without_a_network_one_is_told_what_to_do(cache, quick, monkeypatch):
    monkeypatch.setenv(MIRROR_VARIABLE, "http://127.0.0.1:1")
    monkeypatch.setattr("odbench.zoo.store.fetch", lambda *what: fetch(*what, quick()))
    for call in (find_checkpoint, ensure_checkpoint, published_config):
        with pytest.raises(ZooError) as caught:
            call(NAME, cache)
        told = str(caught.value)
        assert f"{PUBLISHED_AT}tf2/20200711/{TOP}.tar.gz" in told
        assert f"odbench zoo import {TOP}.tar.gz --name {NAME} --cache-dir {cache}" in told
        assert "train.init=scratch" in told
        assert caught.value.exit_code == 2


def test_what_the_api_cannot_build_is_refused(zoo, cache):
    for call in (ensure_checkpoint, find_checkpoint, fetch):
        with pytest.raises(ZooError, match=r"extremenet: cannot be used: .* no model builder"):
            call("extremenet", cache)
    with pytest.raises(ZooError, match="no such model"):
        ensure_checkpoint("ssd_mobilenet_v2", cache)
    assert not zoo.asked


def test_the_first_checksum_outlives_the_model(zoo, cache, quick):
    first = fetch(NAME, cache, quick()).origin.archive_sha256
    remove(cache)
    zoo.content, zoo.etag = tarball(OTHER), '"two"'
    with pytest.raises(ZooError, match="not the one that was trusted first") as caught:
        fetch(NAME, cache, quick())
    assert first in caught.value.allowed
    assert "--accept-new" in caught.value.fix
    assert left(cache) == ["checksums.json"]

    accepted = fetch(NAME, cache, quick(accept_new=True)).origin.archive_sha256
    assert accepted != first
    remove(cache)
    assert fetch(NAME, cache, quick()).origin.archive_sha256 == accepted


def test_damaged_checksums_are_not_forgotten_silently(zoo, cache, quick):
    fetch(NAME, cache, quick())
    remove(cache)
    (cache / "zoo" / "checksums.json").write_text("{")
    with pytest.raises(ZooError, match="recorded checksums cannot be read"):
        fetch(NAME, cache, quick())
    assert left(cache) == ["checksums.json"]


def test_a_corrupted_transfer_is_told_and_nothing_of_it_stays(zoo, cache, quick):
    middle = len(zoo.content) // 2
    damaged = zoo.content[:middle] + b"\0\0\0" + zoo.content[middle + 3 :]
    zoo.next.append(lambda handler: handler.serve(damaged))
    with pytest.raises(ZooError, match="not a whole tarball"):
        fetch(NAME, cache, quick())
    assert left(cache) == []
    assert fetch(NAME, cache, quick()).made


def test_a_length_that_is_too_short_is_noticed(zoo, cache, quick):
    zoo.next.append(lambda handler: handler.serve(length=1000))
    with pytest.raises(ZooError, match="not a whole tarball"):
        fetch(NAME, cache, quick())
    assert left(cache) == []


def test_a_page_in_place_of_a_tarball_is_noticed(zoo, cache, quick):
    zoo.next.append(lambda handler: handler.serve(b"<html>Please log in</html>"))
    with pytest.raises(ZooError, match="not a whole tarball"):
        fetch(NAME, cache, quick())


def test_a_tarball_of_something_else_is_refused(zoo, cache, quick):
    for missing in ("pipeline.config", "checkpoint/ckpt-0.index"):
        zoo.content = tarball({k: v for k, v in FILES.items() if k != missing})
        with pytest.raises(ZooError, match="not a model of the zoo"):
            fetch(NAME, cache, quick())
        assert left(cache) == []
    zoo.content = tarball(
        {**FILES, "checkpoint/ckpt-0.data-00000-of-00001": b""} | {"x/../../../evil": b""}
    )
    with pytest.raises(ZooError, match="a member's name"):
        fetch(NAME, cache, quick())
    assert left(cache) == []


def test_a_part_that_came_is_gone_on_with_by_the_next_call(zoo, cache, quick):
    zoo.next.append(cut(90_000))
    zoo.always = answer(503)
    with pytest.raises(DownloadError):
        fetch(NAME, cache, quick())
    with pytest.raises(ZooError, match="not in the cache"):
        find_checkpoint(NAME, cache)
    zoo.always = None
    fetch(NAME, cache, quick())
    assert zoo.asked[-1]["range"] == "bytes=90000-"
    assert model_files(cache / "zoo" / NAME) == FILES
    assert left(cache) == ["checksums.json", NAME]


def test_limits_hold(zoo, cache, quick):
    with pytest.raises(DownloadError, match="larger than allowed"):
        fetch(NAME, cache, quick(limits=Limits(max_bytes=10_000)))
    with pytest.raises(ZooError, match="unpacks to too much"):
        fetch(NAME, cache, quick(limits=Limits(max_bytes=len(zoo.content), expansion=0)))
    with pytest.raises(ZooError, match="too many members"):
        fetch(NAME, cache, quick(limits=Limits(max_members=2)))
    assert left(cache) == []


@pytest.mark.parametrize("step", ["write_hashed", "write_json"])
def test_a_full_disk_is_told_with_the_folder(zoo, cache, quick, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    where = {"write_hashed": "odbench.zoo.archive", "write_json": "odbench.records"}[step]
    monkeypatch.setattr(f"{where}.{step}", full)
    with pytest.raises(ConfigError, match=r"cannot write the cache .* No space left") as caught:
        fetch(NAME, cache, quick())
    assert str(cache) in str(caught.value)
    assert left(cache) == []


def test_a_cache_that_cannot_be_made_is_told(zoo, tmp_path, quick):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ConfigError, match="cannot write the cache of checkpoints"):
        fetch(NAME, tmp_path / "cache", quick())


def test_a_damaged_model_is_not_handed_out_and_is_replaced(zoo, cache, quick):
    made = fetch(NAME, cache, quick())
    damages = [
        lambda: made.checkpoint.with_suffix(".index").write_bytes(b"short"),
        lambda: made.checkpoint.with_suffix(".data-00000-of-00001").unlink(),
        (made.folder / "pipeline.config").unlink,
        lambda: (made.folder / "origin.json").write_text('{"name": 3}'),
        lambda: (made.folder / "origin.json").write_text("[]"),
        (made.folder / "origin.json").unlink,
    ]
    for number, damage in enumerate(damages, start=2):
        damage()
        with pytest.raises(ZooError, match=r"is damaged in the cache|is not in the cache"):
            find_checkpoint(NAME, cache)
        assert ensure_checkpoint(NAME, cache) == made.checkpoint
        assert len(zoo.asked) == number
        assert model_files(made.folder) == FILES
    assert left(cache) == ["checksums.json", NAME]


def test_it_is_fetched_again_on_request(zoo, cache, quick):
    fetch(NAME, cache, quick())
    assert fetch(NAME, cache, quick(again=True)).made
    assert len(zoo.asked) == 2
    assert left(cache) == ["checksums.json", NAME]
