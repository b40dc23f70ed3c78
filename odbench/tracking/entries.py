"""Calls of an MLflow store that the runs, variants and sweeps of odbench are written by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, TypeVar

from odbench.errors import TrackingError
from odbench.tracking.content import Point
from odbench.tracking.store import Store

LOCK_FILE = ".mlflow.lock"

_LOGGING_WAIT_S = 120.0  # for another process that logs the same

# Entries of one request: MLflow takes 100 parameters, 100 tags, and 1000 of all kinds.
_METRICS, _PARAMS, _TAGS = 800, 100, 100

T = TypeVar("T")


@contextmanager
def logging_lock(folder: Path) -> Iterator[None]:
    """Hold a run or a sweep: nobody else logs it meanwhile. One process may take it twice.

    Who takes both takes the run first.

    Raises:
        TrackingError: Another process has held it for two minutes, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_FILE, timeout=_LOGGING_WAIT_S, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise TrackingError(
            "another process is logging it", where=str(folder), fix="let it end, or end it"
        ) from None
    except OSError as error:
        raise TrackingError(f"it cannot be held: {error.strerror}", where=str(folder)) from error
    try:
        yield
    finally:
        lock.release()


def find(store: Store, kind: str, tags: Mapping[str, str]) -> Any:
    """The run of a kind with those tags, such as one whose logging was cut off; else None."""
    wanted = " AND ".join(
        f"tags.`{tag}` = '{value}'" for tag, value in {**tags, "odbench.kind": kind}.items()
    )
    found = store.client.search_runs([store.experiment_id], wanted, max_results=1)
    return found[0] if found else None


def create(store: Store, tags: dict[str, str], start_ms: int) -> str:
    """Create a run with those tags, ``mlflow.runName`` among them; its id."""
    run = store.client.create_run(
        store.experiment_id, start_time=start_ms, tags=tags, run_name=tags["mlflow.runName"]
    )
    return str(run.info.run_id)


def reopen(client: Any, found: Any, tags: dict[str, str]) -> None:
    """Mark a run as not whole until it is, and take away what no longer holds, as a reason."""
    client.update_run(found.info.run_id, status="RUNNING")
    for key in found.data.tags:
        if key.startswith("odbench.") and key not in tags:
            client.delete_tag(found.info.run_id, key)


def new_points(client: Any, found: Any, points: Sequence[Point]) -> list[Point]:
    """Points that a run does not have: of a curve by their step, else by their value."""
    known = found.data.metrics
    curves = {point.key for point in points if point.step > 0} & set(known)
    steps = {
        key: {m.step for m in client.get_metric_history(found.info.run_id, key)} for key in curves
    }
    return [
        point
        for point in points
        if (
            point.step not in steps.get(point.key, ())
            if point.step > 0
            else known.get(point.key) != point.value
        )
    ]


def log_values(
    client: Any,
    run_id: str,
    points: Sequence[Point],
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> None:
    """Log values within MLflow's limits, mostly in one request.

    The same parameters and tags again change nothing.
    """
    from mlflow.entities import Metric, Param, RunTag

    metrics = _chunks((Metric(p.key, p.value, p.time_ms, p.step) for p in points), _METRICS)
    given = _chunks((Param(key, value) for key, value in params.items()), _PARAMS)
    named = _chunks((RunTag(key, value) for key, value in tags.items()), _TAGS)
    for parts in zip_longest(metrics, given, named, fillvalue=()):
        client.log_batch(run_id, *parts, synchronous=True)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
