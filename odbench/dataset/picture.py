"""Pictures as they go into records: whole, JPEG or PNG, and upright."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from odbench.dataset.jpeg import SUFFIXES as JPEG_SUFFIXES
from odbench.dataset.jpeg import ordinary_jpeg, plain_jpeg
from odbench.dataset.orientation import QUARTER_TURNS, turned_size
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
_NOTE = f"stored as JPEG, quality {_QUALITY}"
_WIDE_GREY = {"I;16", "I;16L", "I;16B", "I;16N"}


# JPEG's markers of a scan's start and of the end. TensorFlow insists on the end, Pillow does not.
_SOS, _EOI = b"\xff\xda", b"\xff\xd9"


# What each format's files are called; a file that is called otherwise is read all the same.
_EXTENSIONS = {
    "JPEG": JPEG_SUFFIXES,
    "MPO": JPEG_SUFFIXES,
    "TIFF": {".tif", ".tiff"},
    "PPM": {".ppm", ".pgm"},
}


@dataclass(frozen=True)
class Picture:
    """One picture, decoded once to be sure of it."""

    encoded: bytes
    format: str  # jpeg or png
    width: int
    height: int
    label_turn: int = 1  # EXIF orientation by which labels have to be turned; 1: not at all

    @property
    def label_size(self) -> tuple[int, int]:
        """(width, height) that the labels were made on."""
        return turned_size(self.label_turn, self.width, self.height)


def read_picture(
    path: Path, labelled_size: tuple[int, int] | None = None
) -> tuple[Picture, list[Finding]]:
    """Read a picture and decode it to its last row.

    JPEG and PNG files come back byte by byte as they are. The decoder that training uses ignores
    EXIF's orientation, so a turned picture is turned once here. Its labels are turned too if
    their size says that they were made on the pixels as stored.

    Args:
        path: Of the file; its format is found from its content.
        labelled_size: (width, height) that the annotation was made on, where it says.

    Raises:
        DatasetError: The file cannot be read, or is no whole picture.
    """
    with _decoding(str(path)), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - quick
        data = file.read()
    return decode_picture(data, str(path), labelled_size, path.suffix)


def decode_picture(
    data: bytes,
    where: str,
    labelled_size: tuple[int, int] | None = None,
    suffix: str = "",
    as_stored: bool = False,
) -> tuple[Picture, list[Finding]]:
    """As :func:`read_picture`, from the bytes of a file.

    Args:
        data: Of the whole file.
        where: For errors and findings.
        labelled_size: (width, height) that the annotation was made on, where it says.
        suffix: Extension of the file's name, compared with the content; empty: not compared.
        as_stored: Leave the orientation alone: the labels belong to the pixels as stored.
    """
    plain = plain_jpeg(data)
    if plain is not None:
        return Picture(data, "jpeg", *plain), _wrong_extension("JPEG", suffix, where)
    with _decoding(where):
        image = Image.open(io.BytesIO(data))
        kind, size = image.format or "", image.size
        name, modes = _PASSED_THROUGH.get(kind, ("", set()))
        if kind == "JPEG" and image.mode in modes and _orientation(image) == 1:
            if ordinary_jpeg(data):
                return Picture(data, name, *size), _wrong_extension(kind, suffix, where)
            image.draft(None, (1, 1))  # an eighth in size, yet it reads the data to the last bit
        image.load()
        if kind == "PNG":
            _check_png_chunks(data)
        elif kind in ("JPEG", "MPO") and data.rfind(_EOI) < data.rfind(_SOS):
            raise ValueError("the end marker is missing")
        findings = _wrong_extension(kind, suffix, where)
        turned: Image.Image = image
        label_turn = 1
        if not as_stored:
            turned, label_turn, found = _upright(image, where, labelled_size)
            findings += found
        if turned is image and image.mode in modes:
            return Picture(data, name, *size), findings
        if turned is image:
            findings.append(Finding("picture_converted", where, _describe(image), _NOTE))
        rgb = to_rgb(turned)
        return Picture(encode_jpeg(rgb), "jpeg", rgb.width, rgb.height, label_turn), findings


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
        import numpy as np

        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of type {image.mode} have no fixed range")
    return image.convert("RGB")


def _upright(
    image: Image.Image, where: str, labelled_size: tuple[int, int] | None
) -> tuple[Image.Image, int, list[Finding]]:
    """The picture as a person sees it, and by which orientation its labels have to follow.

    Sizes tell the two kinds of labels apart after a quarter turn only. Otherwise labels are taken
    as made on the upright picture, which is what labelling tools show.
    """
    orientation = _orientation(image)
    if orientation == 1:
        return image, 1, []
    stored = (image.width, image.height)
    swapped = orientation in QUARTER_TURNS and image.width != image.height
    on_stored = swapped and labelled_size == stored
    labels = "the labels with it" if on_stored else "labels taken as made on the upright picture"
    action = f"turned upright, {labels}; {_NOTE}"
    finding = Finding("exif_orientation", where, f"orientation {orientation}", action)
    return ImageOps.exif_transpose(image), orientation if on_stored else 1, [finding]


def _orientation(image: Image.Image) -> int:
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in range(2, 9) else 1


def _describe(image: Image.Image) -> str:
    frames = getattr(image, "n_frames", 1)
    return f"{image.format} {image.mode}" + (f", first of {frames} frames" if frames > 1 else "")


def _wrong_extension(kind: str, suffix: str, where: str) -> list[Finding]:
    expected = _EXTENSIONS.get(kind, {f".{kind.lower()}"})
    if not suffix or suffix.lower() in expected:
        return []
    return [Finding("wrong_extension", where, f"{suffix} holds {kind}", "read as what it holds")]


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
def _decoding(where: str) -> Iterator[None]:
    """Turn whatever a decoder makes of foreign bytes into one kind of error."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and more
        missing = isinstance(error, FileNotFoundError)
        raise DatasetError(
            "picture is missing" if missing else "picture cannot be read",
            where=where,
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
