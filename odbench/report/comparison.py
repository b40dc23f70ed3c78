"""``Comparison``: runs in groups whose numbers may be compared, and what varies between them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

from odbench import derive
from odbench.collecting import without_collecting
from odbench.derive import Metrics
from odbench.records import StoredRun
from odbench.report.varying import told_apart, value_shown, varying_paths
from odbench.results import Flag, RunRecord, Status

# The packages whose versions, with the backend, make up the software stack.
STACK = ("tensorflow", "tf-keras", "tf-object-detection-api", "numpy")

UNKNOWN_DEVICE = "unknown device: no run got as far as taking one"


class Common(NamedTuple):
    """What the runs of a group have in common; runs that differ in it are not compared."""

    hardware: str
    dataset_hash: str
    protocol_version: int
    backend: str
    stack: tuple[str, ...]  # versions of STACK, "none" where not installed

    @property
    def software(self) -> str:
        """Backend and versions, such as ``tfod, tensorflow 2.21.0``."""
        versions = [f"{name} {version}" for name, version in zip(STACK, self.stack, strict=True)]
        return ", ".join([self.backend, *versions])


class Measured(Protocol):
    """What the table's columns are read from: one run, or the repeats of one variant."""

    @property
    def label(self) -> str:
        """Its name in the comparison."""

    @property
    def metrics(self) -> Metrics:
        """Numbers by their names; of repeats the means."""

    @property
    def flags(self) -> list[Flag]:
        """What a reader must know before trusting them."""

    @property
    def record(self) -> RunRecord:
        """The run's record; of repeats the first one's."""

    @property
    def ok(self) -> bool:
        """Whether it ended well; of repeats at least one."""

    def largest(self, metrics: Iterable[str]) -> float | None:
        """The largest of some metrics, None where it has none; of repeats the mean of theirs."""


