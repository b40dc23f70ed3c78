"""A comparison as a Markdown report: what the template is given."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from odbench.report import study
from odbench.report.columns import (
    COLUMNS,
    Column,
    best_value,
    is_best,
    shown_columns,
)
from odbench.report.comparison import STACK, Comparison, Group, Row
from odbench.report.conditions import conditions, splits
from odbench.report.figures import Drawing
from odbench.report.flags import NOTES, marks
from odbench.report.markup import code, escape, link, table
from odbench.report.published import published_note, published_table
from odbench.report.summaries import Cell, summary
from odbench.report.tables import CSV_FILE, JSON_FILE, record_path
from odbench.report.text import DASH, shorten, significant
from odbench.report.variants import Variant, variants
from odbench.results import Flag

TEMPLATES = Path(__file__).parent / "templates"
FIGURES_DIR = "figures"

# A table wider than this is not read.
MAX_CLASS_COLUMNS = 12

# What a command of one run leaves out: it would run the others too.
_OF_ALL_REPEATS = ("repeats=", "repeat=", "same_seed=")

MAX_ROWS = 500  # of a group in a table, and of commands and records; the other files have all

VALUE_LENGTH = 60  # characters of a parameter's value in the table of what varies


def render_markdown(
    comparison: Comparison,
    drawings: Sequence[Sequence[Drawing]],
    title: str,
    base: Path,
    answers: Sequence[str] = (),
    *,
    studies: Sequence[study.DrawnStudy] = (),
) -> str:
    """Write the report.

    Args:
        comparison: What is compared.
        drawings: By group.
        title: Of the report.
        base: Paths of records are relative to it.
        answers: What to take, a sentence for each group.
        studies: That the runs were trials of.
    """
    shown = comparison.rows[:MAX_ROWS]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # this is Markdown, escaped by markup.escape
    )
    return environment.get_template("report.md.j2").render(
        title=escape(title),
        summary=escape(comparison.summary),
        answers=[escape(answer) for answer in answers],
        groups=[
            _group(comparison, group, drawn)
            for group, drawn in zip(comparison.groups, drawings, strict=True)
        ],
        legend=[f"{marks([flag])} {flag}: {NOTES[flag].meaning}." for flag in comparison.flags],
        failed=[_failed(row) for row in comparison.rows if not row.ok][:MAX_ROWS],
        commands=code("\n\n".join(_command(row) for row in shown), "sh"),
        records=[link(row.label, record_path(row, base)) for row in shown],
        left_out=len(comparison.rows) - len(shown),
        studies=[
            {"name": escape(s.name), "text": code(s.text, "text"), "file": s.file} for s in studies
        ],
        figures_dir=FIGURES_DIR,
        csv_file=CSV_FILE,
        json_file=JSON_FILE,
        dash=DASH,
    )


def _group(comparison: Comparison, group: Group, drawings: Sequence[Drawing]) -> dict[str, Any]:
    return {
        "title": escape(group.title),
        "measured_on": _measured_on(group),
        "best": _best_sentences(group),
        "table": results_table(group.rows),
        "left_out": max(0, len(group.rows) - MAX_ROWS),
        "variants": variants_table(group),
        "published": published_table(group),
        "published_note": escape(published_note(group)),
        "per_class": per_class_table(group),
        "varying": _varying(comparison, group),
        "conditions": {name: escape(text) for name, text in conditions(group).items()},
        "splits": splits(group),
        "drawings": drawings,
    }


def _measured_on(group: Group) -> str:
    stack = f"{group.common.backend}, {STACK[0]} {group.common.stack[0]}"
    return escape(
        f"Measured on {group.common.hardware}; data set {group.dataset}; {stack}; "
        f"protocol {group.common.protocol_version}."
    )


def variants_table(group: Group) -> str | None:
    """Lay out means with their intervals, ties with the best marked by ``=``.

    None where nothing has an interval and no variant has repeats.
    """
    found = summary(group)
    shown, cells = found.variants, found.cells
    several = any(len(variant.rows) > 1 for variant in shown)
    if not several and not any(cell.between for column in cells for cell in column):
        return None
    body = [
        [escape(v.label), str(len(v.rows)), *(_summary(column[n]) for column in cells)]
        for n, v in enumerate(shown)
    ]
    headings = ["Variant", "Runs", *(column.heading for column in found.columns)]
    return table(headings, body, [False] + [True] * (len(cells) + 1))


def _summary(cell: Cell) -> str:
    text = f"**{escape(cell.text)}**" if cell.best else escape(cell.text)
    text += " =" if cell.tied else ""
    return f"{text} ({cell.between})" if cell.between else text


def results_table(rows: Sequence[Row]) -> str:
    """Lay out the columns that have values, the first rows; the best of all in bold."""
    columns = shown_columns(rows)
    best = {column.key: best_value(column, rows) for column in columns}
    return table(
        [column.heading for column in columns],
        [[_cell(column, row, best[column.key]) for column in columns] for row in rows[:MAX_ROWS]],
        [bool(column.metrics) or column.key == "batch_size" for column in columns],
    )


def _cell(column: Column, row: Row, best: float | None) -> str:
    text = escape(column.cell(row))
    return f"**{text}**" if is_best(column, row, best) else text


def _best_sentences(group: Group) -> list[str]:
    wanted = (("ap", "Highest AP"), ("latency_p50", "Lowest latency p50"))
    entries, found = variants(group), []
    for key, what in wanted:
        column = next(column for column in COLUMNS if column.key == key)
        best = best_value(column, entries)
        names = [_mean_of(entry) for entry in entries if is_best(column, entry, best)]
        if best is not None:
            unit = " ms" if key == "latency_p50" else ""
            found.append(f"{what}: {significant(best)}{unit}, {' and '.join(names)}.")
    return found


def _mean_of(variant: Variant) -> str:
    several = f" (mean of {len(variant.counted)} runs)" if len(variant.counted) > 1 else ""
    return escape(variant.label) + several


def per_class_table(group: Group) -> str | None:
    """Lay out the AP of every class in every run; a partial evaluation has none.

    None where no run was evaluated. The fewer of classes and runs make the columns.
    """
    rows = [row for row in group.rows if row.record.eval is not None]
    if not rows:
        return None
    classes = group.rows[0].record.dataset.classes
    if len(classes) <= len(rows):
        kept = classes[:MAX_CLASS_COLUMNS]
        body = [
            [escape(_with_marks(row)), *(_class_ap(row, name) for name in kept)] for row in rows
        ]
        text = table(["Run", *map(escape, kept)], body, [False] + [True] * len(kept))
        hidden = len(classes) - len(kept)
        return text + (f"\n\n{hidden} more classes are in {JSON_FILE}." if hidden else "")
    shown = rows[:MAX_CLASS_COLUMNS]
    body = [[escape(name), *(_class_ap(row, name) for row in shown)] for name in classes]
    headings = ["Class", *(escape(_with_marks(row)) for row in shown)]
    text = table(headings, body, [False] + [True] * len(shown))
    hidden = len(rows) - len(shown)
    return text + (f"\n\n{hidden} more runs are in {JSON_FILE}." if hidden else "")


def _with_marks(row: Row) -> str:
    ap = next(column for column in COLUMNS if column.key == "ap")
    return f"{row.label} {marks(ap.flags(row))}".strip()


def _class_ap(row: Row, name: str) -> str:
    result = row.record.eval
    if result is None or Flag.partial_eval in row.flags:
        return DASH
    value = result.per_class.get(name)
    return DASH if value is None else f"{value:.3f}"


def _varying(comparison: Comparison, group: Group) -> str:
    if not comparison.varying:
        return "No parameter differs between the runs."
    body = [
        [escape(row.label), *(_short(row.varying[path]) for path in comparison.varying)]
        for row in group.rows[:MAX_ROWS]
    ]
    headings = ["Run", *map(escape, comparison.varying)]
    return table(headings, body, [False] * len(headings))


def _short(value: str) -> str:
    return escape(shorten(value, VALUE_LENGTH))


def _failed(row: Row) -> dict[str, str]:
    record = row.record
    stage = f" in {record.failed_stage}" if record.failed_stage is not None else ""
    return {
        "heading": f"**{escape(row.label)}**: {record.status}{stage}, after {record.wall_s:.0f} s.",
        "reason": code(record.reason or "no reason was recorded"),
    }


def _command(row: Row) -> str:
    label = " ".join(row.label.split())
    kept = (o for o in row.record.overrides if not o.lstrip("+").startswith(_OF_ALL_REPEATS))
    return f"# {label}\n{reproduce(kept)}"


def reproduce(overrides: Iterable[str]) -> str:
    """Write the command line of a run, quoted for a POSIX shell."""
    return shlex.join(["odbench", "run", *overrides])
