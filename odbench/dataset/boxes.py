"""Checks of one box against its picture, shared by all sources."""

from __future__ import annotations

from odbench.dataset.types import Box, Finding
from odbench.errors import DatasetError

# Labelling tools round outwards and count from 1; anything beyond is a wrong coordinate.
MAX_OVERHANG_PX = 1.0


def fit_box(box: Box, width: int, height: int, where: str) -> tuple[Box | None, list[Finding]]:
    """The box as it can be used, or None where it has to be dropped; and what was done.

    Args:
        box: In pixels.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        where: File and line of the box.

    Raises:
        DatasetError: The box sticks out of the picture by more than one pixel.
    """
    if box.xmax < box.xmin or box.ymax < box.ymin:
        return None, [Finding("inverted_box", where, describe(box), "dropped")]
    overhang = max(-box.xmin, -box.ymin, box.xmax - width, box.ymax - height)
    if overhang > MAX_OVERHANG_PX:
        raise DatasetError(
            f"box outside the picture of {width}x{height} pixels",
            where=where,
            value=describe(box),
            allowed=f"0..{width} x 0..{height}, and at most {MAX_OVERHANG_PX:g} pixel beyond",
            fix="correct the box, or label the picture in its own size",
        )
    if overhang <= 0 and box.area > 0:
        return box, []
    findings = []
    fitted = box
    if overhang > 0:
        fitted = _clip(box, width, height)
        findings.append(Finding("box_clipped", where, describe(box), "clipped to the picture"))
    if fitted.area == 0:
        return None, [Finding("zero_area_box", where, describe(box), "dropped")]
    return fitted, findings


def describe(box: Box) -> str:
    """Label and corners in one line."""
    corners = ", ".join(f"{v:g}" for v in (box.xmin, box.ymin, box.xmax, box.ymax))
    return f"{box.label} [{corners}]"


def _clip(box: Box, width: int, height: int) -> Box:
    return box._replace(
        xmin=max(0.0, box.xmin),
        ymin=max(0.0, box.ymin),
        xmax=min(float(width), box.xmax),
        ymax=min(float(height), box.ymax),
    )
