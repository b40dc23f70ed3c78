"""What every source of pictures and boxes offers to the conversion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from odbench.dataset.types import Finding, LabelledImage
from odbench.errors import ConfigError

if TYPE_CHECKING:
    from odbench.config.dataset_spec import DatasetKind, DatasetSpec
    from odbench.dataset.catalogue import Catalogue, Pictures
    from odbench.dataset.crew import Crew

TRAIN = "train"
VAL = "val"
SPLITS = (TRAIN, VAL)


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """One picture of a source."""

    key: str  # relative path, the file name that its record will have; unique in the source
    labels: tuple[str, ...]  # of its boxes, each once, sorted
    digest: str  # sha256 of the picture's bytes


@dataclass(frozen=True)
class Survey:
    """What is known of a source before its pictures are decoded.

    A source that names no split has a ``pool``, and no images in any split until they are
    assigned. A source that names its splits has ``entries``. Drawn pictures have neither.
    """

    classes: list[str]  # sorted
    images: dict[str, int]  # by split
    digest: str  # sha256 of everything that the conversion reads
    provenance: dict[str, Any]  # JSON values: where the data came from
    findings: list[Finding] = field(default_factory=list)  # of files and lists, not of boxes
    keypoints: dict[str, list[str]] = field(default_factory=dict)  # class -> names, in order
    has_masks: bool = False
    pool: Pictures | None = None
    entries: dict[str, Pictures] = field(default_factory=dict)  # by split
    catalogue: Catalogue | None = None  # of all of them


class Source(Protocol):
    """A data set as it lies on disk or is drawn, read one picture at a time."""

    def survey(self) -> Survey:
        """Look the source through.

        Raises:
            DatasetError: It is missing, empty, or names files that are not there.
        """
        ...

    def assign(self, splits: Mapping[str, Sequence[str]]) -> None:
        """Say which pictures, by key, each split has from now on, in that order."""
        ...

    def images(self, split: str, findings: list[Finding]) -> Iterator[LabelledImage]:
        """The checked pictures of a split in their order; findings are added on the way.

        Raises:
            DatasetError: A picture or an annotation cannot be used.
        """
        ...


class FileSource(ABC):
    """A source whose pictures can be read one by one, by key.

    After :meth:`survey` it can be pickled, so that several processes share the pictures out.
    """

    crew: Crew | None = None  # helps with the survey of a source that can be shared out

    def __init__(self) -> None:
        self._splits: Mapping[str, Sequence[str]] | None = (
            None  # keys; None: as the source names them
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without the crew, and without the splits: those who read by key need neither."""
        return self.__dict__ | {"crew": None, "_splits": None}

    def part(self, keys: Sequence[str]) -> FileSource:
        """What :meth:`load` needs for these pictures; less to send to another process."""
        del keys
        return self

    @abstractmethod
    def survey(self) -> Survey:
        """Look the source through; see :class:`Source`."""

    @abstractmethod
    def load(self, key: str) -> tuple[LabelledImage, list[Finding]]:
        """One checked picture, and what was found in it; after :meth:`survey`.

        Raises:
            DatasetError: The picture or its annotation cannot be used.
        """

    def assign(self, splits: Mapping[str, Sequence[str]]) -> None:
        """Say which pictures, by key, each split has from now on, in that order."""
        self._splits = dict(splits)

    def images(self, split: str, findings: list[Finding]) -> Iterator[LabelledImage]:
        """Read a split, a picture at a time."""
        if self._splits is None:
            entries = self.survey().entries
            self.assign({split: pictures.keys for split, pictures in entries.items()})
        for key in (self._splits or {}).get(split, ()):
            image, found = self.load(key)
            findings += found
            yield image


def open_source(spec: DatasetSpec) -> Source:
    """The source that the specification names; of ``auto``, the one that its folder looks like.

    Raises:
        DatasetError: ``auto`` finds no kind of data set, or several.
    """
    from odbench.config.dataset_spec import DatasetKind

    kind = spec.kind
    if kind is DatasetKind.auto:
        from odbench.dataset.detect import detect_kind

        kind = detect_kind(spec)
    if kind is DatasetKind.shapes:
        from odbench.dataset.synthetic import ShapesSource

        return ShapesSource(spec.shapes)
    if kind is DatasetKind.voc:
        from odbench.dataset.voc import VocSource

        return VocSource(spec)
    return _open_annotated(kind, spec)


def _open_annotated(kind: DatasetKind, spec: DatasetSpec) -> Source:
    from odbench.config.dataset_spec import DatasetKind

    if kind is DatasetKind.csv:
        from odbench.dataset.csv_source import CsvSource

        return CsvSource(spec)
    if kind is DatasetKind.coco:
        from odbench.dataset.coco_source import CocoSource

        return CocoSource(spec)
    if kind is DatasetKind.tfrecord:
        from odbench.dataset.tfrecord_source import RecordSource

        return RecordSource(spec)
    raise ConfigError(
        "unknown kind of data set",
        where="dataset.kind",
        value=spec.kind,
        allowed=", ".join(member.value for member in DatasetKind),
    )
