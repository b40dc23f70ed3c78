"""The pictures that a survey found, in a temporary database on disk: none of them is in memory.

It is SQLite's database without a name, which grows in the folder for temporary files (``TMPDIR``)
once it is larger than its small cache, and is gone with its connection. In memory are only the
different sets of labels, and the numbers of pictures that a list of them consists of.
"""

from __future__ import annotations

import sqlite3
import tempfile
from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar, overload

from odbench.dataset.source import PoolEntry
from odbench.errors import ConfigError

_T = TypeVar("_T")

_AT_A_TIME = 64  # rows

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA cache_size = -1000;
PRAGMA temp_store = FILE;
CREATE TABLE picture (
    number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, labels INTEGER, digest TEXT
);
CREATE TABLE data (number INTEGER PRIMARY KEY, data BLOB);
BEGIN;
"""

_ALIKE = """
SELECT number, digest FROM picture WHERE digest IN
(SELECT digest FROM picture GROUP BY digest HAVING count(*) > 1) ORDER BY number
"""


class Catalogue(Mapping[str, bytes]):
    """Pictures, numbered from 0 as they are added; of each what its source needs to load it.

    As a mapping it gives the latter by key. Pickled it becomes a dictionary of that.

    Raises:
        ConfigError: There is no room for it on disk; of any method.
    """

    def __init__(self) -> None:
        self._count = 0
        self._waiting: list[tuple[int, bytes]] = []  # data that is not written yet
        self._label_ids: dict[tuple[str, ...], int] = {}
        self.label_sets: list[tuple[str, ...]] = []  # each once
        with _on_disk():
            self._base = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._base.executescript(_TABLES)

    def add(self, entry: PoolEntry, data: bytes) -> bool:
        """Add a picture and what its source needs; False: there is one of this key already."""
        labels = self._label_ids.setdefault(entry.labels, len(self._label_ids))
        row = (self._count, _stored(entry.key), labels, entry.digest)
        with _on_disk():
            if not self._base.execute(
                "INSERT OR IGNORE INTO picture VALUES (?, ?, ?, ?)", row
            ).rowcount:
                return False
        if labels == len(self.label_sets):
            self.label_sets.append(entry.labels)
        self._count += 1
        self._waiting.append((row[0], data))
        if len(self._waiting) >= _AT_A_TIME:
            self._write()
        return True

    @property
    def classes(self) -> list[str]:
        """All labels, sorted."""
        return sorted({label for labels in self.label_sets for label in labels})

    def pictures(self, first: int = 0) -> Pictures:
        """Those that were added from a number on."""
        return Pictures(self, range(first, self._count))

    def by_key(self) -> Iterator[int]:
        """The numbers of all pictures in the order of their keys."""
        return (number for (number,) in self._rows("SELECT number FROM picture ORDER BY key"))

    def alike(self) -> list[list[PoolEntry]]:
        """Pictures of the same content, where there are several; each as they were added."""
        return [self.entries(numbers) for numbers in self.numbers_alike()]

    def numbers_alike(self) -> list[list[int]]:
        """The numbers of these."""
        groups: dict[str, list[int]] = {}
        for number, digest in self._rows(_ALIKE):
            groups.setdefault(digest, []).append(number)
        return list(groups.values())

    def entries(self, numbers: Sequence[int]) -> list[PoolEntry]:
        """Some pictures."""
        query = "SELECT number, key, labels, digest FROM picture WHERE number"
        found = {number: rest for number, *rest in self._some(query, numbers)}
        return [
            PoolEntry(_text(key), self.label_sets[labels], digest)
            for key, labels, digest in map(found.__getitem__, numbers)
        ]

    def keys_of(self, numbers: Sequence[int]) -> list[str]:
        """The keys of some pictures."""
        found = dict(self._some("SELECT number, key FROM picture WHERE number", numbers))
        return [_text(found[number]) for number in numbers]

    def data_of(self, keys: Sequence[str]) -> dict[str, bytes]:
        """What the source needs to load some pictures."""
        self._write()
        query = "SELECT key, data FROM picture JOIN data USING (number) WHERE key"
        found = self._some(query, [_stored(key) for key in keys])
        return {_text(key): data for key, data in found}

    def missing(self, keys: Iterable[str]) -> Iterator[str]:
        """Those of some keys that no picture has."""
        rest = iter(keys)
        while some := list(islice(rest, _AT_A_TIME)):
            query = "SELECT key FROM picture WHERE key"
            found = {key for (key,) in self._some(query, [_stored(key) for key in some])}
            yield from (key for key in some if _stored(key) not in found)

    def __getitem__(self, key: str) -> bytes:
        """What the source needs to load a picture."""
        return self.data_of([key])[key]

    def __iter__(self) -> Iterator[str]:
        """The keys, as they were added."""
        return iter(self.pictures().keys)

    def __len__(self) -> int:
        """How many pictures there are."""
        return self._count

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[dict[str, bytes]]]:
        """A database stays in its process."""
        return dict, (self.data_of(list(self)),)

    def __del__(self) -> None:
        """Remove the file."""
        if base := getattr(self, "_base", None):
            base.close()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        with _on_disk():
            self._base.executemany("INSERT INTO data VALUES (?, ?)", waiting)

    def _some(self, query: str, values: Sequence[Any]) -> Iterator[Any]:
        """The rows that have one of the values, in any order."""
        for begin in range(0, len(values), _AT_A_TIME):
            given = values[begin : begin + _AT_A_TIME]
            with _on_disk():
                marks = ", ".join("?" * len(given))
                found = self._base.execute(f"{query} IN ({marks})", given).fetchall()
            yield from found

    def _rows(self, query: str) -> Iterator[Any]:
        with _on_disk():
            yield from self._base.execute(query)


class _Listed(Sequence[_T]):
    """Some pictures of a catalogue in an order, each read when it is asked for."""

    def __init__(self, catalogue: Catalogue, numbers: Sequence[int]) -> None:
        self._catalogue = catalogue
        self._numbers = numbers

    @abstractmethod
    def _of(self, numbers: Sequence[int]) -> list[_T]: ...

    @overload
    def __getitem__(self, index: int) -> _T: ...

    @overload
    def __getitem__(self, index: slice) -> list[_T]: ...

    def __getitem__(self, index: int | slice) -> _T | list[_T]:
        """One of them, or a list of some."""
        if isinstance(index, slice):
            return self._of(self._numbers[index])
        return self._of([self._numbers[index]])[0]

    def __iter__(self) -> Iterator[_T]:
        """All of them, a few at a time."""
        for begin in range(0, len(self), _AT_A_TIME):
            yield from self[begin : begin + _AT_A_TIME]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._numbers)

    def __eq__(self, other: object) -> bool:
        """As lists are compared."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class Pictures(_Listed[PoolEntry]):
    """Pictures with their labels and digests."""

    @property
    def keys(self) -> Keys:
        """Their keys."""
        return Keys(self._catalogue, self._numbers)

    def _of(self, numbers: Sequence[int]) -> list[PoolEntry]:
        return self._catalogue.entries(numbers)


