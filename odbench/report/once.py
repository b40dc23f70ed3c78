"""What is worked out once for each group of a comparison, however many parts of a report ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

K = TypeVar("K")
V = TypeVar("V")


def once(work: Callable[[K], V]) -> Callable[[K], V]:
    """Keep what a function of one immutable object gives, as long as that object lives."""
    kept: WeakKeyDictionary[K, V] = WeakKeyDictionary()

    @wraps(work)
    def kept_or_done(of: K) -> V:
        if of not in kept:
            kept[of] = work(of)
        return kept[of]

    return kept_or_done
