"""Records made small, for comparisons of thousands: they read as before.

Long lists, which a report looks at for its first runs alone, stay in the record's file and are read
again; of a record without a file of its own, numbers become arrays and the rest is encoded. What
many runs have in common (specifications, machine, data set) is kept once.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast, overload

import msgspec

from odbench.analyses import Analysis, SeenPicture
from odbench.errors import InputError
from odbench.records import load_record
from odbench.results import LatencyResult, LossPoint, RunRecord, TrainResult

T = TypeVar("T")

_READ_AGAIN = 32  # records that are kept whole, once they were read again


class Pool:
    """Equal values, kept once."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Any] = {}

    def share(self, value: T) -> T:
        """The value, or one that was given before and equals it."""
        key = type(value).__name__.encode() + msgspec.msgpack.encode(value)
        return cast(T, self._kept.setdefault(key, value))


def packed(record: RunRecord, pool: Pool, path: Path | None = None) -> RunRecord:
    """The record with its lists packed.

    Args:
        record: The record.
        pool: That of all records of a comparison.
        path: Its file; None: it has none of its own.
    """
    train, latency, analysis = record.train, record.latency, record.analysis
    return replace(
        record,
        spec={key: pool.share(value) for key, value in record.spec.items()},
        environment=pool.share(record.environment),
        dataset=pool.share(record.dataset),
        edits=pool.share(record.edits),
        overrides=pool.share(record.overrides),
        train=None if train is None else _train(train, path),
        latency=None if latency is None else _latency(latency, pool, path),
        analysis=None if analysis is None else _analysis(analysis, path),
    )


def _train(train: TrainResult, path: Path | None) -> TrainResult:
    return replace(
        train,
        warmup_step_s=_kept(train.warmup_step_s, path, "train.warmup_step_s", _numbers),
        input_wait_s=_kept(train.input_wait_s, path, "train.input_wait_s", _numbers),
        compute_s=_kept(train.compute_s, path, "train.compute_s", _numbers),
        losses=_kept(train.losses, path, "train.losses", EncodedLosses),
    )


def _latency(latency: LatencyResult, pool: Pool, path: Path | None) -> LatencyResult:
    return replace(
        latency,
        warmup_s=_kept(latency.warmup_s, path, "latency.warmup_s", _numbers),
        latency_s=_kept(latency.latency_s, path, "latency.latency_s", _numbers),
        image_sizes=pool.share(latency.image_sizes),
    )


def _analysis(analysis: Analysis, path: Path | None) -> Analysis:
    return replace(
        analysis,
        draws={name: _numbers(values) for name, values in analysis.draws.items()},
        precision={name: _numbers(values) for name, values in analysis.precision.items()},
        pictures=_kept(analysis.pictures, path, "analysis.pictures", EncodedPictures),
    )


def _kept(
    values: list[T], path: Path | None, field: str, pack: Callable[[list[T]], Sequence[T]]
) -> list[T]:
    kept = pack(values) if path is None else InFile(path, field, len(values))
    return cast("list[T]", kept)


def _numbers(values: list[T]) -> list[T]:
    """An array of the numbers, 8 bytes each instead of 32; as it is where one of them is None."""
    try:
        return cast("list[T]", array("d", cast("list[float]", values)))
    except TypeError:
        return values


class _Later(Sequence[T]):
    """A list that is made when it is looked at."""

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        self.length = length

    @abstractmethod
    def _items(self) -> list[T]:
        """All of it."""

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[T]:
        return iter(self._items())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._items()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list


class InFile(_Later[Any]):
    """A list that lies in the file of its record."""

    __slots__ = ("field", "path")

    def __init__(self, path: Path, field: str, length: int) -> None:
        super().__init__(length)
        self.path, self.field = path, field

    def _items(self) -> list[Any]:
        try:
            found: list[Any] = attrgetter(self.field)(_read_again(self.path))
        except AttributeError:
            raise InputError(
                "the record has become another one meanwhile",
                where=str(self.path),
                fix="run the command again",
            ) from None
        return found


def forget() -> None:
    """Read files anew that were read again: records are gathered once more, and may be others."""
    _read_again.cache_clear()


@lru_cache(maxsize=_READ_AGAIN)
def _read_again(path: Path) -> RunRecord:
    return load_record(path)


class _Encoded(_Later[T]):
    """A list in MessagePack."""

    __slots__ = ("data",)
    decoder: ClassVar[msgspec.msgpack.Decoder[Any]]

    def __init__(self, items: Sequence[T]) -> None:
        super().__init__(len(items))
        self.data = msgspec.msgpack.encode(items)

    def _items(self) -> list[T]:
        return cast("list[T]", self.decoder.decode(self.data))


class EncodedLosses(_Encoded[LossPoint]):
    """Losses on the way."""

    __slots__ = ()
    decoder = msgspec.msgpack.Decoder(list[LossPoint])


class EncodedPictures(_Encoded[SeenPicture]):
    """Pictures of an analysis."""

    __slots__ = ()
    decoder = msgspec.msgpack.Decoder(list[SeenPicture])
