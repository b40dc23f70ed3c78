"""Records on disk: ``record.json`` written atomically, read with clear errors, found in folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from odbench import derive
from odbench.errors import InputError
from odbench.results import SCHEMA_VERSION, RunRecord

RECORD_FILE = "record.json"
SWEEP_FILE = "sweep.json"

# Where MLflow keeps its copies of a run's files, below the folder of runs.
ARTIFACTS_DIR = "mlartifacts"


@dataclass(frozen=True)
class StoredRun:
    """A record and the folder that it lies in; its paths are relative to that folder.

    ``derived`` is there where it was worked out on reading.
    """

    record: RunRecord
    dir: Path
    derived: derive.Derived | None = field(default=None, compare=False, repr=False)


class _Head(msgspec.Struct):
    schema_version: Any = None


_RESTORE = "restore it from a copy, or remove it and run the benchmark again"

_HEAD = msgspec.json.Decoder(_Head)
_RECORD = msgspec.json.Decoder(RunRecord)


def to_json(record: RunRecord) -> dict[str, Any]:
    """The record as JSON values, with the derived ``metrics`` and ``flags`` beside the status.

    The derived parts are there for other readers; :func:`from_json` derives them anew.
    """
    body: dict[str, Any] = msgspec.to_builtins(record, enc_hook=_plain)  # packed samples as lists
    head = {
        "status": body.pop("status"),
        "reason": body.pop("reason"),
        "metrics": derive.metrics(record),
        "flags": [str(flag) for flag in derive.flags(record)],
        "hardware": record.hardware,
    }
    return head | body


def from_json(body: dict[str, Any], where: str) -> RunRecord:
    """The record of those JSON values.

    Raises:
        InputError: Another schema version, or a field that is missing or of the wrong type.
    """
    return decode(msgspec.json.encode(body), where)


def decode(data: bytes, where: str) -> RunRecord:
    """The record of a JSON text; derived parts in it are passed over.

    Raises:
        InputError: Not JSON, not a record, or of another schema version.
    """
    try:
        try:
            record = _RECORD.decode(data)
        except msgspec.ValidationError:
            _check_version(_HEAD.decode(data).schema_version, where)  # the cause, where it differs
            raise
        # RunRecord has a default, which a record without a version must not come by
        given = record.schema_version if b'"schema_version"' in data else None
        _check_version(given, where)
        return record
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        if what.startswith("Expected `object`") and not path:
            raise InputError("not a record: the top is not an object", where=where) from error
        place = path.rstrip("`").removeprefix(".")
        raise InputError(
            f"not a valid record: {what}",
            where=f"{where}: {place}" if place else where,
            fix=_RESTORE,
        ) from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise InputError(f"not JSON: {error}", where=where, fix=_RESTORE) from error


def _check_version(version: object, where: str) -> None:
    if version != SCHEMA_VERSION:
        raise InputError(
            "record of another schema version",
            where=where,
            value=version,
            allowed=str(SCHEMA_VERSION),
            fix="read it with the odbench that wrote it, or run the benchmark again",
        )


def write_record(record: RunRecord, run_dir: Path) -> Path:
    """Write ``record.json`` so that it is either whole or not there."""
    path = run_dir / RECORD_FILE
    write_json(path, to_json(record))
    return path


def _plain(value: Any) -> Any:
    """What msgspec does not know by itself: NumPy's numbers and arrays, and iterables."""
    return value.tolist() if hasattr(value, "tolist") else list(value)


def write_json(path: Path, body: Any) -> None:
    """Write JSON atomically; numbers that are not finite are written as null."""
    text = msgspec.json.format(msgspec.json.encode(body, enc_hook=_plain), indent=1) + b"\n"
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_record(path: Path) -> RunRecord:
    """Read one ``record.json``.

    Raises:
        InputError: The file is missing, not JSON, or not a record.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the record: {error.strerror}", where=str(path)) from error
    return decode(data, str(path))


def find_runs(folders: Iterable[Path]) -> list[StoredRun]:
    """Every record in or below the folders, ordered by start; a run named twice comes once.

    Raises:
        InputError: A folder does not exist, or a record in it cannot be read.
    """
    return in_order(
        StoredRun(load_record(path), path.parent)
        for folder in folders
        for path in record_paths(folder)
    )


def record_paths(folder: Path) -> list[Path]:
    """The records in or below a folder, without MLflow's copies.

    Raises:
        InputError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputError(
            "no such folder", where=str(folder), fix="name a run or sweep folder below runs/"
        )
    return sorted(folder / RECORD_FILE for folder in _folders_with(RECORD_FILE, folder))


def in_order(runs: Iterable[StoredRun]) -> list[StoredRun]:
    """Runs by their start, each once."""
    found: dict[str, StoredRun] = {}
    for run in runs:
        found.setdefault(run.record.run_id, run)
    return sorted(found.values(), key=lambda run: (run.record.started_at, run.record.run_id))


def unfinished_runs(folders: Iterable[Path]) -> list[Path]:
    """Run folders in or below those given that have no record: killed with their parent, or going.

    A run folder is told by the ``job.json`` that its child was handed.
    """
    jobs = {below for folder in folders for below in _folders_with("job.json", folder)}
    return sorted(folder for folder in jobs if not (folder / RECORD_FILE).exists())


def _folders_with(name: str, folder: Path) -> Iterator[Path]:
    """The folders in which there is such a file, in or below one."""
    for root, folders, files in os.walk(folder):
        folders[:] = [below for below in folders if below != ARTIFACTS_DIR]
        if name in files:
            yield Path(root)
