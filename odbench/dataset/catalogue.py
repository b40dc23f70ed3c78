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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from odbench.dataset.source import PoolEntry
from odbench.errors import ConfigError

_T = TypeVar("_T")

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
            self._base.execute("INSERT INTO data VALUES (?, ?)", (self._count, data))
        if labels == len(self.label_sets):
            self.label_sets.append(entry.labels)
        self._count += 1
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
        return [[self.entry(number) for number in numbers] for numbers in self.numbers_alike()]

    def numbers_alike(self) -> list[list[int]]:
        """The numbers of these."""
        groups: dict[str, list[int]] = {}
        for number, digest in self._rows(_ALIKE):
            groups.setdefault(digest, []).append(number)
        return list(groups.values())

    def entry(self, number: int) -> PoolEntry:
        """The picture of a number."""
        key, labels, digest = self._row(
            "SELECT key, labels, digest FROM picture WHERE number = ?", number
        )
        return PoolEntry(_text(key), self.label_sets[labels], digest)

    def key(self, number: int) -> str:
        """The key of a number."""
        return _text(self._row("SELECT key FROM picture WHERE number = ?", number)[0])

    def labels(self, number: int) -> int:
        """Which of the sets of labels a number has."""
        found: int = self._row("SELECT labels FROM picture WHERE number = ?", number)[0]
        return found

    def __getitem__(self, key: str) -> bytes:
        """What the source needs to load a picture."""
        row = self._row("SELECT data FROM picture JOIN data USING (number) WHERE key = ?", key)
        if row is None:
            raise KeyError(key)
        data: bytes = row[0]
        return data

    def __contains__(self, key: object) -> bool:
        """Whether there is a picture of the key."""
        return self._row("SELECT 1 FROM picture WHERE key = ?", key) is not None

    def __iter__(self) -> Iterator[str]:
        """The keys, as they were added."""
        return (self.key(number) for number in range(self._count))

    def __len__(self) -> int:
        """How many pictures there are."""
        return self._count

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[dict[str, bytes]]]:
        """A database stays in its process."""
        return dict, (dict(self),)

    def __del__(self) -> None:
        """Remove the file."""
        if base := getattr(self, "_base", None):
            base.close()

    def _row(self, query: str, value: Any) -> Any:
        with _on_disk():
            given = _stored(value) if isinstance(value, str) else value
            return self._base.execute(query, (given,)).fetchone()

    def _rows(self, query: str) -> Iterator[Any]:
        with _on_disk():
            yield from self._base.execute(query)


class _Listed(Sequence[_T]):
    """Some pictures of a catalogue in an order, each read when it is asked for."""

    def __init__(self, catalogue: Catalogue, numbers: Sequence[int]) -> None:
        self._catalogue = catalogue
        self._numbers = numbers

    @abstractmethod
    def _of(self, number: int) -> _T: ...

    @overload
    def __getitem__(self, index: int) -> _T: ...

    @overload
    def __getitem__(self, index: slice) -> list[_T]: ...

    def __getitem__(self, index: int | slice) -> _T | list[_T]:
        """One of them, or a list of some."""
        if isinstance(index, slice):
            return [self._of(number) for number in self._numbers[index]]
        return self._of(self._numbers[index])

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

    def _of(self, number: int) -> PoolEntry:
        return self._catalogue.entry(number)


class Keys(_Listed[str]):
    """Keys of pictures."""

    def _of(self, number: int) -> str:
        return self._catalogue.key(number)


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
