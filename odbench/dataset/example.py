"""``tf.train.Example`` messages in the API's key set, written byte by byte.

An Example is three levels of messages around lists of numbers or texts. Its parts are joined here
in the protocol buffers' wire format, keys in order and packed lists, as a deterministic
serialisation has them; that takes a fraction of the time of building the messages first.

Source: https://protobuf.dev/programming-guides/encoding, ``example.proto`` and ``feature.proto``
of TensorFlow.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat

from odbench.dataset.types import LabelledImage

_KEYPOINT = "image/object/keypoint"

_FIRST, _SECOND = b"\x0a", b"\x12"  # fields 1 and 2, each with its length before it
_BYTES, _FLOATS, _INTEGERS = b"\x0a", b"\x12", b"\x1a"  # the lists of a Feature

_Lists = dict[str, tuple[bytes, bytes]]  # key -> which list, and its content


def encode_example(
    image: LabelledImage, image_id: int, class_ids: Mapping[str, int], sha256: str | None = None
) -> bytes:
    """Serialise a picture and its boxes; equal input gives equal bytes.

    Args:
        image: Boxes in pixels; they are stored as fractions of width and height.
        image_id: Becomes ``image/source_id``, and is the image's id in the COCO ground truth.
        class_ids: Id of every label.
        sha256: Of the encoded picture, where it is known already.
    """
    sha256 = sha256 or hashlib.sha256(image.encoded).hexdigest()
    lists = _texts(image, image_id, sha256) | _integers(image, class_ids) | _numbers(image)
    parts = [b""]
    for key in _in_order(tuple(lists)):
        kind, content = lists[key]
        parts += (_before(key, kind, len(content)), content)
    parts[0] = _FIRST + _varint(sum(map(len, parts)))
    return b"".join(parts)


def _texts(image: LabelledImage, image_id: int, sha256: str) -> _Lists:
    boxes = image.columns
    texts = {
        "image/filename": _bytes(image.filename.encode("utf-8", "surrogateescape")),
        "image/source_id": _bytes(str(image_id).encode()),
        "image/key/sha256": _bytes(sha256.encode()),
        "image/encoded": _bytes(image.encoded),
        "image/format": _text(image.format),
        "image/object/class/text": b"".join(map(_text, boxes.label)),
        "image/object/view": b"".join(map(_text, boxes.pose)),
    }
    if any(boxes.mask_png):
        blank = b"" if all(boxes.mask_png) else _blank_mask(image)
        texts["image/object/mask"] = b"".join(_bytes(mask or blank) for mask in boxes.mask_png)
    if image.keypoint_names:
        names = b"".join(map(_text, image.keypoint_names))
        texts[f"{_KEYPOINT}/text"] = names * len(boxes.label)
    return {key: (_BYTES, content) for key, content in texts.items()}


def _integers(image: LabelledImage, class_ids: Mapping[str, int]) -> _Lists:
    boxes = image.columns
    integers: dict[str, Sequence[int]] = {
        "image/height": [image.height],
        "image/width": [image.width],
        "image/object/class/label": [class_ids[label] for label in boxes.label],
        "image/object/difficult": boxes.difficult,
        "image/object/truncated": boxes.truncated,
        "image/object/is_crowd": boxes.crowd,
    }
    if image.keypoint_names:
        seen = [[visible for *_, visible in points] for points in boxes.keypoints]
        integers[f"{_KEYPOINT}/visibility"] = [v for visibility in seen for v in visibility]
        integers[f"{_KEYPOINT}/num"] = [sum(v > 0 for v in visibility) for visibility in seen]
    return {key: (_INTEGERS, _packed(numbers)) for key, numbers in integers.items()}


def _numbers(image: LabelledImage) -> _Lists:
    boxes, width, height = image.columns, image.width, image.height
    numbers: dict[str, Iterable[float]] = {
        "image/object/bbox/xmin": [x / width for x in boxes.xmin],
        "image/object/bbox/xmax": [x / width for x in boxes.xmax],
        "image/object/bbox/ymin": [y / height for y in boxes.ymin],
        "image/object/bbox/ymax": [y / height for y in boxes.ymax],
        "image/object/area": boxes.object_area,
        "image/object/weight": repeat(1.0, len(boxes.label)),
    }
    if any(boxes.mask_png):  # a blank mask is not to be learnt from
        masks = zip(boxes.mask_png, boxes.mask_area, strict=True)
        weights = [float(bool(mask and area)) for mask, area in masks]
        numbers["image/object/mask/weight"] = weights
    if image.keypoint_names:
        points = [point for each in boxes.keypoints for point in each]
        numbers[f"{_KEYPOINT}/x"] = [x / width for x, _, _ in points]
        numbers[f"{_KEYPOINT}/y"] = [y / height for _, y, _ in points]
    return {key: (_FLOATS, _floats(values)) for key, values in numbers.items()}


def _blank_mask(image: LabelledImage) -> bytes:
    from odbench.dataset.masks import blank_mask

    return blank_mask(image.width, image.height)


# --- the wire format


@lru_cache
def _in_order(keys: tuple[str, ...]) -> list[str]:
    """Sorted as protobuf sorts them: of two keys that begin alike, the longer comes first."""
    return sorted(keys, key=lambda key: f"{key}~")


@lru_cache(maxsize=4096)  # most lists have a few numbers only
def _before(key: str, kind: bytes, size: int) -> bytes:
    """What stands before the content of a list: an entry of the map, its key, its Feature."""
    feature = kind + _varint(size)
    name = key.encode()
    entry = _FIRST + _varint(len(name)) + name + _SECOND + _varint(len(feature) + size) + feature
    return _FIRST + _varint(len(entry) + size) + entry


def _bytes(value: bytes) -> bytes:
    """One element of a list of bytes."""
    return _FIRST + _varint(len(value)) + value


@lru_cache(maxsize=1024)
def _text(value: str) -> bytes:
    """The same of a text that many pictures have: the name of a class, a pose, a format."""
    return _bytes(value.encode())


def _packed(values: Sequence[int]) -> bytes:
    """The content of a list of whole numbers."""
    try:
        numbers = bytes(values)
    except ValueError:  # there is one below 0 or above 255
        numbers = _LARGE
    if not numbers.isascii():  # some take more than seven bits
        numbers = b"".join(map(_varint, values))
    return _bytes(numbers) if numbers else b""


def _floats(values: Iterable[float]) -> bytes:
    """The content of a list of 32-bit numbers."""
    numbers = array("f", values)
    if _SWAPPED:
        numbers.byteswap()
    return _bytes(numbers.tobytes()) if numbers else b""


_SWAPPED = array("H", [1]).tobytes() != b"\1\0"  # numbers on the wire begin with the low byte
_LARGE = b"\xff"
_SHORT = [bytes([value]) for value in range(0x80)]


def _varint(value: int) -> bytes:
    """A whole number in groups of seven bits, the lowest first; negative ones in 64 bits."""
    if 0 <= value < 0x80:
        return _SHORT[value]
    value &= (1 << 64) - 1
    groups = bytearray()
    while value >= 0x80:
        groups.append(0x80 | value & 0x7F)
        value >>= 7
    groups.append(value)
    return bytes(groups)
