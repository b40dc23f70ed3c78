"""Writing runs and sweeps into MLflow, exactly once, by its client and no global state."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from odbench import derive
from odbench.config.spec import RunSpec
from odbench.errors import TrackingError
from odbench.events import EVENTS_FILE
from odbench.records import RECORD_FILE, StoredRun, write_json
from odbench.results import Status
from odbench.tracking import content
from odbench.tracking.dataset import log_dataset
from odbench.tracking.masking import mask
from odbench.tracking.note import sweep_note
from odbench.tracking.store import Store, open_store, store_errors, tracking_uri
from odbench.tracking.untracked import forget_untracked

MLFLOW_FILE = "mlflow.json"
LOCK_FILE = ".mlflow.lock"

_LOGGING_WAIT_S = 120.0  # for another process that logs the same run

# Most entries that MLflow takes in one request.
_METRICS_PER_BATCH = 1000
_PARAMS_PER_BATCH = 100

# Files of a run folder, and the folder that they have in MLflow. The exported model and the
# checkpoints stay on disk: they are large, and their size is a metric.
_TEXT_FILES = ("pipeline.config", "edits.json", "config.yaml", RECORD_FILE, EVENTS_FILE)
_LOG_FILES = ("child.log",)
_PICTURE_FOLDERS = ("gallery", "figures")

T = TypeVar("T")


def log_run(run: StoredRun, spec: RunSpec, parent_run_id: str | None = None) -> str:
    """Log one run with all that it left behind, and say so in its folder's ``mlflow.json``.

    A run that this store already has is left alone; one that was logged in part is completed, and
    one that was resumed since gets what is new: no point of a curve a second time.

    Args:
        run: The record and its folder.
        spec: What the run was told; its ``tracking`` and ``paths`` say where to log.
        parent_run_id: MLflow run id of the sweep that the run belongs to.

    Returns:
        The MLflow run id.

    Raises:
        TrackingError: The store failed; the record stays on disk and can be logged again.
    """
    with logging_lock(run.dir):
        known = logged_id(run, tracking_uri(spec), spec.tracking.experiment)
        return known or _log_run(run, spec, parent_run_id)


@contextmanager
def logging_lock(folder: Path) -> Iterator[None]:
    """Hold a run or a sweep: nobody else logs it meanwhile. One process may take it twice.

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


def logged_id(run: StoredRun, uri: str, experiment: str) -> str | None:
    """MLflow run id of a run that this store was given as it ended now; the store is not asked."""
    return _logged(run.dir, uri, experiment, content.ended(run.record))


def find_whole(store: Store, run: StoredRun) -> str | None:
    """MLflow run id of a run that the store has, whole and as it ended now.

    Raises:
        TrackingError: The store failed.
    """
    with store_errors(store.uri, f"look for run {run.record.name}"):
        found = _find(store, "odbench.run_id", run.record.run_id, "run")
    whole = found is not None and _has(found, content.ended(run.record))
    return str(found.info.run_id) if whole else None


def _log_run(run: StoredRun, spec: RunSpec, parent_run_id: str | None) -> str:
    ended = content.ended(run.record)
    points = [*content.metrics(run.record), *content.curves(run)]
    params = content.params(run.record, spec)
    tags = content.tags(run, spec, parent_run_id)
    store = open_store(spec)
    with store_errors(store.uri, f"log run {run.record.name}"):
        found = _find(store, "odbench.run_id", run.record.run_id, "run")
        if found is None or not _has(found, ended):
            start, end = content.times_ms(run.record)
            run_id = _create(store, tags, start) if found is None else found.info.run_id
            if found is not None:
                _reopen(store.client, found, tags)
                points = _new_points(store.client, found, points)
                params = {k: v for k, v in params.items() if k not in found.data.params}
            _log_values(store.client, run_id, points, params, tags)
            _log_artifacts(store, run_id, run)
            log_dataset(store.client, run_id, run)
            status = content.MLFLOW_STATUS[run.record.status]
            store.client.set_terminated(run_id, status, end)
        else:
            run_id = found.info.run_id
        _write_link(run.dir, store, run_id, spec.tracking.experiment, ended)
    return str(run_id)


def _has(found: Any, ended: str) -> bool:
    """Whether the store's run is whole, and of the same ending as ours."""
    logged = found.data.tags.get("odbench.ended", ended)
    return bool(found.info.status != "RUNNING" and logged == ended)


def _reopen(client: Any, found: Any, tags: dict[str, str]) -> None:
    """Mark a run as not whole until it is, and take away what no longer holds, as a reason."""
    client.update_run(found.info.run_id, status="RUNNING")
    for key in found.data.tags:
        if key.startswith("odbench.") and key not in tags:
            client.delete_tag(found.info.run_id, key)


