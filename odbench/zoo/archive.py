"""Takes in a tarball that nobody vouches for: bounded, and only regular files and folders.

The bounds hold while reading, so a small file that unpacks to a huge one stops at the limit.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from odbench.errors import ZooError
from odbench.zoo.cached import StoredFile
from odbench.zoo.limits import Limits

_PIECE = 2**20
_GZIP = b"\x1f\x8b"
_MAX_DEPTH = 20
_MAX_NAME_BYTES = 255  # of a file, on the usual file systems

# Of the headers of one member, long names and all: tarfile reads them into memory.
_HEADER_BYTES = 2**16


def unpack(archive: Path, target: Path, limits: Limits) -> dict[str, StoredFile]:
    """Unpack a tarball, gzipped or plain, into an empty folder.

    Returns:
        Every file written, by its path relative to the folder.

    Raises:
        ZooError: It is damaged, exceeds a limit, or has a member that is no regular file or
            folder, or whose name leads out of the folder.
        OSError: The archive cannot be read or the target not written.
    """
    with archive.open("rb") as raw, _told_apart(archive):
        gzipped = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        plain = gzip.GzipFile(fileobj=raw) if gzipped else raw
        reader = _Bounded(cast(IO[bytes], plain), limits.max_unpacked_bytes)
        written = _members(reader, target, limits)
        reader.allow()
        while reader.read(_PIECE):  # to the end: only there is gzip's checksum compared
            pass
    return written


def _members(reader: _Bounded, target: Path, limits: Limits) -> dict[str, StoredFile]:
    written: dict[str, StoredFile] = {}
    reader.allow(_HEADER_BYTES)
    with tarfile.open(fileobj=cast(Any, reader), mode="r|") as tar:
        for number, member in enumerate(tar, start=1):
            if number > limits.max_members:
                raise ZooError("too many members", allowed=str(limits.max_members))
            path = checked_name(member.name)
            _check_kind(member, target)
            reader.allow()
            with _one_of_a_name(path):
                if member.isdir():
                    (target / path).mkdir(parents=True, exist_ok=True)
                else:
                    (target / path).parent.mkdir(parents=True, exist_ok=True)
                    content = cast(IO[bytes], tar.extractfile(member))
                    written[path.as_posix()] = write_hashed(content, target / path)
            reader.allow(_HEADER_BYTES)
    return written


def write_hashed(content: IO[bytes], target: Path) -> StoredFile:
    """Write a new file; its size and checksum."""
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as file:
        while piece := content.read(_PIECE):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
    return StoredFile(size, digest.hexdigest())


def checked_name(name: str) -> PurePosixPath:
    """The name of a member as a path that stays in its folder.

    Raises:
        ZooError: It leads elsewhere, or no file should be called so.
    """
    path = PurePosixPath(name)
    encodable = name.isprintable() and "\\" not in name
    inside = bool(name) and not path.is_absolute() and ".." not in path.parts
    sizes = [len(part.encode(errors="replace")) for part in path.parts]
    short = len(sizes) <= _MAX_DEPTH and all(size <= _MAX_NAME_BYTES for size in sizes)
    if encodable and inside and short:
        return path
    raise ZooError(
        "a member's name is refused",
        value=ascii(name[:200]),
        allowed="a relative path of printable characters, without .. and \\",
    )


def _check_kind(member: tarfile.TarInfo, target: Path) -> None:
    plain = (member.isreg() and not member.issparse()) or member.isdir()
    if not plain or member.size < 0:
        raise ZooError(
            "a member is refused",
            value=f"{member.name[:200]!a}, of tar's type {member.type!r}",
            allowed="regular files and folders: no links, devices, pipes or sparse files",
        )
    tarfile.data_filter(member, str(target))  # Python's own judgement, beside ours


@contextmanager
def _told_apart(archive: Path) -> Iterator[None]:
    """Errors of the archive as ours, with its name; those of the disk stay what they are."""
    try:
        yield
    except ZooError as error:
        raise ZooError(
            f"the tarball is refused: {error.what}",
            where=str(archive),
            value=error.value,
            allowed=error.allowed,
        ) from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise ZooError(
            f"not a whole tarball: {reason}",
            where=str(archive),
            allowed="a .tar.gz as the zoo publishes it",
        ) from error


@contextmanager
def _one_of_a_name(path: PurePosixPath) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ZooError("two members of one name", value=ascii(str(path))) from error


class _Bounded:
    """A stream that ends with an error at a limit."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._stop = limit
        self._done = 0

    def allow(self, further: int | None = None) -> None:
        """Allow so many further bytes; None: up to the limit of all."""
        self._stop = self._limit if further is None else min(self._limit, self._done + further)

    def read(self, size: int = -1) -> bytes:
        left = self._stop - self._done + 1  # one more shows that there is more
        data = self._stream.read(left if size < 0 else min(size, left))
        self._done += len(data)
        if self._done > self._stop:
            what = "it unpacks to too much" if self._done > self._limit else "too long a header"
            raise ZooError(what, allowed=f"{self._limit} bytes" if what[0] == "i" else None)
        return data
