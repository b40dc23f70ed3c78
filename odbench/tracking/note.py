"""The Markdown note that MLflow shows on the page of a run or a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from odbench import derive
from odbench.derive import Metrics
from odbench.records import StoredRun
from odbench.results import RunRecord

_ABSENT = "not measured"
_MIB = 1024 * 1024

# Label, metric, what it is divided by, decimals, unit.
_ROWS: tuple[tuple[str, str, float, int, str], ...] = (
    ("AP", "eval/AP", 1, 3, ""),
    ("AP50", "eval/AP50", 1, 3, ""),
    ("evaluation", "eval/wall_s", 1, 1, " s"),
    ("export", "export/export_s", 1, 1, " s"),
    ("exported size", "export/size_bytes", _MIB, 1, " MiB"),
    ("latency p50", "latency/p50_ms", 1, 1, " ms"),
    ("latency p99", "latency/p99_ms", 1, 1, " ms"),
    ("peak RAM in training", "train/peak_ram_bytes", _MIB, 0, " MiB"),
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
    lines += [_row("hardware", record.hardware), _row("flags", _flags(record))]
    return _fit(lines, limit)


def sweep_note(runs: Sequence[StoredRun], limit: int) -> str:
    """A table of a sweep's runs, in the order given.

    Args:
        runs: The runs.
        limit: Longest note, in characters; what does not fit is counted.
    """
    head = ("run", "status", "AP", "AP50", "1000 train steps", "latency p50", "flags")
    lines = [_row(*head), _row(*["---"] * len(head))]
    for run in runs:
        values = derive.metrics(run.record)
        lines.append(
            _row(
                run.record.name,
                str(run.record.status),
                _show(values, "eval/AP", 1, 3, ""),
                _show(values, "eval/AP50", 1, 3, ""),
                _train_time(values),
                _show(values, "latency/p50_ms", 1, 1, " ms"),
                _flags(run.record),
            )
        )
    return _fit(lines, limit)


def _show(values: Metrics, key: str, scale: float, decimals: int, unit: str) -> str:
    value = values.get(key)
    return _ABSENT if value is None else f"{value / scale:.{decimals}f}{unit}"


def _train_time(values: Metrics) -> str:
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


def _flags(record: RunRecord) -> str:
    return ", ".join(derive.flags(record)) or "none"


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
