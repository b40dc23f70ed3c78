"""TFRecord files: length, masked CRC-32C of the length, data, masked CRC-32C of the data.

Source of the framing: https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import google_crc32c

from odbench.errors import DatasetError

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
        with path.open("wb") as file:
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
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            offset = 0
            while offset < size:
                data = _read_record(file, path, offset, size)
                yield data
                offset += _HEADER.size + len(data) + _FOOTER.size
    except OSError as error:
        raise DatasetError(
            f"cannot read the record file: {error.strerror}", where=str(path)
        ) from error


def _read_record(file: IO[bytes], path: Path, offset: int, size: int) -> bytes:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise _damaged("the file ends inside a record", path, offset)
    length, length_crc = _HEADER.unpack(header)
    if _masked_crc(header[:8]) != length_crc:
        raise _damaged("checksum of the length does not fit", path, offset)
    if offset + _HEADER.size + length + _FOOTER.size > size:
        raise _damaged("the file ends inside a record", path, offset)
    data = file.read(length)
    (data_crc,) = _FOOTER.unpack(file.read(_FOOTER.size))
    if _masked_crc(data) != data_crc:
        raise _damaged("checksum of the data does not fit", path, offset)
    return data


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _damaged(what: str, path: Path, offset: int) -> DatasetError:
    return DatasetError(
        f"damaged record: {what}",
        where=f"{path}: offset {offset}",
        fix="make the file again; of a cached data set, remove its folder",
    )
