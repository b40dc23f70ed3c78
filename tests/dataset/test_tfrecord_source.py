from __future__ import annotations

import hashlib
import io
import pickle
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from dataset_builders import A_BOX, picture_bytes, png_mask
from PIL import Image

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset import stored_example
from odbench.dataset.example import encode_example
from odbench.dataset.label_map import write_label_map
from odbench.dataset.tfrecord import write_record
from odbench.dataset.tfrecord_source import RecordSource
from odbench.dataset.types import Box, LabelledImage
from odbench.errors import DatasetError

IDS = {"cat": 1, "dog": 2}
DOG = Box("dog", 8, 12, 32, 24, difficult=True, crowd=True, pose="Left")


def labelled(name: str, *boxes: Box, data: bytes | None = None) -> LabelledImage:
    encoded = picture_bytes(comment=name) if data is None else data
    return LabelledImage(name, encoded, "jpeg", 64, 48, list(boxes))


def write(path: Path, *images: LabelledImage, ids=None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for number, image in enumerate(images, start=1):
            write_record(file, encode_example(image, number, ids or IDS))
    return path


def write_with(path: Path, image: LabelledImage, change) -> Path:
    """One record, with its features changed."""
    message = stored_example._example_class()()
    message.ParseFromString(encode_example(image, 1, IDS))
    change(message.features.feature)
    with path.open("wb") as file:
        write_record(file, message.SerializeToString())
    return path


def source(path: Path, **options) -> RecordSource:
    spec = DatasetSpec(name="t", kind=DatasetKind.tfrecord, dir=str(path), **options)
    return RecordSource(spec)


def test_one_file_is_a_pool_and_is_read_back(tmp_path):
    images = [labelled("a.jpg", A_BOX, DOG), labelled("b.jpg")]
    path = write(tmp_path / "all.record", *images)
    read = source(path)
    survey = read.survey()
    assert [(e.key, e.labels) for e in survey.pool or []] == [
        ("a.jpg", ("cat", "dog")),
        ("b.jpg", ()),
    ]
    assert (survey.classes, survey.entries, survey.findings) == (["cat", "dog"], {}, [])
    read = pickle.loads(pickle.dumps(read))
    image, findings = read.load("a.jpg")
    cat, dog = image.boxes
    assert (image.encoded, findings) == (images[0].encoded, [])
    for found, box in ((cat, A_BOX), (dog, DOG)):
        sides = [getattr(found, side) for side in ("xmin", "ymin", "xmax", "ymax")]
        assert sides == pytest.approx([box.xmin, box.ymin, box.xmax, box.ymax], rel=1e-6)
    assert (dog.label, dog.difficult, dog.crowd, dog.pose) == ("dog", True, True, "Left")
    assert [f.kind for f in read.load("b.jpg")[1]] == ["image_without_boxes"]


def test_shards_of_the_splits(tmp_path):
    for number in range(3):
        name = f"train-{number:05d}-of-00003.tfrecord" if number < 2 else "val.tfrecord-00000-of-1"
        write(tmp_path / name, labelled(f"{number}.jpg", A_BOX))
    write(tmp_path / "test.record", labelled("3.jpg", A_BOX))
    survey = source(tmp_path).survey()
    (left,) = survey.findings
    assert {s: [e.key for e in listed] for s, listed in survey.entries.items()} == {
        "train": ["0.jpg", "1.jpg"],
        "val": ["2.jpg"],
    }
    assert (survey.pool, left.kind, left.value) == (None, "split_left_out", "1 images")
    (image,) = source(tmp_path).images("val", [])
    assert image.filename == "2.jpg"


def test_records_of_one_name_are_told_apart(tmp_path):
    path = write(tmp_path / "a.record", labelled("a.jpg", A_BOX), labelled("a.jpg", DOG))
    read = source(path)
    assert [e.key for e in read.survey().pool or []] == ["a.record#0", "a.record#1"]
    assert [read.load(f"a.record#{n}")[0].boxes[0].label for n in (0, 1)] == ["cat", "dog"]


def test_masks_and_keypoints_stay(tmp_path):
    masked = A_BOX._replace(mask_png=png_mask((4, 5, 30, 40)), mask_area=26 * 35)
    masked = masked._replace(keypoints=((5.0, 6.0, 2), (0.0, 0.0, 0)))
    blank = DOG._replace(mask_png=None, keypoints=((0.0, 0.0, 0), (9.0, 13.0, 1)))
    image = replace(labelled("a.jpg", masked, blank), keypoint_names=("nose", "tail"))
    read = source(write(tmp_path / "a.record", image))
    survey = read.survey()
    assert survey.has_masks
    assert survey.keypoints == {"cat": ["nose", "tail"], "dog": ["nose", "tail"]}
    found, findings = read.load("a.jpg")
    assert (found.keypoint_names, findings) == (("nose", "tail"), [])
    assert [box.mask_area for box in found.boxes] == [26 * 35, 0]
    assert found.boxes[0].mask_png == masked.mask_png
    for box, expected in zip(found.boxes, (masked, blank), strict=True):
        assert [seen for *_, seen in box.keypoints] == [seen for *_, seen in expected.keypoints]
        assert [x for x, *_ in box.keypoints] == pytest.approx([x for x, *_ in expected.keypoints])


def test_classes_by_id_need_a_label_map(tmp_path):
    path = write_with(
        tmp_path / "a.record",
        labelled("a.jpg", DOG),
        lambda f: f["image/object/class/text"].Clear(),
    )
    with pytest.raises(DatasetError, match="by id alone") as raised:
        source(path).survey()
    assert "record 0" in str(raised.value)
    write_label_map(tmp_path / "map.pbtxt", IDS)
    read = source(path, label_map=str(tmp_path / "map.pbtxt"))
    assert read.survey().classes == ["dog"]
    assert read.load("a.jpg")[0].boxes[0].label == "dog"


def test_names_and_ids_have_to_agree(tmp_path):
    path = write(tmp_path / "a.record", labelled("a.jpg", DOG))
    write_label_map(tmp_path / "map.pbtxt", {"cat": 2, "dog": 1})
    with pytest.raises(DatasetError, match="not that of the label map"):
        source(path, label_map=str(tmp_path / "map.pbtxt")).survey()
    with path.open("ab") as file:
        write_record(file, encode_example(labelled("b.jpg", DOG), 2, {"dog": 1}))
    with pytest.raises(DatasetError, match="contradict each other") as raised:
        source(path).survey()
    assert "record 1" in str(raised.value)


def test_keys_that_are_not_read_are_named(tmp_path):
    def add(features):
        features["image/context_features"].float_list.value.extend([1.0, 2.0])
        features["image/object/weight"].float_list.value[:] = [0.5]

    path = write_with(tmp_path / "a.record", labelled("a.jpg", DOG), add)
    found = source(path).survey().findings
    assert [(f.kind, f.value) for f in found] == [
        ("unread_key", "image/context_features in 1 records"),
        ("unread_key", "image/object/weight in 1 records"),
    ]


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("image/object/bbox/xmax", [1.5], r"record 0: box 0: box outside the picture"),
        ("image/object/bbox/xmax", [float("nan")], "not a number"),
        ("image/object/bbox/xmax", [0.5, 0.6], "differ in number"),
        ("image/object/mask", [png_mask((0, 0, 2, 2), (4, 4))], "mask of another size"),
        ("image/object/mask", [b"no picture"], "mask cannot be read"),
        ("image/object/keypoint/x", [0.1], "keypoints and boxes differ"),
        ("image/encoded", [picture_bytes()[:-20]], "picture cannot be read"),
        ("image/key/sha256", [b"0" * 64], "checksum was made of"),
    ],
)
def test_records_that_cannot_be_used_are_refused(tmp_path, key, values, message):
    def change(features):
        kind = "bytes_list" if isinstance(values[0], bytes) else "float_list"
        getattr(features[key], kind).value[:] = values

    path = write_with(tmp_path / "a.record", labelled("a.jpg", A_BOX), change)
    with pytest.raises(DatasetError, match=message):
        list(read_all(source(path)))


