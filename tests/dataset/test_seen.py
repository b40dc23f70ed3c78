from __future__ import annotations

import dataclasses
import os

import pytest
from dataset_builders import many_pictures, picture_bytes

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset import prepare, seen
from odbench.dataset.prepare import prepare_dataset


def no_survey(monkeypatch):
    def fail(*args):
        raise AssertionError("surveyed again")

    monkeypatch.setattr(prepare, "plan_conversion", fail)


def test_an_unchanged_source_is_not_read_again(tmp_path, add_image, voc_spec, monkeypatch):
    monkeypatch.setattr(seen, "SETTLED_S", 0.0)
    spec = voc_spec(many_pictures(tmp_path / "in", add_image, 6))
    first = prepare_dataset(spec, tmp_path / "cache")
    no_survey(monkeypatch)
    assert prepare_dataset(spec, tmp_path / "cache") == first
    assert prepare_dataset(dataclasses.replace(spec, workers=3), tmp_path / "cache") == first


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "p01.jpg").write_bytes(picture_bytes(quality=99)),
        lambda folder: (folder / "p01.xml").unlink(),
        lambda folder: (folder / "p01.xml").rename(folder / "q01.xml"),
        lambda folder: (folder / "new.jpg").write_bytes(picture_bytes(quality=98)),
    ],
)
def test_a_changed_source_is_read_again(tmp_path, add_image, voc_spec, monkeypatch, change):
    monkeypatch.setattr(seen, "SETTLED_S", 0.0)
    spec = voc_spec(many_pictures(tmp_path / "in", add_image, 6))
    prepare_dataset(spec, tmp_path / "cache")
    change(tmp_path / "in")
    no_survey(monkeypatch)
    with pytest.raises(AssertionError, match="surveyed again"):
        prepare_dataset(spec, tmp_path / "cache")


def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path, add_image, voc_spec, monkeypatch):
    monkeypatch.setattr(seen, "SETTLED_S", 0.0)
    spec = voc_spec(many_pictures(tmp_path / "in", add_image, 6))
    first = prepare_dataset(spec, tmp_path / "cache")
    path = tmp_path / "in" / "p01.xml"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"cat", b"dog"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert prepare_dataset(spec, tmp_path / "cache").hash != first.hash


def test_a_source_written_just_now_is_not_remembered(tmp_path, add_image, voc_spec):
    prepare_dataset(voc_spec(many_pictures(tmp_path / "in", add_image, 6)), tmp_path / "cache")
    assert not (tmp_path / "cache" / "seen").exists()


def test_what_is_asked_differently_is_not_taken_for_the_same(
    tmp_path, add_image, voc_spec, monkeypatch
):
    monkeypatch.setattr(seen, "SETTLED_S", 0.0)
    source = many_pictures(tmp_path / "in", add_image, 20)
    options = [{}, {"split_seed": 1}, {"val_fraction": 0.4}, {"shards": 1}]
    found = {
        prepare_dataset(voc_spec(source, **option), tmp_path / "cache").hash
        for option in options
        for _ in range(2)
    }
    assert len(found) == len(options)


def test_an_annotation_file_elsewhere_is_looked_at_too(tmp_path, add_image, monkeypatch):
    monkeypatch.setattr(seen, "SETTLED_S", 0.0)
    folder = many_pictures(tmp_path / "in", add_image, 10)
    path = tmp_path / "labels.csv"
    spec = DatasetSpec(
        name="t", kind=DatasetKind.csv, dir=str(folder), annotations={"all": str(path)}
    )
    hashes = set()
    for corner in (30, 31):
        path.write_text("".join(f"p{n:02d}.jpg,1,2,{corner},40,cat\n" for n in range(10)))
        hashes |= {prepare_dataset(spec, tmp_path / "cache").hash for _ in range(2)}
    assert len(hashes) == 2
