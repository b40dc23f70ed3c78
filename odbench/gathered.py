"""Records from anywhere: folders of runs, and files that :func:`export_records` made of them.

Made for thousands: see :mod:`odbench.packing`.
"""

from __future__ import annotations

import gzip
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from odbench.beside import beside
from odbench.collecting import without_collecting
from odbench.derive import derived
from odbench.errors import InputError
from odbench.packing import Pool, forget, packed
from odbench.records import (
    RECORD_FILE,
    StoredRun,
    decode,
    in_order,
    load_record,
    record_paths,
    to_json,
    unfinished_runs,
)

# The first line of an exported file.
_HEADER = {"format": "odbench-records", "version": 1}

MANY = 400  # records of a folder that are read in two processes

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Gathered:
    """What was found, and what of it could not be used."""

    runs: list[StoredRun]  # ordered by start, each once
    broken: list[InputError]  # records that cannot be read
    unfinished: list[Path]  # folders of runs without a record


def gather(inputs: Sequence[Path]) -> Gathered:
    """Every record of folders and of exported files; one that is broken does not stop the others.

    The run of a file has a folder below that file, which is not there: it has no pictures.

    Raises:
        InputError: An input does not exist or is no such file, or nothing in them can be used.
    """
    forget()
    with without_collecting():
        found = [run for source in inputs for run in _found(source)]
    runs = [run for run in found if isinstance(run, StoredRun)]
    broken = [error for error in found if isinstance(error, InputError)]
    unfinished = unfinished_runs([source for source in inputs if source.is_dir()])
    if not runs:
        if broken:
            raise broken[0]
        raise _nothing_there(inputs, unfinished)
    return Gathered(in_order(runs), broken, unfinished)


def _nothing_there(inputs: Sequence[Path], unfinished: Sequence[Path]) -> InputError:
    return InputError(
        "no record of a run in there",
        where=", ".join(map(str, inputs)),
        value=None if not unfinished else f"begun and without a record: {len(unfinished)}",
        fix=None if not unfinished else f"go on with them: {resume_command(unfinished)}",
    )


def resume_command(folders: Sequence[Path]) -> str:
    """What goes on with runs that have no record: still going, or killed with their parent."""
    return shlex.join(["odbench", "resume", *map(str, folders)])


def export_records(runs: Iterable[StoredRun], path: Path) -> int:
    """Write records into one file, compressed JSON lines; returns how many.

    The same records make the same file. Pictures, models and detections are not in it.

    Raises:
        InputError: The file cannot be written; one that was there stays.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as file:
            file.write(msgspec.json.encode(_HEADER) + b"\n")
            for run in runs:
                file.write(msgspec.json.encode(to_json(run.record)) + b"\n")
                count += 1
        partial.replace(path)
    except OSError as error:
        raise InputError(
            f"the records cannot be written: {error.strerror or error}",
            where=str(path),
            fix="name a file in a folder that can be written to",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def _found(source: Path) -> list[StoredRun | InputError]:
    if source.is_file():
        return _prepared(_exported(source), in_files=False)
    paths = record_paths(source)
    if len(paths) < MANY:
        return _prepared(_read(paths), in_files=True)
    half = len(paths) // 2
    with beside(lambda: _prepared(_read(paths[half:]), in_files=True)) as others:
        return _prepared(_read(paths[:half]), in_files=True) + others()


def _prepared(
    runs: Iterable[StoredRun | InputError], *, in_files: bool
) -> list[StoredRun | InputError]:
    """Packed, with what is derived from them while their samples are at hand."""
    pool = Pool()
    found: list[StoredRun | InputError] = []
    for run in runs:
        if isinstance(run, InputError):
            found.append(run)
            continue
        path = run.dir / RECORD_FILE if in_files else None
        small = packed(run.record, pool, path)
        found.append(StoredRun(small, run.dir, derived(run.record)))
    return found


def _read(paths: Iterable[Path]) -> Iterator[StoredRun | InputError]:
    for path in paths:
        try:
            yield StoredRun(load_record(path), path.parent)
        except InputError as error:
            yield error


def _exported(path: Path) -> Iterator[StoredRun | InputError]:
    lines = _lines(path)
    if _decoded(next(lines, b"")) != _HEADER:
        raise InputError(
            "not a file of exported records",
            where=str(path),
            allowed="a folder of runs, or a file made by odbench export-records",
        )
    for number, line in enumerate(lines, start=2):
        try:
            record = decode(line, f"{path}:{number}")
        except InputError as error:
            yield error
        else:
            yield StoredRun(record, path / record.run_id)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as lines:
            yield from lines
    except (OSError, EOFError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error


def _decoded(line: bytes) -> object:
    try:
        return msgspec.json.decode(line)
    except ValueError:
        return None
