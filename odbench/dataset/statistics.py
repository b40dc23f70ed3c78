"""What a converted data set holds, counted from its COCO ground truth; no picture is opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from odbench.dataset.statistics_table import render_statistics
from odbench.dataset.statistics_types import (
    Histogram,
    ImageSizes,
    SizeCounts,
    SplitStatistics,
    Spread,
    Statistics,
)
from odbench.dataset.tally import Table, Tally
from odbench.dataset.types import Dataset
from odbench.errors import DatasetError

__all__ = [
    "Histogram",
    "ImageSizes",
    "SizeCounts",
    "SplitStatistics",
    "Spread",
    "Statistics",
    "dataset_statistics",
    "gathered_statistics",
    "render_statistics",
    "statistics_to_json",
]


def dataset_statistics(dataset: Dataset) -> Statistics:
    """Count what each split holds.

    Raises:
        DatasetError: A ground truth file is missing or is not COCO instances JSON.
    """
    splits = {
        name: _count(split.ground_truth, dataset.classes) for name, split in dataset.splits.items()
    }
    return _together(dataset.name, dataset.hash, dataset.classes, splits)


def gathered_statistics(
    name: str, digest: str, class_ids: Mapping[str, int], tallies: Mapping[str, Tally]
) -> Statistics:
    """The same of what was gathered while a data set was written.

    Args:
        name: Of the data set.
        digest: Its hash.
        class_ids: Of all classes, in the order of the label map.
        tallies: By split.
    """
    splits = {split: tally.result() for split, tally in tallies.items()}
    return _together(name, digest, list(class_ids), splits)


def _together(
    name: str, digest: str, classes: list[str], splits: dict[str, SplitStatistics]
) -> Statistics:
    return Statistics(
        name=name,
        hash=digest,
        classes=list(classes),
        splits=splits,
        class_shares={
            label: {
                name: split.boxes_by_class[label] / split.boxes if split.boxes else None
                for name, split in splits.items()
            }
            for label in classes
        },
        missing_classes={
            name: [label for label, boxes in split.boxes_by_class.items() if not boxes]
            for name, split in splits.items()
        },
    )


def statistics_to_json(stats: Statistics) -> dict[str, Any]:
    """The statistics as JSON values."""
    body: dict[str, Any] = json.loads(json.dumps(asdict(stats), allow_nan=False))
    return body


def _count(path: Path, classes: list[str]) -> SplitStatistics:
    tally = Tally({label: index for index, label in enumerate(classes)})
    tally.add(_read_table(path, classes))
    return tally.result()


def _read_table(path: Path, classes: list[str]) -> Table:
    truth = _read(path)
    try:
        names = {category["id"]: category["name"] for category in truth["categories"]}
        unknown = sorted({names[box["category_id"]] for box in truth["annotations"]} - set(classes))
        if not unknown:
            index = {number: classes.index(n) for number, n in names.items() if n in classes}
            return _table_of_truth(truth, index)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            "not COCO instances JSON", where=str(path), value=f"{type(error).__name__}: {error}"
        ) from error
    raise DatasetError(
        "box of a class that the data set has not",
        where=str(path),
        value=unknown[0],
        allowed=", ".join(classes),
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(
            f"cannot read the ground truth: {error.strerror}", where=str(path)
        ) from error
    except ValueError as error:
        raise DatasetError("not JSON", where=str(path), value=error) from error


def _table_of_truth(truth: Any, classes: Mapping[Any, int]) -> Table:
    images = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
    places = {image: index for index, image in enumerate(images)}
    found = truth["annotations"]
    corners = np.array([box["bbox"] for box in found], dtype=float).reshape(-1, 4)
    areas = [box.get("area", box["bbox"][2] * box["bbox"][3]) for box in found]
    return Table(
        label=np.array([classes[box["category_id"]] for box in found], dtype=int),
        image=np.array([places[box["image_id"]] for box in found], dtype=int),
        width=corners[:, 2],
        height=corners[:, 3],
        area=np.array(areas, dtype=float),
        sizes=np.array(list(images.values()), dtype=int).reshape(-1, 2),
        crowd=sum(bool(box.get("iscrowd")) for box in found),
        difficult=sum(bool(box.get("difficult")) for box in found),
    )
