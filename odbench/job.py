"""One run as the parent sees it: prepare, isolate, record, track. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from odbench.child import OUTCOME_FILE
from odbench.config.compose import spec_to_dict
from odbench.config.fingerprint import fingerprint
from odbench.config.spec import RunSpec
from odbench.dataset.prepare import default_cache_dir, prepare_dataset
from odbench.dataset.types import Dataset
from odbench.errors import ConfigError, RunError
from odbench.events import EVENTS_FILE, read_events
from odbench.isolation import CHILD_LOG, ChildExit, Ending, run_child
from odbench.jobfile import write_job
from odbench.measure.environment import capture_environment
from odbench.pipeline.build import PipelineConfig, build_pipeline
from odbench.progress import progress_view
from odbench.records import StoredRun, write_json, write_record
from odbench.results import (
    PROTOCOL_VERSION,
    Device,
    Edit,
    EvalResult,
    ExportResult,
    LatencyResult,
    RunRecord,
    Stage,
    StageUsage,
    Status,
    TrainResult,
)
from odbench.runner import DEVICE_FILE, STAGES_DIR, stage_file

EDITS_FILE = "edits.json"

# Less is not even enough for the smallest model's checkpoint and export.
MIN_FREE_BYTES = 50 * 10**6

_log = logging.getLogger(__name__)

_RESULTS: dict[Stage, Any] = {
    Stage.train: TrainResult,
    Stage.eval: EvalResult,
    Stage.export: ExportResult,
    Stage.latency: LatencyResult,
}


@dataclass(frozen=True)
class Prepared:
    """A run whose inputs are known to be good."""

    spec: RunSpec
    dataset: Dataset
    pipeline: PipelineConfig


def prepare(spec: RunSpec) -> Prepared:
    """Check and convert everything that a run needs; nothing of the run itself is written.

    Raises:
        InputError: A configuration, data set or pipeline that cannot be run.
    """
    _check_device(spec)
    dataset = prepare_dataset(spec.dataset, cache_dir(spec))
    return Prepared(spec, dataset, build_pipeline(spec, dataset))


def cache_dir(spec: RunSpec) -> Path:
    """Where converted data sets are kept."""
    return Path(spec.paths.cache_dir) if spec.paths.cache_dir else default_cache_dir()


def check_folders(spec: RunSpec) -> None:
    """Make sure that runs and reports can be written.

    Raises:
        ConfigError: A folder cannot be made or written.
    """
    _check_writable("paths.runs_dir", spec.paths.runs_dir)
    if spec.paths.reports_dir is not None:
        _check_writable("paths.reports_dir", spec.paths.reports_dir)


def _check_writable(where: str, path: str) -> None:
    folder = Path(path)
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"odbench")
        probe.unlink()
        free = shutil.disk_usage(folder).free
        if free < MIN_FREE_BYTES:
            raise OSError(errno.ENOSPC, f"only {free / 1e6:.1f} MB are free")
    except OSError as error:
        raise ConfigError(
            f"nothing can be written there: {error.strerror}",
            where=where,
            value=folder,
            allowed="a folder that can be made and written, on a disk with "
            f"{MIN_FREE_BYTES / 1e6:.0f} MB free",
            fix=f"give another one: {where}=PATH",
        ) from error


def _check_device(spec: RunSpec) -> None:
    kind, _, index = spec.runtime.device.partition(":")
    if kind != "gpu" or spec.backend.name == "replay":
        return
    count = len(capture_environment().gpus)
    if int(index) >= count:
        raise ConfigError(
            "this machine has no such GPU",
            where="runtime.device",
            value=spec.runtime.device,
            allowed=", ".join(["auto", "cpu", *(f"gpu:{i}" for i in range(count))]),
            fix="`odbench doctor` shows the devices",
        )


def run_job(
    spec: RunSpec, run_dir: Path, overrides: Sequence[str], sweep_id: str | None = None
) -> StoredRun:
    """Carry one run out and leave its record; a run that goes wrong leaves one too.

    Raises:
        InputError: Its inputs are bad; nothing was started.
        RunError: Its folder cannot be written, as on a full disk.
        KeyboardInterrupt: Ctrl-C came; the record was written before.
    """
    prepared = prepare(spec)
    with _writing(run_dir):
        return _run_prepared(prepared, run_dir, overrides, sweep_id)


@contextmanager
def _writing(run_dir: Path) -> Iterator[None]:
    """Say which folder could not be written; what is in it already stays."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"the run's folder cannot be written: {error.strerror or error}",
            where=str(run_dir),
            fix="make room and run it again; what had ended lies in its stages/",
        ) from error


