"""Which runs are looked at: ``--filter`` and ``--experiment`` of report, pick and compare."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from odbench import derive
from odbench.errors import InputError
from odbench.records import StoredRun
from odbench.report.pick_metrics import Metric, find_metric
from odbench.report.quantities import parse_quantity
from odbench.report.varying import value_text
from odbench.reporting import counted
from odbench.results import RunRecord

_FIELDS: dict[str, Callable[[RunRecord], str]] = {
    "status": lambda record: str(record.status),
    "model": lambda record: record.model,
    "name": lambda record: record.name,
    "dataset": lambda record: record.dataset.name,
    "hardware": lambda record: record.hardware,
    "backend": lambda record: record.backend,
    "variant": lambda record: record.variant,
    "sweep": lambda record: record.sweep_id or "",
    "experiment": lambda record: value_text(record.spec, "tracking.experiment"),
}
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_FILTER = re.compile(r"([^=<>!]+)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_EXAMPLES = "model=ssd*, status!=ok, train.batch_size=4,8, AP>=0.3, latency_p50_ms<40ms"
_NAMED = 10  # experiments in an error

Test = Callable[[RunRecord], bool]


@dataclass(frozen=True)
class Filter:
    """One condition on a run, as given, and the test of it."""

    text: str
    holds: Test


def parse_filter(text: str) -> Filter:
    """Read a filter.

    Args:
        text: ``NAME=PATTERN[,PATTERN...]`` or ``NAME!=...``, where NAME is one of status, model,
            name, dataset, hardware, backend, variant, sweep, experiment, or a dotted path of the
            specification, and a pattern may have ``*``, ``?`` and ``[...]``; or
            ``METRIC<VALUE``, with any of <, <=, >, >=, which runs without a value do not pass.

    Raises:
        InputError: It has no such form, or the metric or its value cannot be used.
    """
    found = _FILTER.fullmatch(text.strip())
    if found is None:
        raise InputError("not a filter", where="--filter", value=text, allowed=_EXAMPLES)
    name, sign, value = (part.strip() for part in found.groups())
    if sign in _SIGNS:
        metric = find_metric(name, "--filter")
        limit = parse_quantity(value, metric.unit, f"--filter {metric.key}")
        return Filter(text, _by_metric(metric, _SIGNS[sign], limit))
    if name not in _FIELDS and "." not in name and name != "seed":
        raise InputError(
            "no such field of a run",
            where="--filter",
            value=text,
            allowed=f"{', '.join(_FIELDS)}, or a path such as train.batch_size; "
            "metrics with <, <=, >, >=",
        )
    return Filter(text, _by_text(name, value.split(","), wanted=sign == "="))


def keep(
    runs: Sequence[StoredRun], filters: Iterable[str], experiments: Iterable[str] = ()
) -> list[StoredRun]:
    """The runs that pass every filter and are of one of the experiments, where any is given.

    Raises:
        InputError: A filter cannot be used, names a path that no run has, or nothing is left;
            no run is of the experiments.
    """
    conditions = [parse_filter(text) for text in filters]
    runs = _of_experiments(runs, list(experiments))
    for text in filters:
        _check_path(text, runs)
    kept = [run for run in runs if all(c.holds(run.record) for c in conditions)]
    if runs and not kept:
        raise InputError(
            f"none of {counted(len(runs), 'run')} passes the filters",
            where="--filter",
            value=" and ".join(condition.text for condition in conditions),
        )
    return kept


def _of_experiments(runs: Sequence[StoredRun], names: Sequence[str]) -> Sequence[StoredRun]:
    """The runs of these experiments, all of them where none is named."""
    if not runs or not names:
        return runs
    wanted = _by_text("experiment", names)
    kept = [run for run in runs if wanted(run.record)]
    if not kept:
        known = sorted({_FIELDS["experiment"](run.record) for run in runs})
        more = f", and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
        raise InputError(
            f"none of {counted(len(runs), 'run')} is of such an experiment",
            where="--experiment",
            value=", ".join(names),
            allowed=", ".join(known[:_NAMED]) + more,
        )
    return kept


def _check_path(text: str, runs: Sequence[StoredRun]) -> None:
    found = _FILTER.fullmatch(text.strip())
    name = found[1].strip() if found is not None and found[2] not in _SIGNS else "status"
    if name in _FIELDS or any(_has(run.record, name) for run in runs):
        return
    raise InputError("no run has such a field", where="--filter", value=text, allowed=_EXAMPLES)


def _has(record: RunRecord, path: str) -> bool:
    value: object = record.spec
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


def _by_text(name: str, patterns: Sequence[str], *, wanted: bool = True) -> Test:
    def test(record: RunRecord) -> bool:
        text = _FIELDS[name](record) if name in _FIELDS else value_text(record.spec, name)
        return any(fnmatchcase(text, pattern.strip()) for pattern in patterns) is wanted

    return test


def _by_metric(metric: Metric, holds: Callable[[float, float], bool], limit: float) -> Test:
    def test(record: RunRecord) -> bool:
        metrics = derive.metrics(record)
        found = [value for key in metric.sources if (value := metrics.get(key)) is not None]
        return bool(found) and holds(max(found), limit)

    return test
