"""What the TF2 detection zoo publishes: names, outputs, speed, AP and addresses.

The figures are the zoo's own (AP on COCO 2017 val). They are no measurements of ours and are never
shown beside them without :data:`PUBLISHED`.
"""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from odbench.errors import ZooError

PUBLISHED = "published by the zoo; hardware and batch size not stated"

Output = Literal["boxes", "masks", "keypoints"]
OUTPUTS: tuple[Output, ...] = ("boxes", "masks", "keypoints")

_TABLE = Path(__file__).with_name("tf2_zoo.csv")
_PARAMETERS = Path(__file__).with_name("parameters.csv")  # name, parameters, classes


@dataclass(frozen=True)
class Parameters:
    """Trainable parameters of a model as built here, for so many classes."""

    count: int
    classes: int


@dataclass(frozen=True)
class ZooEntry:
    """One row of the zoo; None is what it does not state."""

    name: str  # of the tarball, without what follows from _coco17 on; keypoint models: _kpts
    title: str  # as the zoo writes it
    family: str
    input_size: tuple[int, int] | None  # height, width in pixels
    speed_ms: float | None
    AP: float | None  # of boxes, 0..1
    AP_mask: float | None  # 0..1
    AP_keypoint: float | None  # 0..1
    outputs: tuple[Output, ...]
    path: str  # of the tarball, below the zoo's address
    not_buildable: str | None  # why the API cannot build it
    note: str | None  # where the zoo's table and what it publishes differ
    parameters: Parameters | None  # measured here; None: not yet

    @property
    def tarball(self) -> str:
        """File name of the tarball."""
        return self.path.rpartition("/")[2]

    @property
    def buildable(self) -> bool:
        """Whether the API can build it."""
        return self.not_buildable is None


@cache
def catalogue() -> tuple[ZooEntry, ...]:
    """Every row of the TF2 zoo, in its order."""
    parameters = _read_parameters()
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(_entry(row, parameters) for row in csv.DictReader(file))


def entry(name: str) -> ZooEntry:
    """The row of that name.

    Raises:
        ZooError: There is none; names that are near are given.
    """
    by_name = {row.name: row for row in catalogue()}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5)
    raise ZooError(
        "the TF2 zoo has no such model",
        value=name,
        fix=f"did you mean {' or '.join(near)}?" if near else "`odbench zoo list` has the names",
    )


def _entry(row: dict[str, str], parameters: dict[str, Parameters]) -> ZooEntry:
    size = (int(row["height"]), int(row["width"])) if row["height"] else None
    return ZooEntry(
        name=row["name"],
        title=row["title"],
        family=row["family"],
        input_size=size,
        speed_ms=_number(row["speed_ms"]),
        AP=_number(row["AP"]),
        AP_mask=_number(row["AP_mask"]),
        AP_keypoint=_number(row["AP_keypoint"]),
        outputs=tuple(output for output in OUTPUTS if output in row["outputs"].split()),
        path=row["path"],
        not_buildable=row["not_buildable"] or None,
        note=row["note"] or None,
        parameters=parameters.get(row["name"]),
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def _read_parameters() -> dict[str, Parameters]:
    if not _PARAMETERS.is_file():
        return {}
    with _PARAMETERS.open(encoding="utf-8", newline="") as file:
        return {
            row["name"]: Parameters(int(row["parameters"]), int(row["classes"]))
            for row in csv.DictReader(file)
        }
