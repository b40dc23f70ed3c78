"""The Markdown note that MLflow shows on the page of a run or a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from odbench import derive
from odbench.records import StoredRun
from odbench.results import RunRecord
from odbench.tracking.aggregates import flags_text, named_variants, statuses, variant_metrics
from odbench.tracking.naming import run_name

Measured: TypeAlias = Mapping[str, float | None]  # metrics by their keys

_ABSENT = "not measured"
_MB = 1e6  # as in reports

# Label, metric, what it is divided by, decimals, unit.
_ROWS: tuple[tuple[str, str, float, int, str], ...] = (
    ("AP", "eval/AP", 1, 3, ""),
    ("AP50", "eval/AP50", 1, 3, ""),
    ("evaluation", "eval/wall_s", 1, 1, " s"),
    ("export", "export/export_s", 1, 1, " s"),
    ("exported size", "export/size_bytes", _MB, 1, " MB"),
    ("latency p50", "latency/p50_ms", 1, 1, " ms"),
    ("latency p99", "latency/p99_ms", 1, 1, " ms"),
    ("peak RAM in training", "train/peak_ram_bytes", _MB, 0, " MB"),
)


# Of a variant: rows whose spread over repeats is told.
_SUMMED = (
    *_ROWS[:2],
    ("1000 train steps", "train/time_1000_steps_s", 1, 1, " s"),
    *_ROWS[4:],
)


def run_note(record: RunRecord, limit: int) -> str:
    """Key numbers of one run, with units, hardware and validity flags.

    Args:
        record: The run.
        limit: Longest note, in characters.
    """
    values = derive.metrics(record)
    lines = ["| | |", "|---|---|", _row("status", _status(record))]
    lines += [_row(row[0], _show(values, *row[1:])) for row in _ROWS[:2]]
    lines.append(_row("1000 train steps", _train_time(values)))
    lines += [_row(row[0], _show(values, *row[1:])) for row in _ROWS[2:]]
    lines += [
        _row("hardware", record.hardware),
        _row("flags", ", ".join(derive.flags(record)) or "none"),
    ]
    return _fit(lines, limit)


def variant_note(runs: Sequence[StoredRun], limit: int) -> str:
    """What the repeats of a variant came to, and a table of them, in the order given.

    Args:
        runs: The repeats, at least one.
        limit: Longest note, in characters.
    """
    values = variant_metrics(runs)
    lines = [_row("", "mean of repeats", "95 %", "best", "repeats"), _row(*["---"] * 5)]
    for label, key, scale, decimals, unit in _SUMMED:
        if key in values:
            ends = [_show(values, f"{key}_{end}", scale, decimals, unit) for end in ("low", "high")]
            lines.append(
                _row(
                    label,
                    _show(values, key, scale, decimals, unit),
                    " to ".join(ends) if f"{key}_low" in values else "",
                    _show(values, f"{key}_best", scale, decimals, unit),
                    f"{values[f'{key}_n']:.0f}",
                )
            )
    return _fit([*lines, "", *_table([(run_name(run), [run]) for run in runs])], limit)


def sweep_note(runs: Sequence[StoredRun], limit: int, view: str, report: str | None = None) -> str:
    """A table of a sweep's variants, in the order given, and where its report is.

    Args:
        runs: The runs.
        limit: Longest note, in characters; what does not fit is counted.
        view: Address of the experiment's figures.
        report: Address of the report's page.
    """
    links = [] if report is None else [f"[The report of this sweep]({report})"]
    links.append(f"[Figures of all variants of this experiment]({view})")
    return _fit([", ".join(links), "", *_table(named_variants(runs))], limit)


def _table(rows: Sequence[tuple[str, Sequence[StoredRun]]]) -> list[str]:
    """A row for each variant: a run's own numbers, or the means of its repeats."""
    head = ("run", "status", "AP", "AP50", "1000 train steps", "latency p50", "flags")
    lines = [_row(*head), _row(*["---"] * len(head))]
    for name, runs in rows:
        values: Measured = (
            derive.metrics(runs[0].record) if len(runs) == 1 else variant_metrics(runs)
        )
        lines.append(
            _row(
                name,
                statuses(runs),
                _interval(values, "eval/AP", 1, 3, ""),
                _interval(values, "eval/AP50", 1, 3, ""),
                _train_time(values),
                _interval(values, "latency/p50_ms", 1, 1, " ms"),
                flags_text(runs),
            )
        )
    return lines


def _interval(values: Measured, key: str, scale: float, decimals: int, unit: str) -> str:
    shown = _show(values, key, scale, decimals, unit)
    if values.get(f"{key}_low") is None:
        return shown
    low, high = (_show(values, f"{key}_{end}", scale, decimals, "") for end in ("low", "high"))
    return f"{shown} ({low} to {high})"


def _show(values: Measured, key: str, scale: float, decimals: int, unit: str) -> str:
    value = values.get(key)
    return _ABSENT if value is None else f"{value / scale:.{decimals}f}{unit}"


def _train_time(values: Measured) -> str:
    value = values.get("train/time_1000_steps_s")
    steps = values.get("train/measured_steps")
    if value is None or steps is None:
        return _ABSENT
    if steps >= derive.REFERENCE_STEPS:
        return f"{value:.1f} s"
    low, high = (values.get(f"train/time_1000_steps_{end}_s") for end in ("low", "high"))
    interval = "" if low is None or high is None else f", 95 % {low:.1f} to {high:.1f} s"
    return f"{value:.1f} s (projected from {steps:.0f} steps{interval})"


def _status(record: RunRecord) -> str:
    return str(record.status) if record.reason is None else f"{record.status}: {record.reason}"


def _row(*cells: str) -> str:
    clean = (" ".join(cell.replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(clean)} |"


def _fit(lines: list[str], limit: int) -> str:
    text = "\n".join(lines)
    kept = len(lines)
    while len(text) > limit and kept > 0:
        kept -= 1
        text = "\n".join([*lines[:kept], "", f"and {len(lines) - kept} more rows"])
    return text[:limit]
