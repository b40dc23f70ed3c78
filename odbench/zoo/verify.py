"""Reads what is cached again, and compares it with the checksums that were recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odbench.errors import ZooError
from odbench.zoo.cached import Origin, Place, damage, place_of, read_origin
from odbench.zoo.catalogue import catalogue, entry
from odbench.zoo.trust import check_checkpoint, trusted


@dataclass(frozen=True)
class Verdict:
    """What was found of one model."""

    name: str
    folder: Path
    files: int  # compared
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every file is as it was recorded."""
        return not self.problems


def verify(name: str, cache_dir: Path) -> Verdict:
    """Compare every file of a cached model with its recorded checksum.

    Raises:
        ZooError: No such model, it is not in the cache, or the file of checksums is damaged.
    """
    place = place_of(entry(name).name, cache_dir)
    if not place.folder.is_dir():
        raise ZooError("is not in the cache", where=name, value=place.folder)
    origin = read_origin(place)
    if origin is None:
        return Verdict(name, place.folder, 0, ("its record is missing or damaged",))
    problems = tuple(_problems(place, origin))
    return Verdict(name, place.folder, len(origin.files), problems)


def cached_names(cache_dir: Path) -> list[str]:
    """The models that have a folder in the cache, whole or not, in the zoo's order."""
    return [row.name for row in catalogue() if place_of(row.name, cache_dir).folder.is_dir()]


def _problems(place: Place, origin: Origin) -> Iterator[str]:
    broken = damage(place, origin)
    if broken is not None:
        yield broken
    for path, recorded in sorted(origin.files.items()):
        try:
            with (place.folder / path).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            yield f"{path} cannot be read: {error.strerror}"
            continue
        if found != recorded.sha256:
            yield f"{path} has the sha256 {found}, recorded was {recorded.sha256}"
    if trusted(place.root, origin.name) is None:
        yield "no checksum is recorded of what was trusted first"
        return
    try:
        check_checkpoint(place.root, origin)
    except ZooError as error:
        yield f"{error.what}: {error.value}, not {error.allowed}"


def as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON values."""
    return {
        "name": verdict.name,
        "ok": verdict.ok,
        "dir": str(verdict.folder),
        "files": verdict.files,
        "problems": list(verdict.problems),
    }


def describe(verdict: Verdict) -> str:
    """A verdict in words, with what to do."""
    if verdict.ok:
        return f"{verdict.name}: whole, {verdict.files} files"
    problems = "".join(f"\n  {problem}" for problem in verdict.problems)
    return (
        f"{verdict.name}: not as it was recorded, in {verdict.folder}{problems}"
        f"\n  do:      odbench zoo fetch {verdict.name} --again"
    )
