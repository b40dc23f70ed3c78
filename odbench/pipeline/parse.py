"""Plain values to protos, strictly: the protobuf JSON mapping in snake_case, nothing guessed.

``google.protobuf.json_format`` stops without saying where; here every error names the full path,
the value and what would have been accepted. ``null`` unsets a field, so that a model can take
back what its family sets.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from odbench.errors import PipelineError

ROOT = "model.pipeline"  # configuration path of a proto's top

_FLOAT_MAX = 3.4028234663852886e38

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_REALS = {
    FieldDescriptor.CPPTYPE_FLOAT: _FLOAT_MAX,
    FieldDescriptor.CPPTYPE_DOUBLE: float("inf"),
}


def parse_fields(values: Any, message: Message, where: str) -> None:
    """Fill a message with the fields of a plain mapping; nulls are left out.

    Args:
        values: Field names to values, nested as the message is.
        message: Filled in place.
        where: Configuration path of ``values``, for errors.

    Raises:
        PipelineError: An unknown field, a wrong type, an unknown enum value, or two members of
            one ``oneof``.
    """
    checked = _message(values, cast(Descriptor, message.DESCRIPTOR), where)
    try:
        json_format.ParseDict(checked, message)
    except json_format.ParseError as error:
        raise PipelineError(str(error), where=where) from error


def _value(value: Any, field: FieldDescriptor, where: str) -> Any:
    if _is_map(field):
        return _map(value, field, where)
    if field.is_repeated:
        if not isinstance(value, list | tuple):
            raise _wrong_type("a list", value, where)
        return [_single(item, field, f"{where}[{i}]") for i, item in enumerate(value)]
    return _single(value, field, where)


def _message(values: Any, kind: Descriptor, where: str) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise _wrong_type(f"fields of {kind.name}", values, where)
    checked = {}
    for name, value in values.items():
        field = kind.fields_by_name.get(name) if isinstance(name, str) else None
        if field is None:
            raise _unknown_field(str(name), kind, where)
        if value is not None:
            checked[name] = _value(value, field, f"{where}.{name}")
    _check_oneofs(checked, kind, where)
    return checked


def _check_oneofs(values: Mapping[str, Any], kind: Descriptor, where: str) -> None:
    for oneof in kind.oneofs:
        given = [field.name for field in oneof.fields if field.name in values]
        if len(given) > 1:
            raise PipelineError(
                "fields that exclude each other",
                where=where,
                value=", ".join(given),
                allowed="one of " + ", ".join(field.name for field in oneof.fields),
                fix=f"unset all but one of them, such as {where}.{given[0]}=null",
            )


def _map(value: Any, field: FieldDescriptor, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong_type("a mapping", value, where)
    entry = cast(Descriptor, field.message_type)
    key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
    return {
        str(_single(key, key_field, f"{where} (key)")): _single(item, value_field, f"{where}.{key}")
        for key, item in value.items()
    }


def _single(value: Any, field: FieldDescriptor, where: str) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        return _message(value, cast(Descriptor, field.message_type), where)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return _enum(value, field, where)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        if not isinstance(value, bool):
            raise _wrong_type("true or false", value, where)
        return value
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if not isinstance(value, str):
            raise _wrong_type("text", value, where)
        return value
    return _number(value, kind, where)


def _number(value: Any, kind: int, where: str) -> int | float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        allowed = f"an integer in {low}..{high}"
        whole = number and math.isfinite(value) and value == int(value)
        if not whole or not low <= value <= high:
            raise _wrong_type(allowed, value, where)
        return int(value)
    if not number or not math.isfinite(value) or abs(value) > _REALS[kind]:
        raise _wrong_type("a finite number", value, where)
    return float(value)


def _enum(value: Any, field: FieldDescriptor, where: str) -> str:
    kind = cast(EnumDescriptor, field.enum_type)
    names = list(kind.values_by_name)
    if not isinstance(value, str) or value not in names:
        near = difflib.get_close_matches(str(value).upper(), names, n=1)
        raise PipelineError(
            f"no such value of {kind.name}",
            where=where,
            value=repr(value),
            allowed=", ".join(names),
            fix=f"did you mean {near[0]}?" if near else None,
        )
    return value


def _unknown_field(name: str, kind: Descriptor, where: str) -> PipelineError:
    names = [field.name for field in kind.fields]
    near = difflib.get_close_matches(name, names, n=3)
    return PipelineError(
        f"{kind.name} has no field {name}",
        where=f"{where}.{name}",
        value=name,
        allowed=", ".join(sorted(names)),
        fix=f"did you mean {' or '.join(near)}?" if near else f"name a field of {kind.name}",
    )


def _wrong_type(allowed: str, value: Any, where: str) -> PipelineError:
    return PipelineError(
        "value of the wrong type or out of range",
        where=where,
        value="null" if value is None else repr(value),
        allowed=allowed,
        fix="give such a value, or null to unset the field",
    )


def _is_map(field: FieldDescriptor) -> bool:
    entry = field.message_type
    return entry is not None and entry.GetOptions().map_entry
