"""Records from anywhere: folders of runs, and files that :func:`export_records` made of them.

Made for thousands: raw samples are packed into arrays, which read as lists do, and what many runs
have in common (their specifications, machine and data set) is kept once.
"""

from __future__ import annotations

import gc
import gzip
import os
import shlex
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from odbench.analyses import Analysis
from odbench.errors import InputError
from odbench.records import (
    StoredRun,
    decode,
    in_order,
    load_record,
    record_paths,
    to_json,
    unfinished_runs,
)
from odbench.results import LatencyResult, RunRecord, TrainResult

# The first line of an exported file.
_HEADER = {"format": "odbench-records", "version": 1}

_GZIP = b"\x1f\x8b"

T = TypeVar("T")


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
    runs: list[StoredRun] = []
    broken: list[InputError] = []
    pool = _Pool()
    with _without_collecting():
        for source in inputs:
            for run in _exported(source) if source.is_file() else _in_folder(source):
                if isinstance(run, InputError):
                    broken.append(run)
                else:
                    runs.append(StoredRun(_compact(run.record, pool), run.dir))
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


def _in_folder(folder: Path) -> Iterator[StoredRun | InputError]:
    for path in record_paths(folder):
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


@contextmanager
def _without_collecting() -> Iterator[None]:
    """No garbage collection meanwhile: it would go through all records again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Pool:
    """Equal values, kept once."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Any] = {}

    def share(self, value: T) -> T:
        """The value, or one that was given before and equals it."""
        key = type(value).__name__.encode() + msgspec.json.encode(value)
        return cast(T, self._kept.setdefault(key, value))


def _compact(record: RunRecord, pool: _Pool) -> RunRecord:
    return replace(
        record,
        spec={key: pool.share(value) for key, value in record.spec.items()},
        environment=pool.share(record.environment),
        dataset=pool.share(record.dataset),
        edits=pool.share(record.edits),
        overrides=pool.share(record.overrides),
        train=None if record.train is None else _compact_train(record.train),
        latency=None if record.latency is None else _compact_latency(record.latency, pool),
        analysis=None if record.analysis is None else _compact_analysis(record.analysis, pool),
    )


def _compact_train(train: TrainResult) -> TrainResult:
    return replace(
        train,
        warmup_step_s=_packed(train.warmup_step_s),
        input_wait_s=_packed(train.input_wait_s),
        compute_s=_packed(train.compute_s),
    )


def _compact_latency(latency: LatencyResult, pool: _Pool) -> LatencyResult:
    return replace(
        latency,
        warmup_s=_packed(latency.warmup_s),
        latency_s=_packed(latency.latency_s),
        image_sizes=pool.share(latency.image_sizes),
    )


def _compact_analysis(analysis: Analysis, pool: _Pool) -> Analysis:
    return replace(
        analysis,
        draws={name: _packed(values) for name, values in analysis.draws.items()},
        precision={name: _packed(values) for name, values in analysis.precision.items()},
        pictures=[
            replace(seen, truth=pool.share(seen.truth), detections=_packed(seen.detections))
            for seen in analysis.pictures
        ],
    )


def _packed(values: list[T]) -> list[T]:
    """An array of the numbers, 8 bytes each instead of 32; as it is where one of them is None."""
    if None in values:
        return values
    return cast("list[T]", array("d", cast("list[float]", values)))
