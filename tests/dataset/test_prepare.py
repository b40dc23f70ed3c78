from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dataset_builders import A_BOX, many_pictures, picture_bytes

from odbench.config.dataset_spec import DatasetKind, DatasetSpec, ShapesSpec
from odbench.dataset import prepare, tfrecord
from odbench.dataset.label_map import read_label_map
from odbench.dataset.prepare import (
    convert_dataset,
    default_cache_dir,
    load_dataset,
    prepare_dataset,
)
from odbench.dataset.source import open_source
from odbench.dataset.stored_example import decode_example
from odbench.dataset.tfrecord import read_records
from odbench.dataset.types import Box
from odbench.errors import ConfigError, DatasetError


def folders(cache: Path) -> list[Path]:
    """Everything in the cache but the locks."""
    return sorted(path for path in (cache / "datasets").glob("*") if path.is_dir())


def picture(number: int) -> bytes:
    """Other bytes for another number."""
    return picture_bytes(quality=50 + number)


def test_records_and_ground_truth_hold_the_same(tmp_path, shapes_spec):
    dataset = prepare_dataset(shapes_spec, tmp_path)
    assert dataset.classes == ["circle", "square", "triangle"]
    assert read_label_map(dataset.label_map) == {"circle": 1, "square": 2, "triangle": 3}
    for split, count in (("train", 10), ("val", 4)):
        stored = dataset.splits[split]
        drawn = list(open_source(shapes_spec).images(split, []))
        examples = [decode_example(r) for path in stored.records for r in read_records(path)]
        truth = json.loads(stored.ground_truth.read_text())
        assert stored.images == len(examples) == len(drawn) == count
        assert [example.source_id for example in examples] == [
            str(image["id"]) for image in truth["images"]
        ]
        assert [example.image.encoded for example in examples] == [i.encoded for i in drawn]
        assert stored.boxes == len(truth["annotations"]) == sum(len(i.boxes) for i in drawn)
        by_image = [
            [a["category_id"] for a in truth["annotations"] if a["image_id"] == index]
            for index in range(1, count + 1)
        ]
        assert by_image == [example.class_ids for example in examples]
        assert len(stored.records) == 3


def test_a_second_call_does_nothing(tmp_path, shapes_spec, monkeypatch):
    first = prepare_dataset(shapes_spec, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.dir.iterdir()}

    def fail(*args):
        raise AssertionError("converted again")

    monkeypatch.setattr(prepare, "convert_into", fail)
    assert prepare_dataset(shapes_spec, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in first.dir.iterdir()} == before


def test_two_conversions_give_the_same_bytes(tmp_path, shapes_spec):
    one, two = (prepare_dataset(shapes_spec, tmp_path / name) for name in "ab")
    assert (one.hash, one.dir.name) == (two.hash, two.dir.name)
    for path in one.dir.iterdir():
        if path.name != "dataset.json":  # it has the time
            assert path.read_bytes() == (two.dir / path.name).read_bytes()


def test_what_is_asked_is_in_the_hash(tmp_path):
    def digest(name: str = "shapes", shards: int = 1, **options) -> str:
        shapes = ShapesSpec(**{"train_images": 1, "val_images": 1, "image_size": 32} | options)
        spec = DatasetSpec(name=name, kind=DatasetKind.shapes, shards=shards, shapes=shapes)
        return prepare_dataset(spec, tmp_path).hash

    assert digest() == digest(name="other/name")
    assert len({digest(), digest(shards=2), digest(seed=1), digest(train_images=2)}) == 4
    assert len(folders(tmp_path)) == 5


