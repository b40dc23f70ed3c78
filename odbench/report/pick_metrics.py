"""The metrics that runs are picked by: their names, short names, directions, units and flags.

Built from :data:`odbench.report.columns.COLUMNS`. A metric that has no column of its own, such as
``eval/AP75``, takes the flags of the column that is measured as it is.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from typing import Literal

from odbench.errors import InputError
from odbench.evaluation.names import COCO_METRICS, KEYPOINT_METRICS
from odbench.report.columns import COLUMNS, unit
from odbench.report.comparison import Measured
from odbench.report.quantities import show_quantity
from odbench.results import Flag, Stage

Better = Literal["higher", "lower"]

# Metrics that are the largest of several stages: the name to give, by the column's key.
_LARGEST = {"peak_ram": "peak_ram_bytes", "peak_gpu": "peak_gpu_bytes"}

_LESS_PROJECTION = frozenset({Flag.projection})


@dataclass(frozen=True)
class Metric:
    """One metric. Its value is the largest of its ``sources``."""

    key: str  # such as eval/AP50
    sources: tuple[str, ...]  # keys of odbench.derive
    better: Better
    unit: str | None  # None for a count
    concerned_by: frozenset[Flag]

    def value(self, row: Measured) -> float | None:
        """Return the row's value in the metric's unit, None where there is none."""
        return row.largest(self.sources)

    def flags(self, row: Measured) -> tuple[Flag, ...]:
        """Return the row's flags that touch this metric."""
        return tuple(flag for flag in row.flags if flag in self.concerned_by)

    def show(self, value: float | None) -> str:
        """Write a value for people."""
        return "none" if value is None else show_quantity(value, self.unit)

    def cost(self, value: float) -> float:
        """Return the value turned so that less is better."""
        return -value if self.better == "higher" else value

    @property
    def short(self) -> str:
        """A short name of its own, such as ``AP50``, ``size_bytes``, ``latency_p50_ms``."""
        stage, _, name = self.key.rpartition("/")
        others = (key for key in metrics_table() if key != self.key)
        if stage == str(Stage.latency) or any(name in _short_names(key) for key in others):
            return self.key.replace("/", "_")
        return name


@cache
def metrics_table() -> dict[str, Metric]:
    """Every metric that can be picked by, by its key."""
    table = {}
    for column in COLUMNS:
        if column.metrics:
            key = _LARGEST.get(column.key, column.metrics[0])
            # Parameters are no merit of their own: fewer are cheaper.
            better: Better = column.better or "lower"
            table[key] = Metric(
                key, column.metrics, better, unit(column.metrics[0]), column.concerned_by
            )
    for key, flags in _relatives().items():
        rising = unit(key) in ("0..1", "images/s")
        metric = Metric(key, (key,), "higher" if rising else "lower", unit(key), flags)
        table.setdefault(key, metric)
    return table


def _relatives() -> dict[str, frozenset[Flag]]:
    """Metrics beside those of the columns, with the flags of the column that is like them."""
    flags = {column.key: column.concerned_by for column in COLUMNS}
    steps = flags["time_1000_steps"] - _LESS_PROJECTION
    found = {f"eval/{name}": flags["ap"] for name in COCO_METRICS}
    found |= {f"eval/mask_{name}": flags["mask_ap"] for name in COCO_METRICS}
    found |= {f"eval/keypoint_{name}": flags["keypoint_ap"] for name in KEYPOINT_METRICS}
    found |= {f"train/step_s_{name}": steps for name in ("mean", "p50", "p90", "p99")}
    found |= {"train/images_per_s": steps, "latency/p90_ms": flags["latency_p50"]}
    found |= {f"latency/{name}": flags["latency_p50"] for name in ("load_s", "first_call_s")}
    found |= {"export/export_s": flags["export_wall"], "train/wall_s": steps}
    for stage in Stage:
        found |= {f"{stage}/{_LARGEST[key]}": flags[key] for key in _LARGEST}
        found |= {f"{stage}/{name}": flags["export_wall"] for name in ("wall_s", "gpu_energy_j")}
    return found | {"train/wall_s": steps, "run/wall_s": steps}


def find_metric(name: str, where: str) -> Metric:
    """Find a metric by its key, the key with ``_`` for ``/``, or the name without its stage.

    Raises:
        InputError: No such metric, or a short name that several have.
    """
    table = metrics_table()
    if name in table:
        return table[name]
    found = [metric for key, metric in table.items() if name in _short_names(key)]
    if len(found) == 1:
        return found[0]
    if found:
        keys = ", ".join(metric.key for metric in found)
        raise InputError("several metrics have this name", where=where, value=name, allowed=keys)
    names = {alias: key for key in table for alias in (key, *_short_names(key))}
    near = dict.fromkeys(table[names[alias]].short for alias in _near(name, list(names)))
    raise InputError(
        "no such metric",
        where=where,
        value=name,
        allowed=", ".join(m.short for m in table.values() if _shown(m)) + " and others",
        fix=f"perhaps you mean {' or '.join(near)}" if near else None,
    )


def _short_names(key: str) -> tuple[str, str]:
    return key.replace("/", "_"), key.rpartition("/")[2]


def _near(name: str, names: list[str]) -> list[str]:
    lower = {alias.lower(): alias for alias in names}
    return [lower[near] for near in difflib.get_close_matches(name.lower(), list(lower), n=3)]


def _shown(metric: Metric) -> bool:
    return any(metric.sources == column.metrics for column in COLUMNS)
