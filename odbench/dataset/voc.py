"""Pascal VOC data sets, as the VOC devkit and labelImg lay them out."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import marshal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from odbench.dataset.catalogue import Catalogue, Pictures, known_of
from odbench.dataset.crew import Crew
from odbench.dataset.files import file_bytes, file_digest
from odbench.dataset.going_on import one_of_many
from odbench.dataset.labelled import Corners, check_size, duplicate_pictures, label_picture
from odbench.dataset.picture import read_picture
from odbench.dataset.ready import pack_ready, read_ready, ready_boxes
from odbench.dataset.source import SPLITS, FileSource, PoolEntry, Survey
from odbench.dataset.types import Finding, LabelledImage
from odbench.dataset.voc_annotation import (
    Annotation,
    annotation_bytes,
    pack_annotation,
    parse_annotation,
    read_annotation,
    unpack_annotation,
)
from odbench.dataset.voc_layout import Entry, find_layout, within
from odbench.dataset.voc_ordinary import ordinary_annotation
from odbench.errors import DatasetError

if TYPE_CHECKING:
    from odbench.config.dataset_spec import DatasetSpec

__all__ = ["Annotation", "VocSource", "load_image", "read_annotation"]


class VocSource(FileSource):
    """A Pascal VOC data set on disk."""

    def __init__(self, spec: DatasetSpec) -> None:
        super().__init__()
        self._root = Path(spec.dir or "").expanduser()
        self._within = within(self._root)
        # By key: name of the annotation, relative to the root; whether what follows is all that
        # the record needs; that, or else the annotation, parsed.
        self._known: Mapping[str, bytes] = {}

    def survey(self) -> Survey:
        """Parse every annotation and hash what belongs to it."""
        layout = find_layout(self._root)
        digest = hashlib.sha256()
        self._known = catalogue = Catalogue()
        entries = {
            split: self._look_at_all(layout.splits[split], split, digest, catalogue)
            for split in SPLITS
        }
        pool = self._look_at_all(layout.pool, "pool", digest, catalogue)
        paths = (path for folder in layout.folders for path in folder.pictures())
        unlabelled = [
            Finding("picture_without_annotation", self._within + key, Path(key).name, "left out")
            for key in catalogue.missing(path.removeprefix(self._within) for path in paths)
        ]
        duplicates = duplicate_pictures(catalogue, self._boxes)
        return Survey(
            classes=catalogue.classes,
            images={split: len(listed) for split, listed in entries.items()},
            digest=digest.hexdigest(),
            provenance={"source": "voc", "dir": str(self._root.absolute())},
            findings=layout.findings + unlabelled + duplicates,
            pool=pool or None,
            entries={} if pool else entries,
            catalogue=catalogue,
        )

    def load(self, key: str) -> tuple[LabelledImage, list[Finding]]:
        """Read a picture and fit its boxes to it."""
        _, ready, packed = marshal.loads(self._known[key])
        image = read_ready(packed, key, self._within + key) if ready else None
        if image:
            return image, []
        image, findings = load_image(self._annotation(key), self._root / key)
        return dataclasses.replace(image, filename=key), findings

    def part(self, keys: Sequence[str]) -> VocSource:
        """The source with these pictures alone."""
        part = copy.copy(self)
        part._known = known_of(self._known, keys)
        return part

    def _annotation(self, key: str) -> Annotation:
        name, ready, packed = marshal.loads(self._known[key])
        return read_annotation(self._within + name) if ready else unpack_annotation(packed)

    def _boxes(self, key: str) -> list[Corners]:
        _, ready, packed = marshal.loads(self._known[key])
        if ready:
            return ready_boxes(packed)
        return [box[:5] for box, _ in self._annotation(key).objects]

    def _look_at_all(
        self, entries: Sequence[Entry], split: str, digest: hashlib._Hash, catalogue: Catalogue
    ) -> Pictures:
        first = len(catalogue)
        for entry, seen in zip(entries, self._look(entries), strict=True):
            with one_of_many():
                if isinstance(seen, DatasetError):
                    raise seen
                self._take(entry, seen, split, digest, catalogue)
        return catalogue.pictures(first)

    def _look(self, entries: Sequence[Entry]) -> Iterator[_Seen | DatasetError]:
        crew = self.crew or Crew(1)
        for found in crew.map(_look_at_each, entries, _places):
            yield from found

    def _take(
        self,
        entry: Entry,
        seen: _Seen,
        split: str,
        digest: hashlib._Hash,
        catalogue: Catalogue,
    ) -> None:
        picture = seen.picture or entry.pictures.find(entry.annotation, seen.filename)
        key = picture.removeprefix(self._within)
        name = entry.annotation.removeprefix(self._within)
        picture_sha256 = seen.picture_sha256 or file_digest(picture)
        data = marshal.dumps((name, seen.ready, seen.packed))
        if not catalogue.add(PoolEntry(key, seen.labels, picture_sha256), data):
            raise DatasetError(
                "two annotations of one picture",
                where=entry.annotation,
                value=key,
                fix=f"remove this one or {self._within}{marshal.loads(catalogue[key])[0]}",
            )
        lines = f"{split} {seen.sha256} {name}\n{picture_sha256} {key}\n"
        digest.update(lines.encode("utf-8", "surrogateescape"))


def load_image(annotation: Annotation, picture: Path) -> tuple[LabelledImage, list[Finding]]:
    """Read the picture of an annotation and fit its boxes to it.

    Raises:
        DatasetError: The picture is no whole picture, or a box lies outside it.
    """
    pixels, findings = read_picture(picture, annotation.size)
    image, found = label_picture(picture.name, pixels, annotation.objects, annotation.path)
    return image, findings + found + check_size(annotation.size, pixels, annotation.path)


class _Seen(NamedTuple):
    """What the survey keeps of one annotation."""

    filename: str | None  # as the file has it
    sha256: str  # of the annotation
    picture: str | None  # None: it cannot be told from the annotation's name alone
    picture_sha256: str | None
    labels: tuple[str, ...]
    ready: bool  # what is packed is all that the record needs; else it is the annotation
    packed: bytes


_Place = tuple[str, str | None]  # of an annotation and, where it is certain, of its picture


def _places(first: int, entries: Sequence[Entry]) -> list[_Place]:
    del first
    return [(entry.annotation, entry.pictures.only(entry.annotation)) for entry in entries]


def _look_at_each(places: Sequence[_Place]) -> list[_Seen | DatasetError]:
    """Read annotations and what belongs to them; maybe in another process."""
    found: list[_Seen | DatasetError] = []
    for annotation, picture in places:
        try:
            found.append(_look_at(annotation, picture))
        except DatasetError as error:
            found.append(error)
    return found


def _look_at(path: str, picture: str | None) -> _Seen:
    data = annotation_bytes(path)
    ordinary = ordinary_annotation(data)
    # an annotation that cannot be used is told of before its picture is looked at
    annotation = None if ordinary else parse_annotation(path, data)
    sha256, pixels, packed = hashlib.sha256(data).hexdigest(), None, None
    if picture is not None:
        picture_data = file_bytes(picture)
        pixels = hashlib.sha256(picture_data).hexdigest()
        if ordinary is not None:
            packed = pack_ready(picture, picture_data, pixels, ordinary.size, ordinary.boxes)
    if packed and ordinary:
        name, labels = ordinary.filename, ordinary.boxes.label
        return _Seen(name, sha256, picture, pixels, tuple(sorted(set(labels))), True, packed)
    annotation = annotation or parse_annotation(path, data)
    labels = [box.label for box, _ in annotation.objects]
    return _Seen(
        annotation.filename,
        sha256,
        picture,
        pixels,
        tuple(sorted(set(labels))),
        False,
        pack_annotation(annotation),
    )