def test_a_moved_cache_keeps_working(tmp_path, shapes_spec):
    prepare_dataset(shapes_spec, tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    dataset = prepare_dataset(shapes_spec, tmp_path / "new")
    assert load_dataset(dataset.dir) == dataset
    assert all(path.is_file() for split in dataset.splits.values() for path in split.records)
    assert "old" not in (dataset.dir / "dataset.json").read_text()


def test_what_is_found_is_kept(tmp_path, add_image, voc_spec):
    flat, dog = Box("cat", 5.0, 5.0, 5.0, 9.0), Box("dog", 1.0, 1.0, 9.0, 9.0)
    add_image(tmp_path / "in" / "train", "a", [A_BOX, flat], data=picture(1))
    add_image(tmp_path / "in" / "val", "b", [dog], tagged=(1, 1), data=picture(2))
    dataset = prepare_dataset(voc_spec(tmp_path / "in"), tmp_path / "cache")
    assert dataset.summary.findings == {
        "class_only_in_train": 1,
        "class_only_in_val": 1,
        "size_mismatch": 1,
        "val_too_small": 1,
        "zero_area_box": 1,
    }
    assert dataset.summary.boxes == {"train": 1, "val": 1}
    assert load_dataset(dataset.dir).findings == dataset.findings
    body = json.loads((dataset.dir / "dataset.json").read_text())
    assert body["provenance"]["source"] == "voc"


def test_a_changed_source_is_converted_anew(tmp_path, add_image, voc_spec):
    for number, stem in enumerate("abc"):
        add_image(tmp_path / "in", stem, data=picture(number))
    first = prepare_dataset(voc_spec(tmp_path / "in"), tmp_path / "cache")
    (tmp_path / "in" / "a.jpg").write_bytes(picture_bytes(mode="L"))
    second = prepare_dataset(voc_spec(tmp_path / "in"), tmp_path / "cache")
    assert first.hash != second.hash
    assert folders(tmp_path / "cache") == sorted([first.dir, second.dir])


# --- what cannot be used


def test_a_truncated_picture_leaves_nothing_behind(tmp_path, add_image, voc_spec):
    for number, stem in enumerate("abc"):
        add_image(tmp_path / "in", stem, data=picture(number))
    (tmp_path / "in" / "c.jpg").write_bytes(picture_bytes()[:-13])
    with pytest.raises(DatasetError, match=r"c\.jpg: picture cannot be read"):
        prepare_dataset(voc_spec(tmp_path / "in"), tmp_path / "cache")
    assert folders(tmp_path / "cache") == []


def test_an_empty_split_is_an_error(tmp_path, add_image, add_list, voc_spec):
    add_image(tmp_path / "in", "a")
    with pytest.raises(DatasetError, match="no image in the val split"):
        prepare_dataset(voc_spec(tmp_path / "in"), tmp_path / "cache")
    add_image(tmp_path / "lists", "a", devkit=True)
    add_list(tmp_path / "lists", "train", [])
    add_list(tmp_path / "lists", "val", ["a"])
    with pytest.raises(DatasetError, match="no image in the train split"):
        prepare_dataset(voc_spec(tmp_path / "lists"), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_pictures_without_any_object_are_an_error(tmp_path, add_image, voc_spec):
    add_image(tmp_path / "in", "a", [], data=picture(1))
    add_image(tmp_path / "in", "b", [], data=picture(2))
    with pytest.raises(DatasetError, match="no labelled object"):
        prepare_dataset(voc_spec(tmp_path / "in"), tmp_path / "cache")


def test_a_cache_that_cannot_be_made_is_said(tmp_path, shapes_spec):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"paths\.cache_dir: cannot write") as raised:
        prepare_dataset(shapes_spec, tmp_path / "file" / "cache")
    assert "Not a directory" in str(raised.value)


def test_a_full_disk_leaves_nothing_behind(tmp_path, shapes_spec, monkeypatch):
    written = 0

    def full_after_six(file, data):
        nonlocal written
        written += 1
        if written > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.write(data)

    monkeypatch.setattr(tfrecord, "write_record", full_after_six)
    with pytest.raises(ConfigError, match="No space left on device"):
        prepare_dataset(shapes_spec, tmp_path)
    assert folders(tmp_path) == []


# --- damaged and unfinished folders


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "dataset.json").unlink(),
        lambda folder: (folder / "dataset.json").write_text("{"),
        lambda folder: (folder / "dataset.json").write_text('{"schema_version": 99}'),
        lambda folder: (folder / "dataset.json").write_text('{"schema_version": 3}'),
        lambda folder: next(folder.glob("val-*")).unlink(),
        lambda folder: next(folder.glob("train-*")).write_bytes(b"short"),
        lambda folder: (folder / "instances_val.json").write_text(""),
        lambda folder: (folder / "label_map.pbtxt").unlink(),
    ],
)
def test_a_damaged_folder_is_refused_and_made_again(tmp_path, shapes_spec, damage):
    dataset = prepare_dataset(shapes_spec, tmp_path)
    damage(dataset.dir)
    with pytest.raises(DatasetError, match=str(dataset.dir)):
        load_dataset(dataset.dir)
    assert prepare_dataset(shapes_spec, tmp_path) == dataset
    assert load_dataset(dataset.dir) == dataset


