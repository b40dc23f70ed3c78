"""The MLflow run of a variant, between a sweep and its repeats; found or made by its tags."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from odbench.records import StoredRun
from odbench.tracking import content, entries
from odbench.tracking.aggregates import (
    best_repeat,
    ended_status,
    records_tag,
    variant_metrics,
)
from odbench.tracking.artifacts import log_pictures
from odbench.tracking.dataset import log_inputs
from odbench.tracking.naming import asked_repeats
from odbench.tracking.store import Store, store_errors
from odbench.tracking.tags import variant_tags


def ensure_variant(store: Store, run: StoredRun, sweep_run_id: str | None) -> str:
    """MLflow run id of a run's variant, made if the store has none; hold the sweep meanwhile.

    Raises:
        TrackingError: The store failed.
    """
    record = run.record
    with store_errors(store.uri, f"log the variant of run {record.name}"):
        found = _find(store, run)
        if found is not None:
            if sweep_run_id and "mlflow.parentRunId" not in found.data.tags:
                store.client.set_tag(found.info.run_id, "mlflow.parentRunId", sweep_run_id)
            return str(found.info.run_id)
        tags = variant_tags([run]) | ({"mlflow.parentRunId": sweep_run_id} if sweep_run_id else {})
        return entries.create(store, tags, content.times_ms(record)[0])


def update_variant(store: Store, runs: Sequence[StoredRun], *, ended: bool = False) -> None:
    """Write what the repeats came to; nothing where that is there. Hold the sweep meanwhile.

    Args:
        store: Where :func:`ensure_variant` made it.
        runs: The repeats that there are, by repeat; at least one.
        ended: Whether no more of them will come; else it has ended where all are there.

    Raises:
        TrackingError: The store failed.
    """
    client, first = store.client, runs[0]
    ended = ended or len(runs) >= asked_repeats(first.record)
    with store_errors(store.uri, f"log the variant of run {first.record.name}"):
        found = _find(store, first)
        if found is None or (
            found.data.tags.get("odbench.records") == records_tag(runs)
            and found.info.status == (ended_status(runs) if ended else "RUNNING")
        ):
            return
        run_id = found.info.run_id
        at_ms = _later_than(client, found)
        values = [content.Point(k, v, at_ms, 0) for k, v in variant_metrics(runs).items()]
        params = content.params(first.record)
        for key in ("seed", *found.data.params):
            params.pop(key, None)
        log_inputs(client, run_id, first)
        if ended:
            log_pictures(store, run_id, best_repeat(runs))
        entries.log_values(client, run_id, entries.new_points(client, found, values), params, {})
        if ended:
            end_ms = max(content.times_ms(run.record)[1] for run in runs)
            client.set_terminated(run_id, ended_status(runs), end_ms)
        # last: a variant whose update was cut off is written again
        tags = variant_tags(runs) | {"odbench.records": records_tag(runs)}
        entries.log_values(client, run_id, [], {}, tags)


def _find(store: Store, run: StoredRun) -> Any:
    tags = {"odbench.sweep_id": str(run.record.sweep_id), "odbench.variant": run.record.variant}
    return entries.find(store, "variant", tags)


def _later_than(client: Any, found: Any) -> int:
    """Now, or later where another machine's clock is ahead: the latest value is what is shown."""
    history = client.get_metric_history(found.info.run_id, "repeats/runs")
    known = [int(metric.timestamp) + 1 for metric in history]
    return max([int(time.time() * 1000), *known])
