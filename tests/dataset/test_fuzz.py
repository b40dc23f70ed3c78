"""Damaged inputs of every kind give a result or one clear error, and nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from dataset_builders import A_BOX, coco_body, picture_bytes, png_mask, voc_xml

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.example import encode_example
from odbench.dataset.masks import mask_to_rle
from odbench.dataset.source import open_source
from odbench.dataset.tfrecord import write_record
from odbench.dataset.types import LabelledImage
from odbench.errors import OdbenchError

SEED = 20240229
ROUNDS = 100  # damaged inputs of each of the eleven kinds

PICTURES = {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".webp": "WEBP", ".bmp": "BMP"}
SQUARE = [[10, 5, 20, 5, 20, 15, 10, 15]]
RUNS = {"size": [48, 64], "counts": [5, 3, 64 * 48 - 8]}
PACKED = mask_to_rle(png_mask((1, 5, 21, 35)))


def xml() -> bytes:
    return voc_xml("a.jpg", [A_BOX, A_BOX._replace(label="dog", difficult=True)])


def table() -> bytes:
    head = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    return (head + "a.jpg,64,48,cat,4,5,30,40\na.jpg,64,48,dög,1,2,3,4\n").encode()


def bare_table() -> bytes:
    return b"a.jpg,4,5,30,40,cat\na.jpg,1,2,3,4,dog\n"


def coco() -> bytes:
    category = {"id": 3, "name": "cat", "keypoints": ["nose", "tail"]}
    boxes = [
        {"bbox": [4, 5, 26, 35], "segmentation": SQUARE, "keypoints": [5, 6, 2, 0, 0, 0]},
        {"bbox": [4, 5, 20, 30], "segmentation": RUNS, "iscrowd": 1},
        {"bbox": [1, 5, 20, 30], "segmentation": PACKED},
    ]
    return json.dumps(coco_body({"a.jpg": boxes}, (category,))).encode()


def example() -> bytes:
    points = ((5.0, 6.0, 2), (0.0, 0.0, 0))
    mask = png_mask((4, 5, 30, 40))
    box = A_BOX._replace(mask_png=mask, mask_area=910.0, keypoints=points)
    image = LabelledImage("a.jpg", picture_bytes(), "jpeg", 64, 48, [box], ("nose", "tail"))
    return encode_example(image, 1, {"cat": 1})


def spoil(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, overwrite, insert or replace."""
    damaged = bytearray(data)
    way = rng.randrange(6)
    at = rng.randrange(len(damaged))
    if way == 0:
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    elif way == 1:
        del damaged[at:]
    elif way == 2:
        damaged[at : at + rng.randint(1, 20)] = rng.randbytes(rng.randint(0, 20))
    elif way == 3:
        del damaged[at : at + rng.randint(1, 30)]
    elif way == 4:
        digits = [i for i, byte in enumerate(damaged) if chr(byte).isdigit()] or [at]
        place = rng.choice(digits)
        damaged[place : place + 1] = rng.choice([b"-9", b"1e9", b"", b'""', b"null", b"[]", b"x"])
    else:
        damaged = bytearray(rng.randbytes(rng.randint(0, 300)))
    return bytes(damaged)


def read(folder: Path, kind: DatasetKind, file: Path | None = None) -> int:
    """Survey the source and load every picture; how many there were."""
    source = open_source(DatasetSpec(name="t", kind=kind, dir=str(file or folder)))
    survey = source.survey()
    source.assign({"train": [entry.key for entry in survey.pool or []]})
    findings = list(survey.findings)
    images = list(source.images("train", findings))
    for image in images:  # what is read can be written too
        encode_example(image, 1, dict.fromkeys(survey.classes, 1))
    return len(images)


def outcomes(make: Callable[[random.Random], int], kind: str) -> dict[str, int]:
    """How often it went well and how often an error was raised; anything else goes through."""
    rng = random.Random(f"{SEED} {kind}")
    counts = {"well": 0, "error": 0}
    for _ in range(ROUNDS):
        try:
            make(rng)
        except OdbenchError as error:
            assert error.where
            assert error.what
            counts["error"] += 1
        else:
            counts["well"] += 1
    return counts


@pytest.mark.parametrize(
    ("name", "whole", "kind"),
    [
        ("a.xml", xml, DatasetKind.voc),
        ("a.csv", table, DatasetKind.csv),
        ("a.csv", bare_table, DatasetKind.csv),
        ("a.json", coco, DatasetKind.coco),
    ],
)
def test_damaged_annotations(tmp_path, name, whole, kind):
    (tmp_path / "a.jpg").write_bytes(picture_bytes())
    path, data = tmp_path / name, whole()
    path.write_bytes(data)
    named = None if kind is DatasetKind.voc else path
    assert read(tmp_path, kind, named) == 1

    def make(rng: random.Random) -> int:
        path.write_bytes(spoil(data, rng))
        return read(tmp_path, kind, named)

    counts = outcomes(make, f"{name} {whole.__name__}")
    assert counts["error"] > ROUNDS / 4
    assert counts["well"] > 0


@pytest.mark.parametrize("suffix", sorted(PICTURES))
def test_damaged_pictures(tmp_path, suffix):
    data = picture_bytes(kind=PICTURES[suffix])
    path = tmp_path / f"a{suffix}"
    (tmp_path / "a.xml").write_bytes(voc_xml(path.name, [A_BOX]))

    def make(rng: random.Random) -> int:
        path.write_bytes(spoil(data, rng))
        return read(tmp_path, DatasetKind.voc)

    assert outcomes(make, suffix)["error"] > ROUNDS / 4


def test_damaged_record_files(tmp_path):
    path = tmp_path / "a.record"
    with path.open("wb") as file:
        write_record(file, example())
    data = path.read_bytes()
    assert read(tmp_path, DatasetKind.tfrecord) == 1

    def make(rng: random.Random) -> int:
        path.write_bytes(spoil(data, rng))
        return read(tmp_path, DatasetKind.tfrecord)

    assert outcomes(make, "framing")["error"] > ROUNDS / 2


def test_damaged_examples_in_sound_records(tmp_path):
    path, data = tmp_path / "a.record", example()

    def make(rng: random.Random) -> int:
        with path.open("wb") as file:
            write_record(file, spoil(data, rng))
        return read(tmp_path, DatasetKind.tfrecord)

    counts = outcomes(make, "example")
    assert counts["error"] > ROUNDS / 4
