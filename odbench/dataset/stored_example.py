"""``tf.train.Example`` messages in the API's key set, read without TensorFlow.

The message types are built in a descriptor pool of their own, so that they never meet
TensorFlow's in a process that has both. Fields and numbers are those of TensorFlow's
``example.proto`` and ``feature.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from odbench.dataset.types import Box, LabelledImage
from odbench.errors import DatasetError

_PACKAGE = "odbench.tfexample"
_BOX_SIDES = ("xmin", "xmax", "ymin", "ymax")

_KEYPOINT = "image/object/keypoint"

Features = Mapping[str, Sequence[Any]]  # key -> bytes, floats or integers


@dataclass(frozen=True)
class StoredExample:
    """One record, read back."""

    image: LabelledImage  # boxes in pixels
    source_id: str
    class_ids: list[int]  # one per box; empty where the record names classes by text only
    sha256: str | None  # of the encoded picture, as the record says
    has_class_text: bool = True  # else a box's label is its id
    unread: tuple[str, ...] = ()  # keys that hold something and are passed over


def decode_example(data: bytes, where: str = "record") -> StoredExample:
    """Read one serialised example.

    Args:
        data: The message.
        where: File and place of the record, for errors.

    Raises:
        DatasetError: It is no Example (a SequenceExample, say), has no picture, or the lists of
            its boxes differ in length.
    """
    features = _parse(data, where)
    encoded: bytes = next(iter(features.get("image/encoded", ())), b"")
    width: int = next(iter(features.get("image/width", ())), 0)
    height: int = next(iter(features.get("image/height", ())), 0)
    if not encoded or width < 1 or height < 1:
        raise DatasetError("example without a picture or its size", where=where)
    image = LabelledImage(
        filename=_text(features, "image/filename", where),
        encoded=encoded,
        format=_text(features, "image/format", where) or "jpeg",
        width=width,
        height=height,
        boxes=_boxes(features, width, height, where),
        keypoint_names=_keypoint_names(features, where),
    )
    return StoredExample(
        image=image,
        source_id=_text(features, "image/source_id", where),
        class_ids=list(features.get("image/object/class/label", ())),
        sha256=_text(features, "image/key/sha256", where) or None,
        has_class_text=bool(features.get("image/object/class/text")),
        unread=tuple(sorted(key for key, v in features.items() if v and not _is_read(key, v))),
    )


def _boxes(features: Features, width: int, height: int, where: str) -> list[Box]:
    sides = {side: features.get(f"image/object/bbox/{side}", ()) for side in _BOX_SIDES}
    count = len(sides["xmin"])
    labels = _per_box(features, "class/text", count, where)
    ids = _per_box(features, "class/label", count, where)
    if any(len(values) != count for values in sides.values()) or (count and not (labels or ids)):
        raise DatasetError(
            "corners and classes of the boxes differ in number", where=where, value=count
        )
    difficult = _per_box(features, "difficult", count, where)
    truncated = _per_box(features, "truncated", count, where)
    crowd = _per_box(features, "is_crowd", count, where)
    pose = _per_box(features, "view", count, where)
    masks = _masks(features, count, where)
    keypoints = _keypoints(features, count, width, height, where)
    return [
        Box(
            label=_decode(labels[i], where) if labels else str(ids[i]),
            xmin=sides["xmin"][i] * width,
            ymin=sides["ymin"][i] * height,
            xmax=sides["xmax"][i] * width,
            ymax=sides["ymax"][i] * height,
            difficult=bool(difficult and difficult[i]),
            truncated=bool(truncated and truncated[i]),
            crowd=bool(crowd and crowd[i]),
            pose=_decode(pose[i], where) if pose else "",
            mask_png=masks[i][0],
            mask_area=masks[i][1],
            keypoints=keypoints[i],
        )
        for i in range(count)
    ]


def _masks(
    features: Features, count: int, where: str
) -> list[tuple[bytes, float] | tuple[None, None]]:
    """PNG and pixels of each box's mask; masks stored as numbers are passed over."""
    masks = features.get("image/object/mask", ())
    if not masks or not isinstance(masks[0], bytes):
        return [(None, None)] * count
    masks = _per_box(features, "mask", count, where)
    weights = _per_box(features, "mask/weight", count, where) or [1.0] * count
    areas = _per_box(features, "area", count, where) or [1.0] * count
    return [(masks[i], areas[i] if weights[i] else 0.0) for i in range(count)]


