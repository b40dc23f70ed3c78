"""Brings a model into the cache: fetched, or from a tarball or folder that is there already."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from odbench.errors import DownloadError, ZooError
from odbench.zoo.address import address_of, by_hand, without_credentials
from odbench.zoo.archive import checked_name, unpack, write_hashed
from odbench.zoo.cached import Place, StoredFile, place_of
from odbench.zoo.catalogue import ZooEntry, catalogue, entry
from odbench.zoo.install import LAYOUT, Source, Stored, install, root_of, taking_in, whole
from odbench.zoo.limits import Limits
from odbench.zoo.transfer import Patience, discard, download
from odbench.zoo.trust import check_archive
from odbench.zoo.view import watched

SUFFIXES = (".tar.gz", ".tgz", ".tar")


@dataclass(frozen=True)
class Taking:
    """How a model is brought in."""

    mirror: str | None = None  # None: ODBENCH_ZOO_MIRROR, else where the zoo is published
    limits: Limits = field(default_factory=Limits)
    accept_new: bool = False  # trust another tarball or checkpoint than before
    again: bool = False  # though a whole one is there
    patience: Patience = field(default_factory=Patience)


def fetch(name: str, cache_dir: Path, how: Taking | None = None) -> Stored:
    """Bring a model into the cache over the network; nothing is done where it is there.

    Of several processes that want the same model, one fetches and the others wait for it.

    Raises:
        ZooError: No such model, or what came is damaged, unsafe, or not what was trusted.
        DownloadError: The transfer did not come to its end; a part that came is kept.
        ConfigError: The mirror or the cache folder cannot be used.
    """
    how = how or Taking()
    row, place = buildable(name), place_of(name, cache_dir)
    address = address_of(row, how.mirror)
    found = None if how.again else whole(place)
    if found is not None:
        return found
    with taking_in(place):
        found = None if how.again else whole(place)  # another process may have brought it
        if found is not None:
            return found
        try:
            return _fetch_anew(place, address, how)
        except (DownloadError, ZooError) as error:
            error.fix = error.fix or f"try again later, or {by_hand(row, cache_dir)}"
            raise


def import_model(
    source: Path, cache_dir: Path, name: str | None = None, how: Taking | None = None
) -> Stored:
    """Bring a tarball or an unpacked folder of the user's into the cache; it is left as it is.

    Args:
        source: The tarball, or the folder that holds ``pipeline.config`` and ``checkpoint/``.
        cache_dir: Of everything that odbench caches.
        name: Of the model; None: by the name of the file or folder.
        how: Limits, and whether another checkpoint than before is trusted.

    Raises:
        ZooError: No such model, not the layout of the zoo, unsafe, or not what was trusted.
        ConfigError: The cache folder cannot be written.
    """
    how = how or Taking()
    source = source.expanduser().absolute()
    if not source.exists():
        raise ZooError("no such file or folder", where="import", value=source)
    place = place_of(buildable(name or name_of(source)).name, cache_dir)
    if place.folder == source or place.folder in source.parents:
        raise ZooError("it lies in the cache already", where="import", value=source)
    _check_readable(source)
    with taking_in(place):
        if source.is_dir():
            return _take_folder(place, source, how)
        return _take_tarball(place, source, str(source), how)


def buildable(name: str) -> ZooEntry:
    """The row of a model that the API can build.

    Raises:
        ZooError: There is none of that name, or the API cannot build it.
    """
    row = entry(name)
    if row.not_buildable is not None:
        raise ZooError(f"cannot be used: {row.not_buildable}", where=name)
    return row


def not_there(row: ZooEntry, cache_dir: Path, why: str) -> ZooError:
    """The error for a checkpoint that is not in the cache: how to get it there."""
    return ZooError(
        f"its pretrained checkpoint {why}",
        where=row.name,
        value=place_of(row.name, cache_dir).folder,
        fix=f"odbench zoo fetch {row.name}\n"
        f"           offline: {by_hand(row, cache_dir)}\n"
        "           or train from random weights: train.init=scratch",
    )


def name_of(source: Path) -> str:
    """The model that a tarball or an unpacked folder is called after.

    Raises:
        ZooError: Its name is none of the zoo's.
    """
    stem = source.name
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    rows = {row.tarball.removesuffix(".tar.gz"): row.name for row in catalogue()}
    rows |= {row.name: row.name for row in catalogue()}
    if stem in rows:
        return rows[stem]
    raise ZooError(
        "cannot be told by its name which model it is",
        where="import",
        value=source.name,
        allowed="the name of a tarball of the zoo, such as " + catalogue()[0].tarball,
        fix="say it: --name NAME; `odbench zoo list` has the names",
    )


def _fetch_anew(place: Place, address: str, how: Taking) -> Stored:
    with watched(place.name) as advance:
        download(
            address,
            place.download,
            max_bytes=how.limits.max_bytes,
            patience=how.patience,
            advance=advance,
        )
    try:
        stored = _take_tarball(place, place.download, without_credentials(address), how)
    except Exception:  # damaged, or the disk is full; an interrupted one is gone on with
        discard(place.download)
        raise
    discard(place.download)
    return stored


def _take_tarball(place: Place, archive: Path, source: str, how: Taking) -> Stored:
    size = archive.stat().st_size
    if size > how.limits.max_bytes:
        raise ZooError(
            "the tarball is larger than allowed",
            where=source,
            value=f"{size} bytes",
            allowed=f"{how.limits.max_bytes} bytes",
            fix="if that is right, allow more: --max-bytes BYTES",
        )
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if not how.accept_new:
        check_archive(place.root, place.name, sha256, source)
    place.partial.mkdir()
    files = unpack(archive, place.partial, how.limits)
    return install(place, place.partial, files, Source(source, sha256, size), how.accept_new)


def _take_folder(place: Place, source: Path, how: Taking) -> Stored:
    sizes = _listed(source, how.limits)
    inside = root_of(sizes, str(source))
    files: dict[str, StoredFile] = {}
    place.partial.mkdir()
    for path in sorted(p for p in sizes if p.startswith(inside)):
        target = place.partial / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with (source / path).open("rb") as content:
            files[path] = write_hashed(content, target)
    return install(place, place.partial, files, Source(str(source)), how.accept_new)


def _listed(source: Path, limits: Limits) -> dict[str, int]:
    """Every file of a folder and its size; all are regular, and together within the limits."""
    sizes: dict[str, int] = {}
    for folder, subfolders, names in os.walk(source):
        for name in (*subfolders, *names):
            path = Path(folder, name)
            status = path.lstat()
            relative = checked_name(path.relative_to(source).as_posix()).as_posix()
            if not os.access(path, os.R_OK):
                raise ZooError("cannot be read", where=str(path))
            if stat.S_ISREG(status.st_mode):
                sizes[relative] = status.st_size
            elif not stat.S_ISDIR(status.st_mode):
                raise ZooError(
                    "neither a file nor a folder",
                    where=str(path),
                    allowed=f"regular files: {LAYOUT}",
                    fix="put the file itself in place of a link",
                )
        if len(sizes) > limits.max_members or sum(sizes.values()) > limits.max_unpacked_bytes:
            raise ZooError(
                "the folder holds more than a model of the zoo does",
                where=str(source),
                value=f"{len(sizes)} files of {sum(sizes.values())} bytes or more",
                allowed=f"{limits.max_members} files, {limits.max_unpacked_bytes} bytes",
                fix="give the folder of the model itself",
            )
    return sizes


def _check_readable(source: Path) -> None:
    """Tell what cannot be read here from a cache that cannot be written."""
    if not source.is_dir() and not source.is_file():
        raise ZooError("neither a file nor a folder", where="import", value=source)
    if not os.access(source, os.R_OK):
        raise ZooError("cannot be read", where="import", value=source)
