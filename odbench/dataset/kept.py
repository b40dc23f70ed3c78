"""Small pieces of bytes kept from one pass over a data set to the next, in a file without a name.

They are a convenience: where the file cannot be written, nothing is kept, and whoever asks makes
the bytes again.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from array import array
from collections.abc import Iterator, Mapping
from typing import IO

_AT_A_TIME = 1 << 18  # bytes written


class Kept(Mapping[str, bytes]):
    """Bytes by key; of each only the place is in memory."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._ends = array("Q", [0])
        self._waiting = bytearray()  # what is not written yet
        self._file: IO[bytes] | None = None
        with contextlib.suppress(OSError):
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - see the next line
            weakref.finalize(self, self._file.close)

    def keep(self, key: str, data: bytes) -> None:
        """Keep the bytes of a key that has none yet."""
        if self._file is None:
            return
        self._waiting += data
        self._index[key] = len(self._ends) - 1
        self._ends.append(self._ends[-1] + len(data))
        if len(self._waiting) >= _AT_A_TIME:
            self._write()

    def _write(self) -> None:
        data, self._waiting = self._waiting, bytearray()
        if self._file is None or not data:
            return
        try:
            written = self._file.write(data)
        except OSError:
            written = 0
        if written != len(data):  # no room: where the next ones would lie is not known
            self._file = None

    def __getitem__(self, key: str) -> bytes:
        """The bytes of a key; a KeyError where they were not kept or cannot be read."""
        index = self._index[key]
        begin, end = self._ends[index], self._ends[index + 1]
        self._write()
        if self._file is None:
            raise KeyError(key)
        try:
            data = os.pread(self._file.fileno(), end - begin, begin)
        except OSError as error:
            raise KeyError(key) from error
        if len(data) != end - begin:
            raise KeyError(key)
        return data

    def __iter__(self) -> Iterator[str]:
        """The keys."""
        return iter(self._index)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._index)
