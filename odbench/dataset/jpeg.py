"""Ordinary JPEG files, of which it is certain from their markers that they can be decoded.

What a decoder refuses in an ordinary JPEG lies in its headers, its tables and its end. The coded
data between gives warnings at the worst, and neither TensorFlow nor Pillow asks for those: they
decode what is left. So for a sequential picture of one scan, in order from the first byte to the
last, the outcome is known without decoding it, which would take most of a conversion's time.

Of any other file nothing is known here, whether it is damaged or only rare: a progressive one,
one of several scans, of other sampling, with markers that are not looked at. Those have to be
decoded.

Sources: ITU-T T.81, annexes B and C; what libjpeg raises, in its ``jdmarker.c``, ``jdinput.c``
and ``jdhuff.c``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_SOI, _EOI = b"\xff\xd8", 0xD9
_SOF0, _SOF1, _DHT, _SOS, _DQT, _DRI = 0xC0, 0xC1, 0xC4, 0xDA, 0xDB, 0xDD
_APP0, _COM = 0xE0, 0xFE
_SCAN = bytes((0xFF, _SOS))
_PASSED_OVER = frozenset((*range(_APP0, 0xF0), _COM))  # applications' data, comments
_RESTARTS = frozenset(range(0xD0, 0xD8))

# In coded data a byte 255 is followed by 0, or is a marker.
_MARKER = re.compile(rb"\xff[^\x00]")

# Sampling factors of the components, four bits each, by their number.
_SAMPLING: dict[int, set[tuple[int, ...]]] = {
    1: {(0x11,), (0x21,), (0x12,), (0x22,)},
    3: {(luma, 0x11, 0x11) for luma in (0x11, 0x21, 0x12, 0x22, 0x41)},
}

SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe"))

_PLAIN_PIXELS = 80_000_000  # Pillow has a word to say on larger pictures

_TABLES = 4  # of each kind
_BLOCK = 64  # coefficients
_LONGEST_KNOWN = 4096  # bytes of the segments that are looked up


class Ordinary(NamedTuple):
    """An ordinary JPEG picture."""

    width: int  # pixels
    height: int
    channels: int  # 1 or 3
    bare: bool  # no segments of applications' data but JFIF's: nothing says that it is turned


def plain_jpeg(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a file that goes into a record as it is; None: nothing is known of it."""
    found = ordinary_jpeg(data)
    if found is None or not found.bare or found.width * found.height > _PLAIN_PIXELS:
        return None
    return found.width, found.height


def ordinary_jpeg(data: bytes) -> Ordinary | None:
    """The picture of a file that no decoder refuses; None: nothing is known of it.

    Args:
        data: The whole file; what lies behind its end does not matter.
    """
    try:
        bare, tables = _passed_over(data)
        scan = _usual_scan(data[tables : _behind_scan(data, tables)]) or _scan(data[tables:])
        if scan is None or not _ends_well(data, tables + scan.begin, scan.restarts):
            return None
        return Ordinary(scan.width, scan.height, scan.channels, bare and scan.bare)
    except (IndexError, ValueError):  # it ends within a header, or has another form
        return None


class _Scan(NamedTuple):
    """What the segments before the coded data have said."""

    width: int  # pixels
    height: int
    channels: int
    bare: bool
    restarts: bool
    begin: int  # of the coded data


def _passed_over(data: bytes) -> tuple[bool, int]:
    """Whether the segments at the start are only JFIF's and comments, and where they end."""
    if not data.startswith(_SOI):
        raise ValueError("no JPEG")
    bare, place = True, len(_SOI)
    while data[place] == 0xFF and (marker := data[place + 1]) in _PASSED_OVER:
        length = data[place + 2] << 8 | data[place + 3]
        if length < 2:
            raise ValueError("a segment is shorter than its length")
        bare = bare and marker in (_APP0, _COM)
        place += 2 + length
    return bare, place


def _behind_scan(data: bytes, begin: int) -> int:
    """Where the first segment that looks like a scan's ends; it may be part of another one."""
    place = data.find(_SCAN, begin) + 2
    return min(place + int.from_bytes(data[place : place + 2], "big"), begin + _LONGEST_KNOWN)


@lru_cache(maxsize=512)  # most pictures of a camera differ in nothing before their coded data
def _usual_scan(segments: bytes) -> _Scan | None:
    try:
        return _scan(segments)
    except (IndexError, ValueError):  # cut off in the middle
        return None


def _scan(segments: bytes) -> _Scan | None:
    return _Headers().read(segments)


