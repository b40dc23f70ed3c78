"""The step timer: nothing but the call between two clock reads.

Clock and device synchronisation are passed in, so that the arithmetic is tested with a fake
clock and the device is synchronised before each read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

B = TypeVar("B")
R = TypeVar("R")


def no_sync() -> None:
    """For work that has ended when its call returns."""


@dataclass(frozen=True)
class StepSample(Generic[R]):
    """One timed step: seconds waited for the batch, seconds computed, and what came out."""

    input_wait_s: float
    compute_s: float
    result: R

    @property
    def total_s(self) -> float:
        """Seconds of the whole step."""
        return self.input_wait_s + self.compute_s


class Timer:
    """Times calls.

    Args:
        sync: Blocks until the device has finished what it was given.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, sync: Callable[[], None] = no_sync, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._sync = sync
        self._clock = clock

    def step(self, fetch: Callable[[], B], compute: Callable[[B], R]) -> StepSample[R]:
        """Fetch a batch and compute on it, timed apart."""
        self._sync()
        start = self._clock()
        batch = fetch()
        fetched = self._clock()
        result = compute(batch)
        self._sync()
        end = self._clock()
        return StepSample(fetched - start, end - fetched, result)

    def call(self, function: Callable[[], R]) -> tuple[float, R]:
        """Seconds of one call, and its result."""
        self._sync()
        start = self._clock()
        result = function()
        self._sync()
        return self._clock() - start, result
