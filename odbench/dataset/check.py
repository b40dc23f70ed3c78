"""A data set looked through without writing anything: everything wrong with it, not the first.

A source is read picture by picture, and what stops one picture does not stop the next. A
converted data set is read back record by record.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from odbench.config.dataset_spec import DatasetSpec
from odbench.dataset.crew import Crew
from odbench.dataset.findings import class_findings, warnings_in
from odbench.dataset.going_on import collected_errors
from odbench.dataset.looking import looks_at
from odbench.dataset.plan import all_entries, make_plan
from odbench.dataset.source import SPLITS, FileSource, Source, Survey, open_source
from odbench.dataset.stored import DATASET_FILE, load_dataset
from odbench.dataset.stored_example import decode_example
from odbench.dataset.tfrecord import read_records
from odbench.dataset.types import Dataset, Finding, LabelledImage, Split
from odbench.errors import DatasetError, InputError

Advance = Callable[[int], None]


@dataclass
class CheckReport:
    """What a check found."""

    source: str
    converted: bool  # a folder made by a conversion
    classes: list[str] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)  # read without an error, by split
    boxes: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    errors: list[InputError] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "ok": not self.errors,
            "source": self.source,
            "converted": self.converted,
            "classes": self.classes,
            "images": self.images,
            "boxes": self.boxes,
            "errors": [_error_json(error) for error in self.errors],
            "findings": [_finding_json(finding) for finding in self.findings],
            "findings_by_kind": dict(sorted(Counter(f.kind for f in self.findings).items())),
        }

    @property
    def warnings(self) -> list[Finding]:
        """The findings that are not only notes."""
        return warnings_in(self.findings)


def check_dataset(spec: DatasetSpec, advance: Advance, workers: int | None = None) -> CheckReport:
    """Check a source, or a folder that a conversion made.

    Args:
        spec: Source, split file, label map.
        advance: Called after every picture.
        workers: Processes that read the pictures of a source; None: as many as are worth it.
    """
    folder = Path(spec.dir or "").expanduser()
    if spec.dir is not None and (folder / DATASET_FILE).is_file():
        return _check_converted(folder, advance)
    report = CheckReport(str(spec.dir or spec.name), converted=False)
    with collected_errors() as errors:
        try:
            source = open_source(spec)
            survey = source.survey()
        except InputError as error:
            report.errors += [*errors, error]
            return report
    report.errors += errors
    with Crew(workers) as crew:
        _check_source(source, survey, spec, report, _Reading(source, report, advance, crew))
    return report


def _check_source(
    source: Source, survey: Survey, spec: DatasetSpec, report: CheckReport, reading: _Reading
) -> None:
    report.findings += survey.findings
    report.classes = list(survey.classes)
    entries = all_entries(survey)
    keys: Mapping[str, Sequence[str]] | None = {"all": entries.keys if entries else []}
    if not report.errors:  # else the splits of what is left would mean nothing
        try:
            plan = make_plan(spec, source, survey)
        except InputError as error:  # a split file, a label map: the pictures can be read still
            report.errors.append(error)
        else:
            keys, report.classes = plan.keys, list(plan.ids)
            report.findings = list(plan.findings)
    boxes = {
        split: reading.boxes_by_class(split, None if keys is None else keys[split])
        for split in keys or SPLITS
    }
    if set(boxes) == set(SPLITS) and not report.errors:
        report.findings += class_findings(boxes, spec.label_map or "label map")


@dataclass
class _Reading:
    """The pictures of a source, read into the report."""

    source: Source
    report: CheckReport
    advance: Advance
    crew: Crew

    def boxes_by_class(self, split: str, keys: Sequence[str] | None) -> dict[str, int]:
        """Read a split; why pictures of it cannot be used goes into the report."""
        counts = dict.fromkeys(self.report.classes, 0)
        self.report.images[split] = 0
        for labels in self._labels(split, keys):
            self.report.images[split] += 1
            for label in labels:
                counts[label] = counts.get(label, 0) + 1
        self.report.boxes[split] = sum(counts.values())
        return counts

    def _labels(self, split: str, keys: Sequence[str] | None) -> Iterator[list[str]]:
        """Those of the boxes of each picture that can be used."""
        if keys is None or not isinstance(self.source, FileSource):
            for image in self.source.images(split, self.report.findings):
                self.advance(1)
                yield [box.label for box in image.boxes]
            return
        for look in looks_at(self.source, keys, self.crew):
            self.advance(1)
            self.report.findings += look.findings
            self.report.errors += look.errors
            if look.labels is not None:
                yield look.labels


def _check_converted(folder: Path, advance: Advance) -> CheckReport:
    report = CheckReport(str(folder), converted=True)
    try:
        dataset = load_dataset(folder)
    except DatasetError as error:
        report.errors.append(error)
        return report
    report.classes = list(dataset.classes)
    report.findings = list(dataset.findings)
    for name, split in dataset.splits.items():
        _check_split(dataset, name, split, report, advance)
    return report


def _check_split(
    dataset: Dataset, name: str, split: Split, report: CheckReport, advance: Advance
) -> None:
    images, boxes = 0, 0
    for path in split.records:
        try:
            for number, record in enumerate(read_records(path)):
                boxes += len(_check_record(record, f"{path}: record {number}", dataset).boxes)
                images += 1
                advance(1)
        except DatasetError as error:  # what follows in this file cannot be trusted
            report.errors.append(error)
    report.images[name], report.boxes[name] = images, boxes
    if not report.errors:
        report.errors += _differences(split, images, boxes)


def _check_record(record: bytes, where: str, dataset: Dataset) -> LabelledImage:
    example = decode_example(record, where)
    if example.sha256 != hashlib.sha256(example.image.encoded).hexdigest():
        raise DatasetError("the picture is not the one that was converted", where=where)
    ids = [dataset.class_ids.get(box.label) for box in example.image.boxes]
    if ids != example.class_ids:
        raise DatasetError(
            "class ids differ from the label map",
            where=where,
            value=example.class_ids,
            allowed=str(ids),
        )
    return example.image


def _differences(split: Split, images: int, boxes: int) -> list[InputError]:
    """Records against the ground truth, and both against what was counted."""
    try:
        truth = json.loads(split.ground_truth.read_bytes())
        in_truth = (len(truth["images"]), len(truth["annotations"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [DatasetError("not COCO instances JSON", where=str(split.ground_truth), value=error)]
    expected = (split.images, split.boxes)
    return [
        DatasetError(
            f"{what} hold another number of pictures or boxes than was converted",
            where=str(split.ground_truth.parent),
            value="{} pictures, {} boxes".format(*found),
            allowed="{} pictures, {} boxes".format(*expected),
            fix="convert the data set again",
        )
        for what, found in (("the records", (images, boxes)), ("the ground truth", in_truth))
        if found != expected
    ]


def _finding_json(finding: Finding) -> dict[str, str]:
    return {**vars(finding), "level": "warning" if warnings_in([finding]) else "note"}


def _error_json(error: InputError) -> dict[str, Any]:
    value = None if error.value is None else str(error.value)
    return {
        "what": error.what,
        "where": error.where,
        "value": value,
        "allowed": error.allowed,
        "fix": error.fix,
    }