@dataclass(frozen=True)
class Row:
    """One run of a comparison.

    ``label`` is the run's name, with what differs behind it where a name comes
    again, and ``#2``, ``#3`` where nothing does.
    """

    run: StoredRun
    metrics: Metrics
    flags: list[Flag]
    varying: dict[str, str]  # dotted path of the specification -> value
    label: str
    _largest: dict[tuple[str, ...], float | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property  # as is "ok": a report of thousands asks for them a million times
    def record(self) -> RunRecord:
        """The run's record."""
        return self.run.record

    @cached_property
    def ok(self) -> bool:
        """Whether the run ended well."""
        return self.record.status is Status.ok

    def largest(self, metrics: Iterable[str]) -> float | None:
        """The largest of some metrics, None where there is none of them."""
        names = tuple(metrics)
        try:
            return self._largest[names]  # a report asks a hundred times
        except KeyError:
            values = [v for name in names if (v := self.metrics.get(name)) is not None]
            return self._largest.setdefault(names, max(values, default=None))


@dataclass(frozen=True, eq=False)
class Group:
    """Rows that may be compared: unflagged ones by AP, then flagged ones by AP, then the rest."""

    title: str
    common: Common
    rows: list[Row]

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.rows[0].record.dataset.name


@dataclass(frozen=True)
class Comparison:
    """Runs, grouped; the largest group first."""

    groups: list[Group]
    varying: list[str]  # dotted paths of the specification that differ between the rows

    @property
    def rows(self) -> list[Row]:
        """Every row, group after group."""
        return [row for group in self.groups for row in group.rows]

    @property
    def flags(self) -> list[Flag]:
        """The flags that occur, in the order of :class:`~odbench.results.Flag`."""
        found = {flag for row in self.rows for flag in row.flags}
        return [flag for flag in Flag if flag in found]

    @property
    def summary(self) -> str:
        """One sentence: how many runs, how they ended, and on what hardware."""
        rows = self.rows
        ended = Counter(row.record.status for row in rows)
        counts = ", ".join(f"{ended[status]} {status}" for status in Status if ended[status])
        hardware = list(dict.fromkeys(group.common.hardware for group in self.groups))
        text = f"{len(rows)} run{'s' if len(rows) > 1 else ''} ({counts}), on "
        text += "; ".join(hardware)
        if len(self.groups) > 1:
            text += f", in {len(self.groups)} groups that are not comparable with each other"
        return text + "."


@without_collecting()
def compare(runs: Sequence[StoredRun]) -> Comparison:
    """Group runs by what makes their numbers comparable, and order the rows of each group.

    Comparable are runs of one hardware class, data set (by hash), protocol version, backend and
    versions of :data:`STACK`. A run that ended before it took a device joins the group of the
    same machine, where there is one.
    """
    ordered = sorted(runs, key=lambda run: (run.record.started_at, run.record.run_id))
    paths = varying_paths([run.record.spec for run in ordered])
    varying = [{path: value_shown(run.record.spec, path) for path in paths} for run in ordered]
    labels = _labels(ordered, varying)
    rows = [_row(*each) for each in zip(ordered, varying, labels, strict=True)]
    grouped = sorted(_grouped(rows).items(), key=lambda item: -len(item[1]))
    titles = _titles(grouped)
    return Comparison(
        groups=[
            Group(title, common, sorted(members, key=order))
            for title, (common, members) in zip(titles, grouped, strict=True)
        ],
        varying=paths,
    )


def _row(run: StoredRun, varying: dict[str, str], label: str) -> Row:
    metrics, flags = run.derived or derive.derived(run.record)
    return Row(run=run, metrics=metrics, flags=flags, varying=varying, label=label)


def _labels(runs: Sequence[StoredRun], varying: Sequence[dict[str, str]]) -> list[str]:
    overrides = [run.record.overrides for run in runs]
    seen: Counter[str] = Counter()
    labels = []
    for name in told_apart([run.record.name for run in runs], varying, overrides):
        seen[name] += 1
        labels.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return labels


def _common(record: RunRecord, hardware: str) -> Common:
    packages = record.environment.packages
    return Common(
        hardware=hardware,
        dataset_hash=record.dataset.hash,
        protocol_version=record.protocol_version,
        backend=record.backend,
        stack=tuple(packages.get(name, "none") for name in STACK),
    )


def _machine(record: RunRecord) -> tuple[object, ...]:
    env = record.environment
    return (env.host, env.cpu, env.cores, tuple(env.gpus), _common(record, ""))


def _grouped(rows: Iterable[Row]) -> dict[Common, list[Row]]:
    groups: dict[Common, list[Row]] = {}
    of_machine: dict[tuple[object, ...], Common] = {}
    waiting = []
    for row in rows:
        record = row.record
        if record.device is None and record.environment.gpus:
            waiting.append(row)
            continue
        common = _common(record, record.hardware)
        groups.setdefault(common, []).append(row)
        of_machine.setdefault(_machine(record), common)
    for row in waiting:
        apart = _common(row.record, UNKNOWN_DEVICE)
        groups.setdefault(of_machine.get(_machine(row.record), apart), []).append(row)
    return groups


def order(entry: Measured) -> tuple[int, float, str]:
    """Sort unflagged ones by AP to the front, then flagged ones, then what did not end well."""
    ap = entry.largest(("eval/AP",))
    tier = 2 if not entry.ok else 1 if entry.flags else 0
    return (tier, math.inf if ap is None else -ap, entry.label)


def _titles(grouped: Sequence[tuple[Common, list[Row]]]) -> list[str]:
    bases = [f"{rows[0].record.dataset.name} on {common.hardware}" for common, rows in grouped]
    repeated = Counter(bases)
    return [
        base if repeated[base] == 1 else f"{base} ({_apart(common, grouped)})"
        for base, (common, _) in zip(bases, grouped, strict=True)
    ]


def _apart(common: Common, grouped: Sequence[tuple[Common, list[Row]]]) -> str:
    """Say what tells a group from others with the same data set name and hardware."""
    others = [other for other, _ in grouped if other.hardware == common.hardware]
    parts = []
    if len({other.dataset_hash for other in others}) > 1:
        parts.append(f"data set {common.dataset_hash[:12]}")
    if len({other.protocol_version for other in others}) > 1:
        parts.append(f"protocol {common.protocol_version}")
    if len({other.backend for other in others}) > 1:
        parts.append(common.backend)
    for index, name in enumerate(STACK):
        if len({other.stack[index] for other in others}) > 1:
            parts.append(f"{name} {common.stack[index]}")
    return ", ".join(parts)
