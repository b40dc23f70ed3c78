from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from odbench.config.dataset_spec import DatasetKind, DatasetSpec, ShapesSpec
from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.preview import TILE, draw_contact_sheet
from odbench.dataset.tfrecord import pick_records, read_records, write_shards
from odbench.drawing import class_colour
from odbench.errors import DatasetError, InputError


@pytest.fixture
def dataset(shapes_spec, cache_dir):
    return prepare_dataset(shapes_spec, cache_dir)


@pytest.fixture
def prepared(cache_dir):
    def make(**options):
        shapes = ShapesSpec(**{"train_images": 5, "val_images": 1, "image_size": 64} | options)
        spec = DatasetSpec(name="shapes", kind=DatasetKind.shapes, shards=1, shapes=shapes)
        return prepare_dataset(spec, cache_dir)

    return make


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def near(sheet, colour, tolerance=40):
    """How many pixels have about that colour: the file keeps 256 of them."""
    return int((np.abs(sheet - colour).max(axis=2) <= tolerance).sum())


def test_the_same_choice_gives_the_same_sheet(dataset, tmp_path):
    def sheet(name, **options):
        return draw_contact_sheet(dataset, tmp_path / name, count=1, **options).read_bytes()

    first = sheet("a.png", seed=3)
    assert first == sheet("b.png", seed=3)
    assert len({first, *(sheet("c.png", seed=seed) for seed in range(3))}) > 1
    assert first != sheet("d.png", seed=3, split="val")


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (5, 3, 2), (99, 4, 3)])
def test_the_sheet_is_about_square(dataset, tmp_path, count, columns, rows):
    height, width, _ = pixels(draw_contact_sheet(dataset, tmp_path / "a.png", count)).shape
    assert width == columns * (TILE + 10) + 10  # ten pictures in the set: 99 are not to be had
    tile = 48 * 4  # the pictures are small, and enlarged four times
    assert rows * tile < height < rows * (tile + 40) + 80


def test_boxes_are_drawn_in_the_colours_of_their_classes(prepared, tmp_path):
    dataset = prepared(classes=1, max_objects=1, noise=0.0)
    sheet = pixels(draw_contact_sheet(dataset, tmp_path / "a.png", 1))
    bare = replace(dataset, classes=["other", *dataset.classes])
    moved = pixels(draw_contact_sheet(bare, tmp_path / "b.png", 1))
    first, second = class_colour(0), class_colour(1)
    # The key below, the label and an outline two pixels wide; in the other sheet the key alone.
    assert near(sheet, first) > 5 * near(moved, first) > 0
    assert near(moved, second) > 300


def test_masks_and_keypoints_are_drawn(prepared, tmp_path):
    plain = pixels(draw_contact_sheet(prepared(), tmp_path / "a.png", 2))
    masked = pixels(draw_contact_sheet(prepared(masks=True), tmp_path / "b.png", 2))
    dotted = pixels(draw_contact_sheet(prepared(keypoints=True), tmp_path / "c.png", 2))
    body = slice(40, None)  # the title names the hash
    assert plain.shape == masked.shape == dotted.shape
    changed = [(np.abs(plain - other)[body].max(axis=2) > 60).mean() for other in (masked, dotted)]
    assert changed[0] > 0.03
    assert 0.001 < changed[1] < changed[0]


def test_a_mask_tints_its_pixels_and_no_others(prepared, tmp_path):
    options = {"max_objects": 1, "noise": 0.0, "classes": 2, "train_images": 1}
    plain = pixels(draw_contact_sheet(prepared(**options), tmp_path / "a.png"))
    masked = pixels(draw_contact_sheet(prepared(**options, masks=True), tmp_path / "b.png"))
    corner = slice(50, 55), slice(12, 17)  # of the picture, where the background is
    assert np.abs(plain[corner] - masked[corner]).max() < 30


@pytest.mark.parametrize("count", [0, -1, 401])
def test_a_count_out_of_range(dataset, tmp_path, count):
    with pytest.raises(InputError, match=r"1\.\.400"):
        draw_contact_sheet(dataset, tmp_path / "a.png", count)


def test_a_split_that_is_not_there(dataset, tmp_path):
    with pytest.raises(InputError, match=r"no such split(?s:.*)train, val"):
        draw_contact_sheet(dataset, tmp_path / "a.png", split="test")
    assert list(tmp_path.iterdir()) == []


def test_a_cut_record_file_is_named(dataset, tmp_path):
    cut = tmp_path / "cut.tfrecord"
    cut.write_bytes(dataset.splits["train"].records[0].read_bytes()[:-30])
    split = replace(dataset.splits["train"], records=[cut], images=4)
    with pytest.raises(DatasetError, match=r"cut\.tfrecord"):
        draw_contact_sheet(replace(dataset, splits={"train": split}), tmp_path / "a.png")


def test_a_picture_that_cannot_be_decoded_is_named(dataset, tmp_path):
    record = next(read_records(dataset.splits["train"].records[0]))
    damaged = record.replace(b"\xff\xd8\xff\xe0", b"\0\0\0\0")
    (path,) = write_shards(tmp_path, "train", [damaged], 1, 1)
    split = replace(dataset.splits["train"], records=[path], images=1)
    with pytest.raises(DatasetError, match=r"train/0.*cannot be decoded"):
        draw_contact_sheet(replace(dataset, splits={"train": split}), tmp_path / "a.png")


def test_long_names_do_not_widen_the_sheet(prepared, tmp_path):
    dataset = replace(prepared(), name="n" * 500)
    assert pixels(draw_contact_sheet(dataset, tmp_path / "a.png", 1)).shape[1] == TILE + 20


def test_records_are_picked_through_all_files(tmp_path):
    records = [bytes([65 + n]) * (n + 1) for n in range(7)]
    paths = write_shards(tmp_path, "train", records, 7, 3)
    assert list(pick_records(paths, {0, 3, 6})) == [records[0], records[3], records[6]]
    assert list(pick_records(paths, set(range(7)))) == records
    assert list(pick_records(paths, set())) == []


def test_records_that_are_passed_over_must_be_whole(tmp_path):
    (path,) = write_shards(tmp_path, "train", [b"a" * 50, b"b" * 50], 2, 1)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DatasetError, match="ends inside a record"):
        list(pick_records([path], {0}))
    with pytest.raises(DatasetError, match="cannot read"):
        list(pick_records([tmp_path / "gone"], {0}))


@pytest.mark.shared
def test_a_real_set(shared_data, cache_dir, tmp_path):
    source = str(shared_data / "sets" / "bccd")
    spec = DatasetSpec(name="bccd", kind=DatasetKind.voc, dir=source)
    path = draw_contact_sheet(prepare_dataset(spec, cache_dir), tmp_path / "a.png")
    assert pixels(path).shape[1] == 4 * (TILE + 10) + 10
    assert path.stat().st_size < 1_500_000
