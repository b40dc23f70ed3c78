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

from odbench.dataset.types import Box

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


class Ordinary(NamedTuple):
    """What an ordinary annotation says."""

    filename: str
    size: tuple[int, int] | None  # (width, height)
    boxes: list[Box]
    lines: list[int]  # of each box's element


def ordinary_annotation(data: bytes) -> Ordinary | None:
    """The content of an ordinary annotation file; None: it is not one, or has a box without name.

    Args:
        data: The whole file.
    """
    if not data.isascii() or len(data) > _LONGEST or data.count(b"\n") > _MOST_LINES:
        return None
    text = data.decode().replace("\r\n", "\n")
    head = _HEAD.match(text)
    if head is None:
        return None
    boxes, lines, line, place, counted = [], [], 1, head.end(), 0
    while found := _OBJECT.match(text, place):
        label, pose, truncated, difficult, xmin, ymin, xmax, ymax = found.groups()
        if not (label := label.strip()):
            return None
        corners = float(xmin), float(ymin), float(xmax), float(ymax)
        flags = difficult == "1", truncated == "1"
        boxes.append(Box(label, *corners, *flags, False, pose.strip()))
        line += text.count("\n", counted, place)
        lines.append(line)
        counted, place = place, found.end()
    if not _TAIL.fullmatch(text, place):
        return None
    name, _, width, height = head.groups()
    return Ordinary(name, (int(width), int(height)) if width else None, boxes, lines)
