"""Records made small, for comparisons of thousands: they read as before.

Raw samples become arrays, losses columns, pictures of an analysis stay encoded until they are
looked at, and what many runs have in common (specifications, machine, data set) is kept once.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast, overload

import msgspec

from odbench.analyses import Analysis, SeenPicture
from odbench.results import LatencyResult, LossPoint, RunRecord, TrainResult

T = TypeVar("T")

_PICTURES = msgspec.msgpack.Decoder(list[SeenPicture])


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
        train=None if record.train is None else _train(record.train, pool),
        latency=None if record.latency is None else _latency(record.latency, pool),
        analysis=None if record.analysis is None else _analysis(record.analysis),
    )


def _train(train: TrainResult, pool: Pool) -> TrainResult:
    return replace(
        train,
        warmup_step_s=_numbers(train.warmup_step_s),
        input_wait_s=_numbers(train.input_wait_s),
        compute_s=_numbers(train.compute_s),
        losses=_losses(train.losses, pool),
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


def _losses(points: list[LossPoint], pool: Pool) -> list[LossPoint]:
    """In columns, where every point has the same losses and all are numbers."""
    names = tuple(points[0].losses) if points else ()
    if any(tuple(point.losses) != names for point in points):
        return points
    columns = LossColumns(pool.share(names))
    columns.steps = array("q", [point.step for point in points])
    numbers = [n for point in points for n in (point.learning_rate, *point.losses.values())]
    try:
        columns.numbers = array("d", cast("list[float]", numbers))
    except TypeError:  # None among them
        return points
    return cast("list[LossPoint]", columns)


class _Rows(Sequence[T]):
    """A sequence that makes its items when they are asked for."""

    @abstractmethod
    def _item(self, index: int) -> T:
        """The item at a place, counted from 0."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        places = range(len(self))[index]
        return [self._item(n) for n in places] if isinstance(places, range) else self._item(places)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list


class LossColumns(_Rows[LossPoint]):
    """Losses on the way, each point a step, a learning rate and the losses of all names."""

    __slots__ = ("names", "numbers", "steps")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.steps = array("q")
        self.numbers = array("d")  # of each point the learning rate, then its losses

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[LossPoint]:
        return map(self._item, range(len(self)))

    def _item(self, index: int) -> LossPoint:
        width = len(self.names) + 1
        rate, *losses = self.numbers[index * width : (index + 1) * width]
        return LossPoint(self.steps[index], rate, dict(zip(self.names, losses, strict=True)))


class EncodedPictures(_Rows[SeenPicture]):
    """Pictures of an analysis, of which a report shows those of its first runs."""

    __slots__ = ("data", "length")

    def __init__(self, pictures: Sequence[SeenPicture]) -> None:
        self.length = len(pictures)
        self.data = msgspec.msgpack.encode(pictures)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[SeenPicture]:
        return iter(_PICTURES.decode(self.data))

    def _item(self, index: int) -> SeenPicture:
        return _PICTURES.decode(self.data)[index]