def read_all(read: RecordSource):
    read.assign({"train": [entry.key for entry in read.survey().pool or []]})
    yield from read.images("train", [])


def test_a_wrong_size_does_not_move_boxes(tmp_path):
    def halve(features):
        features["image/width"].int64_list.value[:] = [32]

    read = source(write_with(tmp_path / "a.record", labelled("a.jpg", A_BOX), halve))
    (image,) = read_all(read)
    (box,) = image.boxes
    assert (image.width, box.xmin, box.xmax) == pytest.approx((64, A_BOX.xmin, A_BOX.xmax))
    assert [f.kind for f in read.load("a.jpg")[1]] == ["size_mismatch"]


def test_wrong_folders_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="no record file in the folder"):
        source(tmp_path).survey()
    (tmp_path / "a.record").write_bytes(b"")
    assert source(tmp_path).survey().pool is None


def test_duplicate_pictures_are_found(tmp_path):
    data = picture_bytes()
    images = [labelled("a.jpg", A_BOX, data=data), labelled("b.jpg", DOG, data=data)]
    (finding,) = source(write(tmp_path / "a.record", *images)).survey().findings
    assert (finding.kind, finding.where) == ("duplicate_picture_other_boxes", "b.jpg")


def test_other_formats_inside_are_converted(tmp_path):
    data = picture_bytes(kind="BMP")
    image = replace(labelled("a.bmp", A_BOX, data=data), format="bmp")
    read = source(write(tmp_path / "a.record", image))
    (found,) = read_all(read)
    assert (found.format, Image.open(io.BytesIO(found.encoded)).format) == (
        "jpeg",
        "JPEG",
    )


@pytest.mark.shared
def test_the_apis_own_examples(shared_data, tmp_path):
    folder = shared_data / "od_api" / "test_data"
    read = source(folder / "pets_examples.record")
    images = list(read_all(read))
    survey = read.survey()
    assert len(images) == len(survey.pool or []) == 10
    assert Counter(len(image.boxes) for image in images) == {1: 10}
    assert survey.findings == []
    digests = {entry.digest for entry in survey.pool or []}
    assert digests == {hashlib.sha256(image.encoded).hexdigest() for image in images}
    shutil.copy(folder / "snapshot_serengeti_sequence_examples.record", tmp_path / "a.record")
    with pytest.raises(DatasetError, match=r"record 0: not a tf\.train\.Example") as raised:
        source(tmp_path).survey()
    assert "SequenceExample" in str(raised.value)
