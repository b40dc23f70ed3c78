"""Bytes of small pictures and annotations."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lxml import etree
from PIL import Image

from odbench.dataset.types import Box


def picture_bytes(
    size: tuple[int, int] = (64, 48), kind: str = "JPEG", mode: str = "RGB", **options
) -> bytes:
    """A picture with some detail in it, so that cutting its bytes cuts its rows."""
    gradient = Image.linear_gradient("L").resize(size)
    buffer = io.BytesIO()
    gradient.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def voc_xml(filename: str, boxes: Sequence[Box], size: tuple[int, int] | None = (64, 48)) -> bytes:
    """One annotation as labelImg writes it."""
    root = etree.Element("annotation")
    etree.SubElement(root, "filename").text = filename
    if size is not None:
        element = etree.SubElement(root, "size")
        for tag, value in zip(("width", "height", "depth"), (*size, 3), strict=True):
            etree.SubElement(element, tag).text = str(value)
    for box in boxes:
        item = etree.SubElement(root, "object")
        etree.SubElement(item, "name").text = box.label
        etree.SubElement(item, "pose").text = box.pose
        etree.SubElement(item, "truncated").text = str(int(box.truncated))
        etree.SubElement(item, "difficult").text = str(int(box.difficult))
        corners = etree.SubElement(item, "bndbox")
        for side in ("xmin", "ymin", "xmax", "ymax"):
            etree.SubElement(corners, side).text = repr(getattr(box, side))
    return etree.tostring(root, pretty_print=True)


def png_mask(region: tuple[int, int, int, int], size: tuple[int, int] = (64, 48)) -> bytes:
    """A mask that is set in one rectangle (left, upper, right, lower)."""
    mask = Image.new("1", size)
    mask.paste(1, region)
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


def coco_body(
    pictures: Mapping[str, Sequence[dict[str, Any]]],
    categories: Sequence[dict[str, Any]] = ({"id": 3, "name": "cat"},),
    size: tuple[int, int] | None = (64, 48),
) -> dict[str, Any]:
    """COCO's lists for annotations by file name; ids are given out where they are missing."""
    sides = {} if size is None else {"width": size[0], "height": size[1]}
    images = [{"id": 100 + i, "file_name": name} | sides for i, name in enumerate(pictures)]
    annotations = [
        {"image_id": 100 + i, "category_id": 3, "iscrowd": 0} | annotation
        for i, listed in enumerate(pictures.values())
        for annotation in listed
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation.setdefault("id", number)
    return {
        "images": images,
        "annotations": annotations,
        "categories": [dict(c) for c in categories],
    }


def many_pictures(folder: Path, add_image, count: int = 20) -> Path:
    """So many different pictures with a box each, by the fixture that adds one."""
    for number in range(count):
        add_image(folder, f"p{number:02d}", data=picture_bytes(quality=50 + number))
    return folder


A_BOX = Box("cat", 4.0, 5.0, 30.0, 40.0)
