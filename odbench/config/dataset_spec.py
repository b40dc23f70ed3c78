"""The data set's part of :class:`~odbench.config.spec.RunSpec`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from omegaconf import MISSING

from odbench.config.checks import check
from odbench.errors import ConfigError


class DatasetKind(Enum):
    """Which source a data set is read from."""

    shapes = "shapes"
    voc = "voc"
    csv = "csv"
    coco = "coco"
    tfrecord = "tfrecord"
    auto = "auto"


# What one row of a CSV of boxes may say, by the names of the usual header.
CSV_FIELDS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")


@dataclass
class ShapesSpec:
    """The embedded synthetic data set."""

    train_images: int = 512
    val_images: int = 64
    image_size: int = 128  # pixels; height, and width where image_width is null
    image_width: int | None = None  # pixels
    classes: int = 3
    max_objects: int = 4  # per image, at least one
    min_size: float = 0.2  # longer side of a shape, as a share of the picture's shorter side
    max_size: float = 0.55
    max_overlap: float = 0.4  # share of a box that all later boxes together may cover
    max_turn_deg: float = 10.0  # to either side
    noise: float = 8.0  # standard deviation of the pixel noise, in grey levels
    masks: bool = False  # instance masks of the visible pixels
    keypoints: bool = False  # corners and centre of every shape
    seed: int = 0  # of the pictures; the run's own seed is `seed`

    def __post_init__(self) -> None:
        """Check the ranges."""
        path = "dataset.shapes"
        check(self.train_images >= 1, f"{path}.train_images", self.train_images, ">= 1")
        check(self.val_images >= 1, f"{path}.val_images", self.val_images, ">= 1")
        check(32 <= self.image_size <= 2048, f"{path}.image_size", self.image_size, "32..2048")
        width = self.image_width
        known = width is None or 32 <= width <= 2048
        check(known, f"{path}.image_width", width, "32..2048, or null")
        check(1 <= self.classes <= 6, f"{path}.classes", self.classes, "1..6")
        check(1 <= self.max_objects <= 50, f"{path}.max_objects", self.max_objects, "1..50")
        check(0 <= self.max_overlap <= 0.9, f"{path}.max_overlap", self.max_overlap, "0..0.9")
        check(0 <= self.max_turn_deg <= 180, f"{path}.max_turn_deg", self.max_turn_deg, "0..180")
        check(0 <= self.noise <= 64, f"{path}.noise", self.noise, "0..64")
        check(0 < self.max_size <= 0.95, f"{path}.max_size", self.max_size, "0 < x <= 0.95")
        # Below six pixels the shapes of two classes look the same.
        least = 6 / min(self.image_size, self.width)
        ok = least <= self.min_size <= self.max_size
        allowed = f"{least:.3g} (six pixels) up to max_size={self.max_size:g}"
        check(ok, f"{path}.min_size", self.min_size, allowed)

    @property
    def width(self) -> int:
        """Of the pictures, in pixels."""
        return self.image_size if self.image_width is None else self.image_width


@dataclass
class DatasetSpec:
    """Where the pictures and boxes come from."""

    name: str = MISSING
    kind: DatasetKind = MISSING
    dir: str | None = None  # root of the source; null for the embedded set
    val_fraction: float = 0.2  # share of the images held out where the source names no split
    split_seed: int = 0  # of that split
    shards: int = 4  # TFRecord files per split
    split_file: str | None = None  # names the images of each split, JSON or text
    label_map: str | None = None  # .pbtxt with the classes and their ids; null: from the data
    strict: bool = False  # every finding is an error
    workers: int = 1  # processes that convert
    # Columns of a CSV that are named otherwise, {filename: image, class: label}. Left of the colon
    # one of CSV_FIELDS.
    csv_columns: dict[str, str] = field(default_factory=dict)
    # Folder of the pictures of a CSV or COCO source, relative to dir; null: near the file
    images_dir: str | None = None
    # Annotation file of each split, relative to dir: {train: a.json, val: b.json}, or
    # {all: a.json}; empty: found by their names
    annotations: dict[str, str] = field(default_factory=dict)
    shapes: ShapesSpec = field(default_factory=ShapesSpec)

    def __post_init__(self) -> None:
        """Check ranges and names, and that a source on disk has a folder."""
        check(0 < self.val_fraction < 1, "dataset.val_fraction", self.val_fraction, "0 < x < 1")
        check(1 <= self.shards <= 1024, "dataset.shards", self.shards, "1..1024")
        check(1 <= self.workers <= 256, "dataset.workers", self.workers, "1..256")
        for key in self.csv_columns:
            check(key in CSV_FIELDS, "dataset.csv_columns", key, ", ".join(CSV_FIELDS))
        splits = set(self.annotations)
        known = splits <= {"train", "val"} or splits == {"all"}
        check(known, "dataset.annotations", sorted(splits), "train and val, or all")
        if self.kind is DatasetKind.shapes and self.dir:
            raise ConfigError(
                "the embedded data set is drawn, not read from a folder",
                where="dataset.dir",
                value=self.dir,
                fix="choose the kind of your data: dataset=auto, or voc, csv, coco, tfrecord",
            )
        if self.kind is not DatasetKind.shapes and not self.dir:
            raise ConfigError(
                f"dataset={self.name} needs the folder that holds the data",
                where="dataset.dir",
                value="null",
                fix="give it: dataset.dir=PATH",
            )
