"""Records made small, for comparisons of thousands: they read as before.

Raw samples become arrays; losses and the pictures of an analysis are encoded until they are looked
at; what many runs have in common (specifications, machine, data set) is kept once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar, cast, overload

import msgspec

from odbench.analyses import Analysis, SeenPicture
from odbench.results import LatencyResult, LossPoint, RunRecord, TrainResult

T = TypeVar("T")


class Pool:
    """Equal values, kept once."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Any] = {}

    def share(self, value: T) -> T:
        """The value, or one that was given before and equals it."""
        key = type(value).__name__.encode() + msgspec.msgpack.encode(value)
        return cast(T, self._kept.setdefault(key, value))


def packed(record: RunRecord, pool: Pool) -> RunRecord:
    """The record with its lists packed; ``pool`` is that of all records of a comparison."""
    return replace(
        record,
        spec={key: pool.share(value) for key, value in record.spec.items()},
        environment=pool.share(record.environment),
        dataset=pool.share(record.dataset),
        edits=pool.share(record.edits),
        overrides=pool.share(record.overrides),
        train=None if record.train is None else _train(record.train),
        latency=None if record.latency is None else _latency(record.latency, pool),
        analysis=None if record.analysis is None else _analysis(record.analysis),
    )


def _train(train: TrainResult) -> TrainResult:
    return replace(
        train,
        warmup_step_s=_numbers(train.warmup_step_s),
        input_wait_s=_numbers(train.input_wait_s),
        compute_s=_numbers(train.compute_s),
        losses=cast("list[LossPoint]", EncodedLosses(train.losses)),
    )


def _latency(latency: LatencyResult, pool: Pool) -> LatencyResult:
    return replace(
        latency,
        warmup_s=_numbers(latency.warmup_s),
        latency_s=_numbers(latency.latency_s),
        image_sizes=pool.share(latency.image_sizes),
    )


def _analysis(analysis: Analysis) -> Analysis:
    return replace(
        analysis,
        draws={name: _numbers(values) for name, values in analysis.draws.items()},
        precision={name: _numbers(values) for name, values in analysis.precision.items()},
        pictures=cast("list[SeenPicture]", EncodedPictures(analysis.pictures)),
    )


def _numbers(values: list[T]) -> list[T]:
    """An array of the numbers, 8 bytes each instead of 32; as it is where one of them is None."""
    try:
        return cast("list[T]", array("d", cast("list[float]", values)))
    except TypeError:
        return values


class _Encoded(Sequence[T]):
    """A list in MessagePack: a report looks at those of its first runs alone."""

    __slots__ = ("data", "length")
    decoder: ClassVar[msgspec.msgpack.Decoder[Any]]

    def __init__(self, items: Sequence[T]) -> None:
        self.length = len(items)
        self.data = msgspec.msgpack.encode(items)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[T]:
        return iter(self._decoded())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._decoded()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def _decoded(self) -> list[T]:
        return cast("list[T]", self.decoder.decode(self.data))


class EncodedLosses(_Encoded[LossPoint]):
    """Losses on the way."""

    __slots__ = ()
    decoder = msgspec.msgpack.Decoder(list[LossPoint])


class EncodedPictures(_Encoded[SeenPicture]):
    """Pictures of an analysis."""

    __slots__ = ()
    decoder = msgspec.msgpack.Decoder(list[SeenPicture])
