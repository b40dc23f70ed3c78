"""The statistics of a data set as tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from odbench.dataset.statistics import SplitStatistics, Spread, Statistics

_ABSENT = "\u2013"  # an en dash: never 0 for what there is nothing of


def render_statistics(stats: Statistics) -> Group:
    """Lay out a summary of the splits, a table of the classes, and what classes are missing."""
    parts: list[Table | Text] = [_summary(stats), _classes(stats)]
    parts += [
        Text(f"No box in {split}: {', '.join(missing)}", style="yellow")
        for split, missing in stats.missing_classes.items()
        if missing
    ]
    return Group(*parts)


def _summary(stats: Statistics) -> Table:
    table = _table(f"{stats.name} {stats.hash[:12]}", "")
    for name in stats.splits:
        table.add_column(name, justify="right")
    columns = [_split_column(split) for split in stats.splits.values()]
    for key in columns[0] if columns else ():
        table.add_row(Text(key), *(Text(column[key]) for column in columns))
    return table


def _split_column(split: SplitStatistics) -> dict[str, str]:
    """The lines of the summary, the same for every split."""
    sizes = split.image_sizes
    return {
        "images": str(split.images),
        "images without boxes": str(split.images_without_boxes),
        "image sizes": _image_sizes(sizes.distinct, sizes.smallest, sizes.largest),
        "boxes": str(split.boxes),
        "crowd boxes": str(split.crowd),
        "difficult boxes": str(split.difficult),
        "small (below 32x32 px)": _of(split.sizes.small, split.boxes),
        "medium": _of(split.sizes.medium, split.boxes),
        "large (from 96x96 px)": _of(split.sizes.large, split.boxes),
        "boxes per image": _spread(split.boxes_per_image, 1),
        "box side / image side": _spread(split.side_share, 2),
        "box width / height": _spread(split.aspect, 2),
    }


def _classes(stats: Statistics) -> Table:
    table = _table("Boxes by class, and their number small/medium/large", "class")
    for name in stats.splits:
        table.add_column(name, justify="right")
        table.add_column("share", justify="right")
        table.add_column("s/m/l", justify="right")
    for label in stats.classes:
        cells = []
        for name, split in stats.splits.items():
            boxes, sizes = split.boxes_by_class[label], split.sizes_by_class[label]
            share = stats.class_shares[label][name]
            cells += [
                Text(str(boxes), style="" if boxes else "yellow"),
                Text(_ABSENT if share is None else f"{share:.1%}"),
                Text(f"{sizes.small}/{sizes.medium}/{sizes.large}"),
            ]
        table.add_row(Text(label), *cells)
    return table


def _table(title: str, first: str) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column(first, overflow="fold")
    return table


def _image_sizes(distinct: int, smallest: list[int] | None, largest: list[int] | None) -> str:
    if smallest is None or largest is None:
        return _ABSENT
    low, high = (f"{width}x{height}" for width, height in (smallest, largest))
    return low if distinct == 1 else f"{distinct}, {low} to {high}"


def _of(count: int, total: int) -> str:
    return f"{count} ({count / total:.1%})" if total else str(count)


def _spread(spread: Spread, decimals: int) -> str:
    low, mean, middle, high = (
        _ABSENT if value is None else _number(value, decimals)
        for value in (spread.min, spread.mean, spread.p50, spread.max)
    )
    return f"{low} to {high}, mean {mean}, p50 {middle}" if low != _ABSENT else _ABSENT


def _number(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
