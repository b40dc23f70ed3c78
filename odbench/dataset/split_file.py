"""A split that the user wrote down: JSON, or one line for each picture.

JSON is ``{"train": [name, ...], "val": [name, ...]}``; an entry may also be an object with the
key ``file``, as in the ``splits.json`` of a converted data set. A line of a text file is
``name<tab or space>split``; empty lines and lines that begin with ``#`` are passed over.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from odbench.dataset.source import SPLITS
from odbench.errors import DatasetError

_FORMS = '{"train": [names], "val": [names]}, or lines of "name split"'


@dataclass(frozen=True)
class _Line:
    name: str
    split: str
    where: str  # file and line


def read_split_file(path: Path, keys: Iterable[str]) -> dict[str, list[str]]:
    """The keys of each split, sorted.

    Args:
        path: The file. Its names are keys or their last parts, with or without the extension.
        keys: Of every picture that there is: relative paths.

    Raises:
        DatasetError: The file cannot be read, or names a picture that is not there, that several
            pictures could be, twice or not at all; with file and line.
    """
    known = sorted(keys)
    index = _index(known)
    named: dict[str, _Line] = {}
    for line in _lines(path):
        key = _find(line, index)
        if key in named:
            raise DatasetError(
                f"picture is named twice, first in {named[key].where}",
                where=line.where,
                value=line.name,
                fix="name it once, in one split",
            )
        named[key] = line
    missing = [key for key in known if key not in named]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(known)} pictures are in no split",
            where=f"{path}:{max(1, len(_text(path).splitlines()))}",
            value=", ".join(missing[:5]) + (", ..." if len(missing) > 5 else ""),
            fix="name every picture, or remove those that are not wanted",
        )
    return {split: [key for key in known if named[key].split == split] for split in SPLITS}


def _index(keys: list[str]) -> dict[str, list[str]]:
    """Keys by everything that may stand for them."""
    index: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        path = PurePosixPath(key)
        for name in dict.fromkeys((key, str(path.with_suffix("")), path.name, path.stem)):
            index[name].append(key)
    return index


def _find(line: _Line, index: dict[str, list[str]]) -> str:
    name = line.name.replace("\\", "/").removeprefix("./")
    found = index.get(name, [])
    exact = [key for key in found if key == name] or found
    if len(exact) == 1:
        return exact[0]
    raise DatasetError(
        "several pictures have this name" if exact else "no such picture in the data set",
        where=line.where,
        value=line.name,
        allowed=", ".join(exact) or None,
        fix="name it by its path relative to the data set" if exact else "correct or remove it",
    )


def _lines(path: Path) -> Iterator[_Line]:
    text = _text(path)
    if text.lstrip().startswith("{"):
        yield from _json_lines(path, text)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, split = line.strip().rpartition("\t") if "\t" in line else _halves(line)
        _check_split(split.strip(), f"{path}:{number}")
        yield _Line(name.strip(), split.strip(), f"{path}:{number}")


def _halves(line: str) -> tuple[str, str, str]:
    return line.strip().rpartition(" ")


def _json_lines(path: Path, text: str) -> Iterator[_Line]:
    try:
        body = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise DatasetError("not JSON", where=f"{path}:{line}", value=error) from error
    places = _Places(text)
    for split, names in body.items():
        where = f"{path}:{places.line(split)}"
        _check_split(split, where)
        if not isinstance(names, list):
            raise DatasetError("not a list of names", where=where, value=names, allowed=_FORMS)
        for entry in names:
            name = entry.get("file") if isinstance(entry, dict) else entry
            if not isinstance(name, str):
                raise DatasetError("not a name", where=where, value=entry, allowed=_FORMS)
            yield _Line(name, split, f"{path}:{places.line(name)}")


class _Places:
    """Lines of the strings in a JSON text, in the order in which they stand there."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0
        self._line = 1

    def line(self, value: str) -> int:
        """The line of the next such string; escaped in another way, that of the last one found."""
        forms = (json.dumps(value, ensure_ascii=ascii_) for ascii_ in (False, True))
        found = [at for form in forms if (at := self._text.find(form, self._offset)) >= 0]
        if found:
            begun, self._offset = self._offset, min(found) + 1
            self._line += self._text.count("\n", begun, self._offset)
        return self._line


def _check_split(split: Any, where: str) -> None:
    if split not in SPLITS:
        raise DatasetError("no such split", where=where, value=split, allowed=", ".join(SPLITS))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(
            f"cannot read the split file: {error.strerror}", where=str(path), allowed=_FORMS
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError("the split file is not UTF-8", where=str(path)) from error
