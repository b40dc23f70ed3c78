from __future__ import annotations

import hashlib

import pytest
from dataset_builders import picture_bytes, png_mask
from hypothesis import given, settings
from hypothesis import strategies as st

from odbench.dataset.example import encode_example
from odbench.dataset.masks import decode_mask
from odbench.dataset.stored_example import _example_class, decode_example
from odbench.dataset.tfrecord import read_records
from odbench.dataset.types import Box, LabelledImage
from odbench.errors import DatasetError

IDS = {"cat": 1, "Häuschen": 2}

COORDINATES = st.floats(0, 4000, allow_subnormal=False)
BOXES = st.builds(
    Box,
    label=st.sampled_from(sorted(IDS)),
    xmin=COORDINATES,
    ymin=COORDINATES,
    xmax=COORDINATES,
    ymax=COORDINATES,
    difficult=st.booleans(),
    truncated=st.booleans(),
    crowd=st.booleans(),
    pose=st.sampled_from(["", "Left"]),
    mask_png=st.none(),
    mask_area=st.none(),
    keypoints=st.just(()),
)


def labelled(boxes: list[Box], width: int = 64, height: int = 48) -> LabelledImage:
    return LabelledImage("a b/ä.jpg", b"\xff\xd8 picture", "jpeg", width, height, boxes)


def rich_images(keypoints: int) -> st.SearchStrategy[LabelledImage]:
    """Pictures with everything that a record may hold, in any number and size."""
    point = st.tuples(COORDINATES, COORDINATES, st.integers(0, 2))
    boxes = st.builds(
        Box._replace,
        BOXES,
        mask_png=st.none() | st.binary(min_size=1, max_size=300),
        mask_area=st.none() | st.floats(0, 1e6),
        keypoints=st.tuples(*[point] * keypoints),
    )
    return st.builds(
        LabelledImage,
        filename=st.text(max_size=200).map(lambda name: name.encode("utf-8", "replace").decode()),
        encoded=st.binary(min_size=1, max_size=20_000),
        format=st.just("png"),
        width=st.integers(1, 70_000),
        height=st.integers(1, 200),
        boxes=st.lists(boxes, max_size=30),
        keypoint_names=st.just(tuple(f"k{n}" for n in range(keypoints))),
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 3).flatmap(rich_images), st.integers(1, 1 << 40), st.integers(-1, 1 << 40))
def test_the_bytes_are_those_of_a_deterministic_serialisation(image, image_id, class_id):
    data = encode_example(image, image_id, {"cat": 1, "Häuschen": class_id})
    message = _example_class()()
    message.ParseFromString(data)
    assert message.SerializeToString(deterministic=True) == data
    features = message.features.feature
    assert set(features) >= {"image/encoded", "image/object/bbox/xmin", "image/object/view"}
    written = features["image/object/class/label"].int64_list.value
    assert list(written) == [1 if box.label == "cat" else class_id for box in image.boxes]


@settings(max_examples=50)
@given(st.lists(BOXES, max_size=8), st.integers(1, 9000), st.integers(1, 9000))
def test_what_is_written_is_read_back(boxes, width, height):
    image = labelled(boxes, width, height)
    stored = decode_example(encode_example(image, 17, IDS))
    assert stored.source_id == "17"
    assert stored.class_ids == [IDS[box.label] for box in boxes]
    assert stored.sha256 == hashlib.sha256(image.encoded).hexdigest()
    assert stored.image.encoded == image.encoded
    assert (stored.image.filename, stored.image.format) == ("a b/ä.jpg", "jpeg")
    for read, box in zip(stored.image.boxes, boxes, strict=True):
        for side in ("xmin", "ymin", "xmax", "ymax"):  # stored as 32-bit fractions
            assert getattr(read, side) == pytest.approx(getattr(box, side), rel=1e-6, abs=1e-9)
        assert (read.label, read.difficult, read.truncated, read.crowd, read.pose) == (
            box.label,
            box.difficult,
            box.truncated,
            box.crowd,
            box.pose,
        )


def test_equal_input_gives_equal_bytes():
    image = labelled([Box("cat", 1, 2, 30, 40)])
    assert encode_example(image, 1, IDS) == encode_example(image, 1, IDS)


