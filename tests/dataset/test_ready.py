"""Pictures that a survey finds nothing wrong with are converted as all others are."""

from __future__ import annotations

import pytest
from dataset_builders import A_BOX, many_pictures, picture_bytes

from odbench.dataset import voc
from odbench.dataset.prepare import convert_dataset
from odbench.dataset.ready import pack_ready
from odbench.dataset.types import Box, BoxColumns
from odbench.dataset.voc import VocSource
from odbench.errors import DatasetError

PICTURE = picture_bytes()


def pack(box: Box = A_BOX, times: int = 1, **other):
    columns = [[value] * times for value in (*box[:7], box.pose)]
    given = {"path": "a.jpg", "data": PICTURE, "sha256": "", "size": (64, 48)} | other
    return pack_ready(**given, boxes=BoxColumns.plain(*columns))


def test_what_is_ready():
    assert pack() and pack(size=None) and pack(path="in.d/a.JPEG")
    assert pack(A_BOX._replace(xmin=0.0, ymin=0.0, xmax=64.0, ymax=48.0))


@pytest.mark.parametrize(
    "other",
    [
        {"times": 0},
        {"times": 2},
        {"size": (64, 47)},
        {"path": "a.png"},
        {"path": "a"},
        {"data": PICTURE[:-2]},
        {"data": picture_bytes(kind="PNG")},
        {"box": A_BOX._replace(xmin=-1.0)},
        {"box": A_BOX._replace(xmax=64.5)},
        {"box": A_BOX._replace(ymax=49.0)},
        {"box": A_BOX._replace(ymax=5.0)},
        {"box": A_BOX._replace(xmin=31.0)},
    ],
)
def test_what_has_to_be_looked_at(other):
    assert pack(**other) is None


def test_the_same_is_written_without_it(tmp_path, add_image, voc_spec, monkeypatch):
    source = many_pictures(tmp_path / "in", add_image, 12)
    add_image(source, "outside", [A_BOX, Box("dog", 1.5, 2.0, 64.5, 48.0)])
    add_image(source, "turned_png", data=picture_bytes(kind="PNG"))
    add_image(source, "same", data=(source / "p01.jpg").read_bytes())
    add_image(source, "boxes", [A_BOX, A_BOX._replace(label="dog", difficult=True, pose="Left")])
    quick = convert_dataset(voc_spec(source), tmp_path / "quick").dataset
    monkeypatch.setattr(voc, "pack_ready", lambda *_: None)
    slow = convert_dataset(voc_spec(source), tmp_path / "slow").dataset
    assert (quick.hash, quick.findings) == (slow.hash, slow.findings)
    assert {"duplicate_picture", "wrong_extension"} <= quick.summary.findings.keys()
    for path in quick.dir.iterdir():
        if path.name != "dataset.json":  # it has the time
            assert path.read_bytes() == (slow.dir / path.name).read_bytes()


def test_a_picture_that_changes_after_the_survey_is_looked_at(tmp_path, add_image, voc_spec):
    add_image(tmp_path, "a")
    source = VocSource(voc_spec(tmp_path))
    source.survey()
    other = picture_bytes(quality=30)
    (tmp_path / "a.jpg").write_bytes(other)
    image, _ = source.load("a.jpg")
    assert (image.encoded, image.sha256, image.boxes) == (other, None, [A_BOX])
    (tmp_path / "a.jpg").write_bytes(other[:-40])
    with pytest.raises(DatasetError, match=r"a\.jpg: picture cannot be read"):
        source.load("a.jpg")
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DatasetError, match=r"a\.jpg: picture is missing"):
        source.load("a.jpg")
