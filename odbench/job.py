"""A new run as the parent sees it: check, prepare, begin. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from odbench.attempt import EDITS_FILE, attempt, run_lock
from odbench.config.fingerprint import fingerprint, variant
from odbench.config.spec import RunSpec
from odbench.dataset.prepare import default_cache_dir, prepare_dataset
from odbench.dataset.types import Dataset
from odbench.errors import ConfigError, InputError, RunError
from odbench.jobfile import JOB_FILE, Identity, write_job
from odbench.measure.environment import capture_environment
from odbench.pipeline.build import PipelineConfig, build_pipeline
from odbench.pipeline.from_file import resolve_model
from odbench.pipeline.starting import StartingPoint, starting_point
from odbench.records import StoredRun, write_json
from odbench.results import PROTOCOL_VERSION

# Less is not even enough for the smallest model's checkpoint and export.
MIN_FREE_BYTES = 50 * 10**6


@dataclass(frozen=True)
class Prepared:
    """A run whose inputs are known to be good."""

    spec: RunSpec
    dataset: Dataset
    pipeline: PipelineConfig
    start: StartingPoint | None  # None: random weights


def prepare(spec: RunSpec) -> Prepared:
    """Check and convert everything that a run needs; nothing of the run itself is written.

    Raises:
        InputError: A configuration, data set or pipeline that cannot be run.
    """
    check_device(spec)
    spec = dataclasses.replace(spec, model=resolve_model(spec.model))
    start = find_start(spec)
    dataset = prepare_dataset(spec.dataset, cache_dir(spec))
    return Prepared(spec, dataset, build_pipeline(spec, dataset, start), start)


def find_start(spec: RunSpec) -> StartingPoint | None:
    """The checkpoint that a run starts from, fetched if need be; None: random weights.

    Raises:
        InputError: It cannot be found, read, or used with the model.
    """
    return starting_point(spec, lambda name: _published_checkpoint(name, cache_dir(spec)))


def _published_checkpoint(name: str, cache_dir: Path) -> Path:
    from odbench.zoo.store import ensure_checkpoint

    return ensure_checkpoint(name, cache_dir)


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


def lacking_room(spec: RunSpec) -> str | None:
    """Why another run cannot be begun; None where it can be written."""
    try:
        check_folders(spec)
    except ConfigError as error:
        return str(error)
    return None


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


def check_device(spec: RunSpec) -> None:
    """Make sure that the machine has the GPU that is asked for.

    Raises:
        ConfigError: It has not.
    """
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
    with writing(run_dir):
        return _run_prepared(prepared, run_dir, overrides, sweep_id)


@contextmanager
def writing(run_dir: Path) -> Iterator[None]:
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
    spec, start = prepared.spec, prepared.start
    run_dir.mkdir(parents=True, exist_ok=True)
    with run_lock(run_dir) as lock:
        _check_unused(run_dir)
        digest = start.digest if start else None
        identity = Identity(
            run_id=uuid.uuid4().hex,
            fingerprint=fingerprint(spec, prepared.dataset.hash, PROTOCOL_VERSION, digest),
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            overrides=list(overrides),
            sweep_id=sweep_id,
            dataset_hash=prepared.dataset.hash,
            protocol_version=PROTOCOL_VERSION,
            variant=variant(spec, prepared.dataset.hash, PROTOCOL_VERSION, digest),
        )
        write_json(run_dir / EDITS_FILE, [dataclasses.asdict(e) for e in prepared.pipeline.edits])
        write_job(run_dir, spec, prepared.dataset, prepared.pipeline.text, identity)
        return attempt(run_dir, spec, prepared.dataset.summary, identity, lock=lock)


def _check_unused(run_dir: Path) -> None:
    if (run_dir / JOB_FILE).exists():
        raise InputError(
            "a run was begun in this folder before",
            where=str(run_dir),
            fix=f"odbench resume {run_dir} goes on with it; else name another folder",
        )
