"""The comparison as a table in the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from odbench.report.columns import Column, best_value, is_best, shown_columns
from odbench.report.comparison import Comparison, Row
from odbench.report.flags import NOTES, marks
from odbench.report.text import DASH

# What fits a terminal; the report has every column.
_KEYS = ("run", "ap", "ap50", "time_1000_steps", "latency_p50", "size", "peak_ram", "status")


def render_summary(comparison: Comparison) -> Table:
    """Lay the runs out, one section a group, with the hardware and the legend of the marks."""
    table = Table(
        title=Text(comparison.summary, style="bold"),
        caption=_caption(comparison),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    columns = [c for c in shown_columns(comparison.rows) if c.key in _KEYS]
    several = len(comparison.groups) > 1
    if several:
        table.add_column("Group", justify="right")
    for column in columns:
        # Some wrapping is better than names cut short.
        table.add_column(
            column.heading, justify="right" if column.metrics else "left", overflow="fold"
        )
    for number, group in enumerate(comparison.groups, start=1):
        best = {column.key: best_value(column, group.rows) for column in columns}
        for row in group.rows:
            cells = [_cell(column, row, best[column.key]) for column in columns]
            table.add_row(*([Text(str(number))] if several else []), *cells)
        table.add_section()
    return table


def _cell(column: Column, row: Row, best: float | None) -> Text:
    text = column.cell(row)
    if column.key == "status" and not row.ok:
        return Text(text, style="red")
    if text == DASH:
        return Text(text, style="dim")
    return Text(text, style="bold" if is_best(column, row, best) else "")


def _caption(comparison: Comparison) -> Text:
    lines = []
    if len(comparison.groups) > 1:
        lines += [f"{n}: {group.title}" for n, group in enumerate(comparison.groups, start=1)]
    lines += [f"{marks([flag])} {flag}: {NOTES[flag].meaning}" for flag in comparison.flags]
    return Text("\n".join(lines))
