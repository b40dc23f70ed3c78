"""The ``tf.train.Example`` message in the API's key set, written and read without TensorFlow.

The message types are built in a descriptor pool of their own, so that they never meet
TensorFlow's in a process that has both. Fields and numbers are those of TensorFlow's
``example.proto`` and ``feature.proto``.
"""

from __future__ import annotations

import hashlib
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

Features = Mapping[str, Sequence[Any]]  # key -> bytes, floats or integers


@dataclass(frozen=True)
class StoredExample:
    """One record, read back."""

    image: LabelledImage  # boxes in pixels
    source_id: str
    class_ids: list[int]  # one per box; empty where the record names classes by text only
    sha256: str | None  # of the encoded picture, as the record says


def encode_example(image: LabelledImage, image_id: int, class_ids: Mapping[str, int]) -> bytes:
    """Serialise a picture and its boxes; equal input gives equal bytes.

    Args:
        image: Boxes in pixels; they are stored as fractions of width and height.
        image_id: Becomes ``image/source_id``, and is the image's id in the COCO ground truth.
        class_ids: Id of every label.
    """
    message: Any = _example_class()()
    features = message.features.feature
    for key, texts in _texts(image, image_id).items():
        features[key].bytes_list.value.extend(texts)
    for key, integers in _integers(image, class_ids).items():
        features[key].int64_list.value.extend(integers)
    for key, numbers in _numbers(image).items():
        features[key].float_list.value.extend(numbers)
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def _texts(image: LabelledImage, image_id: int) -> dict[str, list[bytes]]:
    return {
        "image/filename": [image.filename.encode()],
        "image/source_id": [str(image_id).encode()],
        "image/key/sha256": [hashlib.sha256(image.encoded).hexdigest().encode()],
        "image/encoded": [image.encoded],
        "image/format": [image.format.encode()],
        "image/object/class/text": [box.label.encode() for box in image.boxes],
        "image/object/view": [box.pose.encode() for box in image.boxes],
    }


def _integers(image: LabelledImage, class_ids: Mapping[str, int]) -> dict[str, list[int]]:
    return {
        "image/height": [image.height],
        "image/width": [image.width],
        "image/object/class/label": [class_ids[box.label] for box in image.boxes],
        "image/object/difficult": [int(box.difficult) for box in image.boxes],
        "image/object/truncated": [int(box.truncated) for box in image.boxes],
        "image/object/is_crowd": [int(box.crowd) for box in image.boxes],
    }


def _numbers(image: LabelledImage) -> dict[str, list[float]]:
    return {
        "image/object/bbox/xmin": [box.xmin / image.width for box in image.boxes],
        "image/object/bbox/xmax": [box.xmax / image.width for box in image.boxes],
        "image/object/bbox/ymin": [box.ymin / image.height for box in image.boxes],
        "image/object/bbox/ymax": [box.ymax / image.height for box in image.boxes],
        "image/object/area": [box.area for box in image.boxes],
        "image/object/weight": [1.0 for _ in image.boxes],
    }


def decode_example(data: bytes, where: str = "record") -> StoredExample:
    """Read one serialised example; keys beyond the API's box keys are passed over.

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
    )
    return StoredExample(
        image=image,
        source_id=_text(features, "image/source_id", where),
        class_ids=list(features.get("image/object/class/label", ())),
        sha256=_text(features, "image/key/sha256", where) or None,
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
        )
        for i in range(count)
    ]


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
