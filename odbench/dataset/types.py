"""The data types that a data set passes through, from its source to its records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from odbench.results import DatasetSummary


@dataclass(frozen=True)
class Box:
    """One labelled object, in absolute pixels of its image; ``xmax`` and ``ymax`` exclusive."""

    label: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    difficult: bool = False
    truncated: bool = False
    crowd: bool = False
    pose: str = ""  # viewpoint, as Pascal VOC names it; empty where the source has none

    @property
    def area(self) -> float:
        """Square pixels."""
        return max(0.0, self.xmax - self.xmin) * max(0.0, self.ymax - self.ymin)


@dataclass(frozen=True)
class LabelledImage:
    """One picture with its boxes. ``encoded`` holds the bytes of its JPEG or PNG file."""

    filename: str
    encoded: bytes
    format: str  # jpeg or png
    width: int
    height: int
    boxes: list[Box]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the source and what was done about it."""

    kind: str  # such as zero_area_box
    where: str  # file, with line or element where there is one
    value: str
    action: str  # what was done, such as dropped


@dataclass(frozen=True)
class Split:
    """One split, converted: record files and COCO ground truth."""

    images: int
    boxes: int
    records: list[Path]
    ground_truth: Path  # COCO instances JSON


@dataclass(frozen=True)
class Dataset:
    """A validated data set on disk, ready for training.

    Category ids are 1..N in the order of ``classes``; image ids are 1..M in each split and equal
    the records' ``image/source_id``.
    """

    name: str
    dir: Path
    hash: str  # of the content and of what was asked of the conversion
    classes: list[str]
    label_map: Path
    splits: dict[str, Split]  # train, val
    findings: list[Finding] = field(default_factory=list)

    @property
    def summary(self) -> DatasetSummary:
        """What of the data set goes into a record."""
        return DatasetSummary(
            name=self.name,
            hash=self.hash,
            classes=list(self.classes),
            images={name: split.images for name, split in self.splits.items()},
            boxes={name: split.boxes for name, split in self.splits.items()},
            findings=dict(sorted(Counter(f.kind for f in self.findings).items())),
        )
