"""Which parameters of a number of specifications differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from odbench.report.text import DASH

# Where a run is written and logged does not tell it from another one.
_LEFT_OUT = ("name", "paths", "tracking", "repeats", "repeat", "same_seed")

Spec = dict[str, Any]

_ABSENT = object()

# What says nothing to a reader of a table, by path and text: its meaning.
_MEANINGS = {
    ("augmentation.options", "null"): "as published",
    ("augmentation.options", "[]"): "none",
}


def varying_paths(specs: Sequence[Spec]) -> list[str]:
    """Dotted paths of the fields that differ between the specifications, in their order.

    ``name``, what numbers repeats, ``paths.*`` and ``tracking.*`` are left out, and so is
    ``model.pipeline.*`` between different models, whose configurations differ as a whole. A list
    counts as one value.
    """
    found = [path for path in _differing(specs, ()) if path[0] not in _LEFT_OUT]
    if ("model", "name") in found:
        found = [path for path in found if path[:2] != ("model", "pipeline")]
    return [".".join(path) for path in found]


def value_text(spec: Spec, path: str) -> str:
    """Write the value at a dotted path as on the command line, a dash where there is none."""
    value: Any = spec
    for key in path.split("."):
        value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
    if value is _ABSENT:
        return DASH
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def value_shown(spec: Spec, path: str) -> str:
    """The value at a dotted path for readers: as :func:`value_text`, or what that stands for."""
    text = value_text(spec, path)
    return _MEANINGS.get((path, text), text)


def _differing(specs: Sequence[Spec], above: tuple[str, ...]) -> list[tuple[str, ...]]:
    # Equal subtrees are left at once: that keeps thousands of specifications a matter of seconds.
    found: list[tuple[str, ...]] = []
    for key in dict.fromkeys(key for spec in specs for key in spec):
        values = [spec.get(key, _ABSENT) for spec in specs]
        first = values[0]
        if all(value is first or value == first for value in values):
            continue
        path = (*above, str(key))
        if all(isinstance(value, dict) for value in values):
            found += _differing(values, path)
        else:
            found.append(path)
    return found


def told_apart(
    names: Sequence[str], varying: Sequence[dict[str, str]], overrides: Sequence[Sequence[str]]
) -> list[str]:
    """Names, with what differs between those that have the same name behind each of these.

    A value is written as the command line gave it, where it did: ``augmentation=none`` tells more
    than the fields that this stands for.

    Args:
        names: Of runs or variants.
        varying: Of each, dotted path -> value; paths that all have.
        overrides: Of the command line, of each.
    """
    alike: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        alike.setdefault(name, []).append(index)
    labels = list(names)
    for indices in alike.values():
        paths = [
            path for path in varying[indices[0]] if len({varying[i][path] for i in indices}) > 1
        ]
        for index in indices:
            told = [as_given(path, varying[index][path], overrides[index]) for path in paths]
            labels[index] = " ".join([names[index], *dict.fromkeys(told)])
    return labels


def as_given(path: str, value: str, overrides: Sequence[str]) -> str:
    """``PATH=VALUE``, or the override of the command line that set it."""
    for override in reversed(overrides):
        key, _, given = override.lstrip("+").partition("=")
        if path == key or path.startswith(f"{key}."):
            return f"{key}={given}"
    return f"{path}={value}"
