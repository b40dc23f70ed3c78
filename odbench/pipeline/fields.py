"""Fields of a proto by dotted path, as plain JSON values.

A path is ``train_config.batch_size`` or ``eval_input_reader[0].shuffle``. Values are those of the
protobuf JSON mapping: enums by name, 32-bit floats in the shortest form that reads back the same,
messages as dicts, a list as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from odbench.pipeline.parse import ROOT, parse_fields
from odbench.results import Edit

_STEP = re.compile(r"(\w+)(?:\[(\d+)\])?")


def plain(message: Message) -> dict[str, Any]:
    """The fields that are set, as JSON values; an empty message that is set is ``{}``."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def get(message: Message, path: str) -> Any:
    """The value at a path, or None where it is not set; a list that is empty is ``[]``.

    Raises:
        KeyError: The path names no field of the message's type.
    """
    owner, field, index = _locate(message, path)
    value = plain(owner).get(field.name)
    if field.is_repeated and index is None:
        return [] if value is None else value
    if index is None or value is None:
        return value
    return value[index] if index < len(value) else None


def effective(message: Message, path: str) -> Any:
    """The value at a path, or the proto's default where it is not set; scalars only.

    Raises:
        KeyError: The path names no field of the message's type.
    """
    owner, field, _ = _locate(message, path)
    value = plain(owner).get(field.name)
    return field.default_value if value is None else value


def which(message: Message, path: str, oneof: str) -> str | None:
    """The member that is set of a ``oneof`` of the message at a path."""
    return cast(str | None, _walk(message, path, create=False).WhichOneof(oneof))


def put(message: Message, path: str, value: Any) -> None:
    """Set the value at a path, lists as a whole; messages on the way are created.

    Raises:
        KeyError: The path names no field of the message's type.
        PipelineError: The value does not fit the field.
    """
    head, _, name = path.rpartition(".")
    owner = _walk(message, head, create=True)
    _field(owner, name)
    fresh = type(owner)()
    parse_fields({name: value}, fresh, f"{ROOT}.{head}" if head else ROOT)
    owner.ClearField(name)
    owner.MergeFrom(fresh)


def clear(message: Message, path: str) -> None:
    """Unset the value at a path.

    Raises:
        KeyError: The path names no field of the message's type.
    """
    owner, field, _ = _locate(message, path)
    owner.ClearField(field.name)


def flatten(message: Message) -> dict[str, Any]:
    """Every value that is set, by its path.

    Lists of messages are taken apart, ``a[0].b``; lists of scalars are values. An empty message
    that is set is ``{}`` at its path.
    """
    return dict(_flat(plain(message), ""))


class Editor:
    """Edits a copy of a message and records every value that changed.

    Args:
        base: Left as it is.
    """

    def __init__(self, base: Message) -> None:
        self.base = base
        self.proto = type(base)()
        self.proto.CopyFrom(base)
        self.edits: list[Edit] = []

    def set(self, path: str, value: Any) -> None:
        """Set a value; raises as :func:`put`."""
        old = get(self.proto, path)
        put(self.proto, path, value)
        self._record(path, old)

    def clear(self, path: str) -> None:
        """Unset a value; raises as :func:`clear`."""
        old = get(self.proto, path)
        clear(self.proto, path)
        self._record(path, old)

    def _record(self, path: str, old: Any) -> None:
        new = get(self.proto, path)
        if new != old:
            self.edits.append(Edit(path, old, new))


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for i, item in enumerate(value):
            yield from _flat(item, f"{path}[{i}]")
    elif path:
        yield path, value


def _locate(message: Message, path: str) -> tuple[Message, FieldDescriptor, int | None]:
    """The message that owns the last step of a path, its field, and the index if one is given."""
    head, _, last = path.rpartition(".")
    name, index = _split(last)
    owner = _walk(message, head, create=False)
    return owner, _field(owner, name), index


def _walk(message: Message, path: str, *, create: bool) -> Message:
    """The message at a path; where it is not set an empty one, kept if ``create``."""
    for step in filter(None, path.split(".")):
        name, index = _split(step)
        field = _field(message, name)
        value = getattr(message, name)
        if index is None:
            if create:
                value.SetInParent()
        elif index < len(value):
            value = value[index]
        elif create and index == len(value):
            value = value.add()
        elif create:
            raise KeyError(f"{path}: no element {index} in {name}")
        else:
            value = message_factory.GetMessageClass(cast(Descriptor, field.message_type))()
        message = value
    return message


def _split(step: str) -> tuple[str, int | None]:
    match = _STEP.fullmatch(step)
    if match is None:
        raise KeyError(f"not a step of a path: {step!r}")
    return match[1], None if match[2] is None else int(match[2])


def _field(message: Message, name: str) -> FieldDescriptor:
    kind = cast(Descriptor, message.DESCRIPTOR)
    if name not in kind.fields_by_name:
        raise KeyError(f"{kind.name} has no field {name}")
    return kind.fields_by_name[name]
