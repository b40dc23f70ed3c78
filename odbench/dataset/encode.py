"""Pictures to records and to lines of their ground truth, a few at a time.

What is made of a piece is all that is to be written: whoever writes looks at no picture or box
any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from odbench.dataset.coco import CocoLines
from odbench.dataset.columns import Columns
from odbench.dataset.crew import Crew
from odbench.dataset.example import encode_example
from odbench.dataset.source import FileSource, Source
from odbench.dataset.types import Finding, LabelledImage

_quoted = json.JSONEncoder(ensure_ascii=False).encode


@dataclass
class Encoded:
    """Some pictures as they are written."""

    records: list[bytes] = field(default_factory=list)
    truth: CocoLines = field(default_factory=CocoLines)
    names: list[str] = field(default_factory=list)  # JSON objects for the list of the split
    columns: Columns = field(default_factory=Columns)
    findings: list[Finding] = field(default_factory=list)

    def add(self, image: LabelledImage, image_id: int, ids: Mapping[str, int]) -> None:
        """Encode one picture."""
        sha256 = image.sha256 or hashlib.sha256(image.encoded).hexdigest()
        self.records.append(encode_example(image, image_id, ids, sha256))
        self.truth.add(image, image_id, ids)
        file = _quoted(image.filename)
        self.names.append(f'{{"file": {file}, "image_id": {image_id}, "sha256": "{sha256}"}}')
        self.columns.add(image, ids)


class Encoder:
    """Encodes the splits of a source.

    Args:
        source: Surveyed; its pictures assigned to splits.
        ids: Id of every class.
        crew: Shares the work; a source that cannot be read by key has one process.
    """

    def __init__(self, source: Source, ids: Mapping[str, int], crew: Crew) -> None:
        self._source = source
        self._ids = dict(ids)
        self._crew = crew

    def split(self, split: str, keys: Sequence[str] | None) -> Iterator[Encoded]:
        """The pictures of a split, in order; ids count from 1.

        Args:
            split: Its name.
            keys: Of its pictures; None where the source has none.

        Raises:
            DatasetError: Of the first picture in order that cannot be used.
            OutOfMemoryError: A process died.
        """
        if keys is None or not isinstance(self._source, FileSource):
            yield from self._drawn(split)
        else:
            yield from self._crew.map(_encode, keys, self._piece)

    def _drawn(self, split: str) -> Iterator[Encoded]:
        encoded = Encoded()
        images: Iterable[LabelledImage] = self._source.images(split, encoded.findings)
        for image_id, image in enumerate(images, start=1):
            encoded.add(image, image_id, self._ids)
            yield encoded
            encoded = Encoded()

    def _piece(self, first: int, keys: Sequence[str]) -> _Piece:
        assert isinstance(self._source, FileSource)  # keys come from nothing else
        return _Piece(self._source.part(keys), first + 1, list(keys), self._ids)


@dataclass(frozen=True)
class _Piece:
    """Pictures to encode, and all that it takes."""

    source: FileSource
    first_id: int
    keys: list[str]
    ids: Mapping[str, int]


def _encode(piece: _Piece) -> Encoded:
    encoded = Encoded()
    for image_id, key in enumerate(piece.keys, start=piece.first_id):
        image, findings = piece.source.load(key)
        encoded.findings += findings
        encoded.add(image, image_id, piece.ids)
    return encoded
