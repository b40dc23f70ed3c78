"""``dataset.json``: what a converted data set says of itself.

Paths in it are relative to its folder, so a folder can be moved. It is written last: a folder
without it is not a data set.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from odbench.dataset.types import Dataset, Finding, Split
from odbench.errors import DatasetError
from odbench.records import write_json

DATASET_FILE = "dataset.json"
LABEL_MAP_FILE = "label_map.pbtxt"
SPLITS_FILE = "splits.json"
SCHEMA_VERSION = 3

_AGAIN = "remove the folder and convert the data set again"


@dataclass(frozen=True)
class StoredSplit:
    """One split; names are relative to the folder, sizes are bytes."""

    images: int
    boxes: int
    boxes_by_class: dict[str, int]
    records: dict[str, int]  # file name -> size
    ground_truth: str


@dataclass(frozen=True)
class StoredDataset:
    """The content of ``dataset.json``."""

    name: str
    hash: str
    class_ids: dict[str, int]  # as in the label map, ordered by id
    label_map: str
    splits: dict[str, StoredSplit]
    findings: list[Finding]
    provenance: dict[str, Any]  # source, options, version of odbench, time
    keypoints: dict[str, list[str]]  # of the classes that have any, in the order of the records
    has_masks: bool
    statistics: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


def write_stored(directory: Path, stored: StoredDataset) -> None:
    """Write ``dataset.json`` so that it is either whole or not there."""
    write_json(directory / DATASET_FILE, asdict(stored))


def load_dataset(directory: Path) -> Dataset:
    """The converted data set in a folder; its files are there and of the size they had.

    Raises:
        DatasetError: The folder holds no finished data set, or a file of it is missing or cut.
    """
    directory = directory.absolute()
    stored = read_stored(directory)
    splits = {}
    for name, split in stored.splits.items():
        for record, size in split.records.items():
            _check_file(directory / record, size)
        _check_file(directory / split.ground_truth)
        records = [directory / record for record in split.records]
        splits[name] = Split(split.images, split.boxes, records, directory / split.ground_truth)
    _check_file(directory / stored.label_map)
    return Dataset(
        name=stored.name,
        dir=directory,
        hash=stored.hash,
        classes=list(stored.class_ids),
        class_ids=stored.class_ids,
        label_map=directory / stored.label_map,
        splits=splits,
        findings=stored.findings,
        keypoints=stored.keypoints,
        has_masks=stored.has_masks,
    )


def load_if_complete(directory: Path) -> Dataset | None:
    """The converted data set in a folder; None where there is no finished one."""
    try:
        return load_dataset(directory)
    except DatasetError:
        return None


@cache
def _adapter() -> TypeAdapter[StoredDataset]:
    return TypeAdapter(StoredDataset)


def read_stored(directory: Path) -> StoredDataset:
    """What a folder's ``dataset.json`` says; its other files are not looked at.

    Raises:
        DatasetError: It is missing, damaged, or of another schema version.
    """
    path = directory / DATASET_FILE
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DatasetError(
            "no finished data set: its description is missing",
            where=str(path),
            fix="convert the data set: odbench data convert SRC --out DIR",
        ) from error
    except OSError as error:
        raise DatasetError(f"cannot read: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        raise DatasetError("not JSON", where=str(path), value=error, fix=_AGAIN) from error
    version = body.get("schema_version") if isinstance(body, dict) else None
    if version != SCHEMA_VERSION:
        raise DatasetError(
            "data set of another schema version",
            where=str(path),
            value=version,
            allowed=str(SCHEMA_VERSION),
            fix=_AGAIN,
        )
    try:
        return _adapter().validate_python(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DatasetError(
            f"not a valid data set: {first['msg']}", where=f"{path}: {field}", fix=_AGAIN
        ) from error


def _check_file(path: Path, size: int | None = None) -> None:
    try:
        found = path.stat().st_size
    except OSError as error:
        raise DatasetError(
            f"file of the data set: {error.strerror}", where=str(path), fix=_AGAIN
        ) from error
    if found == 0 or (size is not None and found != size):
        raise DatasetError(
            "file of the data set has another size",
            where=str(path),
            value=f"{found} bytes",
            allowed=None if size is None else f"{size} bytes",
            fix=_AGAIN,
        )