def _new_points(client: Any, found: Any, points: Sequence[content.Point]) -> list[content.Point]:
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
        found = _find(store, "odbench.sweep_id", sweep_id, "sweep")
        start = _now_ms() if at_ms is None else at_ms
        return str(_create(store, tags, start) if found is None else found.info.run_id)


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
    now = _now_ms() if at_ms is None else at_ms
    counts = Counter(run.record.status for run in runs)
    values: dict[str, float] = {f"sweep/{status}": counts[status] for status in Status}
    values["sweep/runs"] = len(runs)
    scores = [ap for run in runs if (ap := derive.metrics(run.record).get("eval/AP")) is not None]
    if scores:
        values["sweep/best_AP"] = max(scores)
    points = [content.Point(key, float(value), now, 0) for key, value in values.items()]
    tags = {"mlflow.note.content": sweep_note(runs, content.TAG_LENGTH)}
    store = open_store(spec)
    with store_errors(store.uri, "finish the sweep"):
        points = _new_points(store.client, store.client.get_run(mlflow_run_id), points)
        _log_values(store.client, mlflow_run_id, points, {}, tags)
        if report_dir is not None and report_dir.is_dir():
            store.client.log_artifacts(mlflow_run_id, str(report_dir), "report")
        store.client.set_terminated(mlflow_run_id, _sweep_status(counts), now)


def find_sweep(store: Store, sweep_id: str, runs: Sequence[StoredRun]) -> tuple[str | None, bool]:
    """MLflow run id of a sweep, None where it is not known; whether it ended with those runs.

    Raises:
        TrackingError: The store failed.
    """
    with store_errors(store.uri, f"look for sweep {sweep_id}"):
        found = _find(store, "odbench.sweep_id", sweep_id, "sweep")
    if found is None:
        return None, False
    status = _sweep_status(Counter(run.record.status for run in runs))
    note = found.data.tags.get("mlflow.note.content")
    ended = found.info.status == status and note == sweep_note(runs, content.TAG_LENGTH)
    return str(found.info.run_id), ended


def _sweep_status(counts: Counter[Status]) -> str:
    if counts[Status.interrupted]:
        return "KILLED"
    return "FINISHED" if counts.total() == counts[Status.ok] + counts[Status.pruned] else "FAILED"


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


def _find(store: Store, tag: str, value: str, kind: str) -> Any:
    """The run with that tag, such as one whose logging was cut off; else None."""
    wanted = f"tags.`{tag}` = '{value}' AND tags.`odbench.kind` = '{kind}'"
    found = store.client.search_runs([store.experiment_id], wanted, max_results=1)
    return found[0] if found else None


def _create(store: Store, tags: dict[str, str], start_ms: int) -> Any:
    run = store.client.create_run(
        store.experiment_id, start_time=start_ms, tags=tags, run_name=tags["mlflow.runName"]
    )
    return run.info.run_id


def _log_values(
    client: Any,
    run_id: str,
    points: Sequence[content.Point],
    params: dict[str, str],
    tags: dict[str, str],
) -> None:
    """Log values within MLflow's limits; the same values again change nothing."""
    from mlflow.entities import Metric, Param, RunTag

    for chunk in _chunks(tags.items(), _PARAMS_PER_BATCH):
        client.log_batch(run_id, tags=[RunTag(k, v) for k, v in chunk], synchronous=True)
    for chunk in _chunks(params.items(), _PARAMS_PER_BATCH):
        client.log_batch(run_id, params=[Param(k, v) for k, v in chunk], synchronous=True)
    for batch in _chunks(points, _METRICS_PER_BATCH):
        metrics = [Metric(p.key, p.value, p.time_ms, p.step) for p in batch]
        client.log_batch(run_id, metrics=metrics, synchronous=True)


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _log_artifacts(store: Store, run_id: str, run: StoredRun) -> None:
    client = store.client
    for name in (*_TEXT_FILES, *_LOG_FILES):
        if (run.dir / name).is_file():
            _log_text_file(store, run_id, run.dir / name)
    if run.record.eval is not None and (run.dir / run.record.eval.detections).is_file():
        client.log_artifact(run_id, str(run.dir / run.record.eval.detections), "eval")
    for folder in _PICTURE_FOLDERS:
        for picture in sorted((run.dir / folder).glob("*.png")):
            client.log_artifact(run_id, str(picture), folder)


def _log_text_file(store: Store, run_id: str, path: Path) -> None:
    """Log a file; the store's address in it loses its password, which readers may not know."""
    text = path.read_text(encoding="utf-8", errors="replace")
    masked = mask(text, store.uri)
    if masked == text:
        store.client.log_artifact(run_id, str(path))
    else:
        store.client.log_text(run_id, masked, path.name)


def _now_ms() -> int:
    return int(time.time() * 1000)
