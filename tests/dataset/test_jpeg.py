from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from odbench.dataset.jpeg import Ordinary, ordinary_jpeg
from odbench.dataset.picture import decode_picture
from odbench.errors import DatasetError

SIZE = (24, 17)
FORMS = [
    {},
    {"quality": 30},
    {"subsampling": 0},
    {"subsampling": 1},
    {"optimize": True},
    {"restart_marker_blocks": 2},
    {"comment": b"\xff\xd9 in a comment"},
]


def jpeg(mode: str = "RGB", **options) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (*SIZE[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


ORDINARY = [jpeg(mode, **form) for mode in ("RGB", "L") for form in FORMS]


@pytest.mark.parametrize("form", FORMS)
def test_ordinary_pictures_are_known(form):
    assert ordinary_jpeg(jpeg("RGB", **form)) == Ordinary(*SIZE, 3, bare=True)
    assert ordinary_jpeg(jpeg("L", **form) + b"what follows") == Ordinary(*SIZE, 1, bare=True)


def test_what_may_say_that_it_is_turned_makes_it_no_bare_one():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    assert ordinary_jpeg(jpeg(exif=exif)) == Ordinary(*SIZE, 3, bare=False)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", jpeg(progressive=True), jpeg("CMYK"), jpeg()[2:], b"GIF89a"]
)
def test_of_rare_ones_and_of_others_nothing_is_known(data):
    assert ordinary_jpeg(data) is None


@pytest.mark.parametrize("whole", ORDINARY)
def test_a_cut_one_is_never_ordinary(whole):
    assert not any(ordinary_jpeg(whole[:end]) for end in range(len(whole)))


def damaged(data: st.DataObject) -> bytes:
    """Some bytes changed, put in or taken out, most of them before the coded data."""
    body = bytearray(data.draw(st.sampled_from(ORDINARY)))
    header = body.find(b"\xff\xda") + 14
    for _ in range(data.draw(st.integers(1, 3))):
        end = header if data.draw(st.integers(0, 3)) else len(body)
        place = data.draw(st.integers(2, end - 1))
        taken = data.draw(st.sampled_from([1, 1, 1, 0, 4]))
        body[place : place + taken] = data.draw(st.binary(max_size=2))
    return bytes(body)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_pillow_decodes_every_pixel_of_what_is_called_ordinary(data):
    """So nothing that was refused before is let through, however it is damaged."""
    body = damaged(data)
    found = ordinary_jpeg(body)
    if found is None:
        return
    with Image.open(io.BytesIO(body)) as image:
        image.load()
        assert image.size == (found.width, found.height)
        if found.bare:
            assert (image.format, image.mode) == ("JPEG", {1: "L", 3: "RGB"}[found.channels])
            assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1


IN_TENSORFLOW = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
from pathlib import Path

found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        found[path.name] = list(tf.io.decode_jpeg(path.read_bytes(), channels=3).shape[:2])
    except tf.errors.InvalidArgumentError:
        found[path.name] = None
print(json.dumps(found))
"""


@pytest.mark.tf
def test_tensorflow_decodes_what_is_called_ordinary(tmp_path):
    """And what it refuses because it is cut, the conversion refuses too."""
    rng = np.random.default_rng(7)
    for number in range(600):
        body = bytearray(ORDINARY[number % len(ORDINARY)])
        header = body.find(b"\xff\xda") + 14
        place = int(rng.integers(2, header if number % 4 else len(body)))
        body[place] = int(rng.integers(0, 256))
        cut = int(rng.integers(1, 40)) if number % 5 == 0 else 0
        name = f"{number:03d}-cut.jpg" if cut else f"{number:03d}.jpg"
        (tmp_path / name).write_bytes(body[: len(body) - cut])
    command = [sys.executable, "-c", IN_TENSORFLOW, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    decoded = json.loads(done.stdout.splitlines()[-1])
    ordinary, refused = 0, 0
    for name, size in decoded.items():
        body = (tmp_path / name).read_bytes()
        found = ordinary_jpeg(body)
        if found is not None:
            ordinary += 1
            assert size == [found.height, found.width]
        if size is None and "cut" in name:
            refused += 1
            with pytest.raises(DatasetError):
                decode_picture(body, name)
    assert ordinary > 100
    assert refused > 50
