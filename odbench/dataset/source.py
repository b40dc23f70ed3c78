"""What every source of pictures and boxes offers to the conversion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from odbench.config.spec import DatasetKind, DatasetSpec
from odbench.dataset.types import Finding, LabelledImage
from odbench.errors import ConfigError

TRAIN = "train"
VAL = "val"
SPLITS = (TRAIN, VAL)


@dataclass(frozen=True)
class Survey:
    """What is known of a source before its pictures are decoded."""

    classes: list[str]  # sorted
    images: dict[str, int]  # by split
    digest: str  # sha256 of everything that the conversion reads
    provenance: dict[str, Any]  # JSON values: where the data came from
    findings: list[Finding] = field(default_factory=list)  # of files and lists, not of boxes


class Source(Protocol):
    """A data set as it lies on disk or is drawn, read one picture at a time."""

    def survey(self) -> Survey:
        """Look the source through.

        Raises:
            DatasetError: It is missing, empty, or names files that are not there.
        """
        ...

    def images(self, split: str, findings: list[Finding]) -> Iterator[LabelledImage]:
        """The checked pictures of a split in their order; findings are added on the way.

        Raises:
            DatasetError: A picture or an annotation cannot be used.
        """
        ...


def open_source(spec: DatasetSpec) -> Source:
    """The source that the specification names; nothing is read yet."""
    if spec.kind is DatasetKind.shapes:
        from odbench.dataset.synthetic import ShapesSource

        return ShapesSource(spec.shapes)
    if spec.kind is DatasetKind.voc:
        from odbench.dataset.voc import VocSource

        return VocSource(spec)
    raise ConfigError(
        "unknown kind of data set",
        where="dataset.kind",
        value=spec.kind,
        allowed=", ".join(kind.value for kind in DatasetKind),
    )
