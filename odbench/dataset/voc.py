"""Pascal VOC annotations, as the VOC devkit and labelImg write them.

Boxes are taken in pixels as they are: tools disagree on whether the first pixel is 0 or 1.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from odbench.config.spec import DatasetSpec
from odbench.dataset.boxes import fit_box
from odbench.dataset.picture import read_picture
from odbench.dataset.source import SPLITS, TRAIN, VAL, Survey
from odbench.dataset.types import Box, Finding, LabelledImage
from odbench.dataset.voc_layout import Entry, Layout, find_layout, split_pool
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


class VocSource:
    """A Pascal VOC data set on disk."""

    def __init__(self, spec: DatasetSpec) -> None:
        self._root = Path(spec.dir or "").expanduser()
        self._val_fraction = spec.val_fraction
        self._split_seed = spec.split_seed
        self._splits: dict[str, list[Entry]] = {}

    def survey(self) -> Survey:
        """Parse every annotation and hash what belongs to the two splits."""
        layout = find_layout(self._root)
        self._splits = self._split(layout)
        digest = hashlib.sha256()
        classes: set[str] = set()
        used: set[Path] = set()
        for split, entries in self._splits.items():
            for entry in entries:
                annotation = read_annotation(entry.annotation)
                picture = entry.pictures.find(entry.annotation, annotation.filename)
                used.add(picture)
                classes |= {box.label for box, _ in annotation.objects}
                for path in (entry.annotation, picture):
                    line = f"{split} {_file_digest(path)} {self._name(path)}\n"
                    digest.update(line.encode("utf-8", "surrogateescape"))
        findings = layout.findings + [
            Finding("picture_without_annotation", str(path), path.name, "left out")
            for folder in layout.folders
            for path in folder.unlabelled(used)
        ]
        return Survey(
            classes=sorted(classes),
            images={split: len(entries) for split, entries in self._splits.items()},
            digest=digest.hexdigest(),
            provenance=self._provenance(layout),
            findings=findings,
        )

    def images(self, split: str, findings: list[Finding]) -> Iterator[LabelledImage]:
        """Read a split, a picture at a time."""
        if not self._splits:
            self._splits = self._split(find_layout(self._root))
        for entry in self._splits[split]:
            annotation = read_annotation(entry.annotation)
            picture = entry.pictures.find(entry.annotation, annotation.filename)
            image, found = load_image(annotation, picture)
            findings += found
            yield dataclasses.replace(image, filename=self._name(picture))

    def _split(self, layout: Layout) -> dict[str, list[Entry]]:
        splits = {split: list(layout.splits[split]) for split in SPLITS}
        if layout.pool:
            train, val = split_pool(layout.pool, self._root, self._val_fraction, self._split_seed)
            splits[TRAIN] += train
            splits[VAL] += val
        return splits

    def _provenance(self, layout: Layout) -> dict[str, object]:
        by_hash = {"val_fraction": self._val_fraction, "split_seed": self._split_seed}
        return {
            "source": "voc",
            "dir": str(self._root.absolute()),
            "split": by_hash if layout.pool else "of the source",
        }

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def load_image(annotation: Annotation, picture: Path) -> tuple[LabelledImage, list[Finding]]:
    """Read the picture of an annotation and fit its boxes to it.

    Raises:
        DatasetError: The picture is no whole picture, or a box lies outside it.
    """
    pixels, findings = read_picture(picture, annotation.size)
    real = (pixels.width, pixels.height)
    boxes = []
    for box, where in annotation.objects:
        fitted, found = fit_box(box, *real, where)
        findings += found
        if fitted is not None:
            boxes.append(fitted)
    if annotation.size is not None and annotation.size != real:
        value = "{}x{} in the annotation, {}x{} in the picture".format(*annotation.size, *real)
        action = "took the size of the picture: all boxes fit into it"
        findings.append(Finding("size_mismatch", str(annotation.path), value, action))
    image = LabelledImage(picture.name, pixels.encoded, pixels.format, *real, boxes)
    return image, findings


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


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"cannot read the file: {error.strerror}", where=str(path)) from error
