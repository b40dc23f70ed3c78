"""What the runs of a group were measured with: machine, software, data set, protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from odbench.report.comparison import STACK, Group
from odbench.report.markup import escape, table
from odbench.report.once import once
from odbench.report.text import DASH
from odbench.results import Environment


@once
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
    environments = _environments(group)
    hosts = {env.host for env in environments}
    several = f"{len(hosts)} machines: " if len(hosts) > 1 else ""
    return several + _distinct(environments, _machine)


def _machine(env: Environment) -> str:
    gpus = [f"{gpu.name}{f' (driver {gpu.driver})' if gpu.driver else ''}" for gpu in env.gpus] or [
        "no GPU"
    ]
    return (
        f"{env.cpu}, {env.cores} cores, {env.ram_bytes / 1e9:.1f} GB RAM, "
        f"{', '.join(gpus)}; {env.os}"
    )


def _software(group: Group) -> str:
    environments = _environments(group)
    names = dict.fromkeys((*STACK, *(name for env in environments for name in env.packages)))
    parts = [
        f"odbench {_distinct(environments, _own_version)}",
        f"Python {_distinct(environments, lambda env: env.python)}",
    ]
    for name in names:
        parts.append(f"{name} {_distinct(environments, _version_of(name))}")
    return ", ".join(parts)


def _environments(group: Group) -> list[Environment]:
    """Of the runs, in their order; what thousands have in common comes once."""
    found = (row.record.environment for row in group.rows)
    return list({id(env): env for env in found}.values())


def _version_of(name: str) -> Callable[[Environment], str]:
    return lambda env: env.packages.get(name, "none")


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


def _distinct(environments: Iterable[Environment], read: Callable[[Environment], str]) -> str:
    return " / ".join(dict.fromkeys(map(read, environments)))
