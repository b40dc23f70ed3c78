"""Instance masks: COCO's polygons and run lengths to PNG, and PNG to run lengths.

Run lengths go down the columns and begin with zeros; the compressed form packs them, from the
third on as differences to the last but one, into characters of six bits. Source:
https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c. They are unpacked here and
not by that code, which trusts them and writes beyond its memory where they are wrong.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from odbench.dataset.types import Finding
from odbench.errors import DatasetError

Mask = NDArray[np.bool_]  # (height, width)

_FORMS = "polygons [[x, y, ...], ...], or an object with size [height, width] and counts"


def read_segmentation(
    value: Any, width: int, height: int, where: str
) -> tuple[Mask | None, list[Finding]]:
    """The mask of an annotation's ``segmentation``, None where there is none to be used.

    Args:
        value: As in the JSON.
        width: Of the picture that it was made on.
        height: Of that picture.
        where: For errors and findings.

    Raises:
        DatasetError: It is no segmentation, or of a picture of another size.
    """
    if value is None or value == []:
        return None, []
    findings: list[Finding] = []
    mask: Mask | None
    if isinstance(value, dict):
        mask = _from_runs(value, width, height, where)
    elif isinstance(value, list) and all(isinstance(part, list) for part in value):
        mask, findings = _from_polygons(value, width, height, where)
    else:
        raise DatasetError("not a segmentation", where=where, value=_short(value), allowed=_FORMS)
    if mask is not None and not mask.any():
        findings.append(Finding("empty_mask", where, "no pixel", "left out"))
        return None, findings
    return mask, findings


def segmentation_to_rle(value: Any, width: int, height: int, where: str) -> dict[str, Any] | None:
    """Compressed run lengths of an annotation's ``segmentation``; None where it has no pixel.

    As :func:`read_segmentation`, whose pixels they stand for, and without drawing those of a
    segmentation that has run lengths already.

    Raises:
        DatasetError: As :func:`read_segmentation`.
    """
    if not isinstance(value, dict):
        mask, _ = read_segmentation(value, width, height, where)
        return None if mask is None else mask_rle(mask)
    counts = _checked_counts(value, width, height, where)
    if not any(counts[1::2]):
        return None
    return _compressed(counts, width, height)


def encode_mask(mask: Mask) -> bytes:
    """A PNG of one bit a pixel."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


def decode_mask(png: bytes, where: str = "mask") -> Mask:
    """The mask in a PNG: wherever it is not zero.

    Raises:
        DatasetError: It is no picture of one channel.
    """
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            pixels = np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and more
        raise DatasetError("mask cannot be read", where=where, value=error) from error
    if pixels.ndim != 2:
        raise DatasetError("mask has several channels", where=where, value=pixels.shape)
    mask: Mask = pixels != 0
    return mask


def blank_mask(width: int, height: int) -> bytes:
    """The PNG of a mask without a pixel."""
    return encode_mask(np.zeros((height, width), dtype=bool))


def mask_to_rle(png: bytes) -> dict[str, Any]:
    """Compressed run lengths of the mask in a PNG, as JSON values."""
    return mask_rle(decode_mask(png))


def mask_rle(mask: Mask) -> dict[str, Any]:
    """Compressed run lengths of a mask, as JSON values."""
    from pycocotools import mask as coco_mask

    return _as_json(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))))


def _compressed(counts: list[int], width: int, height: int) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    runs = {"size": [height, width], "counts": counts}
    return _as_json(coco_mask.frPyObjects(runs, height, width))


def _as_json(runs: dict[str, Any]) -> dict[str, Any]:
    return {"size": [int(side) for side in runs["size"]], "counts": runs["counts"].decode("ascii")}


def _from_polygons(
    polygons: list[list[Any]], width: int, height: int, where: str
) -> tuple[Mask | None, list[Finding]]:
    from pycocotools import mask as coco_mask

    findings, usable = [], []
    for polygon in polygons:
        _check_numbers(polygon, where)
        if len(polygon) < 6:  # pycocotools would take four numbers for a box
            value = f"{len(polygon) // 2} corners"
            findings.append(Finding("polygon_without_area", where, value, "left out of the mask"))
            continue
        clipped = np.array(polygon, dtype=float)
        clipped[0::2] = clipped[0::2].clip(0, width)
        clipped[1::2] = clipped[1::2].clip(0, height)
        overhang = float(np.abs(clipped - np.array(polygon, dtype=float)).max())
        if overhang > 0:
            value = f"{overhang:g} pixels beyond the picture"
            findings.append(Finding("polygon_clipped", where, value, "clipped to the picture"))
        usable.append(clipped.tolist())
    if not usable:
        return None, findings
    runs = coco_mask.merge(coco_mask.frPyObjects(usable, height, width))
    # Its own decoder warns with NumPy 2 at every call.
    counts = runs["counts"].decode("ascii")
    return _from_runs(runs | {"counts": counts}, width, height, where), findings


def _check_numbers(polygon: list[Any], where: str) -> None:
    for value in polygon:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= 1e9:  # nor for what is not finite
            raise DatasetError("corner of a polygon is not a number", where=where, value=value)
    if len(polygon) % 2:
        raise DatasetError("polygon with half a corner", where=where, value=len(polygon))


def _from_runs(value: dict[str, Any], width: int, height: int, where: str) -> Mask:
    counts = _checked_counts(value, width, height, where)
    bits = np.arange(len(counts)) % 2 == 1
    return np.repeat(bits, counts).reshape(width, height).T


def _checked_counts(value: dict[str, Any], width: int, height: int, where: str) -> list[int]:
    """The run lengths, unpacked; they are of the picture's size and cover it."""
    size, counts = value.get("size"), value.get("counts")
    if size != [height, width]:
        raise DatasetError(
            "mask of another size than the picture",
            where=where,
            value=_short(size),
            allowed=f"[{height}, {width}]",
        )
    if isinstance(counts, str):
        counts = _unpack(counts, where)
    if (
        not isinstance(counts, list)
        or not all(type(count) is int and count >= 0 for count in counts)
        or sum(counts) != width * height
    ):
        raise DatasetError(
            "run lengths do not add up to the picture",
            where=where,
            value=_short(counts),
            allowed=f"integers that sum to {width * height}",
        )
    return counts


def _unpack(text: str, where: str) -> list[int]:
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 40:
            raise DatasetError("not compressed run lengths", where=where, value=_short(text))
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
        value, shift = 0, 0
    if shift:
        raise DatasetError("compressed run lengths end too early", where=where, value=_short(text))
    return counts


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
