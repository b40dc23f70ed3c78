"""One Pascal VOC annotation file, as the VOC devkit and labelImg write them.

Boxes are taken in pixels as they are: tools disagree on whether the first pixel is 0 or 1. Each
element is looked at once and the fast way first; what is wrong with it is found out afterwards.
"""

from __future__ import annotations

import marshal
import math
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from odbench.dataset.types import Box
from odbench.dataset.voc_ordinary import ordinary_annotation, ordinary_lines
from odbench.errors import DatasetError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FLAGS = {"": False, "0": False, "false": False, "no": False, "unspecified": False}
_FLAGS |= {"1": True, "true": True, "yes": True}

_Children = dict[object, etree._Element]  # by tag, of equal tags the first


@dataclass(frozen=True, slots=True)
class Annotation:
    """One XML file, parsed; nothing in it has been checked against the picture."""

    path: str
    filename: str | None
    size: tuple[int, int] | None  # (width, height) as the file has it
    objects: list[tuple[Box, str]]  # each box and where it is: file and line


def read_annotation(path: str | Path) -> Annotation:
    """Read and parse one XML file; see :func:`parse_annotation`.

    Raises:
        DatasetError: It cannot be read or used.
    """
    return parse_annotation(path, annotation_bytes(path))


def annotation_bytes(path: str | Path) -> bytes:
    """The content of an annotation file.

    Raises:
        DatasetError: It cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - quick, for small files
            return file.read()
    except OSError as error:
        raise DatasetError(
            f"cannot read the annotation: {error.strerror}", where=str(path)
        ) from error


def parse_annotation(path: str | Path, data: bytes) -> Annotation:
    """Parse the content of one XML file; entities are not resolved and nothing is fetched.

    Raises:
        DatasetError: It is not well-formed, not a Pascal VOC annotation, or a box is incomplete
            or not numeric; names file and line.
    """
    place = str(path)
    ordinary = ordinary_annotation(data)
    if ordinary is not None:
        lines = [f"{place}:{line}" for line in ordinary_lines(data)]
        objects = list(zip(ordinary.boxes.boxes(), lines, strict=True))
        return Annotation(place, ordinary.filename.strip() or None, ordinary.size, objects)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise DatasetError(
            "not well-formed XML", where=f"{path}:{error.lineno or 1}", value=error.msg
        ) from error
    if root.tag != "annotation":
        raise DatasetError(
            "not a Pascal VOC annotation",
            where=f"{path}:{root.sourceline}",
            value=f"<{root.tag}>",
            allowed="<annotation> at the top",
        )
    return Annotation(
        path=place,
        filename=(root.findtext("filename") or "").strip() or None,
        size=_size(root, place),
        objects=[
            _ordinary_object(element, place) or _object(element, place)
            for element in root.iterchildren("object")
        ],
    )


def pack_annotation(annotation: Annotation) -> bytes:
    """The annotation in few bytes, for :func:`unpack_annotation` of the same process or a child."""
    path, lines = annotation.path, len(annotation.path) + 1
    objects = [(*box[:9], where[lines:]) for box, where in annotation.objects]
    return marshal.dumps((path, annotation.filename, annotation.size, objects))


def unpack_annotation(data: bytes) -> Annotation:
    """The annotation that was packed."""
    path, filename, size, objects = marshal.loads(data)
    found = [(Box(*fields), f"{path}:{line}") for *fields, line in objects]
    return Annotation(path, filename, size, found)


def _size(root: etree._Element, place: str) -> tuple[int, int] | None:
    size = root.find("size")
    if size is None:
        return None
    sides = _children(size)
    if not (_text(sides, "width") and _text(sides, "height")):
        return None
    return int(_number(size, sides, "width", place)), int(_number(size, sides, "height", place))


def _ordinary_object(element: etree._Element, place: str) -> tuple[Box, str] | None:
    """The object where it is written as usual, in a fraction of the time; else None."""
    try:
        parts = {child.tag: child for child in element.iterchildren(reversed=True)}
        corners = parts["bndbox"].iterchildren(reversed=True)
        sides = {child.tag: child.text or "" for child in corners}
        xmin, ymin, xmax, ymax = [float(sides[side]) for side in _CORNERS]
        label, pose = (parts["name"].text or "").strip(), (parts["pose"].text or "").strip()
        difficult = _FLAGS[parts["difficult"].text or ""]
        truncated = _FLAGS[parts["truncated"].text or ""]
    except (KeyError, ValueError):  # something is missing or odd
        return None
    if not label or not math.isfinite(xmin + ymin + xmax + ymax):
        return None
    box = Box(label, xmin, ymin, xmax, ymax, difficult, truncated, pose=pose)
    return box, f"{place}:{element.sourceline}"


def _object(element: etree._Element, place: str) -> tuple[Box, str]:
    parts = _children(element)
    label, corners = _text(parts, "name"), parts.get("bndbox")
    where = f"{place}:{element.sourceline}"
    if not label or corners is None:
        raise DatasetError(
            "object without a class name" if not label else "object without a bndbox",
            where=where,
            fix="name the class and draw the box, or remove the object",
        )
    sides = _children(corners)
    xmin, ymin, xmax, ymax = [_number(corners, sides, side, place) for side in _CORNERS]
    box = Box(
        label,
        xmin,
        ymin,
        xmax,
        ymax,
        _flag(parts, "difficult", place),
        _flag(parts, "truncated", place),
        pose=_text(parts, "pose"),
    )
    return box, where


def _children(parent: etree._Element) -> _Children:
    return {child.tag: child for child in parent.iterchildren(reversed=True)}


def _text(children: _Children, tag: str) -> str:
    child = children.get(tag)
    return "" if child is None else (child.text or "").strip()


def _number(parent: etree._Element, children: _Children, tag: str, place: str) -> float:
    try:
        value = float(children[tag].text or "")
    except (KeyError, ValueError):
        value = math.nan
    if math.isfinite(value):
        return value
    child = children.get(tag)
    raise DatasetError(
        f"{tag} is not a number" if child is not None else f"{parent.tag} without {tag}",
        where=f"{place}:{(parent if child is None else child).sourceline}",
        value=repr(_text(children, tag)),
        allowed="a number of pixels",
    )


def _flag(children: _Children, tag: str, place: str) -> bool:
    text = _text(children, tag)
    found = _FLAGS.get(text)
    if found is None:
        found = _FLAGS.get(text.lower())
    if found is None:
        raise DatasetError(
            f"{tag} is neither yes nor no",
            where=f"{place}:{children[tag].sourceline}",
            value=text.lower(),
            allowed="0, 1",
        )
    return found
