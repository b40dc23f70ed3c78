"""The comparison as a table in the terminal."""

from __future__ import annotations

from typing import Literal

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from odbench.report.columns import Column, best_value, ended, is_best, shown_columns
from odbench.report.comparison import Comparison, Row
from odbench.report.flags import NOTES, marks
from odbench.report.labels import wrap
from odbench.report.text import DASH

_NAME_WIDTH = 24  # characters of a line of a run's name

# What fits a terminal; the report has every column.
_KEYS = (
    "run",
    "ap",
    "ap50",
    "mask_ap",
    "keypoint_ap",
    "time_1000_steps",
    "latency_p50",
    "peak_ram",
    "status",
)


def render_summary(comparison: Comparison) -> Group:
    """Lay the runs out, with the hardware above and reasons and the legend of the marks below.

    These stand outside the table: within it rich would fold them, and the paths in them, to the
    table's own width.
    """
    title = Text(comparison.summary, style="bold")
    return Group(title, _table(comparison), _caption(comparison))


def _table(comparison: Comparison) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    columns = [c for c in shown_columns(comparison.rows) if c.key in _KEYS]
    several = len(comparison.groups) > 1
    if several:
        table.add_column("Group", justify="right")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.metrics else "left"
        # Names are broken at their own joints, so rich need not break them.
        whole = column.key == "run"
        table.add_column(column.heading, justify=justify, overflow="fold", no_wrap=whole)
    for number, group in enumerate(comparison.groups, start=1):
        best = {column.key: best_value(column, group.rows) for column in columns}
        for row in group.rows:
            cells = [_cell(column, row, best[column.key]) for column in columns]
            table.add_row(*([Text(str(number))] if several else []), *cells)
        table.add_section()
    return table


def _cell(column: Column, row: Row, best: float | None) -> Text:
    if column.key == "status":
        return Text(ended(row), style="" if row.ok else "red")
    text = column.cell(row)
    if column.key == "run":
        text = "\n".join(wrap(text, _NAME_WIDTH))
    if text == DASH:
        return Text(text, style="dim")
    return Text(text, style="bold" if is_best(column, row, best) else "")


def _caption(comparison: Comparison) -> Text:
    lines = []
    if len(comparison.groups) > 1:
        lines += [f"{n}: {group.title}" for n, group in enumerate(comparison.groups, start=1)]
    failed = [row for row in comparison.rows if row.record.reason]
    lines += [f"{row.label}: {row.record.status}: {row.record.reason}" for row in failed]
    lines += [f"{marks([flag])} {flag}: {NOTES[flag].meaning}" for flag in comparison.flags]
    return Text("\n".join(lines))