PREPARE_SLOWLY = """
import sys, time
from pathlib import Path
from odbench.config.dataset_spec import DatasetKind, DatasetSpec, ShapesSpec
from odbench.dataset import tfrecord
from odbench.dataset.prepare import prepare_dataset

quick = tfrecord.write_record
def slowly(file, data):
    quick(file, data)
    file.flush()
    time.sleep(60)
tfrecord.write_record = slowly
shapes = ShapesSpec(train_images=10, val_images=4, image_size=48)
spec = DatasetSpec(name="shapes", kind=DatasetKind.shapes, shards=3, shapes=shapes)
prepare_dataset(spec, Path(sys.argv[1]))
"""


def test_a_killed_conversion_leaves_nothing_that_looks_finished(tmp_path, shapes_spec):
    child = subprocess.Popen([sys.executable, "-c", PREPARE_SLOWLY, str(tmp_path)])
    try:
        deadline = time.monotonic() + 30
        while not any((tmp_path / "datasets").glob(".*.partial/train-*")):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    (left,) = folders(tmp_path)
    assert left.name.startswith(".")
    with pytest.raises(DatasetError, match="no finished data set"):
        load_dataset(left)
    dataset = prepare_dataset(shapes_spec, tmp_path)
    assert dataset.splits["train"].images == 10
    assert folders(tmp_path) == [dataset.dir]


def _prepare_and_count(spec: DatasetSpec, cache: Path, barrier, results) -> None:
    convert = prepare.convert_into
    conversions = 0

    def counted(*args):
        nonlocal conversions
        conversions += 1
        time.sleep(0.3)  # long enough that the other process comes to the lock
        return convert(*args)

    prepare.convert_into = counted
    barrier.wait(30)
    dataset = prepare_dataset(spec, cache)
    results.put((dataset.hash, conversions))


def test_two_processes_wait_for_one_another(tmp_path, shapes_spec):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    children = [
        context.Process(target=_prepare_and_count, args=(shapes_spec, tmp_path, barrier, results))
        for _ in range(2)
    ]
    for child in children:
        child.start()
    found = [results.get(timeout=60) for _ in children]
    for child in children:
        child.join(30)
        assert child.exitcode == 0
    assert len({digest for digest, _ in found}) == 1
    assert sorted(conversions for _, conversions in found) == [0, 1]
    assert len(folders(tmp_path)) == 1


# --- strictness, and folders that are converted already


def test_strictness_holds_for_what_is_in_the_cache_too(tmp_path, add_image, voc_spec):
    source = many_pictures(tmp_path / "in", add_image, 25)
    add_image(source, "p01", [A_BOX, Box("cat", 5.0, 5.0, 5.0, 9.0)], data=picture(1))
    strict = voc_spec(source, strict=True)
    for _ in range(2):
        with pytest.raises(DatasetError, match="1 findings, and a strict") as raised:
            prepare_dataset(strict, tmp_path / "cache")
        assert "zero_area_box" in raised.value.value
        prepare_dataset(voc_spec(source), tmp_path / "cache")


def test_a_converted_folder_is_used_as_it_is(tmp_path, add_image, voc_spec, monkeypatch):
    made = convert_dataset(voc_spec(many_pictures(tmp_path / "in", add_image, 4)), tmp_path / "out")
    assert made.made

    def fail(*args):
        raise AssertionError("surveyed again")

    monkeypatch.setattr(prepare, "plan_conversion", fail)
    spec = DatasetSpec(name="auto", kind=DatasetKind.auto, dir=str(tmp_path / "out"))
    assert prepare_dataset(spec, tmp_path / "cache") == made.dataset
    assert not (tmp_path / "cache").exists()


# --- where the cache is


def test_default_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("ODBENCH_CACHE_DIR", str(tmp_path / "here"))
    assert default_cache_dir() == tmp_path / "here"
    monkeypatch.delenv("ODBENCH_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_cache_dir() == tmp_path / "cache" / "odbench"


def test_loading_imports_nothing_heavy(tmp_path, shapes_spec):
    dataset = prepare_dataset(shapes_spec, tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "from odbench.dataset.prepare import load_dataset\n"
        "load_dataset(Path(sys.argv[1]))\n"
        "print([m for m in ('tensorflow', 'lxml', 'PIL', 'pandas') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(dataset.dir)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
