"""Builders of small data sets on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from dataset_builders import A_BOX, picture_bytes, voc_xml

from odbench.config.dataset_spec import DatasetKind, DatasetSpec, ShapesSpec
from odbench.dataset.types import Box

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def shared_data() -> Path:
    named = os.environ.get("ODBENCH_SHARED_DATA")
    path = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no real data sets at {path}; name them by ODBENCH_SHARED_DATA")
    return path


AddImage = Callable[..., Path]


@pytest.fixture
def add_image() -> AddImage:
    """Writes a picture and its annotation, side by side or in a devkit's two folders."""

    def add(
        folder: Path,
        stem: str,
        boxes: Sequence[Box] = (A_BOX,),
        *,
        devkit: bool = False,
        data: bytes | None = None,
        tagged: tuple[int, int] | None = (64, 48),
    ) -> Path:
        pictures = folder / "JPEGImages" if devkit else folder
        annotations = folder / "Annotations" if devkit else folder
        for path in (pictures, annotations):
            path.mkdir(parents=True, exist_ok=True)
        # a comment makes the pictures different files
        own = picture_bytes(comment=f"{folder.name}/{stem}") if data is None else data
        (pictures / f"{stem}.jpg").write_bytes(own)
        annotation = annotations / f"{stem}.xml"
        annotation.write_bytes(voc_xml(f"{stem}.jpg", boxes, tagged))
        return annotation

    return add


@pytest.fixture
def add_list() -> Callable[[Path, str, Sequence[str]], Path]:
    """Writes one split list of a devkit."""

    def add(folder: Path, split: str, images: Sequence[str]) -> Path:
        path = folder / "ImageSets" / "Main" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{image}\n" for image in images))
        return path

    return add


@pytest.fixture
def voc_spec() -> Callable[..., DatasetSpec]:
    def make(folder: Path, **options) -> DatasetSpec:
        return DatasetSpec(name="trial", kind=DatasetKind.voc, dir=str(folder), **options)

    return make


@pytest.fixture
def shapes_spec() -> DatasetSpec:
    shapes = ShapesSpec(train_images=10, val_images=4, image_size=48)
    return DatasetSpec(name="shapes", kind=DatasetKind.shapes, shards=3, shapes=shapes)
