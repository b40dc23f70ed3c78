"""Variants in a table's cells: means with their intervals, the best of a column and its ties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from odbench.report.columns import COLUMNS, Column
from odbench.report.comparison import Group
from odbench.report.differences import tied_with_best
from odbench.report.flags import marks
from odbench.report.once import once
from odbench.report.pick_metrics import metrics_table
from odbench.report.text import DASH, interval, significant
from odbench.report.variants import Variant, variants

MAX_VARIANTS = 100  # of a group that are compared in a table: each takes its tests

_KEYS = (
    *("ap", "ap50", "mask_ap", "keypoint_ap", "time_1000_steps", "latency_p50"),
    *("size", "peak_ram", "peak_gpu"),
)
_IMAGES = {"ap": "AP", "ap50": "AP50"}
_MEGA = 1e6  # sizes are shown in MB


@dataclass(frozen=True)
class Cell:
    """One number of a variant, written."""

    text: str  # with the marks of its flags
    between: str | None = None  # 95 % interval
    best: bool = False
    tied: bool = False  # with the best


@dataclass(frozen=True)
class Summary:
    """The first variants of a group in the columns that decide."""

    variants: list[Variant]
    columns: list[Column]
    cells: list[list[Cell]]  # of each column one for each variant


@once
def summary(group: Group) -> Summary:
    """Lay out the first :data:`MAX_VARIANTS` of a group."""
    shown = variants(group)[:MAX_VARIANTS]
    columns = summary_columns(shown)
    return Summary(shown, columns, [summary_cells(column, shown) for column in columns])


def summary_columns(shown: Sequence[Variant]) -> list[Column]:
    """The columns that decide, of those that any variant has a number in."""
    deciding = [column for column in COLUMNS if column.key in _KEYS]
    return [c for c in deciding if any(c.value(variant) is not None for variant in shown)]


def summary_cells(column: Column, shown: Sequence[Variant]) -> list[Cell]:
    """One cell for each variant.

    The interval is that of the mean over repeats, or of the AP of fewer over images. Only
    numbers without a flag are best or tied.
    """
    metric = next(m for m in metrics_table().values() if m.sources == column.metrics)
    ties = tied_with_best(metric, shown)
    return [_cell(column, variant, ties) for variant in shown]


def _cell(column: Column, variant: Variant, ties: Mapping[str, object]) -> Cell:
    value = column.value(variant)
    if value is None:
        return Cell(DASH)
    scale = _MEGA if column.metrics[0].endswith("_bytes") else 1.0
    text, between = significant(value / scale), None
    bounds = _interval(column, variant)
    if column.key in _IMAGES or column.key.endswith("_ap"):
        text = f"{value:.3f}"
    if bounds is not None and bounds[0] < bounds[1]:
        text, between = interval(value / scale, bounds[0] / scale, bounds[1] / scale)
    flags = marks(column.flags(variant))
    best = variant.key in ties and ties[variant.key] is None
    return Cell(f"{text} {flags}".strip(), between, best, variant.key in ties and not best)


def _interval(column: Column, variant: Variant) -> tuple[float, float] | None:
    found = variant.repeated(column.metrics)
    if found.low is not None and found.high is not None:
        return found.low, found.high
    images = variant.over_images(_IMAGES[column.key]) if column.key in _IMAGES else None
    if images is None or images.low is None or images.high is None:
        return None
    return images.low, images.high
