"""Many numbers in a file without a name, of which the spread is asked: exact, and not in memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from odbench.dataset.statistics_types import Spread

_AT_A_TIME = 1 << 14  # numbers
_BYTES = 8  # of each
_DIGIT = 8  # bits

Numbers = NDArray[np.float64]


class Values:
    """Numbers that are not negative; their file is made with the first of them."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - see the next line
        weakref.finalize(self, self._file.close)
        self._count = 0
        self._least, self._most = np.inf, -np.inf

    def add(self, values: Numbers) -> None:
        """Add some numbers."""
        if values.size:
            self._file.write(values.tobytes())
            self._count += values.size
            self._least = min(self._least, float(values.min()))
            self._most = max(self._most, float(values.max()))

    def spread(self) -> Spread:
        """Of all of them."""
        self._file.flush()
        if not self._count:
            return Spread(None, None, None, None)
        middle = [self._ranked(at) for at in ((self._count - 1) // 2, self._count // 2)]
        mean = self._sum(0, self._count) / self._count
        return Spread(self._least, mean, sum(middle) / 2, self._most)

    def _sum(self, begin: int, count: int) -> float:
        """Halved as NumPy halves an array that it sums up, for the same rounding."""
        if count <= _AT_A_TIME:
            return float(self._read(begin, count).sum())
        half = count // 2 - count // 2 % 8
        return self._sum(begin, half) + self._sum(begin + half, count - half)

    def _ranked(self, rank: int) -> float:
        """The number of a rank from 0: its bits, which are in the same order, digit by digit."""
        found = 0
        for shift in range(64 - _DIGIT, -1, -_DIGIT):
            counts = np.zeros(1 << _DIGIT, dtype=int)
            for bits in self._bits():
                if shift + _DIGIT < 64:
                    bits = bits[bits >> np.uint64(shift + _DIGIT) == found]  # noqa: PLW2901
                digits = (bits >> np.uint64(shift)).astype(np.uint8)
                counts += np.bincount(digits, minlength=len(counts))
            ends = counts.cumsum()
            digit = int(np.searchsorted(ends, rank, side="right"))
            rank -= int(ends[digit] - counts[digit])
            found = found << _DIGIT | digit
        return float(np.array(found, np.uint64).view(np.float64))

    def _bits(self) -> Iterator[NDArray[np.uint64]]:
        for begin in range(0, self._count, _AT_A_TIME):
            yield self._read(begin, min(_AT_A_TIME, self._count - begin)).view(np.uint64)

    def _read(self, begin: int, count: int) -> Numbers:
        data = os.pread(self._file.fileno(), count * _BYTES, begin * _BYTES)
        return np.frombuffer(data)
