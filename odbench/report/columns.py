"""The columns of a comparison's table: the one place that says what is shown, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from odbench.report.comparison import Measured
from odbench.report.flags import SLOWED, marks
from odbench.report.text import DASH, interval, shorten, significant
from odbench.results import Flag

REASON_LENGTH = 60  # characters of a reason in a table; the whole of it is given elsewhere

_EVERY = frozenset({Flag.replayed})
_TIME = _EVERY | SLOWED
_SHRUNK = _EVERY | {Flag.batch_shrunk}
_MORE = _SHRUNK | {Flag.diverged}  # of models with masks or keypoints alone: no dash is explained
_QUALITY = _MORE | {Flag.partial_eval}

# These say why a value is absent, so they are shown beside the dash.
_EXPLAIN_ABSENCE = frozenset({Flag.partial_eval, Flag.few_samples})


@dataclass(frozen=True)
class Column:
    """One column.

    ``text`` gives the cell without its marks, or None where there is no value. The number behind
    a cell is the largest of the ``metrics``; a column without metrics has none. ``concerned_by``
    are the flags that must be seen beside the number.
    """

    key: str
    heading: str
    text: Callable[[Measured], str | None]
    metrics: tuple[str, ...] = ()
    concerned_by: frozenset[Flag] = frozenset()
    better: Literal["higher", "lower"] | None = None

    def value(self, row: Measured) -> float | None:
        """Return the number behind the cell, in the unit of its metric."""
        return row.largest(self.metrics)

    def flags(self, row: Measured) -> list[Flag]:
        """Return the row's flags that concern this column."""
        flags, concerned = row.flags, self.concerned_by
        return [flag for flag in flags if flag in concerned] if flags else []

    def cell(self, row: Measured) -> str:
        """Write the text with the marks of its flags, or a dash."""
        text = self.text(row)
        flags = self.flags(row)
        if text is None:
            text = DASH
            flags = [flag for flag in flags if flag in _EXPLAIN_ABSENCE]
        return f"{text} {marks(flags)}" if flags else text


def time_1000_steps(row: Measured) -> str | None:
    """Write the 1000-step train time; a projection says so, with its interval."""
    value = row.metrics.get("train/time_1000_steps_s")
    if value is None:
        return None
    if Flag.projection not in row.flags:
        return f"{significant(value)} s"
    steps = int(row.metrics["train/measured_steps"] or 0)
    origin = f"projected from {steps} step{'s' if steps > 1 else ''}"
    low = row.metrics.get("train/time_1000_steps_low_s")
    high = row.metrics.get("train/time_1000_steps_high_s")
    if low is None or high is None:
        return f"≈ {significant(value)} s ({origin})"
    shown, between = interval(value, low, high)
    return f"≈ {shown} s ({between}, {origin})"


def batch_size(row: Measured) -> str:
    """Write the batch size, with the one asked for where a smaller one was run."""
    asked = row.record.batch_size
    if row.record.train is None or row.record.train.batch_size == asked:
        return str(asked)
    return f"{row.record.train.batch_size} (asked: {asked})"


def ended(row: Measured) -> str:
    """Say how the run ended and in which stage, with every mark of the run."""
    record = row.record
    text = str(record.status)
    if record.failed_stage is not None:
        text += f" in {record.failed_stage}"
    return f"{text} {marks(row.flags)}" if row.flags else text


def status(row: Measured) -> str:
    """Say how the run ended, where, and the beginning of why."""
    reason = row.record.reason
    return f"{ended(row)}: {shorten(reason, REASON_LENGTH)}" if reason else ended(row)


def _number(
    key: str,
    heading: str,
    metrics: str | tuple[str, ...],
    flags: frozenset[Flag],
    *,
    better: Literal["higher", "lower"] | None = "lower",
    show: Callable[[float], str] = significant,
) -> Column:
    names = (metrics,) if isinstance(metrics, str) else metrics

    def text(row: Measured) -> str | None:
        value = row.largest(names)
        return None if value is None else show(value)

    return Column(key, heading, text, names, flags, better)


