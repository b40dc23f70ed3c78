from __future__ import annotations

import io

import numpy as np
import pytest
from dataset_builders import picture_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from odbench.dataset.picture import decode_picture, read_picture
from odbench.errors import DatasetError

AS_THEY_ARE = [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P")]
CONVERTED = [("JPEG", "CMYK"), ("BMP", "RGB"), ("TIFF", "L"), ("WEBP", "RGB"), ("GIF", "L")]


def rotated(orientation: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """Left half white as stored, and a note on how to turn it."""
    image = Image.new("RGB", size)
    image.paste("white", (0, 0, size[0] // 2, size[1]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "mode"), AS_THEY_ARE)
def test_jpeg_and_png_pass_through_whatever_the_extension(tmp_path, kind, mode):
    path = tmp_path / "a.bmp"
    path.write_bytes(data := picture_bytes(kind=kind, mode=mode))
    picture, (finding,) = read_picture(path)
    assert (picture.encoded, picture.format) == (data, kind.lower())
    assert (picture.width, picture.height) == (64, 48)
    assert (finding.kind, finding.value) == ("wrong_extension", f".bmp holds {kind}")
    right = tmp_path / f"a.{kind.lower()}"
    right.write_bytes(data)
    assert read_picture(right) == (picture, [])


@pytest.mark.parametrize(("kind", "mode"), CONVERTED)
def test_others_become_rgb_jpegs_and_say_so(tmp_path, kind, mode):
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(picture_bytes(kind=kind, mode=mode))
    picture, (finding,) = read_picture(path)
    with Image.open(io.BytesIO(picture.encoded)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 48))
        values = np.asarray(image).astype(int)
    assert picture.format == "jpeg"
    assert finding.kind == "picture_converted"
    assert finding.value.startswith(kind)
    assert values[0].mean() < 20  # still dark above, light below
    assert values[-1].mean() > 235


def test_sixteen_bit_grey_keeps_its_range(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(path)
    picture, _ = read_picture(path)
    with Image.open(io.BytesIO(picture.encoded)) as image:
        assert np.asarray(image)[0, 0].tolist() == [156, 156, 156]


def test_pixels_without_a_range_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(path)
    with pytest.raises(DatasetError, match="no fixed range"):
        read_picture(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_cut_picture_is_refused_by_name(tmp_path, kind, data):
    whole = picture_bytes(kind=kind)
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DatasetError, match=r"cut\.jpg: picture cannot be read"):
        read_picture(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_bytes_give_a_picture_or_one_clear_error(tmp_path, data):
    damaged = bytearray(picture_bytes(kind=data.draw(st.sampled_from(["JPEG", "PNG", "TIFF"]))))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.jpg"
    path.write_bytes(damaged)
    try:
        picture, _ = read_picture(path)
    except DatasetError as error:
        assert error.where == str(path)
    else:
        assert picture.format in ("jpeg", "png")


def test_a_missing_picture_is_said_to_be_missing(tmp_path):
    with pytest.raises(DatasetError, match="picture is missing"):
        read_picture(tmp_path / "none.jpg")


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_picture_is_stored_upright(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    path.write_bytes(rotated(orientation))
    picture, (finding,) = read_picture(path)
    with Image.open(io.BytesIO(picture.encoded)) as image:
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        grey = np.asarray(image.convert("L")).astype(int)
    assert finding.kind == "exif_orientation"
    white = {3: grey[:, 33:], 6: grey[:31], 8: grey[33:]}[orientation]
    assert white.min() > 200
    assert (picture.width, picture.height) == ((64, 48) if orientation == 3 else (48, 64))


def test_labels_made_on_the_stored_pixels_have_to_be_turned(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(rotated(6))
    picture, (finding,) = read_picture(path, labelled_size=(64, 48))
    assert (picture.width, picture.height, picture.label_turn) == (48, 64, 6)
    assert picture.label_size == (64, 48)
    assert "the labels with it" in finding.action
    picture, (finding,) = read_picture(path, labelled_size=(48, 64))
    assert (picture.label_turn, picture.label_size) == (1, (48, 64))
    assert "upright" in finding.action


def test_a_picture_of_a_record_is_never_turned():
    data = rotated(6)
    picture, findings = decode_picture(data, "record 1", as_stored=True)
    assert (picture.encoded, picture.width, picture.height) == (data, 64, 48)
    assert (picture.label_turn, findings) == (1, [])


def test_of_a_moving_picture_the_first_frame_is_taken(tmp_path):
    path = tmp_path / "a.gif"
    frames = [Image.new("L", (16, 16), value) for value in (0, 255)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    picture, (finding,) = read_picture(path)
    with Image.open(io.BytesIO(picture.encoded)) as image:
        assert np.asarray(image).max() < 10
    assert "first of 2 frames" in finding.value


def test_orientation_one_is_nothing_to_speak_of(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(data := rotated(1))
    picture, findings = read_picture(path)
    assert (picture.encoded, findings) == (data, [])


def test_a_jpeg_without_its_end_marker_is_refused(tmp_path):
    """Every row is there and Pillow is content; TensorFlow is not."""
    data = picture_bytes()
    assert data.endswith(b"\xff\xd9")
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:-2] + bytes(30))
    with pytest.raises(DatasetError, match="end marker is missing"):
        read_picture(path)
    path.write_bytes(data + bytes(30))  # what lies behind the end does no harm
    assert read_picture(path)[0].width == 64