def _keypoints(
    features: Features, count: int, width: int, height: int, where: str
) -> list[tuple[tuple[float, float, int], ...]]:
    """The keypoints of each box; every box has as many."""
    xs, ys, visible = (features.get(f"{_KEYPOINT}/{k}", ()) for k in ("x", "y", "visibility"))
    if not xs and not ys:
        return [()] * count
    visible = visible or [2] * len(xs)
    if not count or len(xs) % count or not len(xs) == len(ys) == len(visible):
        raise DatasetError("keypoints and boxes differ in number", where=where, value=len(xs))
    points = [
        (x * width, y * height, int(seen)) for x, y, seen in zip(xs, ys, visible, strict=True)
    ]
    each = len(points) // count
    return [tuple(points[i * each : (i + 1) * each]) for i in range(count)]


def _keypoint_names(features: Features, where: str) -> tuple[str, ...]:
    """Names of one box's keypoints; by number where the record has none."""
    count = len(features.get("image/object/bbox/xmin", ()))
    each = len(features.get(f"{_KEYPOINT}/x", ())) // count if count else 0
    names = features.get(f"{_KEYPOINT}/text", ())
    if len(names) < each:
        return tuple(str(number) for number in range(1, each + 1))
    return tuple(_decode(name, where) for name in names[:each])


# What a record may hold besides boxes and classes, and what is written anew from the picture.
_READ = {
    *(f"image/{key}" for key in ("filename", "source_id", "key/sha256", "encoded", "format")),
    *(f"image/{key}" for key in ("height", "width")),
    *(f"image/object/bbox/{side}" for side in _BOX_SIDES),
    *(f"image/object/class/{key}" for key in ("text", "label")),
    *(f"image/object/{key}" for key in ("difficult", "truncated", "is_crowd", "view", "area")),
    *(f"{_KEYPOINT}/{key}" for key in ("x", "y", "visibility", "num", "text")),
    "image/object/mask/weight",
}


def _is_read(key: str, values: Sequence[Any]) -> bool:
    if key == "image/object/mask":
        return isinstance(values[0], bytes)
    if key == "image/object/weight":
        return all(value == 1.0 for value in values)
    return key in _READ


def _per_box(features: Features, key: str, count: int, where: str) -> Sequence[Any]:
    values: Sequence[Any] = features.get(f"image/object/{key}", ())
    if values and len(values) != count:
        raise DatasetError(
            f"image/object/{key} has another length than the boxes",
            where=where,
            value=len(values),
            allowed=str(count),
        )
    return values


def _parse(data: bytes, where: str) -> Features:
    message: Any = _example_class()()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise DatasetError("not a tf.train.Example", where=where, value=error) from error
    if len(UnknownFieldSet(message)) > 0:
        raise DatasetError(
            "not a tf.train.Example",
            where=where,
            fix="records that hold SequenceExamples or other messages cannot be used",
        )
    return {
        key: getattr(feature, feature.WhichOneof("kind")).value
        for key, feature in message.features.feature.items()
        if feature.WhichOneof("kind") is not None
    }


def _text(features: Features, key: str, where: str) -> str:
    """The first text under a key; empty where there is none."""
    values = features.get(key)
    return _decode(values[0], where) if values else ""


def _decode(value: bytes, where: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise DatasetError("text is not UTF-8", where=where, value=value[:40]) from error


@cache
def _example_class() -> type[Message]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file_descriptor().SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Example"))


def _file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    proto = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="odbench/tfexample.proto", package=_PACKAGE, syntax="proto3"
    )
    lists = {"BytesList": proto.TYPE_BYTES, "FloatList": proto.TYPE_FLOAT}
    for name, kind in (lists | {"Int64List": proto.TYPE_INT64}).items():
        message = file.message_type.add(name=name)
        message.field.add(name="value", number=1, label=proto.LABEL_REPEATED, type=kind)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        kind_name = name.title().replace("_", "")
        field = _add_message(feature, name, number, kind_name)
        field.oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=proto.LABEL_OPTIONAL, type=proto.TYPE_STRING)
    _add_message(entry, "value", 2, "Feature")
    mapping = _add_message(features, "feature", 1, "Features.FeatureEntry")
    mapping.label = proto.LABEL_REPEATED
    _add_message(file.message_type.add(name="Example"), "features", 1, "Features")
    return file


def _add_message(
    parent: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str
) -> descriptor_pb2.FieldDescriptorProto:
    proto = descriptor_pb2.FieldDescriptorProto
    return parent.field.add(
        name=name,
        number=number,
        label=proto.LABEL_OPTIONAL,
        type=proto.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.{kind}",
    )
