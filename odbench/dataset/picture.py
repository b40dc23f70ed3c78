"""Pictures as they go into records: whole, JPEG or PNG, and upright."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from odbench.dataset.types import Finding
from odbench.errors import DatasetError

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
)

# What TensorFlow's decoders turn into three channels by themselves. MPO is a JPEG with further
# pictures behind the first one, which is the one that is decoded.
_PASSED_THROUGH = {
    "JPEG": ("jpeg", {"L", "RGB"}),
    "MPO": ("jpeg", {"L", "RGB"}),
    "PNG": ("png", {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}),
}

_QUALITY = 95
_WIDE_GREY = {"I;16", "I;16L", "I;16B", "I;16N"}
_QUARTER_TURNS = {5, 6, 7, 8}  # values of EXIF's orientation that swap width and height


# JPEG's markers of a scan's start and of the end. TensorFlow insists on the end, Pillow does not.
_SOS, _EOI = b"\xff\xda", b"\xff\xd9"


@dataclass(frozen=True)
class Picture:
    """One picture, decoded once to be sure of it."""

    encoded: bytes
    format: str  # jpeg or png
    width: int
    height: int


def read_picture(
    path: Path, labelled_size: tuple[int, int] | None = None
) -> tuple[Picture, list[Finding]]:
    """Read a picture and decode it to its last row.

    JPEG and PNG files come back byte by byte as they are. The decoder that training uses ignores
    EXIF's orientation, so a turned picture is turned once here, unless its labels were made on
    the pixels as stored.

    Args:
        path: Of the file; its format is found from its content.
        labelled_size: (width, height) that the annotation was made on, where it says.

    Raises:
        DatasetError: The file cannot be read, or is no whole picture.
    """
    with _decoding(path):
        data = path.read_bytes()
        image = Image.open(io.BytesIO(data))
        image.load()
        if image.format == "PNG":
            _check_png_chunks(data)
        elif image.format in ("JPEG", "MPO") and data.rfind(_EOI) < data.rfind(_SOS):
            raise ValueError("the end marker is missing")
        turned, findings = _upright(image, path, labelled_size)
        name, modes = _PASSED_THROUGH.get(image.format or "", ("", set()))
        if turned is image and image.mode in modes:
            return Picture(data, name, image.width, image.height), findings
        rgb = to_rgb(turned)
        note = f"stored as JPEG, quality {_QUALITY}"
        if turned is image:
            value = f"{image.format} {image.mode}"
            findings.append(Finding("picture_converted", str(path), value, note))
        return Picture(encode_jpeg(rgb), "jpeg", rgb.width, rgb.height), findings


def encode_jpeg(image: Image.Image) -> bytes:
    """The bytes of a JPEG file of quality 95."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture in three channels of 8 bits.

    Raises:
        ValueError: Its values have no fixed range (32-bit integer or floating-point pixels).
    """
    if image.mode in _WIDE_GREY:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of type {image.mode} have no fixed range")
    return image.convert("RGB")


def _upright(
    image: Image.Image, path: Path, labelled_size: tuple[int, int] | None
) -> tuple[Image.Image, list[Finding]]:
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if orientation not in range(2, 9):
        return image, []
    stored = (image.width, image.height)
    swapped = orientation in _QUARTER_TURNS and image.width != image.height
    value = f"orientation {orientation}"
    if swapped and labelled_size == stored:
        action = "left as stored: the labels were made on the stored pixels"
        return image, [Finding("exif_orientation", str(path), value, action)]
    action = f"turned upright, stored as JPEG, quality {_QUALITY}"
    return ImageOps.exif_transpose(image), [Finding("exif_orientation", str(path), value, action)]


def _check_png_chunks(data: bytes) -> None:
    """Check what lies behind the last row too, as TensorFlow's decoder does and Pillow does not.

    Source: https://www.w3.org/TR/png-3/#5Chunk-layout
    """
    offset, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, offset)
        (checksum,) = struct.unpack_from(">I", data, offset + 8 + length)
        if zlib.crc32(memoryview(data)[offset + 4 : offset + 8 + length]) != checksum:
            raise ValueError(f"checksum of a {kind.decode('latin-1')} chunk does not fit")
        offset += 12 + length


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Turn whatever a decoder makes of foreign bytes into one kind of error."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and more
        missing = isinstance(error, FileNotFoundError)
        raise DatasetError(
            "picture is missing" if missing else "picture cannot be read",
            where=str(path),
            value=None if missing else _reason(error),
            fix="put the whole file there, or remove it and its annotation",
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, struct.error):
        return "the file ends too early"
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    return str(error) or type(error).__name__
