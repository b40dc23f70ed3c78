"""``Variant``: the repeats of one configuration, and their numbers summed up.

A variant's number is the mean over the repeats that ended well; where none did, over those that
came as far as having it. Two kinds of uncertainty are kept apart. Over repeats: what another run,
with its own seed, would give (Student's t). Over images, of AP alone: what other images would give
(image bootstrap, its draws averaged over the repeats).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from odbench.analyses import Analysis
from odbench.derive import Metrics
from odbench.evaluation.bootstrap import Interval, interval_of_draws
from odbench.evaluation.weighted import Floats
from odbench.measure.comparing import Repeats, repeated
from odbench.measure.statistics import mean
from odbench.records import StoredRun
from odbench.report.comparison import Group, Row, order
from odbench.report.once import once
from odbench.report.varying import told_apart
from odbench.results import Flag, RunRecord, Status

IMAGE_METRICS = ("AP", "AP50", "AP75")  # that draws over images are kept of

# What another run of the same variant may have otherwise.
_OF_REPEATS = ("seed",)

_SHARE = re.compile(r"eval/(.*_)?A[PR]\d*(_\w+)?")


@dataclass(frozen=True)
class Variant:
    """The repeats of one configuration within a group; of a single run it has that run's numbers.

    ``label`` is the runs' name without what is one repeat's own, and where other variants of the
    group have that name too, with the parameters that tell them apart.
    """

    key: str  # unique within its group, the same in every report
    label: str
    rows: tuple[Row, ...]  # by repeat, at least one
    varying: dict[str, str]  # dotted path of the specification -> value; of several, all of them
    _largest: dict[tuple[str, ...], float | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def ok(self) -> bool:
        """Whether at least one repeat ended well."""
        return any(row.ok for row in self.rows)

    @cached_property
    def counted(self) -> tuple[Row, ...]:
        """The repeats whose numbers count: those that ended well, all where none did."""
        return tuple(row for row in self.rows if row.ok) or self.rows

    @cached_property
    def record(self) -> RunRecord:
        """The record of the first repeat that counts, for what all repeats have in common."""
        return self.counted[0].record

    @property
    def run(self) -> StoredRun:
        """The first repeat that counts, with the folder that it lies in."""
        return self.counted[0].run

    @property
    def best_repeat(self) -> Row:
        """The repeat with the highest AP, the first of equals and of those without any."""
        return max(self.counted, key=lambda row: row.metrics.get("eval/AP") or -1.0)

    @cached_property
    def flags(self) -> list[Flag]:
        """The flags of all repeats that count."""
        found = {flag for row in self.counted for flag in row.flags}
        return [flag for flag in Flag if flag in found]

    @property
    def statuses(self) -> dict[Status, int]:
        """How many repeats ended in each way; none that is 0."""
        counts = Counter(row.record.status for row in self.rows)
        return {status: counts[status] for status in Status if counts[status]}

    @cached_property
    def metrics(self) -> Metrics:
        """The mean of each metric over the repeats that have it."""
        if len(self.counted) == 1:
            return self.counted[0].metrics
        names = dict.fromkeys(name for row in self.counted for name in row.metrics)
        return {name: self.largest((name,)) for name in names}

    def values(self, metrics: Iterable[str]) -> list[float]:
        """The largest of some metrics of each repeat that counts and has any, by repeat."""
        names = tuple(metrics)
        found = (row.largest(names) for row in self.counted)
        return [value for value in found if value is not None]

    def repeated(self, metrics: Iterable[str]) -> Repeats:
        """Mean, spread and interval over repeats of :meth:`values`, in the metric's unit.

        The interval ends at what can be measured: nothing is below 0, and no AP above 1.
        """
        names = tuple(metrics)
        found = repeated(self.values(names))
        if found.low is None or found.high is None:
            return found
        highest = 1.0 if _SHARE.fullmatch(names[0]) else found.high
        return replace(found, low=max(0.0, found.low), high=min(highest, found.high))

    def largest(self, metrics: Iterable[str]) -> float | None:
        """The mean of :meth:`values`, None where there are none."""
        names = tuple(metrics)
        try:
            return self._largest[names]  # a report asks a hundred times
        except KeyError:
            return self._largest.setdefault(names, mean(self.values(names)))

    def draws(self, name: str) -> ImageDraws | None:
        """The image-bootstrap draws of one of :data:`IMAGE_METRICS` of each repeat.

        None where no repeat kept them, or where repeats drew different images.
        """
        kept = [row.record.analysis for row in self.counted if _has_draws(row, name)]
        analyses = [analysis for analysis in kept if analysis is not None]
        if not analyses or len({analysis.draws_key for analysis in analyses}) > 1:
            return None
        values = np.array([analysis.draws[name] for analysis in analyses], dtype=float)
        return ImageDraws(analyses[0].draws_key, values)

    def over_images(self, name: str) -> Interval | None:
        """One of :data:`IMAGE_METRICS` with its 95 % interval over images.

        None where there are no draws of it, see :meth:`draws`.
        """
        draws = self.draws(name)
        if draws is None:
            return None
        return interval_of_draws(self.metrics.get(f"eval/{name}"), draws.values.mean(axis=0))


@dataclass(frozen=True)
class ImageDraws:
    """A metric of the same draws of images, of each repeat."""

    key: str  # draws with one key drew the same images
    values: Floats  # [repeats, draws] 0..1, NaN where a draw has no objects


@once
def variants(group: Group) -> list[Variant]:
    """Join the runs of a group that are repeats of one variant, and order them as rows are.

    Runs of records that do not tell their variant are one each.
    """
    joined: dict[str, list[Row]] = {}
    for row in group.rows:
        joined.setdefault(row.record.variant or f"run {row.record.run_id}", []).append(row)
    members = {key: sorted(rows, key=_by_repeat) for key, rows in joined.items()}
    labels = _labels(list(members.values()))
    found = [
        Variant(key, label, tuple(rows), _varying(rows))
        for (key, rows), label in zip(members.items(), labels, strict=True)
    ]
    return sorted(found, key=order)


def _by_repeat(row: Row) -> tuple[int, str, str]:
    return row.record.repeat, row.record.started_at, row.record.run_id


def _has_draws(row: Row, name: str) -> bool:
    analysis: Analysis | None = row.record.analysis
    complete = row.record.eval is not None and row.record.eval.complete
    return complete and analysis is not None and bool(analysis.draws.get(name))


def _varying(rows: Sequence[Row]) -> dict[str, str]:
    return {
        path: ", ".join(dict.fromkeys(row.varying[path] for row in rows))
        for path in rows[0].varying
    }


def _labels(members: Sequence[Sequence[Row]]) -> list[str]:
    """A label for each variant, all of them different."""
    several = any(len(rows) > 1 for rows in members)
    varying = [
        {k: v for k, v in _varying(rows).items() if not (several and k in _OF_REPEATS)}
        for rows in members
    ]
    overrides = [rows[0].record.overrides for rows in members]
    labels = told_apart([common_name(rows) for rows in members], varying, overrides)
    seen: Counter[str] = Counter()
    numbered = []
    for label in labels:
        seen[label] += 1
        numbered.append(label if seen[label] == 1 else f"{label} #{seen[label]}")
    return numbered


def common_name(rows: Sequence[Row]) -> str:
    """The name of some repeats, without what is one repeat's own."""
    if len(rows) == 1:
        return rows[0].record.name
    names = {_without_seed(row.record) for row in rows}
    if len(names) == 1:
        return names.pop()
    record = rows[0].record  # named one by one: none of the names is that of all
    return f"{record.model}-b{record.batch_size}"


def _without_seed(record: RunRecord) -> str:
    return record.name.removesuffix(f"-seed{record.spec.get('seed')}")
