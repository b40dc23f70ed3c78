"""What a survey and its plan hold in memory of each picture: next to nothing."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest
from dataset_builders import picture_bytes

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.plan import plan_conversion

FEW, MANY = 100, 500
MOST = 150  # bytes for each picture; lists of keys, names and digests take 500 and more


def write_voc(folder: Path, images: int) -> None:
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>20</ymax></bndbox>"
    for number in range(images):
        text = f"<annotation><object><name>cat</name>{box}</object></annotation>"
        (folder / f"{number:06d}.xml").write_text(text)


def write_csv(folder: Path, images: int) -> None:
    rows = [f"{number:06d}.jpg,1,1,9,20,cat" for number in range(images)]
    (folder / "boxes.csv").write_text("\n".join(rows))


def write_pictures(folder: Path, images: int) -> None:
    picture = picture_bytes()
    for number in range(images):
        comment = b"\xff\xfe\x00\x08" + f"{number:06d}".encode()
        (folder / f"{number:06d}.jpg").write_bytes(picture[:2] + comment + picture[2:])


def held_by_plan(folder: Path, kind: DatasetKind) -> int:
    """Bytes of Python's objects that are there because the plan is."""
    gc.collect()
    tracemalloc.start()
    try:
        plan = plan_conversion(DatasetSpec(name="t", kind=kind, dir=str(folder)))
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        assert plan.total == len(list(folder.glob("*.jpg")))
    finally:
        tracemalloc.stop()
    return held


@pytest.mark.parametrize(
    ("kind", "write"), [(DatasetKind.voc, write_voc), (DatasetKind.csv, write_csv)]
)
def test_memory_does_not_grow_with_the_pictures(tmp_path, kind, write):
    held = []
    for images in (10, FEW, MANY):  # after the first one, everything is imported
        folder = tmp_path / str(images)
        folder.mkdir()
        write_pictures(folder, images)
        write(folder, images)
        held.append(held_by_plan(folder, kind))
    assert (held[2] - held[1]) / (MANY - FEW) < MOST
