"""What a TensorFlow checkpoint holds, read from its index file without TensorFlow.

``PREFIX.index`` is a table in LevelDB's format (footer, blocks of keys with shared prefixes) whose
values are ``BundleEntryProto``: type, shape, and where in ``PREFIX.data-*`` the tensor lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from odbench.errors import InputError

INDEX = ".index"
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"

_FOOTER = 48
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_BLOCK_TRAILER = 5  # compression, checksum

# Fields of BundleHeaderProto, BundleEntryProto, TensorShapeProto and its Dim.
_NUM_SHARDS = 1
_SHAPE, _SHARD, _OFFSET, _SIZE = 2, 3, 4, 5
_DIM = 2
_DIM_SIZE = 1


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a checkpoint."""

    shape: tuple[int, ...]
    shard: int
    offset: int  # bytes
    size: int  # bytes


@dataclass(frozen=True)
class Bundle:
    """The index of a checkpoint."""

    prefix: Path
    num_shards: int
    tensors: dict[str, StoredTensor]  # by name, in order
    digest: str  # SHA-256 of the index, which holds a checksum of every tensor

    @property
    def object_based(self) -> bool:
        """Whether TensorFlow 2 wrote it: objects by their path, not variables by their name."""
        return OBJECT_GRAPH in self.tensors

    def data_file(self, shard: int) -> Path:
        """Where the tensors of a shard lie."""
        name = f"{self.prefix.name}.data-{shard:05d}-of-{self.num_shards:05d}"
        return self.prefix.with_name(name)


def read_bundle(prefix: Path) -> Bundle:
    """Read the index of a checkpoint and see whether its data is all there.

    Args:
        prefix: Path of the checkpoint without ``.index``.

    Raises:
        InputError: No index, one that cannot be read, or data files that are missing or too short.
    """
    path = prefix.with_name(prefix.name + INDEX)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read it: {error.strerror}", where=str(path)) from error
    try:
        bundle = _parse(prefix, raw)
    except (ValueError, IndexError) as error:
        raise InputError(
            f"not the index of a TensorFlow checkpoint, or a damaged one: {error}",
            where=str(path),
            fix="copy or fetch the checkpoint again",
        ) from error
    _check_data(bundle)
    return bundle


def _parse(prefix: Path, raw: bytes) -> Bundle:
    if len(raw) < _FOOTER or raw[-8:] != _MAGIC:
        raise ValueError("its last bytes are not those of such a table")
    footer = raw[-_FOOTER:]
    _, at = _handle(footer, 0)
    (offset, size), _ = _handle(footer, at)
    entries: dict[bytes, bytes] = {}
    for _, value in _block(raw, offset, size):
        (start, length), _ = _handle(value, 0)
        entries.update(_block(raw, start, length))
    header = dict(_fields(entries.pop(b"", b"")))
    tensors = {
        key.decode(): _tensor(value)
        for key, value in entries.items()
        if not key.startswith(b"\0")  # parts of a sliced tensor
    }
    if not tensors:
        raise ValueError("there is no tensor in it")
    shards = header.get(_NUM_SHARDS, 1)
    if not isinstance(shards, int) or not 1 <= shards <= len(tensors):
        raise ValueError("it names no data files, or more than it has tensors")
    return Bundle(prefix, shards, tensors, hashlib.sha256(raw).hexdigest())


def _check_data(bundle: Bundle) -> None:
    ends = [0] * bundle.num_shards
    for tensor in bundle.tensors.values():
        if tensor.shard < bundle.num_shards:
            ends[tensor.shard] = max(ends[tensor.shard], tensor.offset + tensor.size)
    for shard, needed in enumerate(ends):
        path = bundle.data_file(shard)
        size = path.stat().st_size if path.is_file() else None
        if size is None or size < needed:
            raise InputError(
                "the checkpoint's data file is missing"
                if size is None
                else "the checkpoint's data file is cut off",
                where=str(path),
                value=None if size is None else f"{size:,} bytes",
                allowed=f"{needed:,} bytes, by {bundle.prefix.name}{INDEX}",
                fix="copy or fetch the checkpoint again, all of its files",
            )


def _block(raw: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block; a key shares its start with the one before."""
    if offset + size + _BLOCK_TRAILER > len(raw):
        raise ValueError("a block lies beyond its end")
    if raw[offset + size] != 0:
        raise ValueError("a block is compressed")
    data = raw[offset : offset + size]
    end = size - 4 - 4 * int.from_bytes(data[-4:], "little")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(data, at)
        own, at = _varint(data, at)
        length, at = _varint(data, at)
        if at + own + length > end:
            raise ValueError("an entry lies beyond its block")
        key = key[:shared] + data[at : at + own]
        at += own
        yield key, data[at : at + length]
        at += length


def _tensor(value: bytes) -> StoredTensor:
    numbers: dict[int, int] = {}
    shape: list[int] = []
    for number, field in _fields(value):
        if isinstance(field, int):
            numbers[number] = field
        elif number == _SHAPE:
            dims = [dim for name, dim in _fields(field) if name == _DIM and isinstance(dim, bytes)]
            shape = [int(dict(_fields(dim)).get(_DIM_SIZE, 0)) for dim in dims]
    return StoredTensor(
        tuple(shape), numbers.get(_SHARD, 0), numbers.get(_OFFSET, 0), numbers.get(_SIZE, 0)
    )


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a serialised protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            number, at = _varint(message, at)
            yield tag >> 3, number
            continue
        if kind == 2:
            length, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}.get(kind, -1)
        if length < 0 or at + length > len(message):
            raise ValueError("an entry is no message")
        yield tag >> 3, message[at : at + length]
        at += length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has no end")
