"""Checksums: recorded when a model is first taken in, enforced ever after.

The zoo publishes none. Ours lie beside the models, in ``checksums.json``, and outlive them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from odbench.errors import ZooError
from odbench.zoo.cached import Origin

CHECKSUMS_FILE = "checksums.json"


@dataclass(frozen=True)
class Trusted:
    """SHA-256 of what was taken in first."""

    archive: str | None  # None: no tarball has been seen
    checkpoint: dict[str, str]  # by path relative to the model's folder


def trusted(root: Path, name: str) -> Trusted | None:
    """What is recorded for a model; None: nothing yet.

    Raises:
        ZooError: The file of checksums is damaged.
    """
    return _read(root).get(name)


def check_archive(root: Path, name: str, sha256: str, source: str) -> None:
    """Refuse a tarball that is not the one that was trusted first.

    Raises:
        ZooError: It is another one.
    """
    known = trusted(root, name)
    if known is not None and known.archive is not None and known.archive != sha256:
        raise _other(root, name, f"its tarball, from {source}", sha256, known.archive)


def check_checkpoint(root: Path, origin: Origin) -> None:
    """Refuse a checkpoint that is not the one that was trusted first.

    Raises:
        ZooError: It is another one.
    """
    known = trusted(root, origin.name)
    if known is None:
        return
    found = {path: file.sha256 for path, file in origin.checkpoint_files.items()}
    for path in sorted(found.keys() | known.checkpoint.keys()):
        if found.get(path) != known.checkpoint.get(path):
            raise _other(
                root,
                origin.name,
                f"{path}, from {origin.source}",
                found.get(path, "no such file"),
                known.checkpoint.get(path, "no such file"),
            )


def trust(root: Path, origin: Origin) -> None:
    """Record the checksums of a model; a tarball's is kept where only a folder came."""
    with FileLock(root / f".{CHECKSUMS_FILE}.lock"):
        all_known = _read(root)
        known = all_known.get(origin.name)
        checkpoint = {path: file.sha256 for path, file in origin.checkpoint_files.items()}
        archive = origin.archive_sha256
        if archive is None and known is not None and known.checkpoint == checkpoint:
            archive = known.archive
        now = Trusted(archive, checkpoint)
        if now != known:
            all_known[origin.name] = now
            _write(root, all_known)


def _read(root: Path) -> dict[str, Trusted]:
    path = root / CHECKSUMS_FILE
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return {name: Trusted(**known) for name, known in body.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise ZooError(
            "the recorded checksums cannot be read",
            where=str(path),
            value=error,
            fix="put the file back as it was, or remove it and trust what comes next",
        ) from error


def _write(root: Path, all_known: dict[str, Trusted]) -> None:
    from odbench.records import write_json

    body = {name: asdict(known) for name, known in sorted(all_known.items())}
    write_json(root / CHECKSUMS_FILE, body)


def _other(root: Path, name: str, what: str, found: str, known: str) -> ZooError:
    return ZooError(
        f"{what}, is not the one that was trusted first",
        where=name,
        value=f"sha256 {found}",
        allowed=f"sha256 {known}, recorded in {root / CHECKSUMS_FILE}",
        fix="get it once more, or from elsewhere; if it was replaced on purpose: --accept-new",
    )
