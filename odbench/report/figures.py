"""The figures of a report, one group of comparable runs each. The only importer of Matplotlib.

Drawn with Matplotlib's objects, without pyplot and its global state.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from odbench.evaluation.weighted import Floats
from odbench.report import strip
from odbench.report.columns import COLUMNS
from odbench.report.comparison import Group, Row
from odbench.report.flags import SLOWED
from odbench.report.labels import COLOURS, plain, run_name, run_styles
from odbench.report.png import write_small
from odbench.report.text import significant
from odbench.results import Flag, Stage

MAX_LINES = 12
MAX_BESIDE = 10  # points that are named beside them
MAX_NUMBERED = 24  # points that are named in a key
MAX_BARS = 20

_INK, _PALE, _DPI = "#333333", "#777777", 130

# Matplotlib is untyped here.
MplFigure: TypeAlias = Any
MplAxes: TypeAlias = Any
MplText: TypeAlias = Any
MplBox: TypeAlias = Any

_AP = next(column for column in COLUMNS if column.key == "ap")
_LATENCY = next(column for column in COLUMNS if column.key == "latency_p50")

_TRAINING = frozenset({Flag.diverged, Flag.batch_shrunk, Flag.replayed})
_TIMES = SLOWED | {Flag.partial_eval, Flag.replayed}


@dataclass(frozen=True)
class Drawing:
    """A figure of the report: its file, or None and a note that says why there is none."""

    title: str
    file: str | None  # name in the folder of figures
    note: str


class _NothingToDraw(Exception):
    """The data for a figure is missing; the text says which."""


def draw_figures(
    group: Group,
    folder: Path,
    suffix: str = "",
    *,
    vector: bool = False,
    only: Sequence[str] | None = None,
) -> list[Drawing]:
    """Draw the figures of a group into an existing folder as PNG, the pictures as JPEG.

    ``suffix`` ends the file names; ``vector`` draws them as SVG, too, but for the pictures;
    ``only`` some of :data:`STEMS` are drawn, without it all.
    """
    stems = [stem for stem in STEMS if only is None or stem in only]
    return [
        _draw_strip(group, folder, suffix)
        if stem == strip.STEM
        else _draw(group, folder, suffix, stem, vector)
        for stem in stems
    ]


def _draw_strip(group: Group, folder: Path, suffix: str) -> Drawing:
    file = f"{strip.STEM}{suffix}.jpg"
    note = strip.draw_strip(group, folder / file)
    if note is None:
        nothing = "not drawn: no run has kept evaluation pictures."
        return Drawing(strip.TITLE, None, nothing)
    return Drawing(strip.TITLE, file, note)


def _draw(group: Group, folder: Path, suffix: str, stem: str, vector: bool) -> Drawing:
    import matplotlib

    title, draw = FIGURES[stem]
    file = f"{stem}{suffix}.png"
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the tables have it right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        try:
            figure, note = draw(group, title)
        except _NothingToDraw as nothing:
            return Drawing(title, None, f"not drawn: {nothing}.")
        figure.canvas.draw()
        write_small(np.asarray(figure.canvas.buffer_rgba()), folder / file)
        if vector:
            with matplotlib.rc_context({"svg.hashsalt": stem}):  # the same ids in every report
                figure.savefig(folder / f"{stem}{suffix}.svg", metadata={"Date": None})
    return Drawing(title, file, note)


def _scatter(group: Group, title: str) -> tuple[MplFigure, str]:
    points = [
        (row, latency, ap)
        for row in group.rows
        if (latency := _LATENCY.value(row)) is not None and (ap := _AP.value(row)) is not None
    ]
    if not points:
        raise _NothingToDraw("no run has both an AP and a latency")
    figure, axes = _new(group, title, 9, 5.6)
    axes.set_xlabel("Latency p50 of the exported model (ms); left is better", fontsize=11)
    axes.set_ylabel("AP; higher is better", fontsize=11)
    axes.margins(x=0.18, y=0.18)
    styles = run_styles(group)
    edges = [styles[row.label][0] for row, _, _ in points]
    faces = [
        "none" if _flagged(row) else edge for (row, _, _), edge in zip(points, edges, strict=True)
    ]
    latencies, values = [x for _, x, _ in points], [y for _, _, y in points]
    axes.scatter(latencies, values, s=100, c=faces, edgecolors=edges, linewidths=2, zorder=3)
    axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
    axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
    named = _name_points(figure, axes, points, list(zip(edges, faces, strict=True)))
    note = "Up and to the left is better."
    if any(_flagged(row) for row, _, _ in points):
        note += " Hollow points are flagged in AP or latency; the legend of flags says why."
    if named < len(points):
        note += f" {named} of {len(points)} points are named; the table has them all."
    return figure, note


def _flagged(row: Row) -> bool:
    return not row.ok or bool(_AP.flags(row) or _LATENCY.flags(row))


def _name_points(
    figure: MplFigure,
    axes: MplAxes,
    points: Sequence[tuple[Row, float, float]],
    colours: Sequence[tuple[str, str]],
) -> int:
    """Name points beside them, or where that is too dense by numbers with a key; count them."""
    from matplotlib.lines import Line2D

    places = [(x, y) for _, x, y in points]
    concerned = _AP.concerned_by | _LATENCY.concerned_by
    if len(points) <= MAX_BESIDE:
        texts = [run_name(row, concerned, 26) for row, _, _ in points]
        labels = _place_labels(figure, axes, places, texts)
        if len(labels) == len(texts):
            return len(texts)
        for label in labels:
            label.remove()
    rows = [row for row, _, _ in points][:MAX_NUMBERED]
    key = [f"{n}  {run_name(row, concerned, 50)}" for n, row in enumerate(rows, start=1)]
    dots = [
        Line2D([], [], marker="o", ls="", ms=9, mew=2, mec=edge, mfc=face)
        for edge, face in colours[: len(key)]
    ]
    _name_below(figure, dots, key)
    return len(_place_labels(figure, axes, places, [str(n) for n in range(1, len(key) + 1)]))


# Offsets of a label from its point, near ones first: (x, y in points, horizontal, vertical).
_OFFSETS = (
    (12, 0, "left", "center"),
    (-12, 0, "right", "center"),
    (0, 10, "center", "bottom"),
    (0, -10, "center", "top"),
    *(
        (sign_x * x * reach, sign_y * y * reach, "left" if sign_x > 0 else "right", vertical)
        for reach in (14, 26, 40)
        for x, y in ((1, 0.5), (0.4, 1))
        for sign_x in (1, -1)
        for sign_y, vertical in ((1, "bottom"), (-1, "top"))
    ),
)


def _place_labels(
    figure: MplFigure,
    axes: MplAxes,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
) -> list[Any]:
    """Label the first points where nothing is overlapped; returns the labels that found room."""
    _lay_out(figure)  # and with it the pixels of every point
    centres = axes.transData.transform(points)
    taken = np.hstack([centres - 12, centres + 12])  # left, bottom, right, top
    labels = []
    for point, text in zip(points, texts, strict=False):
        found = _free_label(axes, point, text, taken)
        if found is not None:
            labels.append(found[0])
            taken = np.vstack([taken, found[1].extents])
    return labels


def _free_label(
    axes: MplAxes, point: tuple[float, float], text: str, taken: Floats
) -> tuple[MplText, MplBox] | None:
    """The label where it covers nothing that is taken, and its box in pixels."""
    from matplotlib.text import Text

    frame, renderer = axes.get_window_extent(), axes.figure.canvas.get_renderer()
    for dx, dy, horizontal, vertical in _OFFSETS:
        line = {"arrowstyle": "-", "color": "#aaaaaa", "lw": 0.8, "shrinkA": 0, "shrinkB": 5}
        label = axes.annotate(
            text,
            point,
            (dx, dy),
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
            fontsize=9.5,
            color=_INK,
            arrowprops=line if max(abs(dx), abs(dy)) > 14 else None,
        )
        label.update_positions(renderer)
        box = Text.get_window_extent(label, renderer)  # of the text alone, without its line
        inside = frame.x0 < box.x0 and box.x1 < frame.x1
        inside = inside and frame.y0 < box.y0 and box.y1 < frame.y1
        left, bottom, right, top = taken.T
        apart = (right < box.x0) | (box.x1 < left) | (top < box.y0) | (box.y1 < bottom)
        if inside and apart.all():
            return label, box
        label.remove()
    return None


def _losses(group: Group, title: str) -> tuple[MplFigure, str]:
    found = ((row, curve) for row in group.rows if (curve := _total_loss(row)))
    curves = list(islice(found, MAX_LINES))
    if not curves:
        raise _NothingToDraw("no run has recorded a total loss")
    figure, axes = _new(group, title, 9, 4.2)
    handles, styles = [], run_styles(group)
    for row, curve in curves:
        steps, values = zip(*curve, strict=True)
        colour, dash = styles[row.label]
        single = "o" if len(curve) == 1 else ""
        handles += axes.plot(steps, values, dash, color=colour, lw=1.8, marker=single)
    shown = [value for _, curve in curves for _, value in curve]
    if min(shown) > 0 and max(shown) / min(shown) > 50:
        axes.set_yscale("log")
    axes.set_xlabel("Train step", fontsize=11)
    axes.set_ylabel("Total loss", fontsize=11)
    names = [run_name(row, _TRAINING, 50) for row, _ in curves]
    _name_below(figure, handles, names)
    _lay_out(figure)
    note = "Every model defines its own loss: compare the curves of one model only."
    trained = sum(bool(row.record.train and row.record.train.losses) for row in group.rows)
    if trained > MAX_LINES:
        note += f" The first {MAX_LINES} of {trained} runs of the table are drawn."
    return figure, note


def _total_loss(row: Row) -> list[tuple[int, float]]:
    if row.record.train is None:
        return []
    points = ((p.step, p.losses.get("Loss/total_loss")) for p in row.record.train.losses)
    # A value that is not finite was recorded as None.
    return [(step, value) for step, value in points if value is not None]


def _stages(group: Group, title: str) -> tuple[MplFigure, str]:
    rows = [row for row in group.rows if row.record.usage]
    if not rows:
        raise _NothingToDraw("no stage of any run ended")
    shown = rows[:MAX_BARS]
    figure, axes = _new(group, title, 9, 1.9 + 0.5 * len(shown))
    starts = [0.0] * len(shown)
    for stage, colour in zip(Stage, COLOURS, strict=False):
        usages = [row.record.usage.get(stage) for row in shown]
        widths = [usage.wall_s if usage is not None else 0.0 for usage in usages]
        axes.barh(range(len(shown)), widths, 0.62, starts, color=colour, label=str(stage))
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    for place, total in enumerate(starts):
        text = f"{significant(total)} s"
        axes.annotate(text, (total, place), (5, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(shown)), [run_name(row, _TIMES, 36) for row in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, max(starts) * 1.14)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Wall time of the stages that ended (s)", fontsize=11)
    figure.legend(loc="outside lower right", ncols=len(Stage), fontsize=10, frameon=False)
    _lay_out(figure)
    note = "Whole stages, with building, tracing, warm-up and checkpoints."
    if len(rows) > len(shown):
        note += f" The first {len(shown)} of {len(rows)} runs of the table are drawn."
    return figure, note


def _new(group: Group, title: str, width: float, height: float) -> tuple[MplFigure, MplAxes]:
    """Make an empty figure that names its group, and its axes; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=_INK)
    where = "\n".join(textwrap.wrap(group.title, int(width * 12)))
    drawn = figure.subplots()
    drawn.set_title(plain(where), loc="left", fontsize=9.5, color=_PALE)
    drawn.grid(visible=True, color="#e6e6e6", lw=0.8)
    drawn.set_axisbelow(True)
    drawn.spines[["top", "right"]].set_visible(False)
    drawn.tick_params(labelsize=10, colors=_INK)
    return figure, drawn


def _name_below(figure: MplFigure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """A legend below the axes, for which the figure grows: they keep their height."""
    lines = sum(1 + name.count("\n") for name in names)
    figure.set_figheight(figure.get_figheight() + 0.1 * lines)  # in two columns
    figure.legend(handles, names, loc="outside lower left", fontsize=9.5, frameon=False, ncols=2)


def _lay_out(figure: MplFigure) -> None:
    """Find a place for everything, once: an engine of the figure would do so at each drawing."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    ConstrainedLayoutEngine().execute(figure)


FIGURES: dict[str, tuple[str, Callable[[Group, str], tuple[Any, str]]]] = {
    "ap_against_latency": ("AP against latency", _scatter),
    "loss": ("Total loss in training", _losses),
    "stage_times": ("Time per stage", _stages),
}

STEMS = (*FIGURES, strip.STEM)