class Keys(_Listed[str]):
    """Keys of pictures."""

    def _of(self, numbers: Sequence[int]) -> list[str]:
        return self._catalogue.keys_of(numbers)


def sorted_keys(
    catalogue: Catalogue, splits: Sequence[str], split_of: Callable[[int], str]
) -> dict[str, Keys]:
    """The keys of each split, sorted.

    Args:
        catalogue: Of the pictures.
        splits: Their names.
        split_of: Gives the split of a number.
    """
    numbers = {split: array("i") for split in splits}
    for number in catalogue.by_key():
        numbers[split_of(number)].append(number)
    return {split: Keys(catalogue, found) for split, found in numbers.items()}


def _stored(key: str) -> bytes:
    """Sorted by bytes as the text is by characters, also where it is no text in a file's name."""
    return key.encode("utf-8", "surrogatepass")


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")


@contextmanager
def _on_disk() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ConfigError(
            f"cannot keep what was found about the pictures: {error}",
            where="TMPDIR",
            value=tempfile.gettempdir(),
            fix="make room, or set TMPDIR to a folder of another disk",
        ) from error


def known_of(known: Mapping[str, bytes], keys: Sequence[str]) -> dict[str, bytes]:
    """That part of a catalogue, or of what is left of one in another process."""
    if isinstance(known, Catalogue):
        return known.data_of(keys)
    return {key: known[key] for key in keys}
