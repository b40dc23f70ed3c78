"""Records on disk: ``record.json`` written atomically, read with clear errors, found in folders."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from odbench import derive
from odbench.errors import InputError
from odbench.results import SCHEMA_VERSION, RunRecord

RECORD_FILE = "record.json"
SWEEP_FILE = "sweep.json"

# Where MLflow keeps its copies of a run's files, below the folder of runs.
ARTIFACTS_DIR = "mlartifacts"


@dataclass(frozen=True)
class StoredRun:
    """A record and the folder that it lies in; its paths are relative to that folder."""

    record: RunRecord
    dir: Path


@cache
def _adapter() -> TypeAdapter[RunRecord]:
    return TypeAdapter(RunRecord)


def to_json(record: RunRecord) -> dict[str, Any]:
    """The record as JSON values, with the derived ``metrics`` and ``flags`` beside the status.

    The derived parts are there for other readers; :func:`from_json` derives them anew.
    """
    body: dict[str, Any] = _adapter().dump_python(record, mode="json")
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
    version = body.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(
            "record of another schema version",
            where=where,
            value=version,
            allowed=str(SCHEMA_VERSION),
            fix="read it with the odbench that wrote it, or run the benchmark again",
        )
    kept = {k: v for k, v in body.items() if k not in ("metrics", "flags", "hardware")}
    try:
        return _adapter().validate_python(kept)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"not a valid record: {first['msg']}", where=f"{where}: {path}", value=first["input"]
        ) from error


def write_record(record: RunRecord, run_dir: Path) -> Path:
    """Write ``record.json`` so that it is either whole or not there."""
    path = run_dir / RECORD_FILE
    write_json(path, to_json(record))
    return path


def write_json(path: Path, body: Any) -> None:
    """Write JSON atomically; numbers that are not finite are written as null."""
    text = json.dumps(_finite(body), indent=1, ensure_ascii=False) + "\n"
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
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
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the record: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=str(path)) from error
    if not isinstance(body, dict):
        raise InputError("not a record: the top is not an object", where=str(path))
    return from_json(body, str(path))


def find_runs(folders: Iterable[Path]) -> list[StoredRun]:
    """Every record in or below the folders, ordered by start; a run named twice comes once.

    Raises:
        InputError: A folder does not exist, or a record in it cannot be read.
    """
    found: dict[str, StoredRun] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                "no such folder", where=str(folder), fix="name a run or sweep folder below runs/"
            )
        for path in sorted(folder.rglob(RECORD_FILE)):
            if ARTIFACTS_DIR in path.relative_to(folder).parts:
                continue  # MLflow's copy
            run = StoredRun(load_record(path), path.parent)
            found.setdefault(run.record.run_id, run)
    return sorted(found.values(), key=lambda run: (run.record.started_at, run.record.run_id))


def unfinished_runs(folders: Iterable[Path]) -> list[Path]:
    """Run folders in or below those given that have no record: killed with their parent, or going.

    A run folder is told by the ``job.json`` that its child was handed.
    """
    jobs = {path.parent for folder in folders for path in folder.rglob("job.json")}
    return sorted(folder for folder in jobs if not (folder / RECORD_FILE).exists())


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
