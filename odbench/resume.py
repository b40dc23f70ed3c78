"""Going on with a run that was interrupted, from its last checkpoint. Imports no TensorFlow."""

from __future__ import annotations

from pathlib import Path

from odbench.attempt import attempt, run_lock
from odbench.config.spec import RunSpec
from odbench.dataset.prepare import prepare_dataset
from odbench.dataset.types import Dataset
from odbench.errors import DatasetError, InputError
from odbench.events import EVENTS_FILE, busy_s
from odbench.job import cache_dir, writing
from odbench.jobfile import (
    CONFIG_FILE,
    PIPELINE_FILE,
    Identity,
    read_identity,
    read_spec,
)
from odbench.records import RECORD_FILE, StoredRun, load_record
from odbench.results import PROTOCOL_VERSION, RunRecord, Status


def resume_run(run_dir: Path) -> StoredRun:
    """Carry out what is left of a run and leave its record, in place of the one there may be.

    Stages that had ended are not done again. Training goes on from the last checkpoint, or from
    the first step where there is none. ``runtime.timeout_s`` counts anew.

    Args:
        run_dir: Folder of a run that was interrupted, killed, or failed.

    Raises:
        InputError: See :func:`check_resumable`; nothing was started.
        RunError: Its folder cannot be written, as on a full disk.
        KeyboardInterrupt: Ctrl-C came; the record was written before.
    """
    run_dir = run_dir.resolve()
    _check_begun(run_dir)
    with writing(run_dir), run_lock(run_dir) as lock:
        spec, identity, earlier = _read(run_dir)
        dataset = _same_dataset(spec, identity)
        counted = earlier.wall_s if earlier else 0.0
        return attempt(
            run_dir,
            spec,
            dataset.summary,
            identity,
            lock=lock,
            earlier_s=max(counted, busy_s(run_dir / EVENTS_FILE)),
        )


def check_resumable(run_dir: Path) -> RunSpec:
    """Make sure that a run can be resumed; returns what it was told.

    Raises:
        InputError: No run was begun there, it ended well, it is still going, it was measured by
            another version of the protocol, a file of it is gone, or its data set is gone or
            another one by now.
    """
    run_dir = run_dir.resolve()
    _check_begun(run_dir)
    with writing(run_dir), run_lock(run_dir):
        spec, identity, _ = _read(run_dir)
        _same_dataset(spec, identity)
    return spec


def _check_begun(run_dir: Path) -> None:
    if not run_dir.is_dir():
        raise InputError(
            "no such folder", where=str(run_dir), fix="name the folder of a run, below runs/"
        )
    read_identity(run_dir)


def _read(run_dir: Path) -> tuple[RunSpec, Identity, RunRecord | None]:
    """What the run was told, what it is, and its record if there is one."""
    identity = read_identity(run_dir)
    earlier = load_record(run_dir / RECORD_FILE) if (run_dir / RECORD_FILE).exists() else None
    if earlier is not None and earlier.status is Status.ok:
        raise InputError(
            "the run ended well: nothing of it is left to do",
            where=str(run_dir),
            fix="odbench report shows it; to measure it again, run it anew",
        )
    if identity.protocol_version != PROTOCOL_VERSION:
        raise InputError(
            "the run was begun by another version of the measuring protocol",
            where=str(run_dir),
            value=identity.protocol_version,
            allowed=str(PROTOCOL_VERSION),
            fix="run it anew: its two parts could not be compared",
        )
    for name in (CONFIG_FILE, PIPELINE_FILE):
        if not (run_dir / name).is_file():
            raise InputError(
                "the run cannot go on without this file",
                where=str(run_dir / name),
                fix="put it back, or run it anew",
            )
    return read_spec(run_dir), identity, earlier


def _same_dataset(spec: RunSpec, identity: Identity) -> Dataset:
    """The data set of the run, converted anew if the cache was cleared."""
    dataset = prepare_dataset(spec.dataset, cache_dir(spec))
    if dataset.hash != identity.dataset_hash:
        raise DatasetError(
            "the data set is another one by now: the run was begun on one with another hash",
            where=f"dataset {spec.dataset.name}",
            value=dataset.hash,
            allowed=identity.dataset_hash,
            fix="bring the old state back, or run it anew",
        )
    return dataset
