"""Bytes of small pictures and annotations."""

from __future__ import annotations

import io
from collections.abc import Sequence

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


A_BOX = Box("cat", 4.0, 5.0, 30.0, 40.0)
