"""Writing runs and sweeps into MLflow, exactly once, by its client and no global state.

A sweep is the parent of its runs. Where each variant is run several times, the variant is an MLflow
run between them (:mod:`odbench.tracking.variants`); else a run is its variant itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from odbench.config.spec import RunSpec
from odbench.records import StoredRun, write_json
from odbench.tracking import content, entries, views
from odbench.tracking.aggregates import ended_status, records_tag, sweep_summary
from odbench.tracking.artifacts import log_report, log_run_files
from odbench.tracking.dataset import log_dataset
from odbench.tracking.entries import logging_lock
from odbench.tracking.masking import mask
from odbench.tracking.naming import by_variant, is_repeat, repeats_of, run_name, sweep_folder
from odbench.tracking.note import sweep_note
from odbench.tracking.store import Store, open_store, store_errors, tracking_uri
from odbench.tracking.tags import run_tags
from odbench.tracking.untracked import forget_untracked
from odbench.tracking.variants import ensure_variant, update_variant

MLFLOW_FILE = "mlflow.json"


def log_run(
    run: StoredRun, spec: RunSpec, parent_run_id: str | None = None, store: Store | None = None
) -> str:
    """Log one run with all that it left behind, and say so in its folder's ``mlflow.json``.

    A run that this store already has is left alone; one that was logged in part is completed, and
    one that was resumed since gets what is new: no point of a curve a second time. A repeat is
    logged below its variant, which gets what the repeats have come to.

    Args:
        run: The record and its folder.
        spec: Its ``tracking`` and ``paths`` say where to log.
        parent_run_id: MLflow run id of the sweep that the run belongs to.
        store: That place, where it is open.

    Returns:
        The MLflow run id.

    Raises:
        TrackingError: The store failed; the record stays on disk and can be logged again.
    """
    experiment = spec.tracking.experiment
    with logging_lock(run.dir):
        known = logged_id(run, tracking_uri(spec), experiment)
        if known is not None:
            return known
        store = store or open_store(spec)
        if not is_repeat(run.record):
            return _log_run(run, store, experiment, run_tags(run, run_name(run), parent_run_id))
        held = sweep_folder(run) or run.dir.parent
        with logging_lock(held):
            variant = ensure_variant(store, run, parent_run_id)
        tags = run_tags(run, run_name(run), variant, level="repeat")
        run_id = _log_run(run, store, experiment, tags)
        with logging_lock(held):
            update_variant(store, repeats_of(run))
        return run_id


def logged_id(run: StoredRun, uri: str, experiment: str) -> str | None:
    """MLflow run id of a run that this store was given as it ended now; the store is not asked."""
    return _logged(run.dir, uri, experiment, content.ended(run.record))


def find_whole(store: Store, run: StoredRun) -> str | None:
    """MLflow run id of a run that the store has, whole and as it ended now.

    Raises:
        TrackingError: The store failed.
    """
    with store_errors(store.uri, f"look for run {run.record.name}"):
        found = entries.find(store, "run", {"odbench.run_id": run.record.run_id})
    whole = found is not None and _has(found, content.ended(run.record))
    return str(found.info.run_id) if whole else None


def _log_run(run: StoredRun, store: Store, experiment: str, tags: dict[str, str]) -> str:
    client = store.client
    ended = content.ended(run.record)
    points = [*content.metrics(run.record), *content.curves(run)]
    params = content.params(run.record)
    with store_errors(store.uri, f"log run {run.record.name}"):
        found = entries.find(store, "run", {"odbench.run_id": run.record.run_id})
        start, end = content.times_ms(run.record)
        run_id = entries.create(store, tags, start) if found is None else str(found.info.run_id)
        if found is None or not _has(found, ended):
            if found is not None:
                entries.reopen(client, found, tags)
                points = entries.new_points(client, found, points)
                params = {k: v for k, v in params.items() if k not in found.data.params}
            # a new run was made with its tags
            entries.log_values(client, run_id, points, params, {} if found is None else tags)
            log_run_files(store, run_id, run)
            log_dataset(client, run_id, run)
            client.set_terminated(run_id, content.MLFLOW_STATUS[run.record.status], end)
        _write_link(run.dir, store, run_id, experiment, ended)
    return run_id


def _has(found: Any, ended: str) -> bool:
    """Whether the store's run is whole, and of the same ending as ours."""
    logged = found.data.tags.get("odbench.ended", ended)
    return bool(found.info.status != "RUNNING" and logged == ended)


