"""Ordinary Pascal VOC annotations, of which it is certain what an XML parser makes of them.

labelImg and the VOC devkit write the same few elements in the same order, one file like the next.
Such a file is taken apart by a pattern in a fraction of a parser's time. The pattern covers the
file from its first character to its last and has no room for what an XML parser could refuse or
replace: entities, comments, sections, declarations, characters beyond ASCII. Of any other file
nothing is known here; it has to be parsed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from odbench.dataset.types import BoxColumns

_LONGEST = 1 << 20  # bytes; parsers have limits for longer ones
_MOST_LINES = 60_000  # parsers count no further than 65,535

_TEXT = r"[ !-%'-;=?-~]*"  # on one line; neither markup nor an entity
_GAP = r"[ \t\n]*"
_NUMBER = r"-?[0-9]{1,9}(?:\.[0-9]{1,20})?"


def _pattern(elements: str) -> re.Pattern[str]:
    """A pattern written with a blank for each gap, ``TEXT`` and ``NUMBER``."""
    spaced = elements.replace(" ", _GAP)
    return re.compile(spaced.replace("TEXT", _TEXT).replace("NUMBER", _NUMBER))


_HEAD = _pattern(
    r"(?:<\?xml\x20version=[\"']1\.0[\"'](?:\x20encoding=[\"'](?:utf|UTF)-8[\"'])?\?> )?"
    r"<annotation(?:\x20verified=\"(?:yes|no)\")?> "
    r"(?:<folder>TEXT</folder> )?"
    r"<filename>(TEXT)</filename> "
    r"(?:<path>TEXT</path> )?"
    r"(?:<source> (?:<(database|annotation|image)>TEXT</\2> )*</source> )?"
    r"(?:<size> <width>([0-9]{1,9})</width> <height>([0-9]{1,9})</height> "
    r"(?:<depth>TEXT</depth> )?</size> )?"
    r"(?:<segmented>TEXT</segmented> )?"
)
_OBJECT = _pattern(
    r"<object> <name>(TEXT)</name> <pose>(TEXT)</pose> "
    r"<truncated>([01])</truncated> <difficult>([01])</difficult> "
    r"<bndbox> <xmin>(NUMBER)</xmin> <ymin>(NUMBER)</ymin> "
    r"<xmax>(NUMBER)</xmax> <ymax>(NUMBER)</ymax> </bndbox> </object> "
)
_TAIL = _pattern("</annotation> ")
_STRIDE = _OBJECT.groups + 1


class Ordinary(NamedTuple):
    """What an ordinary annotation says."""

    filename: str
    size: tuple[int, int] | None  # (width, height)
    boxes: BoxColumns


def ordinary_annotation(data: bytes) -> Ordinary | None:
    """The content of an ordinary annotation file; None: it is not one, or has a box without name.

    Args:
        data: The whole file.
    """
    if not data.isascii() or len(data) > _LONGEST or data.count(b"\n") > _MOST_LINES:
        return None
    # what is before, between and behind the objects, and the groups of each of them
    parts = _OBJECT.split(_text(data))
    head = _HEAD.match(parts[0])
    if head is None or any(parts[_STRIDE:-1:_STRIDE]):
        return None
    rest = parts[0][head.end() :]
    tail = parts[-1] if len(parts) > 1 else rest
    if (rest and tail is not rest) or not _TAIL.fullmatch(tail):
        return None
    label, pose, truncated, difficult, *corners = [parts[i::_STRIDE] for i in range(1, _STRIDE)]
    label = _stripped(label)
    if "" in label:
        return None
    sides = [list(map(float, side)) for side in corners]
    flags = [list(map("1".__eq__, flag)) for flag in (difficult, truncated)]
    boxes = BoxColumns.plain(label, *sides, *flags, _stripped(pose))
    name, _, width, height = head.groups()
    return Ordinary(name, (int(width), int(height)) if width else None, boxes)


def ordinary_lines(data: bytes) -> list[int]:
    """The line that each object of an ordinary annotation begins on."""
    text = _text(data)
    return [1 + text.count("\n", 0, found.start()) for found in _OBJECT.finditer(text)]


def _stripped(texts: list[str]) -> list[str]:
    if all(text == text.strip() for text in set(texts)):  # a few different ones
        return texts
    return [text.strip() for text in texts]


def _text(data: bytes) -> str:
    return data.decode().replace("\r\n", "\n")
