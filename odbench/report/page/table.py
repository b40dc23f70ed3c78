"""The selection table as data: what ``table.js`` sorts, filters and shows.

A cell is null (nothing measured), a text, or a list ``[number, text, below, marks, note]`` that
ends with its last part that says something: the number it sorts by, how it is written, an interval
below it, the marks of its flags, and 1 for the best of its column or 2 for tied with that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from odbench.report.columns import Column, best_value, is_best
from odbench.report.comparison import Comparison
from odbench.report.differences import tied_with_best
from odbench.report.flags import NOTES
from odbench.report.markdown import reproduce
from odbench.report.page.columns import used_columns
from odbench.report.page.parts import Part
from odbench.report.pick_metrics import metrics_table
from odbench.report.tables import record_path
from odbench.report.text import DASH, interval, significant
from odbench.report.variants import Variant
from odbench.report.varying import value_text
from odbench.results import Flag

Cell: TypeAlias = list[Any] | str | None

BEST, TIED = 1, 2

TESTED = 12  # the best of a column, among whom ties are looked for: each test takes its time
INTERVALS = 1000  # variants whose interval over images is computed

# Where a run is written and how it is tracked; no parameter of what was measured.
_NO_PARAMETERS = ("name", "paths", "tracking", "repeats", "repeat", "same_seed")

_IMAGES = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}


def table_data(
    comparison: Comparison, parts: Sequence[Part], columns: Sequence[Column], base: Path
) -> dict[str, Any]:
    """Lay out every variant.

    Args:
        comparison: What is compared.
        parts: Its groups.
        columns: Of metrics and facts; those that nothing stands in are left out.
        base: Folder of the report: paths of records are relative to it.
    """
    used = used_columns(columns, [variant for part in parts for variant in part.variants])
    body = [row for part in parts for row in _rows(part, used, base)]
    varying = [{"key": path, "heading": path, "kind": "varies"} for path in comparison.varying]
    return {
        "groups": [part.group.title for part in parts],
        "columns": [*(_heading(column, body, at) for at, column in enumerate(used)), *varying],
        "constant": _constant(comparison),
        "flags": {NOTES[flag].mark: f"{flag}: {NOTES[flag].meaning}" for flag in comparison.flags},
        "rows": body,
    }


def _heading(column: Column, rows: Sequence[dict[str, Any]], at: int) -> dict[str, Any]:
    """Of a column; hidden at first where it says the same of every row and nothing new."""
    number = bool(column.metrics) or column.key in ("batch_size", "runs")
    found: dict[str, Any] = {"key": column.key, "heading": column.heading}
    found["kind"] = "number" if number else "text"
    if column.key in ("status", "model") and len({str(row["cells"][at]) for row in rows}) == 1:
        found["hidden"] = column.key == "model" or rows[0]["cells"][at] == "ok"
    return found | ({"better": column.better} if column.better else {})


def _rows(part: Part, columns: Sequence[Column], base: Path) -> Iterable[dict[str, Any]]:
    best = {column.key: best_value(column, part.variants) for column in columns}
    tied = {
        column.key: _tied(column, part.variants) if best[column.key] is not None else frozenset()
        for column in columns
    }
    for number, variant in enumerate(part.variants):
        cells: list[Cell] = [
            part.name(variant)
            if column.key == "run"
            else _cell(
                column,
                variant,
                is_best(column, variant, best[column.key]),
                variant.key in tied[column.key],
                number < INTERVALS,
            )
            for column in columns
        ]
        cells += [variant.varying[path] for path in part.varying]
        yield {"id": part.id_of(variant), "group": part.number, "cells": cells} | _more(
            variant, base
        )


def _more(variant: Variant, base: Path) -> dict[str, Any]:
    """What is shown when a row is opened."""
    found: dict[str, Any] = {
        "command": reproduce(variant.record.overrides),
        "records": [record_path(row, base) for row in variant.rows],
        "started": variant.record.started_at,
    }
    reasons = [ended_badly(row.record) for row in variant.rows if not row.ok]
    return found | ({"reasons": reasons} if reasons else {})


def ended_badly(record: Any) -> str:
    """How a run ended, in which stage, and why."""
    stage = f" in {record.failed_stage}" if record.failed_stage else ""
    return f"{record.status}{stage}: {record.reason or 'no reason was recorded'}"


def _tied(column: Column, variants: Sequence[Variant]) -> frozenset[str]:
    """Keys of those that are tied with the best of a column, among the best few."""
    metric = next((m for m in metrics_table().values() if m.sources == column.metrics), None)
    if metric is None or column.better is None:
        return frozenset()
    known = [variant for variant in variants if metric.value(variant) is not None and variant.ok]
    known.sort(key=lambda variant: metric.cost(metric.value(variant) or 0.0))
    clean = [variant for variant in known if not metric.flags(variant)][:TESTED]
    return frozenset(key for key, test in tied_with_best(metric, clean).items() if test is not None)


def _cell(column: Column, variant: Variant, best: bool, tied: bool, over_images: bool) -> Cell:
    text = column.text(variant)
    marks = "".join(NOTES[flag].mark for flag in _flags(column, variant, text))
    value = column.value(variant) if column.metrics else _plain_number(column, variant)
    if value is None or not math.isfinite(value):
        return _trimmed([None, text, None, marks]) if marks else text
    below = _interval(column, variant, over_images)
    if column.key == "time_1000_steps":
        text, below = _time(variant, value, text, below)
    return _trimmed([_short(value), text, below, marks, BEST if best else TIED if tied else 0])


def _plain_number(column: Column, variant: Variant) -> float | None:
    if column.key == "batch_size":
        return float(variant.record.batch_size)
    return float(len(variant.rows)) if column.key == "runs" else None


def _flags(column: Column, variant: Variant, text: str | None) -> list[Flag]:
    absent = (Flag.partial_eval, Flag.few_samples)
    return [flag for flag in column.flags(variant) if text is not None or flag in absent]


def _interval(column: Column, variant: Variant, over_images: bool) -> str | None:
    """The 95 % interval: of AP over images where draws were kept, else over repeats.

    Of two repeats their values: an interval would say nothing.
    """
    name = _IMAGES.get(column.key)
    if name is not None and over_images:
        found = variant.over_images(name)
        if found is not None and found.low is not None and found.high is not None:
            return f"{found.low:.3f}{DASH}{found.high:.3f}"
    if len(variant.counted) < 2 or not column.better:
        return None
    return _over_repeats(column, variant)


def _over_repeats(column: Column, variant: Variant) -> str | None:
    repeats = variant.repeated(column.metrics)
    millions = "(MB)" in column.heading or "(million)" in column.heading
    per = 1e6 if millions else 1.0  # of what a heading says that it shows
    if repeats.n == 2:
        values = sorted(variant.values(column.metrics))
        return ", ".join(dict.fromkeys(significant(value / per) for value in values))
    if repeats.mean is None or repeats.low is None or repeats.high is None:
        return None
    return interval(repeats.mean / per, repeats.low / per, repeats.high / per)[1]


def _time(
    variant: Variant, value: float, text: str | None, below: str | None
) -> tuple[str | None, str | None]:
    """The 1000-step time; where it is projected, from how many steps stands below it."""
    if Flag.projection not in variant.flags:
        return (None if text is None else text.split(" s")[0]), below
    low = variant.metrics.get("train/time_1000_steps_low_s")
    high = variant.metrics.get("train/time_1000_steps_high_s")
    steps = int(variant.metrics["train/measured_steps"] or 0)
    if low is None or high is None:
        return f"≈ {value:.3g}", f"from {steps} steps"
    shown, between = interval(value, low, high)
    return f"≈ {shown}", f"{between}, from {steps} steps"


def _short(value: float) -> float:
    """Six digits: enough to sort by, and the file stays small."""
    return float(f"{value:.6g}")


def _trimmed(cell: list[Any]) -> list[Any]:
    while cell and not cell[-1]:
        cell.pop()
    return cell


def _constant(comparison: Comparison) -> dict[str, str]:
    """The parameters that are the same in every run, with their values."""
    spec = comparison.rows[0].record.spec
    varying = set(comparison.varying)
    found = {}
    for path in _leaves(spec, ()):
        name = ".".join(path)
        covered = any(name == other or name.startswith(f"{other}.") for other in varying)
        if path[0] not in _NO_PARAMETERS and path[:2] != ("model", "pipeline") and not covered:
            found[name] = value_text(spec, name)
    return {name: text for name, text in found.items() if text not in (DASH, "null", "{}", "[]")}


def _leaves(spec: dict[str, Any], above: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    for key, value in spec.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, str(key)))
        else:
            yield (*above, str(key))
