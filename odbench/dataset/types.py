"""The data types that a data set passes through, from its source to its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import sub
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

if TYPE_CHECKING:
    from odbench.results import DatasetSummary


class Box(NamedTuple):
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
    mask_png: bytes | None = None  # PNG of the picture's size, not zero where the object is
    mask_area: float | None = None  # pixels of the mask; 0: the object has none and it is blank
    # (x, y, visibility) in pixels; 0 not labelled, 1 hidden, 2 visible
    keypoints: tuple[tuple[float, float, int], ...] = ()

    @property
    def area(self) -> float:
        """Square pixels of the box, whatever its mask covers."""
        width, height = self.xmax - self.xmin, self.ymax - self.ymin
        return (width if width > 0 else 0.0) * (height if height > 0 else 0.0)

    @property
    def object_area(self) -> float:
        """Square pixels of the object as COCO counts them: of the mask where there is one."""
        return self.mask_area or self.area


class BoxColumns(NamedTuple):
    """What several boxes have, field by field: quicker than to ask every box."""

    label: Sequence[str]
    xmin: Sequence[float]
    ymin: Sequence[float]
    xmax: Sequence[float]
    ymax: Sequence[float]
    difficult: Sequence[bool]
    truncated: Sequence[bool]
    crowd: Sequence[bool]
    pose: Sequence[str]
    mask_png: Sequence[bytes | None]
    mask_area: Sequence[float | None]
    keypoints: Sequence[tuple[tuple[float, float, int], ...]]
    width: Sequence[float]  # pixels
    height: Sequence[float]
    object_area: Sequence[float]  # square pixels

    @classmethod
    def of(cls, boxes: Sequence[Box]) -> BoxColumns:
        """The columns of some boxes."""
        fields = tuple(zip(*boxes, strict=True)) or ((),) * len(Box._fields)
        columns = cls._measured(fields)
        if any(columns.mask_area):
            return columns._replace(object_area=[box.object_area for box in boxes])
        return columns

    @classmethod
    def plain(cls, *fields: Sequence[Any]) -> BoxColumns:
        """Of boxes without shapes: their columns up to ``truncated``, and ``pose`` at the end."""
        count = len(fields[0])
        nothing, points = (None,) * count, ((),) * count
        return cls._measured((*fields[:-1], (False,) * count, fields[-1], nothing, nothing, points))

    @classmethod
    def _measured(cls, fields: tuple[Sequence[Any], ...]) -> BoxColumns:
        _, xmin, ymin, xmax, ymax, *_ = fields
        width, height = list(map(sub, xmax, xmin)), list(map(sub, ymax, ymin))
        areas = [w * h if w > 0 and h > 0 else 0.0 for w, h in zip(width, height, strict=True)]
        return cls._make((*fields, width, height, areas))

    def boxes(self) -> list[Box]:
        """The boxes one by one."""
        return list(map(Box._make, zip(*self[: len(Box._fields)], strict=True)))


class BoxesOnDemand(Sequence[Box]):
    """The boxes of some columns, made when somebody asks for one."""

    def __init__(self, columns: BoxColumns) -> None:
        self.columns = columns

    @cached_property
    def _boxes(self) -> list[Box]:
        return self.columns.boxes()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.columns.label)

    @overload
    def __getitem__(self, index: int) -> Box: ...
    @overload
    def __getitem__(self, index: slice) -> list[Box]: ...
    def __getitem__(self, index: int | slice) -> Box | list[Box]:
        """One, or some."""
        return self._boxes[index]

    def __eq__(self, other: object) -> bool:
        """As lists are."""
        return self._boxes == (other._boxes if isinstance(other, BoxesOnDemand) else other)

    __hash__ = None  # type: ignore[assignment]  # like a list


@dataclass(frozen=True)
class LabelledImage:
    """One picture with its boxes. ``encoded`` holds the bytes of its JPEG or PNG file."""

    filename: str
    encoded: bytes
    format: str  # jpeg or png
    width: int
    height: int
    boxes: Sequence[Box]
    keypoint_names: tuple[str, ...] = ()  # of the keypoints of each box, in their order
    sha256: str | None = field(default=None, compare=False)  # of ``encoded``, where it is known

    @cached_property
    def columns(self) -> BoxColumns:
        """The boxes by column."""
        boxes = self.boxes
        return boxes.columns if isinstance(boxes, BoxesOnDemand) else BoxColumns.of(boxes)


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

    Category ids are those of the label map and may have gaps; image ids are 1..M in each split
    and equal the records' ``image/source_id``.
    """

    name: str
    dir: Path
    hash: str  # of the content and of what was asked of the conversion
    classes: list[str]  # in the order of their ids
    label_map: Path
    splits: dict[str, Split]  # train, val
    findings: list[Finding] = field(default_factory=list)
    class_ids: dict[str, int] = field(default_factory=dict)  # left out: 1..N
    keypoints: dict[str, list[str]] = field(default_factory=dict)  # class -> names, in order
    has_masks: bool = False  # every object of its records has one, blank where none was given

    def __post_init__(self) -> None:
        """Number the classes where no label map did."""
        if not self.class_ids:
            self.class_ids.update({name: i for i, name in enumerate(self.classes, start=1)})

    @property
    def num_classes(self) -> int:
        """Outputs that a model of this data set needs: the API counts them by the largest id."""
        return max(self.class_ids.values())

    @property
    def names_by_output(self) -> list[str]:
        """Class names by id - 1; an empty one where the label map has a gap."""
        names = {index: name for name, index in self.class_ids.items()}
        return [names.get(index, "") for index in range(1, self.num_classes + 1)]

    @property
    def keypoint_names(self) -> list[str]:
        """The keypoints of each object of the records: those of all classes, each name once."""
        return list(dict.fromkeys(name for names in self.keypoints.values() for name in names))

    @property
    def summary(self) -> DatasetSummary:
        """What of the data set goes into a record."""
        from odbench.results import DatasetSummary

        return DatasetSummary(
            name=self.name,
            hash=self.hash,
            classes=list(self.classes),
            images={name: split.images for name, split in self.splits.items()},
            boxes={name: split.boxes for name, split in self.splits.items()},
            findings=dict(sorted(Counter(f.kind for f in self.findings).items())),
        )