def _stages(metric: str) -> tuple[str, ...]:
    return tuple(f"{stage}/{metric}" for stage in ("train", "eval", "export", "latency"))


def _three(value: float) -> str:
    return f"{value:.3f}"


def _millions(value: float) -> str:
    return significant(value / 1e6)


COLUMNS: tuple[Column, ...] = (
    Column("run", "Run", lambda row: row.label),
    Column("model", "Model", lambda row: row.record.model),
    Column("batch_size", "Batch size", batch_size, concerned_by=_SHRUNK),
    _number("ap", "AP", "eval/AP", _QUALITY, better="higher", show=_three),
    _number("ap50", "AP50", "eval/AP50", _QUALITY, better="higher", show=_three),
    _number("mask_ap", "Mask AP", "eval/mask_AP", _MORE, better="higher", show=_three),
    _number("keypoint_ap", "Keypoint AP", "eval/keypoint_AP", _MORE, better="higher", show=_three),
    Column(
        "time_1000_steps",
        "1000-step train time (s)",
        time_1000_steps,
        ("train/time_1000_steps_s",),
        _TIME
        | {
            Flag.projection,
            Flag.checkpoint_in_window,
            Flag.eval_in_window,
            Flag.resumed,
            Flag.batch_shrunk,
        },
        "lower",
    ),
    _number("eval_wall", "Eval wall (s)", "eval/wall_s", _TIME | {Flag.partial_eval}),
    _number("export_wall", "Export wall (s)", "export/wall_s", _TIME),
    _number("latency_p50", "Latency p50 (ms)", "latency/p50_ms", _TIME),
    _number("latency_p99", "Latency p99 (ms)", "latency/p99_ms", _TIME | {Flag.few_samples}),
    _number(
        "images_per_s", "Exported model (images/s)", "latency/images_per_s", _TIME, better="higher"
    ),
    _number("size", "Size (MB)", "export/size_bytes", _EVERY, show=_millions),
    _number("peak_ram", "Peak RAM (MB)", _stages("peak_ram_bytes"), _SHRUNK, show=_millions),
    _number("peak_gpu", "Peak GPU memory (MB)", _stages("peak_gpu_bytes"), _SHRUNK, show=_millions),
    _number(
        "parameters",
        "Parameters (million)",
        "train/parameters",
        _EVERY,
        better=None,
        show=_millions,
    ),
    Column("status", "Status", status),
)


def shown_columns(rows: Iterable[Measured]) -> list[Column]:
    """Return the columns that at least one of the rows has a value or an explained absence for."""
    kept = list(rows)
    return [column for column in COLUMNS if any(column.cell(row) != DASH for row in kept)]


def best_value(column: Column, rows: Iterable[Measured]) -> float | None:
    """Find the best number of a column among runs that ended well, none of its flags on it.

    None where there are no two such numbers that differ.
    """
    values = {
        value
        for row in rows
        if row.ok and not column.flags(row) and (value := column.value(row)) is not None
    }
    if column.better is None or len(values) < 2:
        return None
    return max(values) if column.better == "higher" else min(values)


def is_best(column: Column, row: Measured, best: float | None) -> bool:
    """Tell whether a row holds the best number of a column, as :func:`best_value` gives it."""
    return best is not None and row.ok and column.value(row) == best and not column.flags(row)


_UNITS = (
    (re.compile(r"images_per_s$"), "images/s"),
    (re.compile(r"_bytes$"), "bytes"),
    (re.compile(r"_ms$"), "ms"),
    (re.compile(r"_j$"), "J"),
    (re.compile(r"_s(_mean|_p\d+)?$"), "s"),
    (re.compile(r"^eval/(mask_|keypoint_)?A[PR]"), "0..1"),
)


def unit(metric: str) -> str | None:
    """Return the unit of a metric by its name, None for a count or a number without one."""
    return next((name for pattern, name in _UNITS if pattern.search(metric)), None)
