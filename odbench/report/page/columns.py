"""The columns of the page's table: those of every report, and the ones only a wide table has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from odbench.report.columns import COLUMNS, Column
from odbench.report.comparison import Measured
from odbench.report.pick_metrics import metrics_table
from odbench.report.pick_words import Training
from odbench.report.text import DASH, significant
from odbench.report.variants import Variant
from odbench.results import Stage

_BY_KEY = {column.key: column for column in COLUMNS}

# The status stands behind the name, since nothing of a run is read without it.
_ORDER = (
    *("run", "status", "runs", "model", "batch_size", "ap", "ap50", "ap75"),
    *("ap_small", "ap_medium", "ap_large", "mask_ap", "keypoint_ap"),
    *("time_1000_steps", "eval_wall", "export_wall", "latency_p50", "latency_p99"),
    *("images_per_s", "parameters", "size", "peak_ram", "peak_gpu", "energy"),
    *("run_cost", "training_hours", "training_cost"),
)


@dataclass(frozen=True)
class SumColumn(Column):
    """A column whose number is the sum of its metrics; none where one of an ended stage lacks."""

    def value(self, row: Measured) -> float | None:
        """Return the sum, in the unit of the metrics."""
        asked = [name for name in self.metrics if name in row.metrics]
        found = [value for name in asked if (value := row.metrics[name]) is not None]
        return sum(found) if found and len(found) == len(asked) else None


@dataclass(frozen=True)
class TrainingColumn(Column):
    """The projected training: its hours, or what they cost."""

    training: Training | None = None
    priced: bool = False

    def value(self, row: Measured) -> float | None:
        """Return hours or their price."""
        seconds = row.metrics.get("train/step_s_mean")
        if seconds is None or self.training is None:
            return None
        hours = seconds * self.training.steps / 3600
        return hours * (self.training.price_per_hour or 0.0) if self.priced else hours


@dataclass(frozen=True)
class PriceColumn(Column):
    """What the whole run cost by the hour of the machine."""

    price_per_hour: float = 0.0

    def value(self, row: Measured) -> float | None:
        """Return the price of the run's wall time."""
        seconds = row.metrics.get("run/wall_s")
        return None if seconds is None else seconds / 3600 * self.price_per_hour


def page_columns(training: Training | None, price_per_hour: float | None) -> list[Column]:
    """Every column that the page can show, in its order."""
    found = dict(_BY_KEY) | {column.key: column for column in _more_of_coco()}
    found["energy"] = _shown(
        SumColumn(
            "energy",
            "GPU energy (kJ)",
            _nothing,
            tuple(f"{stage}/gpu_energy_j" for stage in Stage),
            _BY_KEY["export_wall"].concerned_by,
            "lower",
        ),
        per=1e3,
    )
    for column in _priced(training, price_per_hour):
        found[column.key] = column
    found["status"] = replace(found["status"], text=_status)
    found["runs"] = Column("runs", "Runs", _runs)
    return [found[key] for key in _ORDER if key in found]


def used_columns(columns: Iterable[Column], rows: Iterable[Measured]) -> list[Column]:
    """Keep the columns that at least one row has something in; how many runs, where several."""
    kept = list(rows)
    single = all(_runs(row) == "1" for row in kept)
    return [
        column
        for column in columns
        if any(column.cell(row) != DASH for row in kept) and not (single and column.key == "runs")
    ]


def _status(row: Measured) -> str:
    """How it ended; of repeats, how many of them in each way."""
    if not isinstance(row, Variant) or len(row.rows) == 1:
        return str(row.record.status)
    counts = row.statuses
    if len(counts) == 1:
        return str(next(iter(counts)))
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def _runs(row: Measured) -> str:
    return str(len(row.rows) if isinstance(row, Variant) else 1)


def _nothing(row: Measured) -> str | None:
    return None


def _shown(column: Column, per: float = 1.0) -> Column:
    """Let a column write the number that it computes itself."""

    def text(row: Measured) -> str | None:
        value = column.value(row)
        return None if value is None else significant(value / per)

    return replace(column, text=text)


def _more_of_coco() -> Iterable[Column]:
    """AP75 and AP by size of object: as AP itself, in three decimals."""
    for name in ("AP75", "AP_small", "AP_medium", "AP_large"):
        metric = metrics_table()[f"eval/{name}"]

        def text(row: Measured, key: str = metric.key) -> str | None:
            value = row.metrics.get(key)
            return None if value is None else f"{value:.3f}"

        heading = name.replace("_", " ")
        yield Column(name.lower(), heading, text, (metric.key,), metric.concerned_by, metric.better)


def _priced(training: Training | None, price_per_hour: float | None) -> Iterable[Column]:
    times = _BY_KEY["time_1000_steps"].concerned_by
    if price_per_hour is not None:
        heading = f"Cost of the run (at {price_per_hour:g} per hour)"
        column = PriceColumn("run_cost", heading, _nothing, ("run/wall_s",), times, "lower")
        yield _shown(replace(column, price_per_hour=price_per_hour))
    if training is None:
        return
    steps = ("train/step_s_mean",)
    heading = f"Training of {training.steps:,} steps, projected (h)"
    hours = TrainingColumn("training_hours", heading, _nothing, steps, times, "lower", training)
    yield _shown(hours)
    if training.price_per_hour is not None:
        heading = f"Cost of {training.steps:,} train steps, projected"
        cost = replace(hours, key="training_cost", heading=heading, priced=True)
        yield _shown(cost)
