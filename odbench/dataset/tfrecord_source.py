"""TFRecord files that hold Examples in the API's key set already.

Everything is checked and read into pictures and boxes like those of any other source; picture
bytes stay as they are. Keys that training does not read are left out, and named.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import marshal
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from odbench.config.dataset_spec import DatasetSpec
from odbench.dataset.catalogue import Catalogue, Pictures, known_of
from odbench.dataset.files import (
    SplitFiles,
    files_by_split,
    left_out,
    named_files,
    relative_name,
    source_root,
)
from odbench.dataset.label_map import read_label_map
from odbench.dataset.labelled import (
    Corners,
    check_size,
    duplicate_pictures,
    label_picture,
    survey_entry,
)
from odbench.dataset.masks import decode_mask
from odbench.dataset.picture import decode_picture
from odbench.dataset.source import SPLITS, FileSource, PoolEntry, Survey
from odbench.dataset.stored_example import StoredExample, decode_example
from odbench.dataset.tfrecord import read_record_at, read_records, stored_size
from odbench.dataset.types import Box, Finding, LabelledImage
from odbench.errors import DatasetError

_NAME = re.compile(r"\.(tf)?records?(-\d+-of-\d+)?$")


class _Place(NamedTuple):
    """Where a record lies."""

    path: str
    offset: int  # bytes
    number: int  # from 0

    def __str__(self) -> str:
        return f"{self.path}: record {self.number}"


class RecordSource(FileSource):
    """Record files, read by key."""

    def __init__(self, spec: DatasetSpec) -> None:
        super().__init__()
        self._spec = spec
        self._names: dict[int, str] = {}  # of the given label map
        self._known: Mapping[str, bytes] = {}  # place of each record, packed, by key

    def survey(self) -> Survey:
        """Read every record once; the pictures in them are not decoded yet."""
        root, one = source_root(self._spec)
        files = _files(self._spec, root, one)
        self._names = _names_by_id(self._spec)
        look = _Look(self._names, root)
        found = {
            split: look.at(paths) for split, paths in {"pool": files.pool, **files.splits}.items()
        }
        look.check_classes()
        self._known = catalogue = Catalogue()
        named = {split: look.name(records, catalogue) for split, records in found.items()}
        pool, none = named.pop("pool"), catalogue.pictures(len(catalogue))
        return Survey(
            classes=catalogue.classes,
            images={split: len(named.get(split, none)) for split in SPLITS},
            digest=look.digest.hexdigest(),
            provenance={"source": "tfrecord", "dir": str(root.absolute())},
            findings=[
                *(left_out(path, _count(path)) for path in files.left),
                *look.findings(),
                *duplicate_pictures(catalogue, self._boxes),
            ],
            keypoints={label: list(names) for label, names in sorted(look.keypoints.items())},
            has_masks=look.has_masks,
            pool=pool or None,
            entries={} if pool else {split: named.get(split, none) for split in SPLITS},
            catalogue=catalogue,
        )

    def load(self, key: str) -> tuple[LabelledImage, list[Finding]]:
        """Read a record, decode its picture and check its boxes."""
        place = _unpacked(self._known[key])
        where = str(place)
        stored = decode_example(read_record_at(Path(place.path), place.offset), where)
        image = with_class_names(stored, self._names, where)
        picture, findings = decode_picture(
            image.encoded, where, suffix=f".{image.format}", as_stored=True
        )
        digest = hashlib.sha256(image.encoded).hexdigest()
        if stored.sha256 not in (None, digest):
            raise DatasetError(
                "the picture is not the one that the record's checksum was made of",
                where=where,
                value=digest,
                allowed=stored.sha256,
            )
        # Fractions of the size: what the record says the size is does not matter to the boxes.
        scale = (picture.width / image.width, picture.height / image.height)
        size = (picture.width, picture.height)
        objects = [
            (_checked(box, scale, size, f"{where}: box {index}"), f"{where}: box {index}")
            for index, box in enumerate(image.boxes)
        ]
        labelled, found = label_picture(key, picture, objects, where)
        findings += found + check_size((image.width, image.height), picture, where)
        return dataclasses.replace(labelled, keypoint_names=image.keypoint_names), findings

    def part(self, keys: Sequence[str]) -> RecordSource:
        """The source with these records alone."""
        part = copy.copy(self)
        part._known = known_of(self._known, keys)
        return part

    def _boxes(self, key: str) -> list[Corners]:
        place = _unpacked(self._known[key])
        stored = decode_example(read_record_at(Path(place.path), place.offset), str(place))
        image = with_class_names(stored, self._names, str(place))
        return [box[:5] for box in image.boxes]


class _Look:
    """What is gathered while every record is read once."""

    def __init__(self, names: Mapping[int, str], root: Path) -> None:
        self.digest = hashlib.sha256()
        self._root = root
        # With their numbers as keys: which file names are unique is known when all are read.
        self._records, self._file_names = Catalogue(), Catalogue()
        self._repeated: set[str] = set()  # file names
        self.keypoints: dict[str, tuple[str, ...]] = {}
        self.has_masks = False
        self._names = names
        self._ids: dict[str, dict[int, str]] = {}  # class -> id -> first place
        self._unread: dict[str, Counter[str]] = {}  # key -> file

    def at(self, paths: list[Path]) -> Pictures:
        """Look at the records of files, in their order."""
        first = len(self._records)
        for path in paths:
            offset = 0
            for index, data in enumerate(read_records(path)):
                place = _Place(str(path), offset, index)
                offset += stored_size(data)
                self.digest.update(hashlib.sha256(data).digest())
                self._look_at(decode_example(data, str(place)), place)
            self.digest.update(b"\n")
        return self._records.pictures(first)

    def name(self, records: Pictures, catalogue: Catalogue) -> Pictures:
        """Put records into a catalogue by file name where no other has it, else by place.

        Raises:
            DatasetError: A file name is like the place of another record.
        """
        first = len(catalogue)
        for entry in records:
            key, *rest = marshal.loads(self._records[entry.key])
            place = _Place(*rest)
            if not key or key in self._repeated:
                key = f"{relative_name(Path(place.path), self._root)}#{place.number}"
            if not catalogue.add(dataclasses.replace(entry, key=key), marshal.dumps(rest)):
                raise DatasetError("two records of one name", where=str(place), value=key)
        return catalogue.pictures(first)

    def check_classes(self) -> None:
        """Every class has one id, and every id one class.

        Raises:
            DatasetError: They have not.
        """
        by_id: dict[int, str] = {}
        for label, ids in self._ids.items():
            first = next(iter(ids))
            for index, place in ids.items():
                other = by_id.setdefault(index, label)
                if index != first or other != label:
                    raise DatasetError(
                        "class names and class ids contradict each other",
                        where=place,
                        value=f"{label}: {index}",
                        allowed=f"as before, {label}: {first}"
                        if other == label
                        else f"as before, {other}: {index}",
                    )

    def findings(self) -> list[Finding]:
        """Keys that training does not read, once for each file."""
        return [
            Finding("unread_key", path, f"{key} in {count} records", "left out")
            for key, files in sorted(self._unread.items())
            for path, count in files.items()
        ]

    def _look_at(self, stored: StoredExample, place: _Place) -> None:
        image = with_class_names(stored, self._names, str(place))
        for box, index in zip(image.boxes, stored.class_ids, strict=False):
            self._ids.setdefault(box.label, {}).setdefault(index, str(place))
        for key in stored.unread:
            self._unread.setdefault(key, Counter())[place.path] += 1
        for box in image.boxes:
            if any(seen for _, _, seen in box.keypoints):
                self.keypoints[box.label] = image.keypoint_names
        self.has_masks |= any(box.mask_png is not None for box in image.boxes)
        if not self._file_names.add(PoolEntry(image.filename, (), ""), b""):
            self._repeated.add(image.filename)
        digest = hashlib.sha256(image.encoded).hexdigest()
        entry = survey_entry(str(len(self._records)), digest, (box.label for box in image.boxes))
        self._records.add(entry, marshal.dumps((image.filename, *place)))


def _unpacked(packed: bytes) -> _Place:
    return _Place(*marshal.loads(packed))


def with_class_names(stored: StoredExample, names: Mapping[int, str], where: str) -> LabelledImage:
    """The picture with its classes named, by the label map where the record has ids alone.

    Raises:
        DatasetError: There is no name for an id, or the record's own is another one.
    """
    if names:
        for box, index in zip(stored.image.boxes, stored.class_ids, strict=False):
            if names.get(index) != box.label and stored.has_class_text:
                raise DatasetError(
                    "class of the record is not that of the label map",
                    where=where,
                    value=f"{box.label}: {index}",
                    allowed=f"{names.get(index, 'no class')}: {index}",
                )
    if stored.has_class_text or not stored.image.boxes:
        if any(not box.label for box in stored.image.boxes):
            raise DatasetError("box without a class name", where=where)
        return stored.image
    missing = [index for index in stored.class_ids if index not in names]
    if missing:
        raise DatasetError(
            "the record names classes by id alone",
            where=where,
            value=missing[0],
            allowed=", ".join(map(str, names)) or None,
            fix="give the names: dataset.label_map=PATH",
        )
    labels = [names[index] for index in stored.class_ids]
    boxes = [
        box._replace(label=label) for box, label in zip(stored.image.boxes, labels, strict=True)
    ]
    return dataclasses.replace(stored.image, boxes=boxes)


def find_record_files(root: Path) -> list[Path]:
    """The record files in a folder or one below, by name.

    Raises:
        DatasetError: There is none.
    """
    files = [path for path in sorted([*root.glob("*"), *root.glob("*/*")]) if is_record(path)]
    if not files:
        raise DatasetError(
            "no record file in the folder",
            where="dataset.dir",
            value=root,
            allowed="*.record, *.tfrecord, *.tfrecord-00000-of-00004",
            fix="give its folder, or the file itself",
        )
    return files


def is_record(path: Path) -> bool:
    """Whether a file is called as record files are."""
    return _NAME.search(path.name.lower()) is not None and path.is_file()


def _files(spec: DatasetSpec, root: Path, one: Path | None) -> SplitFiles:
    if one is not None:
        return SplitFiles(pool=[one])
    named = named_files(spec, root)
    return named or files_by_split(find_record_files(root), root, several=True)


def _count(path: Path) -> int | None:
    """The records of a file; None where it cannot be read to its end."""
    try:
        return sum(1 for _ in read_records(path))
    except DatasetError:
        return None


def _names_by_id(spec: DatasetSpec) -> dict[int, str]:
    if spec.label_map is None:
        return {}
    ids = read_label_map(Path(spec.label_map).expanduser())
    return {index: name for name, index in ids.items()}


def _checked(box: Box, scale: tuple[float, float], size: tuple[int, int], where: str) -> Box:
    """The box in pixels of the real picture.

    Raises:
        DatasetError: A corner is not a number, or its mask is not of the picture's size.
    """
    x, y = scale
    for value in (box.xmin, box.ymin, box.xmax, box.ymax):
        if not abs(value) < 1e9:
            raise DatasetError("corner of a box is not a number", where=where, value=value)
    if box.mask_png is not None:
        height, width = decode_mask(box.mask_png, where).shape
        if (width, height) != size:
            raise DatasetError(
                "mask of another size than the picture",
                where=where,
                value=f"{width}x{height}",
                allowed="{}x{}".format(*size),
            )
    return box._replace(
        xmin=box.xmin * x,
        ymin=box.ymin * y,
        xmax=box.xmax * x,
        ymax=box.ymax * y,
        keypoints=tuple((px * x, py * y, seen) for px, py, seen in box.keypoints),
    )
