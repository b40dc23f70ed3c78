"""A plan carried out: records, COCO ground truth, label map and ``dataset.json`` in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import odbench
from odbench.dataset.coco import CocoWriter
from odbench.dataset.encode import Encoded, Encoder, useful_workers
from odbench.dataset.findings import class_findings
from odbench.dataset.label_map import write_label_map
from odbench.dataset.plan import CONVERSION_VERSION, Plan
from odbench.dataset.source import SPLITS
from odbench.dataset.stored import (
    LABEL_MAP_FILE,
    SPLITS_FILE,
    StoredDataset,
    StoredSplit,
    load_dataset,
    write_stored,
)
from odbench.dataset.tfrecord import write_shards
from odbench.dataset.types import Finding
from odbench.records import write_json

Advance = Callable[[int], None]  # so many more pictures are done


def convert_into(
    directory: Path, plan: Plan, workers: int | None = None, advance: Advance | None = None
) -> None:
    """Convert into a folder that is there and empty; ``dataset.json`` is written last.

    Args:
        directory: Left unfinished after an error.
        plan: What to convert.
        workers: Processes; None: as many as are worth it. The bytes do not depend on it.
        advance: Called after every picture.

    Raises:
        DatasetError: Of the first picture that cannot be used.
        OSError: The folder cannot be written.
    """
    write_label_map(directory / LABEL_MAP_FILE, plan.ids, plan.survey.keypoints)
    output = _Output(directory, plan, advance or _ignore)
    keys = plan.keys
    count = useful_workers(plan.total) if workers is None else workers
    with Encoder(plan.source, plan.ids, count) as encoder:
        splits = {
            split: output.write_split(
                split, encoder.split(split, None if keys is None else keys[split])
            )
            for split in SPLITS
        }
    write_json(directory / SPLITS_FILE, output.pictures)
    label_map = plan.spec.label_map or "label map"
    boxes = {name: split.boxes_by_class for name, split in splits.items()}
    findings = plan.findings + output.findings + class_findings(boxes, label_map)
    stored = StoredDataset(
        name=plan.spec.name,
        hash=plan.hash,
        class_ids=plan.ids,
        label_map=LABEL_MAP_FILE,
        splits=splits,
        findings=findings,
        provenance=_provenance(plan),
    )
    write_stored(directory, stored)
    write_stored(directory, replace(stored, statistics=_statistics(directory)))


def _statistics(directory: Path) -> dict[str, Any]:
    from odbench.dataset.statistics import dataset_statistics, statistics_to_json

    return statistics_to_json(dataset_statistics(load_dataset(directory)))


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


@dataclass
class _Output:
    """Where and how the splits of one data set are written."""

    directory: Path
    plan: Plan
    advance: Advance
    findings: list[Finding] = field(default_factory=list)
    pictures: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by split

    def write_split(self, split: str, images: Iterator[Encoded]) -> StoredSplit:
        """Write records and ground truth in one pass over the pictures."""
        ids, count = self.plan.ids, self.plan.images[split]
        truth = self.directory / f"instances_{split}.json"
        self.pictures[split] = []
        with CocoWriter(truth, ids) as coco:
            records = self._records(split, images, coco)
            shards = write_shards(self.directory, split, records, count, self.plan.spec.shards)
        return StoredSplit(
            images=coco.images,
            boxes=coco.boxes.total(),
            boxes_by_class={name: coco.boxes[name] for name in ids},
            records={path.name: path.stat().st_size for path in shards},
            ground_truth=truth.name,
        )

    def _records(self, split: str, images: Iterator[Encoded], coco: CocoWriter) -> Iterator[bytes]:
        for encoded in images:
            coco.add(encoded.image, encoded.image_id)
            self.findings += encoded.findings
            name = {"file": encoded.image.filename, "image_id": encoded.image_id}
            self.pictures[split].append({**name, "sha256": encoded.sha256})
            self.advance(1)
            yield encoded.record


def _ignore(count: int) -> None:
    """Nobody watches."""
