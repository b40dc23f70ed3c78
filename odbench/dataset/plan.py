"""What a conversion will do, known before a picture is decoded: splits, classes, identity."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odbench.config.dataset_spec import DatasetSpec
from odbench.dataset.catalogue import Pictures
from odbench.dataset.crew import Crew
from odbench.dataset.findings import size_findings
from odbench.dataset.label_map import class_ids, match_label_map
from odbench.dataset.source import (
    SPLITS,
    VAL,
    FileSource,
    Source,
    Survey,
    open_source,
)
from odbench.dataset.split_file import read_split_file
from odbench.dataset.splits import overlaps, split_pool
from odbench.dataset.types import Finding
from odbench.errors import DatasetError

_log = logging.getLogger(__name__)

# Raised whenever the converted files change for the same source.
CONVERSION_VERSION = 3

_BY_CLASS = "by class"


@dataclass(frozen=True)
class Plan:
    """A conversion, ready to be carried out."""

    spec: DatasetSpec
    source: Source  # its pictures are assigned
    survey: Survey
    keys: Mapping[str, Sequence[str]] | None  # by split; None: it draws them
    images: dict[str, int]  # by split
    ids: dict[str, int]  # of the classes
    hash: str  # of the content and of what was asked
    findings: list[Finding]  # of lists and files
    how_split: str  # of the source, by class, or from a file

    @property
    def total(self) -> int:
        """Number of pictures."""
        return sum(self.images.values())


def plan_conversion(spec: DatasetSpec, crew: Crew | None = None) -> Plan:
    """Survey the source, divide it and number its classes.

    Args:
        spec: Source, split, label map.
        crew: Shares the survey of a source that can be shared out; None: this process alone.

    Raises:
        DatasetError: The source, the split file or the label map cannot be used.
    """
    source = open_source(spec)
    if isinstance(source, FileSource):
        source.crew = crew
    return make_plan(spec, source, source.survey())


def make_plan(spec: DatasetSpec, source: Source, survey: Survey) -> Plan:
    """The plan for a source that was surveyed; its pictures are assigned to splits.

    Raises:
        DatasetError: As :func:`plan_conversion`.
    """
    if not survey.classes:
        raise DatasetError("no labelled object in the data set", where=_where(spec), value=spec.dir)
    keys, how = _divide(survey, spec)
    images = survey.images if keys is None else {name: len(keys[name]) for name in SPLITS}
    _check_images(images, spec)
    findings = list(survey.findings)
    if keys is not None:
        findings += size_findings(images)
        source.assign(keys)
        if how != _BY_CLASS and survey.catalogue:  # there identical pictures are on one side
            findings += overlaps(survey.catalogue, keys)
    ids = _number_classes(survey, spec)
    digest = _hash(survey, spec, keys, ids)
    return Plan(spec, source, survey, keys, images, ids, digest, findings, how)


def all_entries(survey: Survey) -> Pictures | None:
    """Every picture of a source, whatever split it is in; None where they are drawn."""
    return survey.catalogue.pictures() if survey.catalogue else None


def _divide(survey: Survey, spec: DatasetSpec) -> tuple[Mapping[str, Sequence[str]] | None, str]:
    entries = all_entries(survey)
    if spec.split_file is not None:
        path = Path(spec.split_file).expanduser()
        if not entries:
            raise DatasetError(
                "this kind of data set has splits of its own",
                where="dataset.split_file",
                value=path,
            )
        return read_split_file(path, entries.keys), "from a file"
    if survey.pool and survey.catalogue:
        keys = split_pool(survey.catalogue, spec.val_fraction, spec.split_seed)
        _say_if_larger(len(keys[VAL]), len(survey.pool), spec.val_fraction)
        return keys, _BY_CLASS
    if not entries:
        return None, "of the source"
    return {name: survey.entries[name].keys for name in SPLITS}, "of the source"


def _say_if_larger(held_out: int, images: int, val_fraction: float) -> None:
    if held_out > 1.25 * images * val_fraction + 1:
        _log.warning(
            "%d of %d pictures are held out, more than a share of %g: many are identical, and "
            "identical ones stay together",
            held_out,
            images,
            val_fraction,
        )


def _number_classes(survey: Survey, spec: DatasetSpec) -> dict[str, int]:
    if spec.label_map is None:
        return class_ids(survey.classes)
    places: dict[str, str] = {}
    for entry in all_entries(survey) or ():
        for label in entry.labels:
            places.setdefault(label, entry.key)
    if not places:  # drawn
        places = dict.fromkeys(survey.classes, spec.name)
    return match_label_map(Path(spec.label_map).expanduser(), places)


def _check_images(images: Mapping[str, int], spec: DatasetSpec) -> None:
    for split in SPLITS:
        if not images.get(split):
            raise DatasetError(
                f"no image in the {split} split",
                where=_where(spec),
                value=spec.dir,
                fix="add pictures; where the source names no split, two different ones are needed",
            )


def _hash(
    survey: Survey, spec: DatasetSpec, keys: Mapping[str, Sequence[str]] | None, ids: Any
) -> str:
    """Of the source's content and of what was asked; the number of workers is not in it."""
    asked = {
        "conversion": CONVERSION_VERSION,
        "kind": survey.provenance.get("source", spec.kind.value),
        "shards": spec.shards,
        "source": survey.digest,
        "classes": ids,
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True)[:-1].encode())
    digest.update(b', "splits": ')  # the last of the keys, and too much to be made one text of
    for text in _json_parts(keys):
        digest.update(text.encode())
    digest.update(b"}")
    return digest.hexdigest()


def _json_parts(keys: Mapping[str, Iterable[str]] | None) -> Iterator[str]:
    """The JSON of keys by split, key by key."""
    if keys is None:
        yield "null"
        return
    between = "{"
    for split in sorted(keys):
        yield f"{between}{json.dumps(split)}: ["
        comma, between = "", ", "
        for key in keys[split]:
            yield comma + json.dumps(key)
            comma = ", "
        yield "]"
    yield "}"


def _where(spec: DatasetSpec) -> str:
    return "dataset.dir" if spec.dir else "dataset"
