"""Pictures read for a check: what each holds and all that is wrong with it; nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from odbench.dataset.crew import Crew
from odbench.dataset.going_on import collected_errors
from odbench.dataset.source import FileSource
from odbench.dataset.types import Finding
from odbench.errors import InputError


@dataclass(frozen=True)
class Look:
    """What was seen of one picture."""

    labels: list[str] | None  # of its boxes; None: it cannot be used
    findings: list[Finding]
    errors: list[InputError]


def looks_at(source: FileSource, keys: Sequence[str], crew: Crew) -> Iterator[Look]:
    """Read pictures, in order, whatever is wrong with those before.

    Args:
        source: Surveyed.
        keys: Of the pictures.
        crew: Shares the reading.

    Raises:
        OutOfMemoryError: A process died.
    """
    for looks in crew.map(_look_at_all, keys, lambda _, some: (source.part(some), list(some))):
        yield from looks


def _look_at_all(given: tuple[FileSource, list[str]]) -> list[Look]:
    source, keys = given
    return [_look_at(source, key) for key in keys]


def _look_at(source: FileSource, key: str) -> Look:
    with collected_errors() as collected:
        try:
            image, findings = source.load(key)
        except InputError as error:
            return Look(None, [], [*collected, error])
    if collected:  # without the wrong ones, whether it has boxes is not known
        others = [finding for finding in findings if finding.kind != "image_without_boxes"]
        return Look(None, others, list(collected))
    return Look([box.label for box in image.boxes], findings, [])
