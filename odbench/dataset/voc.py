"""Pascal VOC data sets, as the VOC devkit and labelImg lay them out."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from odbench.dataset.crew import Crew
from odbench.dataset.files import file_digest
from odbench.dataset.going_on import one_of_many
from odbench.dataset.kept import Kept
from odbench.dataset.labelled import (
    Labelled,
    check_size,
    duplicate_pictures,
    label_picture,
    labels_and_boxes,
)
from odbench.dataset.picture import read_picture
from odbench.dataset.source import SPLITS, TRAIN, VAL, FileSource, PoolEntry, Survey
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
from odbench.errors import DatasetError

if TYPE_CHECKING:
    from odbench.config.dataset_spec import DatasetSpec

__all__ = ["Annotation", "VocSource", "load_image", "read_annotation"]


class VocSource(FileSource):
    """A Pascal VOC data set on disk."""

    def __init__(self, spec: DatasetSpec) -> None:
        super().__init__()
        self._root = Path(spec.dir or "").expanduser()
        self._files: dict[str, str] = {}  # key -> annotation, both relative to the root
        self._parsed: Mapping[str, bytes] = {}  # by key, where they were kept

    def survey(self) -> Survey:
        """Parse every annotation and hash what belongs to it."""
        layout = find_layout(self._root)
        digest = hashlib.sha256()
        self._files, self._parsed = {}, Kept()
        entries = {
            split: self._look_at_all(layout.splits[split], split, digest) for split in SPLITS
        }
        pool = self._look_at_all(layout.pool, "pool", digest)
        pictures = [*pool, *entries[TRAIN], *entries[VAL]]
        root = within(self._root)
        unlabelled = [
            Finding("picture_without_annotation", path, Path(path).name, "left out")
            for folder in layout.folders
            for path in folder.pictures()
            if path.removeprefix(root) not in self._files
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
        packed = self._parsed.get(key)
        path = within(self._root) + self._files[key]
        annotation = unpack_annotation(packed) if packed else read_annotation(path)
        image, findings = load_image(annotation, self._root / key)
        return dataclasses.replace(image, filename=key), findings

    def part(self, keys: Sequence[str]) -> VocSource:
        """The source with these pictures alone."""
        part = copy.copy(self)
        part._files = {key: self._files[key] for key in keys}
        part._parsed = {key: data for key in keys if (data := self._parsed.get(key))}
        return part

    def __getstate__(self) -> dict[str, Any]:
        """Without what was kept in a file of this process; annotations are parsed again."""
        kept = {} if isinstance(self._parsed, Kept) else self._parsed
        return super().__getstate__() | {"_parsed": kept}

    def _look_at_all(
        self, entries: list[Entry], split: str, digest: hashlib._Hash
    ) -> list[Labelled]:
        found = []
        shared: dict[tuple[str, ...], tuple[str, ...]] = {}  # labels, each tuple kept once
        for entry, seen in zip(entries, self._look(entries), strict=True):
            with one_of_many():
                if isinstance(seen, DatasetError):
                    raise seen
                key, sha256 = self._take(entry, seen, split, digest)
                labels = shared.setdefault(seen.labels, seen.labels)
                found.append(Labelled(PoolEntry(key, labels, sha256), seen.boxes))
        return found

    def _look(self, entries: list[Entry]) -> Iterator[_Seen | DatasetError]:
        crew = self.crew or Crew(1)
        for found in crew.map(_look_at, entries, _places):
            yield from found

    def _take(
        self, entry: Entry, seen: _Seen, split: str, digest: hashlib._Hash
    ) -> tuple[str, str]:
        """Key and sha256 of the picture of an annotation."""
        root = within(self._root)
        picture = entry.pictures.find(entry.annotation, seen.filename)
        key, name = picture.removeprefix(root), entry.annotation.removeprefix(root)
        if key in self._files:
            raise DatasetError(
                "two annotations of one picture",
                where=entry.annotation,
                value=key,
                fix=f"remove this one or {root}{self._files[key]}",
            )
        self._files[key] = name
        if isinstance(self._parsed, Kept):
            self._parsed.keep(key, seen.packed)
        picture_sha256 = seen.picture_sha256 or file_digest(picture)
        lines = f"{split} {seen.sha256} {name}\n{picture_sha256} {key}\n"
        digest.update(lines.encode("utf-8", "surrogateescape"))
        return key, picture_sha256


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
    picture_sha256: str | None  # None: the picture cannot be told from the annotation's name
    labels: tuple[str, ...]
    boxes: bytes  # equal where the boxes are
    packed: bytes  # the annotation


_Place = tuple[str, str | None]  # of an annotation and, where it is certain, of its picture


def _places(first: int, entries: Sequence[Entry]) -> list[_Place]:
    del first
    return [(entry.annotation, entry.pictures.only(entry.annotation)) for entry in entries]


def _look_at(places: Sequence[_Place]) -> list[_Seen | DatasetError]:
    """Read annotations and hash what belongs to them; maybe in another process."""
    found: list[_Seen | DatasetError] = []
    for path, picture in places:
        try:
            data = annotation_bytes(path)
            annotation = parse_annotation(path, data)
            found.append(
                _Seen(
                    annotation.filename,
                    hashlib.sha256(data).hexdigest(),
                    picture and file_digest(picture),
                    *labels_and_boxes(box for box, _ in annotation.objects),
                    pack_annotation(annotation),
                )
            )
        except DatasetError as error:
            found.append(error)
    return found
