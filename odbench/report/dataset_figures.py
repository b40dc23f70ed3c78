"""What a data set holds as one figure, and the files about it that lie beside a run.

Drawn with Matplotlib's objects, without pyplot, as the figures of runs are.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from odbench.dataset.preview import draw_contact_sheet
from odbench.dataset.statistics import (
    Histogram,
    SplitStatistics,
    Statistics,
    dataset_statistics,
    statistics_to_json,
)
from odbench.dataset.types import Dataset
from odbench.records import write_json
from odbench.report.labels import COLOURS, plain
from odbench.report.png import shrink
from odbench.report.text import DASH, shorten

STATISTICS_FILE = "statistics.json"
FIGURE_FILE = "statistics.png"
SHEET_FILE = "contact_sheet.png"
FILES = (STATISTICS_FILE, FIGURE_FILE, SHEET_FILE)

MAX_CLASSES = 80
MAX_LEVEL_NAMES = 8  # class names up to here are written level, and counts above their bars
MAX_BINS = 30  # of boxes per image, before they are joined

_INK, _PALE = "#333333", "#777777"
_DPI = 130
_LOG_FROM = 30  # times the smallest count, and small counts need a logarithmic axis
_BOUNDS = (32, 96)  # pixels: COCO's small, medium and large

# Matplotlib is untyped here.
MplAxes: TypeAlias = Any
MplFigure: TypeAlias = Any

_written: dict[str, Path] = {}  # by hash of the data set


def write_dataset_files(dataset: Dataset, folder: Path) -> Path:
    """Write statistics, figure and contact sheet into a folder, which is made.

    The runs of a sweep share their data set: its files are made once in a process, then copied.

    Raises:
        DatasetError: A file of the data set cannot be read.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = _written.get(dataset.hash)
    if earlier is not None and all((earlier / name).is_file() for name in FILES):
        for name in FILES:
            if not (folder / name).is_file():
                shutil.copyfile(earlier / name, folder / name)
        return folder
    stats = dataset_statistics(dataset)
    write_json(folder / STATISTICS_FILE, statistics_to_json(stats))
    draw_statistics(stats, folder / FIGURE_FILE)
    draw_contact_sheet(dataset, folder / SHEET_FILE)
    _written[dataset.hash] = folder
    return folder