class _Headers:
    """What the segments before the scan have said."""

    def __init__(self) -> None:
        self.tables: set[tuple[int, int]] = set()  # segment's marker and number
        self.frame: tuple[tuple[int, int], ...] = ()  # id and quantisation table of components
        self.size = (0, 0)
        self.restarts = False
        self.bare = True

    def read(self, segments: bytes) -> _Scan | None:
        """Go through them to the first scan."""
        for marker, segment, end in _segments(segments, 0):
            if marker == _SOS:
                if not self._scan_fits(segment):
                    return None
                return _Scan(*self.size, len(self.frame), self.bare, self.restarts, end)
            if not self._take(marker, segment):
                return None
        return None

    def _take(self, marker: int, segment: bytes) -> bool:
        if marker in _PASSED_OVER:
            self.bare = self.bare and marker in (_APP0, _COM)
            return True
        if marker in (_DHT, _DQT):
            found = _huffman_tables(segment) if marker == _DHT else _quantisation(segment)
            self.tables.update((marker, number) for number in found)
            return bool(found)
        if marker in (_SOF0, _SOF1) and not self.frame:
            self.frame = _frame(segment)
            self.size = (segment[3] << 8 | segment[4], segment[1] << 8 | segment[2])
            return bool(self.frame)
        if marker == _DRI and len(segment) == 2:
            self.restarts = segment != b"\0\0"
            return True
        return False

    def _scan_fits(self, segment: bytes) -> bool:
        """One scan of all components, in their order, each with its tables."""
        count = segment[0]
        if count != len(self.frame) or len(segment) != 4 + 2 * count:
            return False
        if segment[-3:] != b"\x00\x3f\x00":  # all coefficients at once
            return False
        for index, (component, quantisation) in enumerate(self.frame):
            selector, coding = segment[1 + 2 * index : 3 + 2 * index]
            wanted = {(_DQT, quantisation), (_DHT, coding >> 4), (_DHT, 0x10 | coding & 15)}
            if selector != component or not wanted <= self.tables:
                return False
        return True


def _ends_well(data: bytes, begin: int, restarts: bool) -> bool:
    """The coded data is followed by the end of the picture and nothing else."""
    for found in _MARKER.finditer(data, begin):
        marker = data[found.start() + 1]
        if marker not in _RESTARTS or not restarts:
            return marker == _EOI
    return False


def _segments(data: bytes, place: int) -> Iterator[tuple[int, bytes, int]]:
    """Marker, content and end of each segment from a place on; ends with what is no segment."""
    while data[place] == 0xFF:
        marker = data[place + 1]
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if end < place + 4 or end > len(data):
            return
        yield marker, data[place + 4 : end], end
        place = end


def _frame(segment: bytes) -> tuple[tuple[int, int], ...]:
    """Id and quantisation table of each component; none where the frame is not an ordinary one."""
    precision, count = segment[0], segment[5]
    height, width = segment[1] << 8 | segment[2], segment[3] << 8 | segment[4]
    sampling = tuple(segment[7 + 3 * index] for index in range(count))
    if precision != 8 or len(segment) != 6 + 3 * count or sampling not in _SAMPLING.get(count, ()):
        return ()
    if not (0 < height <= 65_500 and 0 < width <= 65_500):  # libjpeg's largest
        return ()
    ids = [segment[6 + 3 * index] for index in range(count)]
    tables = [segment[8 + 3 * index] for index in range(count)]
    return tuple(zip(ids, tables, strict=True)) if len(set(ids)) == count else ()


@lru_cache(maxsize=256)  # most pictures of a camera have the same tables
def _quantisation(segment: bytes) -> frozenset[int]:
    """Numbers of the tables in a segment; none where something is wrong with it."""
    found, place = set(), 0
    while place < len(segment):
        precision, number = segment[place] >> 4, segment[place] & 15
        if precision > 1 or number >= _TABLES:
            return frozenset()
        found.add(number)
        place += 1 + _BLOCK * (1 + precision)
    return frozenset(found if place == len(segment) else ())


@lru_cache(maxsize=256)
def _huffman_tables(segment: bytes) -> frozenset[int]:
    """Class and number of the tables in a segment; none where something is wrong with it."""
    found, place = set(), 0
    while place < len(segment):
        kind, lengths = segment[place], segment[place + 1 : place + 17]
        symbols = segment[place + 17 : place + 17 + sum(lengths)]
        if kind not in (0, 1, 2, 3, 16, 17, 18, 19) or len(lengths) != 16:
            return frozenset()
        if sum(lengths) > 256 or len(symbols) != sum(lengths) or not _is_prefix_code(lengths):
            return frozenset()
        if kind < 16 and max(symbols, default=0) > 15:  # sizes of differences
            return frozenset()
        found.add(kind)
        place += 17 + len(symbols)
    return frozenset(found)


def _is_prefix_code(lengths: bytes) -> bool:
    """Whether there is a code with so many words of 1, 2, ... 16 bits, none of ones alone."""
    code = 0
    for bits, number in enumerate(lengths, start=1):
        code += number
        if code > (1 << bits) - (number > 0):
            return False
        code <<= 1
    return True
