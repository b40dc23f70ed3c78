"""Where a model of the zoo lies in the cache, and what is recorded about it there.

::

    CACHE/zoo/NAME/              a whole model: as unpacked, and origin.json
    CACHE/zoo/checksums.json     what was trusted first; outlives the models
    CACHE/zoo/.NAME.partial/     being unpacked
    CACHE/zoo/.NAME.download     being transferred, with .NAME.download.json beside it
    CACHE/zoo/.NAME.lock

A model is unpacked beside its place and renamed when it is whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ORIGIN_FILE = "origin.json"
CONFIG_FILE = "pipeline.config"
CHECKPOINT_DIR = "checkpoint"

# The zoo's tarballs hold ckpt-0; an unpacked folder may hold a later one.
_INDEX = re.compile(r"(ckpt-\d+)\.index")
_SHARD = re.compile(r"\.data-(\d{5})-of-(\d{5})")


@dataclass(frozen=True)
class Place:
    """The paths of one model in a cache."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """The whole model."""
        return self.root / self.name

    @property
    def partial(self) -> Path:
        """The model while it is unpacked."""
        return self.root / f".{self.name}.partial"

    @property
    def old(self) -> Path:
        """A damaged model on its way out."""
        return self.root / f".{self.name}.old"

    @property
    def download(self) -> Path:
        """The tarball while it is transferred."""
        return self.root / f".{self.name}.download"

    @property
    def lock(self) -> Path:
        """Held by whoever writes any of these."""
        return self.root / f".{self.name}.lock"


def place_of(name: str, cache_dir: Path) -> Place:
    """The place of a model below a cache folder."""
    return Place(cache_dir.expanduser().absolute() / "zoo", name)


@dataclass(frozen=True)
class StoredFile:
    """One file of a cached model."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Origin:
    """What is recorded about a cached model."""

    name: str
    source: str  # address or path
    stored_at: str  # ISO 8601, UTC
    archive_sha256: str | None  # None: imported as a folder
    archive_bytes: int | None
    checkpoint: str  # prefix, relative to the folder
    files: dict[str, StoredFile]  # by path relative to the folder

    @property
    def checkpoint_files(self) -> dict[str, StoredFile]:
        """The files that the checkpoint consists of."""
        return {path: file for path, file in self.files.items() if self._in_checkpoint(path)}

    @property
    def checkpoint_bytes(self) -> int:
        """Size of the checkpoint on disk."""
        return sum(file.bytes for file in self.checkpoint_files.values())

    def _in_checkpoint(self, path: str) -> bool:
        return path.startswith((f"{self.checkpoint}.index", f"{self.checkpoint}.data-"))


def write_origin(folder: Path, origin: Origin) -> None:
    """Write what is recorded about a model into its folder."""
    from odbench.records import write_json

    write_json(folder / ORIGIN_FILE, asdict(origin))


def read_origin(place: Place) -> Origin | None:
    """What is recorded about a cached model; None where none lies there, or a damaged record."""
    try:
        body = json.loads((place.folder / ORIGIN_FILE).read_text(encoding="utf-8"))
        return _origin(body)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _origin(body: dict[str, Any]) -> Origin:
    files = {path: StoredFile(**file) for path, file in body["files"].items()}
    return Origin(**{**body, "files": files})


def damage(place: Place, origin: Origin) -> str | None:
    """What is missing or has another size than recorded; None where nothing is.

    Reads no contents: :mod:`odbench.zoo.verify` does.
    """
    needed = {*origin.checkpoint_files, CONFIG_FILE}
    if checkpoint_in(place.folder) != origin.checkpoint:
        return f"{origin.checkpoint} is not whole"
    for path in sorted(needed):
        file = place.folder / path
        if not file.is_file():
            return f"{path} is missing"
        size = file.stat().st_size
        if path not in origin.files or size != origin.files[path].bytes:
            return f"{path} has {size} bytes, not as recorded"
    return None


def checkpoint_in(folder: Path) -> str | None:
    """The prefix of the whole checkpoint in ``checkpoint/``, relative to the folder, if any."""
    inside = folder / CHECKPOINT_DIR
    return whole_checkpoint(path.name for path in inside.iterdir()) if inside.is_dir() else None


def whole_checkpoint(names: Iterable[str]) -> str | None:
    """The prefix of the checkpoint whose index and shards are all among the names of files.

    Returns:
        Such as ``checkpoint/ckpt-0``; of several the lowest number, as the zoo's is 0.
    """
    there = set(names)
    prefixes = [match[1] for name in there if (match := _INDEX.fullmatch(name))]
    for prefix in sorted(prefixes, key=lambda text: int(text.removeprefix("ckpt-"))):
        shards = [
            (int(match[1]), int(match[2]))
            for name in there
            if name.startswith(prefix) and (match := _SHARD.fullmatch(name[len(prefix) :]))
        ]
        if shards and sorted(number for number, _ in shards) == list(range(shards[0][1])):
            return f"{CHECKPOINT_DIR}/{prefix}"
    return None
