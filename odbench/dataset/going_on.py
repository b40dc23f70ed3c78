"""One error ends a conversion; a check goes on after it, to tell of the others too.

Where a source reads one of many things (a row, a file, an element), it does so in ``one_of_many``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from odbench.errors import DatasetError

_collected: ContextVar[list[DatasetError] | None] = ContextVar("collected", default=None)


@contextmanager
def collected_errors() -> Iterator[list[DatasetError]]:
    """Inside it, an error in ``one_of_many`` goes into the list that is given and stops nothing."""
    errors: list[DatasetError] = []
    token = _collected.set(errors)
    try:
        yield errors
    finally:
        _collected.reset(token)


@contextmanager
def one_of_many() -> Iterator[None]:
    """The reading of one thing; its error is raised unless errors are being collected."""
    try:
        yield
    except DatasetError as error:
        errors = _collected.get()
        if errors is None:
            raise
        errors.append(error)