def test_wire_format_of_a_known_message():
    """One int64 feature, put together by hand from the field numbers of example.proto."""
    feature = b"\x1a\x03\x0a\x01\x05"  # int64_list { value: [5] packed }
    entry = b"\x0a\x0bimage/width" + b"\x12" + bytes([len(feature)]) + feature
    height = entry.replace(b"\x0bimage/width", b"\x0cimage/height")
    picture = b"\x0a\x0dimage/encoded\x12\x05\x0a\x03\x0a\x01x"
    features = b"".join(b"\x0a" + bytes([len(e)]) + e for e in (entry, height, picture))
    stored = decode_example(b"\x0a" + bytes([len(features)]) + features)
    assert (stored.image.width, stored.image.height, stored.image.encoded) == (5, 5, b"x")


@pytest.mark.parametrize("data", [b"", b"\x0a\x05ab", b"no message at all", b"\x12\x00"])
def test_other_bytes_are_refused(data):
    with pytest.raises(DatasetError, match="file:3"):
        decode_example(data, "file:3")


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_clearly(data):
    with pytest.raises(DatasetError):
        decode_example(data)


def test_lists_of_other_lengths_are_refused():
    boxes = [Box("cat", 1, 2, 30, 40, pose="Left"), Box("cat", 1, 2, 3, 4, pose="Rear")]
    data = encode_example(labelled(boxes), 1, IDS)
    # The key of one corner is renamed, so that corner is missing.
    broken = data.replace(b"image/object/bbox/ymax", b"image/object/bbox/yyyy")
    with pytest.raises(DatasetError, match="differ in number"):
        decode_example(broken)


@pytest.mark.shared
def test_the_apis_own_examples_are_read(shared_data):
    path = shared_data / "od_api" / "test_data" / "pets_examples.record"
    examples = [decode_example(data, str(path)) for data in read_records(path)]
    assert len(examples) == 10
    for example in examples:
        (box,) = example.image.boxes
        assert example.image.encoded.startswith(b"\xff\xd8")
        assert 0 <= box.xmin < box.xmax <= example.image.width
        assert 0 <= box.ymin < box.ymax <= example.image.height
        assert example.class_ids[0] >= 1
        assert example.sha256 == hashlib.sha256(example.image.encoded).hexdigest()


@pytest.mark.shared
def test_sequence_examples_are_refused(shared_data):
    name = "snapshot_serengeti_sequence_examples.record"
    path = shared_data / "od_api" / "test_data" / name
    with pytest.raises(DatasetError, match=r"not a tf\.train\.Example"):
        decode_example(next(read_records(path)), str(path))


def test_png_keeps_its_format():
    image = LabelledImage("a.png", picture_bytes(kind="PNG"), "png", 64, 48, [])
    assert decode_example(encode_example(image, 1, IDS)).image == image


def test_masks_and_keypoints_are_read_back():
    mask = png_mask((4, 5, 30, 40))
    points = ((5.0, 6.0, 2), (0.0, 0.0, 0))
    cat = Box("cat", 4, 5, 30, 40, mask_png=mask, mask_area=910.0, keypoints=points)
    other = Box("Häuschen", 1, 1, 9, 9, keypoints=((2.0, 3.0, 1), (4.0, 5.0, 2)))
    image = LabelledImage("a.jpg", b"x", "jpeg", 64, 48, [cat, other], ("nose", "tail"))
    stored = decode_example(encode_example(image, 1, IDS))
    assert stored.image.keypoint_names == ("nose", "tail")
    assert stored.unread == ()
    first, second = stored.image.boxes
    assert (first.mask_png, first.mask_area) == (mask, 910.0)
    assert not decode_mask(second.mask_png or b"").any()  # as many masks as boxes
    assert second.object_area == second.area
    for read, box in ((first, cat), (second, other)):
        assert [seen for *_, seen in read.keypoints] == [seen for *_, seen in box.keypoints]
        for (x, y, _), (wanted_x, wanted_y, _) in zip(read.keypoints, box.keypoints, strict=True):
            assert (x, y) == pytest.approx((wanted_x, wanted_y), rel=1e-6)


def test_an_image_without_boxes_has_no_masks():
    image = LabelledImage("a.jpg", b"x", "jpeg", 64, 48, [], ("nose",))
    assert decode_example(encode_example(image, 1, IDS)).image.boxes == []