def start_sweep(
    spec: RunSpec, sweep_id: str, name: str, overrides: list[str], at_ms: int | None = None
) -> str:
    """Create the MLflow run that the runs of a sweep are children of.

    Args:
        spec: Any spec of the sweep; its ``tracking`` and ``paths`` say where to log.
        sweep_id: As in the records of its runs; a sweep that is known is not created again.
        name: Shown in MLflow.
        overrides: Of the command line.
        at_ms: When it began, since 1970, UTC; None: now.

    Returns:
        The MLflow run id, for ``parent_run_id`` and :func:`finish_sweep`.

    Raises:
        TrackingError: The store failed.
    """
    store = open_store(spec)
    tags = content.tag_texts(
        {
            **spec.tracking.tags,
            "odbench.kind": "sweep",
            "odbench.sweep_id": sweep_id,
            "odbench.overrides": " ".join(overrides),
            "mlflow.runName": name,
            "mlflow.source.name": "odbench",
            "mlflow.source.type": "LOCAL",
        }
    )
    with store_errors(store.uri, f"start sweep {name}"):
        found = entries.find(store, "sweep", {"odbench.sweep_id": sweep_id})
        start = _now_ms() if at_ms is None else at_ms
        return entries.create(store, tags, start) if found is None else str(found.info.run_id)


def finish_sweep(
    spec: RunSpec,
    mlflow_run_id: str,
    runs: Sequence[StoredRun],
    report_dir: Path | None,
    at_ms: int | None = None,
) -> None:
    """End a sweep's MLflow run: runs by status, best AP, a table, and the report's files.

    It ends FINISHED where every run was ok, KILLED where one was interrupted, else FAILED.

    Args:
        spec: Any spec of the sweep.
        mlflow_run_id: What :func:`start_sweep` returned.
        runs: The runs that there are.
        report_dir: Folder of the report, None where none was written.
        at_ms: When it ended, since 1970, UTC; None: now.

    Raises:
        TrackingError: The store failed.
    """
    store = open_store(spec)
    with ExitStack() as held:
        for folder in {folder for run in runs if (folder := sweep_folder(run)) is not None}:
            held.enter_context(logging_lock(folder))
        for repeats in by_variant([run for run in runs if is_repeat(run.record)]).values():
            ensure_variant(store, repeats[0], mlflow_run_id)
            update_variant(store, repeats, ended=True)
        with store_errors(store.uri, "finish the sweep"):
            _finish(store, mlflow_run_id, runs, report_dir, _now_ms() if at_ms is None else at_ms)


def _finish(
    store: Store, run_id: str, runs: Sequence[StoredRun], report_dir: Path | None, at_ms: int
) -> None:
    client, found = store.client, store.client.get_run(run_id)
    values, tags = sweep_summary(runs)
    points = [content.Point(key, value, at_ms, 0) for key, value in values.items()]
    entries.log_values(client, run_id, entries.new_points(client, found, points), {}, {})
    page = None
    if report_dir is not None and report_dir.is_dir():
        page = log_report(store, run_id, report_dir)
    client.set_terminated(run_id, ended_status(runs), at_ms)
    # last: a sweep whose end was cut off is ended again
    note = sweep_note(runs, content.TAG_LENGTH, views.address(store.experiment_id), page)
    tags |= {"mlflow.note.content": note, "odbench.records": records_tag(runs)}
    entries.log_values(client, run_id, [], {}, tags)


def find_sweep(store: Store, sweep_id: str, runs: Sequence[StoredRun]) -> tuple[str | None, bool]:
    """MLflow run id of a sweep, None where it is not known; whether it ended with those runs.

    Raises:
        TrackingError: The store failed.
    """
    with store_errors(store.uri, f"look for sweep {sweep_id}"):
        found = entries.find(store, "sweep", {"odbench.sweep_id": sweep_id})
    if found is None:
        return None, False
    logged = found.data.tags.get("odbench.records")
    ended = found.info.status == ended_status(runs) and logged == records_tag(runs)
    return str(found.info.run_id), ended


def _logged(run_dir: Path, uri: str, experiment: str, ended: str) -> str | None:
    wanted = {"tracking_uri": mask(uri, uri), "experiment": experiment, "ended": ended}
    try:
        link = json.loads((run_dir / MLFLOW_FILE).read_text(encoding="utf-8"))
        link = {"experiment": experiment, "ended": ended} | link  # older ones leave them out
        return str(link["run_id"]) if link.items() >= wanted.items() else None
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not ours: ask the store
        return None


def _write_link(run_dir: Path, store: Store, run_id: str, experiment: str, ended: str) -> None:
    body = {
        "tracking_uri": mask(store.uri, store.uri),
        "experiment": experiment,
        "experiment_id": store.experiment_id,
        "run_id": run_id,
        "ended": ended,
    }
    write_json(run_dir / MLFLOW_FILE, body)
    forget_untracked(run_dir)
    forget_untracked(run_dir)


def _now_ms() -> int:
    return int(time.time() * 1000)
