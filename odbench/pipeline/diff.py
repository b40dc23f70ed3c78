"""In what two ``pipeline.config`` differ, field by field, whatever the order of their text.

Two configurations are equal where every field has the same effect: a field that is set to its
default is one that is not set. The elements of a list of messages are aligned, so that one more
at the front is one more element and not a change of all others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, cast

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from odbench.pipeline.fields import plain

_Fields = Mapping[str, Any]


@dataclass(frozen=True)
class FieldChange:
    """One field that differs.

    Attributes:
        path: Of the field, as in :mod:`odbench.pipeline.fields`; with the new side's indexes
            where the field is there on both sides.
        old: Value on the old side, the default where it is not set; None where there is none.
        new: The same on the new side.
        old_set: Whether the old side sets it.
        new_set: Whether the new side sets it.
        old_path: The old side's path, where an index differs.
    """

    path: str
    old: Any
    new: Any
    old_set: bool = True
    new_set: bool = True
    old_path: str | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON values; ``old_path`` only where it differs."""
        body = {
            "path": self.path,
            "old": self.old,
            "new": self.new,
            "old_set": self.old_set,
            "new_set": self.new_set,
        }
        return body if self.old_path is None else {**body, "old_path": self.old_path}

    def turned(self) -> FieldChange:
        """The same change the other way."""
        path, old_path = self.old_path or self.path, None if self.old_path is None else self.path
        return FieldChange(path, self.new, self.old, self.new_set, self.old_set, old_path)


def diff_protos(a: Message, b: Message) -> list[FieldChange]:
    """In what one message differs from another of its type.

    Floats are compared as 32-bit floats, values are those of :mod:`odbench.pipeline.fields`.

    Args:
        a: The old one.
        b: The new one.

    Returns:
        The changes in the order of the fields; ``diff_protos(b, a)`` has the same ones turned.
    """
    return list(_message(cast(Descriptor, a.DESCRIPTOR), plain(a), plain(b), _Place("", "")))


@dataclass(frozen=True)
class _Place:
    """Where a field is on each side."""

    old: str
    new: str

    def down(self, step: str) -> _Place:
        return _Place(*(f"{path}.{step}" if path else step for path in (self.old, self.new)))

    def at(self, old: int | None, new: int | None) -> _Place:
        return _Place(f"{self.old}[{old}]", f"{self.new}[{new}]")

    def change(self, old: Any, new: Any, *, old_set: bool, new_set: bool) -> FieldChange:
        path = self.new if new_set else self.old
        both = old_set and new_set and self.old != self.new
        return FieldChange(path, old, new, old_set, new_set, self.old if both else None)


def _message(
    kind: Descriptor, a: _Fields | None, b: _Fields | None, place: _Place
) -> Iterator[FieldChange]:
    """Differences of two messages, None where one is not set."""
    if a == b:
        return
    changes = [
        change for field in kind.fields for change in _field(field, a, b, place.down(field.name))
    ]
    if not changes and (a is None) != (b is None):
        # set without a field of its own: that it is there is all it says
        there = a is not None
        sides: tuple[Any, Any] = ({}, None) if there else (None, {})
        changes = [place.change(*sides, old_set=there, new_set=not there)]
    yield from changes


def _field(
    field: FieldDescriptor, a: _Fields | None, b: _Fields | None, place: _Place
) -> Iterator[FieldChange]:
    old, new = ((side or {}).get(field.name) for side in (a, b))
    if old == new:
        return
    kind = field.message_type
    if kind is None:
        yield from _scalar(field, a, b, place)
    elif kind.GetOptions().map_entry:
        yield from _map(kind.fields_by_name["value"], old or {}, new or {}, place)
    elif field.is_repeated:
        yield from _list(kind, old or [], new or [], place)
    else:
        yield from _message(kind, old, new, place)


def _scalar(
    field: FieldDescriptor, a: _Fields | None, b: _Fields | None, place: _Place
) -> Iterator[FieldChange]:
    """A single value, or a list of them as a whole."""
    # what a message that is not there would have as its default says nothing
    values = [_value(field, side) for side in (a, b)]
    sets = [field.name in (side or {}) for side in (a, b)]
    if values[0] != values[1] or (field.containing_oneof is not None and sets[0] != sets[1]):
        yield place.change(*values, old_set=sets[0], new_set=sets[1])


def _value(field: FieldDescriptor, side: _Fields | None) -> Any:
    if side is None:
        return None
    return side[field.name] if field.name in side else default_of(field)


def default_of(field: FieldDescriptor) -> Any:
    """A scalar field's default as a JSON value, ``[]`` of a list, None of a oneof's member."""
    if field.is_repeated:
        return []
    if field.containing_oneof is not None:
        return None
    owner = message_factory.GetMessageClass(cast(Descriptor, field.containing_type))()
    setattr(owner, field.name, field.default_value)
    return plain(owner)[field.name]


def _map(kind: FieldDescriptor, old: _Fields, new: _Fields, place: _Place) -> Iterator[FieldChange]:
    for key in sorted(old.keys() | new.keys()):
        here = place.down(key)
        if kind.message_type is not None:
            yield from _message(kind.message_type, old.get(key), new.get(key), here)
        elif old.get(key) != new.get(key):
            yield here.change(old.get(key), new.get(key), old_set=key in old, new_set=key in new)


def _list(
    kind: Descriptor, old: Sequence[_Fields], new: Sequence[_Fields], place: _Place
) -> Iterator[FieldChange]:
    for i, j in _aligned(old, new):
        before = None if i is None else old[i]
        after = None if j is None else new[j]
        yield from _message(kind, before, after, place.at(i, j))


def _aligned(
    old: Sequence[_Fields], new: Sequence[_Fields]
) -> Iterator[tuple[int | None, int | None]]:
    """Pairs of indexes whose elements belong together, None where an element has no partner."""
    a, b = ([json.dumps(item, sort_keys=True) for item in side] for side in (old, new))
    if a > b:  # what follows depends on the order, and our answer must not
        yield from ((i, j) for j, i in _aligned(new, old))
        return
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            yield from zip(range(i1, i2), range(j1, j2), strict=True)
        else:
            yield from _paired(range(i1, i2), list(range(j1, j2)), old, new)


def _paired(
    rows: Iterable[int], columns: list[int], old: Sequence[_Fields], new: Sequence[_Fields]
) -> Iterator[tuple[int | None, int | None]]:
    """Within a stretch that differs: elements that set a field in common, in their order."""
    for i in rows:
        alike = (j for j in columns if old[i].keys() & new[j].keys())
        partner = next(alike, None)
        if partner is not None:
            passed = columns.index(partner)  # pairs do not cross: these have no partner
            yield from ((None, j) for j in columns[:passed])
            columns = columns[passed + 1 :]
        yield i, partner
    yield from ((None, j) for j in columns)
