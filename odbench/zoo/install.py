"""Puts a model into its place in the cache, once it is whole and is what was trusted."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from odbench.errors import ConfigError, ZooError
from odbench.zoo.cached import (
    CHECKPOINT_DIR,
    CONFIG_FILE,
    ORIGIN_FILE,
    Origin,
    Place,
    StoredFile,
    checkpoint_in,
    damage,
    read_origin,
    whole_checkpoint,
    write_origin,
)
from odbench.zoo.trust import check_checkpoint, trust

_log = logging.getLogger(__name__)

LAYOUT = f"{CONFIG_FILE}, checkpoint/ckpt-0.index and checkpoint/ckpt-0.data-*"


@dataclass(frozen=True)
class Source:
    """Where a model came from."""

    name: str  # address or path
    archive_sha256: str | None = None
    archive_bytes: int | None = None


@dataclass(frozen=True)
class Stored:
    """A model in the cache."""

    folder: Path
    origin: Origin
    made: bool  # False: it was there already

    @property
    def checkpoint(self) -> Path:
        """Prefix of its checkpoint."""
        return self.folder / self.origin.checkpoint


def whole(place: Place) -> Stored | None:
    """The model that is there already, if it is whole."""
    origin = read_origin(place)
    if origin is None or damage(place, origin) is not None:
        return None
    return Stored(place.folder, origin, made=False)


def install(
    place: Place, unpacked: Path, files: dict[str, StoredFile], source: Source, accept_new: bool
) -> Stored:
    """Move an unpacked model into its place; the lock is held.

    Args:
        place: Its place.
        unpacked: Folder in the same file system; the model is it, or a folder in it.
        files: What lies in it.
        source: Where it came from.
        accept_new: Trust it even though another one was trusted before.

    Raises:
        ZooError: It has not the layout of the zoo, or is another one than was trusted.
    """
    inside = root_of(files, source.name)
    folder = unpacked / inside
    kept = {p.removeprefix(inside): f for p, f in files.items() if p.startswith(inside)}
    kept.pop(ORIGIN_FILE, None)  # a copy of somebody's cache: ours takes its place
    origin = Origin(
        name=place.name,
        source=source.name,
        stored_at=datetime.now(UTC).isoformat(timespec="seconds"),
        archive_sha256=source.archive_sha256,
        archive_bytes=source.archive_bytes,
        checkpoint=str(checkpoint_in(folder)),
        files=kept,
    )
    if not accept_new:
        check_checkpoint(place.root, origin)
    write_origin(folder, origin)
    trust(place.root, origin)
    _remove(place.old)
    if place.folder.exists():  # damaged, or to be replaced
        place.folder.rename(place.old)
    folder.rename(place.folder)
    _remove(place.old)
    return Stored(place.folder, origin, made=True)


def root_of(paths: Iterable[str], source: str) -> str:
    """The folder among the paths that is a model: ``""``, or a top folder with a slash.

    Raises:
        ZooError: There is none.
    """
    there = set(paths)
    tops = sorted({f"{path.split('/')[0]}/" for path in there if "/" in path})
    for top in ("", *tops):
        inside = f"{top}{CHECKPOINT_DIR}/"
        names = (path.removeprefix(inside) for path in there if path.startswith(inside))
        if f"{top}{CONFIG_FILE}" in there and whole_checkpoint(names):
            return top
    raise ZooError(
        "not a model of the zoo",
        where=source,
        value=", ".join(sorted(there)[:8]) + (", ..." if len(there) > 8 else "") or "nothing",
        allowed=f"{LAYOUT}, or one folder that holds them",
    )


@contextmanager
def taking_in(place: Place) -> Iterator[None]:
    """Hold the lock of a model, and clear up afterwards whatever happens.

    Raises:
        ConfigError: The cache cannot be written.
    """
    try:
        place.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place.lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _log.info("%s: another process is at it; waiting", place.name)
            lock.acquire()
        try:
            _remove(place.partial)  # of one that was killed
            yield
        finally:
            shutil.rmtree(place.partial, ignore_errors=True)
            lock.release()
    except OSError as error:
        raise ConfigError(
            f"cannot write the cache of checkpoints: {error.strerror or error}",
            where="paths.cache_dir",
            value=place.root,
            fix="make room, or name another folder: paths.cache_dir=PATH, or --cache-dir PATH",
        ) from error


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
