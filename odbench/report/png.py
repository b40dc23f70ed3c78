"""Small PNG files."""

from __future__ import annotations

from pathlib import Path


def shrink(path: Path) -> None:
    """Keep 256 colours: enough for lines and boxes, and noise in pictures compresses badly."""
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(
            256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        )
    small.save(path)
