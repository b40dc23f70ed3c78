"""A source whose annotation files name pictures: what CSV and COCO have in common."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from odbench.config.dataset_spec import DatasetSpec
from odbench.dataset.catalogue import Catalogue, Pictures, known_of
from odbench.dataset.files import (
    SplitFiles,
    file_digest,
    left_out,
    relative_name,
    source_root,
)
from odbench.dataset.going_on import collected_errors, one_of_many
from odbench.dataset.labelled import (
    Corners,
    check_size,
    duplicate_pictures,
    label_picture,
    survey_entry,
)
from odbench.dataset.picture import SUFFIXES, Picture, read_picture
from odbench.dataset.picture_finder import PictureFinder
from odbench.dataset.source import SPLITS, FileSource, Survey
from odbench.dataset.types import Box, Finding, LabelledImage
from odbench.errors import DatasetError


@dataclass(frozen=True)
class AnnotatedPicture:
    """What an annotation file says of one picture; not yet checked against it."""

    name: str  # as the file has it
    where: str  # file, and line or element
    size: tuple[int, int] | None  # (width, height), where the file says
    objects: list[tuple[Box, str]]  # each box and where it is
    shapes: list[dict[str, Any]] = field(default_factory=list)  # beyond boxes, one per object


class AnnotatedSource(FileSource):
    """Annotation files, each with the boxes of many pictures."""

    kind = ""  # in the provenance

    def __init__(self, spec: DatasetSpec) -> None:
        super().__init__()
        self._spec = spec
        self._known: Mapping[str, bytes] = {}  # by key, pickled: what is said of it, and its path

    @abstractmethod
    def files(self) -> SplitFiles:
        """The annotation files of each split, or of the pool."""

    @abstractmethod
    def read(self, path: Path, findings: list[Finding]) -> Iterator[AnnotatedPicture]:
        """The pictures of one annotation file, in its order."""

    def survey(self) -> Survey:
        """Read the annotation files, find and hash their pictures."""
        files = self.files()
        self._known = {}
        left = {path: self._named_in(path) for path in files.left}
        findings = [left_out(path, None if n is None else len(n)) for path, n in left.items()]
        self._known = catalogue = Catalogue()
        named = {}
        for split, paths in {"pool": files.pool, **files.splits}.items():
            first = len(catalogue)
            for path in paths:
                self._look_at(path, findings, catalogue)
            named[split] = catalogue.pictures(first)
        duplicates = duplicate_pictures(catalogue, self._boxes)
        pool, none = named["pool"], catalogue.pictures(len(catalogue))
        entries = {split: named.get(split, none) for split in SPLITS}
        return Survey(
            classes=catalogue.classes,
            images={split: len(listed) for split, listed in entries.items()},
            digest=self._digest(files, named),
            provenance={"source": self.kind, "dir": str(source_root(self._spec)[0].absolute())},
            findings=findings + self._unnamed(left.values(), catalogue) + duplicates,
            pool=pool or None,
            entries={} if pool else entries,
            catalogue=catalogue,
        )

    def load(self, key: str) -> tuple[LabelledImage, list[Finding]]:
        """Read a picture and fit its boxes to it."""
        annotated, path = self._said_of(key)
        picture, findings = read_picture(path, annotated.size)
        objects, found = self.complete(annotated, picture)
        findings += found
        image, found = label_picture(key, picture, objects, annotated.where)
        findings += found
        return image, findings + check_size(annotated.size, picture, annotated.where)

    def part(self, keys: Sequence[str]) -> AnnotatedSource:
        """The source with these pictures alone."""
        part = copy.copy(self)
        part._known = known_of(self._known, keys)
        return part

    def complete(
        self, annotated: AnnotatedPicture, picture: Picture
    ) -> tuple[list[tuple[Box, str]], list[Finding]]:
        """The boxes with what needs the picture's real size; here nothing does."""
        del picture
        return annotated.objects, []

    def _boxes(self, key: str) -> list[Corners]:
        return [box[:5] for box, _ in self._said_of(key)[0].objects]

    def _said_of(self, key: str) -> tuple[AnnotatedPicture, Path]:
        annotated, path = pickle.loads(self._known[key])
        return annotated, Path(path)

    def _digest(self, files: SplitFiles, named: Mapping[str, Pictures]) -> str:
        """Of the annotation files, of how they are read, and of every picture."""
        columns = repr(sorted(self._spec.csv_columns.items()))
        digest = hashlib.sha256(columns.encode("utf-8", "surrogateescape"))
        for split, paths in {"pool": files.pool, **files.splits}.items():
            for path in paths:
                digest.update(f"\n{split} {file_digest(path)}".encode())
        for split, items in named.items():
            for item in items:
                line = f"\n{split} {item.digest} {item.key}"
                digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _named_in(self, path: Path) -> set[str] | None:
        """The pictures of a file that is left out, by the last part; None: it cannot be read."""
        reader = copy.deepcopy(self)
        with collected_errors():  # nothing of it is used
            try:
                names = {item.name.replace("\\", "/") for item in reader.read(path, [])}
            except DatasetError:
                return None
        return {PurePosixPath(name).name for name in names}

    def _unnamed(self, left: Iterable[set[str] | None], catalogue: Catalogue) -> list[Finding]:
        """Pictures beside those that the files name, and named by none."""
        elsewhere = {name for names in left for name in names or ()}
        root, _ = source_root(self._spec)
        folders = {(root / key).parent for key in catalogue}
        names = (
            relative_name(folder / name, root)
            for folder in sorted(folders)
            for name in sorted(os.listdir(folder))  # noqa: PTH208 - tens of thousands of them
            if PurePosixPath(name).suffix.lower() in SUFFIXES and name not in elsewhere
        )
        return [
            Finding(
                "picture_without_annotation", str(root / key), PurePosixPath(key).name, "left out"
            )
            for key in catalogue.missing(names)
        ]

    def _look_at(self, path: Path, findings: list[Finding], catalogue: Catalogue) -> None:
        root, _ = source_root(self._spec)
        finder = PictureFinder(path, root, self._spec.images_dir)
        for annotated in self.read(path, findings):
            with one_of_many():
                picture = finder.find(annotated.name, annotated.where)
                key = relative_name(picture, root)
                labels = (box.label for box, _ in annotated.objects)
                entry = survey_entry(key, file_digest(picture), labels)
                if not catalogue.add(entry, pickle.dumps((annotated, str(picture)))):
                    raise DatasetError(
                        "picture is named a second time",
                        where=annotated.where,
                        value=key,
                        fix=f"remove it here or at {self._said_of(key)[0].where}",
                    )
