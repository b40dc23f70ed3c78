"""Pascal VOC annotations, as the VOC devkit and labelImg write them.

Boxes are taken in pixels as they are: tools disagree on whether the first pixel is 0 or 1.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from odbench.config.dataset_spec import DatasetSpec
from odbench.dataset.files import file_digest, relative_name
from odbench.dataset.going_on import one_of_many
from odbench.dataset.labelled import (
    Labelled,
    check_size,
    duplicate_pictures,
    label_picture,
    survey_entry,
)
from odbench.dataset.picture import read_picture
from odbench.dataset.source import SPLITS, TRAIN, VAL, FileSource, Survey
from odbench.dataset.types import Box, Finding, LabelledImage
from odbench.dataset.voc_layout import Entry, find_layout
from odbench.errors import DatasetError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_YES, _NO = ("1", "true", "yes"), ("", "0", "false", "no", "unspecified")


@dataclass(frozen=True)
class Annotation:
    """One XML file, parsed; nothing in it has been checked against the picture."""

    path: Path
    filename: str | None
    size: tuple[int, int] | None  # (width, height) as the file has it
    objects: list[tuple[Box, str]]  # each box and where it is: file and line


class VocSource(FileSource):
    """A Pascal VOC data set on disk."""

    def __init__(self, spec: DatasetSpec) -> None:
        super().__init__()
        self._root = Path(spec.dir or "").expanduser()
        self._files: dict[str, tuple[Path, Path]] = {}  # key -> annotation, picture

    def survey(self) -> Survey:
        """Parse every annotation and hash what belongs to it."""
        layout = find_layout(self._root)
        digest = hashlib.sha256()
        self._files = {}
        entries = {
            split: self._look_at_all(layout.splits[split], split, digest) for split in SPLITS
        }
        pool = self._look_at_all(layout.pool, "pool", digest)
        pictures = [*pool, *entries[TRAIN], *entries[VAL]]
        used = {picture for _, picture in self._files.values()}
        unlabelled = [
            Finding("picture_without_annotation", str(path), path.name, "left out")
            for folder in layout.folders
            for path in folder.unlabelled(used)
        ]
        return Survey(
            classes=sorted({label for item in pictures for label in item.entry.labels}),
            images={split: len(listed) for split, listed in entries.items()},
            digest=digest.hexdigest(),
            provenance={"source": "voc", "dir": str(self._root.absolute())},
            findings=layout.findings + unlabelled + duplicate_pictures(pictures),
            pool=[item.entry for item in pool] if pool else None,
            entries={s: [i.entry for i in items] for s, items in entries.items() if not pool},
        )

    def load(self, key: str) -> tuple[LabelledImage, list[Finding]]:
        """Read a picture and fit its boxes to it."""
        path, picture = self._files[key]
        image, findings = load_image(read_annotation(path), picture)
        return dataclasses.replace(image, filename=key), findings

    def _look_at_all(
        self, entries: list[Entry], split: str, digest: hashlib._Hash
    ) -> list[Labelled]:
        found = []
        for entry in entries:
            with one_of_many():
                found.append(self._look_at(entry, split, digest))
        return found

    def _look_at(self, entry: Entry, split: str, digest: hashlib._Hash) -> Labelled:
        annotation = read_annotation(entry.annotation)
        picture = entry.pictures.find(entry.annotation, annotation.filename)
        key = relative_name(picture, self._root)
        if key in self._files:
            raise DatasetError(
                "two annotations of one picture",
                where=str(entry.annotation),
                value=key,
                fix=f"remove this one or {self._files[key][0]}",
            )
        self._files[key] = (entry.annotation, picture)
        name = relative_name(entry.annotation, self._root)
        picture_digest = file_digest(picture)
        lines = f"{split} {file_digest(entry.annotation)} {name}\n{picture_digest} {key}\n"
        digest.update(lines.encode("utf-8", "surrogateescape"))
        return survey_entry(key, picture_digest, (box for box, _ in annotation.objects))


def load_image(annotation: Annotation, picture: Path) -> tuple[LabelledImage, list[Finding]]:
    """Read the picture of an annotation and fit its boxes to it.

    Raises:
        DatasetError: The picture is no whole picture, or a box lies outside it.
    """
    where = str(annotation.path)
    pixels, findings = read_picture(picture, annotation.size)
    image, found = label_picture(picture.name, pixels, annotation.objects, where)
    return image, findings + found + check_size(annotation.size, pixels, where)


def read_annotation(path: Path) -> Annotation:
    """Parse one XML file; entities are not resolved and nothing is fetched.

    Raises:
        DatasetError: It is not well-formed, not a Pascal VOC annotation, or a box is incomplete
            or not numeric; names file and line.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(path.read_bytes(), parser)
    except OSError as error:
        raise DatasetError(
            f"cannot read the annotation: {error.strerror}", where=str(path)
        ) from error
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
        path=path,
        filename=_text(root, "filename") or None,
        size=_size(root, path),
        objects=[
            (_box(element, path), _where(element, path)) for element in root.iterfind("object")
        ],
    )


def _size(root: etree._Element, path: Path) -> tuple[int, int] | None:
    size = root.find("size")
    if size is None or not (_text(size, "width") and _text(size, "height")):
        return None
    return int(_number(size, "width", path)), int(_number(size, "height", path))


def _box(element: etree._Element, path: Path) -> Box:
    label = _text(element, "name")
    corners = element.find("bndbox")
    if not label or corners is None:
        raise DatasetError(
            "object without a class name" if not label else "object without a bndbox",
            where=_where(element, path),
            fix="name the class and draw the box, or remove the object",
        )
    xmin, ymin, xmax, ymax = (_number(corners, side, path) for side in _CORNERS)
    return Box(
        label,
        xmin,
        ymin,
        xmax,
        ymax,
        difficult=_flag(element, "difficult", path),
        truncated=_flag(element, "truncated", path),
        pose=_text(element, "pose"),
    )


def _number(parent: etree._Element, tag: str, path: Path) -> float:
    text = _text(parent, tag)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        child = parent.find(tag)
        raise DatasetError(
            f"{tag} is not a number" if child is not None else f"{parent.tag} without {tag}",
            where=_where(parent if child is None else child, path),
            value=repr(text),
            allowed="a number of pixels",
        )
    return value


def _flag(element: etree._Element, tag: str, path: Path) -> bool:
    text = _text(element, tag).lower()
    if text not in _YES + _NO:
        child = element.find(tag)
        raise DatasetError(
            f"{tag} is neither yes nor no",
            where=_where(element if child is None else child, path),
            value=text,
            allowed="0, 1",
        )
    return text in _YES


def _text(parent: etree._Element, tag: str) -> str:
    return (parent.findtext(tag) or "").strip()


def _where(element: etree._Element, path: Path) -> str:
    return f"{path}:{element.sourceline}"
