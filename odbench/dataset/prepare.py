"""From a source to a converted data set in the cache.

The cache is addressed by content: a folder's name carries the hash of what the conversion reads
and of what was asked of it. A conversion writes into a hidden sibling folder and renames it when
it is whole, under a lock, so that a folder with the right name is always a finished one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import platformdirs
from filelock import FileLock

import odbench
from odbench.config.spec import DatasetSpec
from odbench.dataset.coco import CocoWriter
from odbench.dataset.example import encode_example
from odbench.dataset.label_map import class_ids, write_label_map
from odbench.dataset.source import SPLITS, TRAIN, VAL, Source, Survey, open_source
from odbench.dataset.stored import (
    LABEL_MAP_FILE,
    StoredDataset,
    StoredSplit,
    is_complete,
    load_dataset,
    write_stored,
)
from odbench.dataset.tfrecord import write_shards
from odbench.dataset.types import Dataset, Finding, LabelledImage
from odbench.errors import ConfigError, DatasetError

__all__ = ["default_cache_dir", "load_dataset", "prepare_dataset"]

# Raised whenever the converted files change for the same source.
CONVERSION_VERSION = 1

CACHE_DIR_VARIABLE = "ODBENCH_CACHE_DIR"


def default_cache_dir() -> Path:
    """``ODBENCH_CACHE_DIR``, else the user's cache folder."""
    named = os.environ.get(CACHE_DIR_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("odbench")


def prepare_dataset(spec: DatasetSpec, cache_dir: Path) -> Dataset:
    """The converted data set of a specification, from the cache where it is there.

    Args:
        spec: Source, split and number of shards.
        cache_dir: Converted sets lie in its ``datasets/``; made where it is missing.

    Raises:
        DatasetError: The source cannot be used.
        ConfigError: The cache folder cannot be written.
    """
    source = open_source(spec)
    survey = source.survey()
    _check(survey, spec)
    digest = _hash(survey, spec)
    root = cache_dir.expanduser().absolute() / "datasets"
    target = root / f"{_folder_name(spec.name)}-{digest[:12]}"
    if is_complete(target):
        return load_dataset(target)
    with _writing(cache_dir):
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{target.name}.lock"):
            if not is_complete(target):  # another process may have made it meanwhile
                _convert_into(target, source, survey, spec, digest)
    return load_dataset(target)


def _convert_into(
    target: Path, source: Source, survey: Survey, spec: DatasetSpec, digest: str
) -> None:
    """Convert beside the target, then rename; the lock is held, so leftovers are nobody's."""
    partial = target.with_name(f".{target.name}.partial")
    _remove(partial)
    partial.mkdir()
    try:
        write_stored(partial, _convert(partial, source, survey, spec, digest))
        _remove(target)  # a damaged one
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _convert(
    directory: Path, source: Source, survey: Survey, spec: DatasetSpec, digest: str
) -> StoredDataset:
    ids = class_ids(survey.classes)
    write_label_map(directory / LABEL_MAP_FILE, ids)
    output = _Output(directory, ids, spec.shards)
    findings = list(survey.findings)
    splits = {
        split: output.write_split(split, source.images(split, findings), survey.images[split])
        for split in SPLITS
    }
    findings += _one_sided_classes(splits)
    return StoredDataset(
        name=spec.name,
        hash=digest,
        classes=list(ids),
        label_map=LABEL_MAP_FILE,
        splits=splits,
        findings=findings,
        provenance={
            **survey.provenance,
            "source_sha256": survey.digest,
            "conversion": CONVERSION_VERSION,
            "odbench": odbench.__version__,
            "converted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


@dataclass(frozen=True)
class _Output:
    """Where and how the splits of one data set are written."""

    directory: Path
    ids: dict[str, int]
    shards: int

    def write_split(self, split: str, images: Iterator[LabelledImage], count: int) -> StoredSplit:
        """Write records and ground truth in one pass over the pictures."""
        truth = self.directory / f"instances_{split}.json"
        with CocoWriter(truth, self.ids) as coco:
            records = self._records(images, coco)
            shards = write_shards(self.directory, split, records, count, self.shards)
        return StoredSplit(
            images=coco.images,
            boxes=coco.boxes.total(),
            boxes_by_class={name: coco.boxes[name] for name in self.ids},
            records={path.name: path.stat().st_size for path in shards},
            ground_truth=truth.name,
        )

    def _records(self, images: Iterator[LabelledImage], coco: CocoWriter) -> Iterator[bytes]:
        for image_id, image in enumerate(images, start=1):
            coco.add(image, image_id)
            yield encode_example(image, image_id, self.ids)


def _one_sided_classes(splits: dict[str, StoredSplit]) -> list[Finding]:
    """Classes that one split has boxes of and the other has not."""
    found = []
    for split, other in ((TRAIN, VAL), (VAL, TRAIN)):
        for name, boxes in splits[split].boxes_by_class.items():
            if boxes and not splits[other].boxes_by_class[name]:
                value = f"{boxes} boxes, none in {other}"
                found.append(Finding(f"class_only_in_{split}", name, value, "kept"))
    return found


def _check(survey: Survey, spec: DatasetSpec) -> None:
    where = "dataset.dir" if spec.dir else "dataset"
    if not survey.classes:
        raise DatasetError("no labelled object in the data set", where=where, value=spec.dir)
    for split in SPLITS:
        if not survey.images[split]:
            raise DatasetError(
                f"no image in the {split} split",
                where=where,
                value=spec.dir,
                fix="add pictures; where the source names no split, two are needed",
            )


def _hash(survey: Survey, spec: DatasetSpec) -> str:
    """Of the source's content and of what was asked; how the images are split is in the digest."""
    asked = {
        "conversion": CONVERSION_VERSION,
        "kind": spec.kind.value,
        "shards": spec.shards,
        "source": survey.digest,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _folder_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name) or "dataset"


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


@contextmanager
def _writing(cache_dir: Path) -> Iterator[None]:
    """Say which folder could not be written; the sources translate their own errors of reading."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot write the cache of converted data sets: {error.strerror or error}",
            where="paths.cache_dir",
            value=cache_dir,
            fix="make room, or name another folder: paths.cache_dir=PATH",
        ) from error
