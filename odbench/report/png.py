"""Small PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image


def write_small(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write drawn pixels, [height, width, 4] as RGBA with nothing transparent."""
    from PIL import Image

    _save(Image.fromarray(pixels[:, :, :3]), path)


def shrink(path: Path) -> None:
    """Write a picture again, small."""
    from PIL import Image

    with Image.open(path) as image:
        whole = image.convert("RGB")
    _save(whole, path)


def _save(image: Image, path: Path) -> None:
    """Keep 256 colours: enough for lines and boxes, and noise in pictures compresses badly."""
    from PIL.Image import Dither, Quantize

    image.quantize(256, Quantize.FASTOCTREE, dither=Dither.NONE).save(path)