def _run_prepared(
    prepared: Prepared, run_dir: Path, overrides: Sequence[str], sweep_id: str | None
) -> StoredRun:
    spec = prepared.spec
    run_dir.mkdir(parents=True, exist_ok=True)
    write_json(run_dir / EDITS_FILE, [dataclasses.asdict(e) for e in prepared.pipeline.edits])
    write_job(run_dir, spec, prepared.dataset, prepared.pipeline.text)

    name = run_name(spec)
    started_at, started = datetime.now(UTC), time.monotonic()
    with progress_view(name) as view:
        exit_ = run_child(run_dir, spec.runtime, view.on_event)
    wall_s = time.monotonic() - started

    status, reason = judge(run_dir, spec, exit_)
    record = RunRecord(
        status=status,
        reason=reason,
        failed_stage=None if status is Status.ok else last_stage(run_dir),
        run_id=uuid.uuid4().hex,
        name=name,
        fingerprint=fingerprint(spec, prepared.dataset.hash, PROTOCOL_VERSION),
        started_at=started_at.isoformat(timespec="milliseconds"),
        wall_s=wall_s,
        model=spec.model.name,
        backend=spec.backend.name,
        device=read_device(run_dir),
        dataset=prepared.dataset.summary,
        environment=capture_environment(),
        spec=spec_to_dict(spec),
        overrides=list(overrides),
        edits=[Edit(e.field, e.old, e.new) for e in prepared.pipeline.edits],
        sweep_id=sweep_id,
        **read_stages(run_dir),
    )
    write_record(record, run_dir)
    stored = StoredRun(record, run_dir)
    if status is not Status.ok:
        _log.error("%s: %s: %s", name, status, reason)
    if exit_.ending is Ending.interrupted:
        raise RunInterrupted(stored)
    return stored


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a run; its record was written."""

    def __init__(self, stored: StoredRun) -> None:
        super().__init__("interrupted")
        self.stored = stored


def run_name(spec: RunSpec) -> str:
    """The name of a run in MLflow and in reports."""
    if spec.name:
        return spec.name
    seed = f"-seed{spec.seed}" if spec.seed else ""
    return f"{spec.model.name}-b{spec.train.batch_size}{seed}"


def judge(run_dir: Path, spec: RunSpec, exit_: ChildExit) -> tuple[Status, str | None]:
    """Status and reason from how the child ended and what it left."""
    log = run_dir / CHILD_LOG
    if exit_.ending is Ending.timeout:
        return Status.timeout, f"longer than runtime.timeout_s={spec.runtime.timeout_s:g} s"
    if exit_.ending is Ending.interrupted:
        return Status.interrupted, "interrupted from the keyboard or by SIGTERM"
    outcome = _read_json(run_dir / OUTCOME_FILE)
    if outcome is not None:
        return Status(outcome["status"]), outcome["reason"]
    if exit_.out_of_memory_killed:
        return Status.oom, "killed by the kernel: host memory ran out"
    if exit_.returncode < 0:
        return Status.failed, f"killed by signal {-exit_.returncode}; its output: {log}"
    return Status.failed, f"ended with code {exit_.returncode} and no outcome; its output: {log}"


def last_stage(run_dir: Path) -> Stage | None:
    """The stage that had begun and not ended."""
    open_stage: Stage | None = None
    for event in read_events(run_dir / EVENTS_FILE):
        if event.get("event") == "stage_begin":
            open_stage = Stage(event["stage"])
        elif event.get("event") == "stage_end":
            open_stage = None
    return open_stage


def read_device(run_dir: Path) -> Device | None:
    """The device that the child took, or None if it did not come so far."""
    body = _read_json(run_dir / STAGES_DIR / DEVICE_FILE)
    return None if body is None else Device(**body)


def read_stages(run_dir: Path) -> dict[str, Any]:
    """The results of the stages that ended, as fields of :class:`RunRecord`."""
    fields: dict[str, Any] = {"usage": {}}
    for stage, result_type in _RESULTS.items():
        body = _read_json(stage_file(run_dir, stage))
        if body is None:
            continue
        fields["usage"][stage] = TypeAdapter(StageUsage).validate_python(body["usage"])
        fields[stage.value] = TypeAdapter(result_type).validate_python(body["result"])
    return fields


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