def draw_statistics(stats: Statistics, path: Path) -> Path:
    """Draw classes, boxes per image, box sizes, aspect ratios and image sizes into one PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: MplFigure = Figure((11, 10.5), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.08)
    FigureCanvasAgg(figure)
    title = plain(f"{shorten(stats.name, 32)} {stats.hash[:12]}")
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=_INK)
    panels = figure.subplot_mosaic(
        [["classes", "classes"], ["count", "side"], ["aspect", "images"]],
        height_ratios=[1.25, 1, 1],
    )
    for axes in panels.values():
        axes.grid(visible=True, color="#e6e6e6", lw=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9.5, colors=_INK)
        axes.xaxis.label.set_color(_INK)
        axes.yaxis.label.set_color(_INK)
    _classes(panels["classes"], stats)
    _boxes_per_image(panels["count"], stats)
    _sides(panels["side"], stats)
    _aspects(panels["aspect"], stats)
    _image_sizes(panels["images"], stats)
    handles, names = panels["classes"].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", fontsize=10, frameon=False, ncols=3)
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the table has it right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, dpi=_DPI)
    shrink(path)
    return path


def _classes(axes: MplAxes, stats: Statistics) -> None:
    labels = sorted(stats.classes, key=lambda label: -_total(stats, label))
    shown = labels[:MAX_CLASSES]
    rest = "" if shown == labels else f", the {MAX_CLASSES} commonest of {len(labels)} classes"
    _title(axes, f"Boxes per class{rest}")
    width = 0.8 / max(1, len(stats.splits))
    for place, (colour, name, split) in enumerate(_splits(stats)):
        counts = [split.boxes_by_class[label] for label in shown]
        at = [n + (place - (len(stats.splits) - 1) / 2) * width for n in range(len(shown))]
        bars = axes.bar(at, counts, width, color=colour, label=_legend(name, split))
        if len(shown) <= MAX_LEVEL_NAMES:
            axes.bar_label(bars, fontsize=9.5, color=_INK, padding=2)
    counts = [split.boxes_by_class[x] for split in stats.splits.values() for x in shown]
    seen = [count for count in counts if count]
    if seen and max(seen) > _LOG_FROM * min(seen):
        axes.set_yscale("log")
        axes.set_ylim(0.5, max(seen) * 1.6)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylabel("boxes (logarithmic)")
    else:
        axes.margins(y=0.12)
        axes.set_ylabel("boxes")
    level = len(shown) <= MAX_LEVEL_NAMES
    names = [plain(shorten(label, 16 if level else 22)) for label in shown]
    size = 10 if len(shown) <= 40 else 8
    axes.set_xticks(range(len(shown)), names, rotation=0 if level else 90, fontsize=size)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.set_xlim(-0.6, max(len(shown), 1) - 0.4)


def _boxes_per_image(axes: MplAxes, stats: Statistics) -> None:
    _title(axes, "Boxes per image")
    most = max((max(s.images_by_boxes, default=0) for s in stats.splits.values()), default=0)
    step = -(-(most + 1) // MAX_BINS)
    edges = [n - 0.5 for n in range(0, most + step + 1, step)]
    histograms = {}
    for name, split in stats.splits.items():
        counts = [0] * (len(edges) - 1)
        for boxes, images in split.images_by_boxes.items():
            counts[boxes // step] += images
        histograms[name] = Histogram(edges, counts)
    _steps(axes, stats, histograms, "images")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("boxes in an image" + ("" if step == 1 else f" (bins of {step})"))
    axes.xaxis.get_major_locator().set_params(integer=True)


def _sides(axes: MplAxes, stats: Statistics) -> None:
    _title(axes, "Box sizes")
    axes.set_xscale("log", base=2)
    _steps(axes, stats, {name: split.side_px for name, split in stats.splits.items()}, "boxes")
    low, high = _filled([split.side_px for split in stats.splits.values()])
    low, high = min(low, 16.0), max(high, 192.0)
    axes.set_xlim(low, high)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.3)  # room for the names of the sizes
    for bound in _BOUNDS:
        axes.axvline(bound, color=_PALE, lw=1.2, ls=":")
    ends = (low, *_BOUNDS, high)
    for name, start, end in zip(("small", "medium", "large"), ends[:-1], ends[1:], strict=True):
        lines = [(_INK, name)]
        for colour, _, split in _splits(stats):
            lines.append((colour, _share(getattr(split.sizes, name), split.boxes)))
        for number, (colour, text) in enumerate(lines):
            axes.annotate(
                text,
                ((start * end) ** 0.5, 1),
                (0, -4 - 11 * number),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=9,
                color=colour,
            )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("square root of the area (pixels); dotted: COCO's bounds")


def _aspects(axes: MplAxes, stats: Statistics) -> None:
    _title(axes, "Shapes of boxes")
    axes.set_xscale("log", base=2)
    _steps(axes, stats, {name: s.aspect_histogram for name, s in stats.splits.items()}, "boxes")
    ticks = {1 / 8: "1:8", 1 / 4: "1:4", 1 / 2: "1:2", 1: "1:1", 2: "2:1", 4: "4:1", 8: "8:1"}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlabel("width : height; the outer bins hold what lies beyond")


def _image_sizes(axes: MplAxes, stats: Statistics) -> None:
    _title(axes, "Image sizes")
    for colour, _, split in _splits(stats):
        counts = split.image_sizes.commonest
        places = [_sides_of(size) for size in counts]
        axes.scatter(
            [width for width, _ in places],
            [height for _, height in places],
            [40 + 360 * count / split.images for count in counts.values()],
            facecolors=f"{colour}55",
            edgecolors=colour,
        )
    shown = {size for split in stats.splits.values() for size in split.image_sizes.commonest}
    end = 1.15 * max((max(_sides_of(size)) for size in shown), default=1)
    axes.plot([0, end], [0, end], color="#cccccc", lw=0.8, zorder=0)
    axes.set_xlim(0, end)
    axes.set_ylim(0, end)
    most = max((split.image_sizes.distinct for split in stats.splits.values()), default=0)
    text = next(iter(shown)) if len(shown) == 1 else f"{most} sizes"
    axes.annotate(text, (0.03, 0.92), xycoords="axes fraction", fontsize=10, color=_INK)
    axes.set_xlabel("width (pixels); the larger the dot, the more images")
    axes.set_ylabel("height (pixels)")


def _sides_of(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    return int(width), int(height)


def _steps(axes: MplAxes, stats: Statistics, histograms: dict[str, Histogram], of: str) -> None:
    """Draw one outline a split, in shares, so that splits of different sizes can be compared."""
    for place, (colour, name, _) in enumerate(_splits(stats)):
        histogram = histograms[name]
        total = sum(histogram.counts) or 1
        shares = [100 * count / total for count in histogram.counts]
        axes.stairs(shares, histogram.edges, fill=True, color=colour, alpha=0.15)
        # Thinner above thicker lines, so that equal ones are both seen.
        axes.stairs(shares, histogram.edges, color=colour, lw=max(1.0, 3.2 - 1.7 * place))
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"share of the split's {of} (%)")


def _filled(histograms: Sequence[Histogram]) -> tuple[float, float]:
    """From the first to the last edge of what is not empty in any histogram."""
    filled = [
        (histogram.edges[place], histogram.edges[place + 1])
        for histogram in histograms
        for place, count in enumerate(histogram.counts)
        if count
    ]
    return min((low for low, _ in filled), default=32.0), max(
        (up for _, up in filled), default=96.0
    )


def _splits(stats: Statistics) -> list[tuple[str, str, SplitStatistics]]:
    return [
        (COLOURS[place % len(COLOURS)], name, split)
        for place, (name, split) in enumerate(stats.splits.items())
    ]


def _legend(name: str, split: SplitStatistics) -> str:
    return plain(f"{name}: {split.images} images, {split.boxes} boxes")


def _total(stats: Statistics, label: str) -> int:
    return sum(split.boxes_by_class[label] for split in stats.splits.values())


def _share(count: int, total: int) -> str:
    return f"{count / total:.0%}" if total else DASH


def _title(axes: MplAxes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=11, color=_INK)
