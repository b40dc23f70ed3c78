"""TFRecord files: length, masked CRC-32C of the length, data, masked CRC-32C of the data.

Source of the framing: https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import google_crc32c

from odbench.errors import DatasetError

_BUFFER = 1 << 18  # bytes: several records at a time

_MASK_DELTA = 0xA282EAD8
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


def write_shards(
    directory: Path, split: str, records: Iterable[bytes], count: int, shards: int
) -> list[Path]:
    """Write records in order, in runs of nearly equal length, one file open at a time.

    Args:
        directory: Where ``<split>-00000-of-0000N.tfrecord`` are written.
        split: First part of the names.
        records: Exactly ``count`` serialised messages.
        count: Number of records, at least 1.
        shards: Number of files; no more than ``count`` are made.

    Raises:
        DatasetError: There were fewer or more records than ``count``.
    """
    number = min(shards, count)
    stream = iter(records)
    paths = []
    written = 0
    for index in range(number):
        path = directory / f"{split}-{index:05d}-of-{number:05d}.tfrecord"
        end = (index + 1) * count // number
        with path.open("wb", buffering=_BUFFER) as file:
            for record in itertools.islice(stream, end - written):
                write_record(file, record)
                written += 1
        paths.append(path)
    if written != count or next(stream, None) is not None:
        raise DatasetError(
            "the source changed while it was read",
            where=split,
            value=f"{written} records, {count} expected",
            fix="run it again",
        )
    return paths


def write_record(file: IO[bytes], data: bytes) -> None:
    """Append one record to a file open for writing."""
    length = struct.pack("<Q", len(data))
    file.write(length + _FOOTER.pack(_masked_crc(length)))
    file.write(data)
    file.write(_FOOTER.pack(_masked_crc(data)))


def read_records(path: Path) -> Iterator[bytes]:
    """The records of a file in order, each checked.

    Raises:
        DatasetError: The file cannot be read or is damaged; names the offset in bytes.
    """
    with _reading(path), path.open("rb") as file:
        size = path.stat().st_size
        while (offset := file.tell()) < size:
            yield _read_record(file, path, offset, size)


def pick_records(paths: Iterable[Path], places: Collection[int]) -> Iterator[bytes]:
    """Some records of several files; the others are passed over unread.

    Args:
        paths: The files, one after the other.
        places: Which records, counted from 0 through all files.

    Raises:
        DatasetError: As :func:`read_records`.
    """
    place = 0
    for path in paths:
        with _reading(path), path.open("rb") as file:
            size = path.stat().st_size
            while (offset := file.tell()) < size:
                if place in places:
                    yield _read_record(file, path, offset, size)
                else:
                    length = _read_length(file, path, offset, size)
                    file.seek(length + _FOOTER.size, os.SEEK_CUR)
                place += 1


def read_record_at(path: Path, offset: int) -> bytes:
    """The record that begins at an offset in bytes.

    Raises:
        DatasetError: As :func:`read_records`.
    """
    with _reading(path), path.open("rb") as file:
        file.seek(offset)
        return _read_record(file, path, offset, path.stat().st_size)


def stored_size(data: bytes) -> int:
    """Bytes that a record takes in its file."""
    return _HEADER.size + len(data) + _FOOTER.size


def _read_record(file: IO[bytes], path: Path, offset: int, size: int) -> bytes:
    data = file.read(_read_length(file, path, offset, size))
    (data_crc,) = _FOOTER.unpack(file.read(_FOOTER.size))
    if _masked_crc(data) != data_crc:
        raise _damaged("checksum of the data does not fit", path, offset)
    return data


def _read_length(file: IO[bytes], path: Path, offset: int, size: int) -> int:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise _damaged("the file ends inside a record", path, offset)
    length, length_crc = _HEADER.unpack(header)
    if _masked_crc(header[:8]) != length_crc:
        raise _damaged("checksum of the length does not fit", path, offset)
    if offset + _HEADER.size + length + _FOOTER.size > size:
        raise _damaged("the file ends inside a record", path, offset)
    return int(length)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"cannot read the record file: {error.strerror}", where=str(path)
        ) from error


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _damaged(what: str, path: Path, offset: int) -> DatasetError:
    return DatasetError(
        f"damaged record: {what}",
        where=f"{path}: offset {offset}",
        fix="make the file again; of a cached data set, remove its folder",
    )
