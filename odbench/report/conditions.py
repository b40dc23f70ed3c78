"""What the runs of a group were measured with: machine, software, data set, protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from odbench.report.comparison import STACK, Group
from odbench.report.markup import escape, table
from odbench.report.text import DASH
from odbench.results import Environment, RunRecord


def conditions(group: Group) -> dict[str, str]:
    """Describe hardware, software, data set and protocol, each in one line."""
    dataset = group.rows[0].record.dataset
    findings = ", ".join(f"{kind}: {count}" for kind, count in dataset.findings.items())
    return {
        "Hardware": _machines(group),
        "Measured device": group.common.hardware,
        "Software": _software(group),
        "Backend": group.common.backend,
        "Data set": f"{dataset.name}, {len(dataset.classes)} classes, hash {dataset.hash}",
        "Findings in the data set": findings or "none",
        "Protocol": f"version {group.common.protocol_version}; {_protocol(group)}",
    }


def splits(group: Group) -> str:
    """Lay out the images and boxes of each split."""
    dataset = group.rows[0].record.dataset
    body = [
        [escape(name), str(count), str(dataset.boxes.get(name, DASH))]
        for name, count in dataset.images.items()
    ]
    return table(["Split", "Images", "Boxes"], body, [False, True, True])


def _machines(group: Group) -> str:
    """What they are; their names are nobody's business where a report is published."""
    hosts = {row.record.environment.host for row in group.rows}
    several = f"{len(hosts)} machines: " if len(hosts) > 1 else ""
    return several + _distinct(group, lambda record: _machine(record.environment))


def _machine(env: Environment) -> str:
    gpus = [f"{gpu.name}{f' (driver {gpu.driver})' if gpu.driver else ''}" for gpu in env.gpus] or [
        "no GPU"
    ]
    return (
        f"{env.cpu}, {env.cores} cores, {env.ram_bytes / 1e9:.1f} GB RAM, "
        f"{', '.join(gpus)}; {env.os}"
    )


def _software(group: Group) -> str:
    names = dict.fromkeys((*STACK, *(name for row in group.rows for name in _packages(row.record))))
    parts = [
        f"odbench {_distinct(group, lambda record: _own_version(record.environment))}",
        f"Python {_distinct(group, lambda record: record.environment.python)}",
    ]
    for name in names:
        parts.append(f"{name} {_distinct(group, _version_of(name))}")
    return ", ".join(parts)


def _packages(record: RunRecord) -> dict[str, str]:
    return record.environment.packages


def _version_of(name: str) -> Callable[[RunRecord], str]:
    return lambda record: _packages(record).get(name, "none")


def _own_version(env: Environment) -> str:
    if env.git_commit is None:
        return env.odbench
    return f"{env.odbench} ({env.git_commit[:12]}{', changed' if env.git_dirty else ''})"


def _protocol(group: Group) -> str:
    trains = [row.record.train for row in group.rows if row.record.train is not None]
    latencies = [row.record.latency for row in group.rows if row.record.latency is not None]
    parts = []
    if trains:
        warmup = _span(len(train.warmup_step_s) for train in trains)
        measured = _span(len(train.compute_s) for train in trains)
        parts.append(f"train: first step, {warmup} warm-up and {measured} measured steps")
    if latencies:
        warmup = _span(len(latency.warmup_s) for latency in latencies)
        calls = _span(len(latency.latency_s) for latency in latencies)
        batch = _span(latency.batch_size for latency in latencies)
        parts.append(f"latency: {warmup} warm-up and {calls} measured calls, batch {batch}")
    return "; ".join(parts) or "nothing was timed"


def _span(numbers: Iterable[int]) -> str:
    distinct = sorted(set(numbers))
    return str(distinct[0]) if len(distinct) == 1 else f"{distinct[0]} to {distinct[-1]}"


def _distinct(group: Group, read: Callable[[RunRecord], str]) -> str:
    return " / ".join(dict.fromkeys(read(row.record) for row in group.rows))
