"""A plan carried out: records, COCO ground truth, label map and ``dataset.json`` in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import odbench
from odbench.dataset.coco import CocoWriter
from odbench.dataset.crew import Crew
from odbench.dataset.encode import Encoded, Encoder
from odbench.dataset.findings import class_findings, relative_findings
from odbench.dataset.label_map import write_label_map
from odbench.dataset.plan import CONVERSION_VERSION, Plan
from odbench.dataset.source import SPLITS
from odbench.dataset.stored import (
    LABEL_MAP_FILE,
    SPLITS_FILE,
    StoredDataset,
    StoredSplit,
    write_stored,
)
from odbench.dataset.tfrecord import write_shards
from odbench.dataset.types import Finding

if TYPE_CHECKING:
    from odbench.dataset.tally import Tally

Advance = Callable[[int], None]  # so many more pictures are done


def convert_into(
    directory: Path, plan: Plan, crew: Crew | None = None, advance: Advance | None = None
) -> None:
    """Convert into a folder that is there and empty; ``dataset.json`` is written last.

    Args:
        directory: Left unfinished after an error.
        plan: What to convert.
        crew: Shares the work; the bytes do not depend on it. None: this process alone.
        advance: Called after every picture.

    Raises:
        DatasetError: Of the first picture that cannot be used.
        OSError: The folder cannot be written.
    """
    write_label_map(directory / LABEL_MAP_FILE, plan.ids, plan.survey.keypoints)
    keys = plan.keys
    encoder = Encoder(plan.source, plan.ids, crew or Crew(1))
    with _SplitList(directory / SPLITS_FILE) as names:
        output = _Output(directory, plan, names, advance or _ignore)
        splits = {
            split: output.write_split(
                split, encoder.split(split, None if keys is None else keys[split])
            )
            for split in SPLITS
        }
    label_map = plan.spec.label_map or "label map"
    boxes = {name: split.boxes_by_class for name, split in splits.items()}
    findings = plan.findings + output.findings + class_findings(boxes, label_map)
    stored = StoredDataset(
        name=plan.spec.name,
        hash=plan.hash,
        class_ids=plan.ids,
        label_map=LABEL_MAP_FILE,
        splits=splits,
        findings=relative_findings(findings, plan.spec),
        provenance=_provenance(plan),
        keypoints=plan.survey.keypoints,
        has_masks=plan.survey.has_masks,
        statistics=_statistics(plan, output.tallies),
    )
    write_stored(directory, stored)


def _statistics(plan: Plan, tallies: dict[str, Tally]) -> dict[str, Any]:
    from odbench.dataset.statistics import gathered_statistics, statistics_to_json

    return statistics_to_json(gathered_statistics(plan.spec.name, plan.hash, plan.ids, tallies))


def _provenance(plan: Plan) -> dict[str, Any]:
    spec = plan.spec
    split: dict[str, Any] = {"split": plan.how_split}
    if plan.how_split == "by class":
        split |= {"val_fraction": spec.val_fraction, "split_seed": spec.split_seed}
    given = {"split_file": spec.split_file, "label_map_given": spec.label_map}
    return {
        **plan.survey.provenance,
        **split,
        **{key: value for key, value in given.items() if value is not None},
        "source_sha256": plan.survey.digest,
        "conversion": CONVERSION_VERSION,
        "odbench": odbench.__version__,
        "converted_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


class _SplitList:
    """Writes which pictures each split has, as they come; whole once the context is left."""

    def __init__(self, path: Path) -> None:
        # what is no text in a file's name becomes an escape, which JSON has the same ones of
        self._file = path.open("w", encoding="utf-8", errors="backslashreplace")
        self._between = "{"  # before the next split

    def begin(self, split: str) -> None:
        """Go on to a split."""
        self._file.write(f"{self._between}\n {json.dumps(split)}: [")
        self._between, self._comma = "\n ],", ""

    def add(self, pictures: Iterable[str]) -> None:
        """Add JSON objects to it."""
        if text := ",\n  ".join(pictures):
            self._file.write(f"{self._comma}\n  {text}")
            self._comma = ","

    def __enter__(self) -> _SplitList:
        """Start writing."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the file; after an error it is left unfinished."""
        with self._file:
            if kind is None:
                self._file.write("\n ]\n}\n")


@dataclass
class _Output:
    """Where and how the splits of one data set are written."""

    directory: Path
    plan: Plan
    names: _SplitList
    advance: Advance
    findings: list[Finding] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)  # by split

    def write_split(self, split: str, pieces: Iterator[Encoded]) -> StoredSplit:
        """Write records and ground truth in one pass over the pictures."""
        from odbench.dataset.tally import Tally

        ids, count = self.plan.ids, self.plan.images[split]
        truth = self.directory / f"instances_{split}.json"
        self.tallies[split] = Tally(ids)
        self.names.begin(split)
        with CocoWriter(truth, ids) as coco:
            records = self._records(split, pieces, coco)
            shards = write_shards(self.directory, split, records, count, self.plan.spec.shards)
        return StoredSplit(
            images=coco.images,
            boxes=coco.boxes.total(),
            boxes_by_class={name: coco.boxes[name] for name in ids},
            records={path.name: path.stat().st_size for path in shards},
            ground_truth=truth.name,
        )

    def _records(self, split: str, pieces: Iterator[Encoded], coco: CocoWriter) -> Iterator[bytes]:
        for piece in pieces:
            self.findings += piece.findings
            self.tallies[split].extend(piece.columns)
            self.names.add(piece.names)
            coco.write(piece.truth)
            for record in piece.records:
                self.advance(1)
                yield record


def _ignore(count: int) -> None:
    """Nobody watches."""
