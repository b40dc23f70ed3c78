"""What lies in a sweep's folder: which run was begun where, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from odbench.attempt import run_lock
from odbench.errors import InputError
from odbench.jobfile import JOB_FILE
from odbench.records import ARTIFACTS_DIR, RECORD_FILE
from odbench.results import Status


class Head(msgspec.Struct, frozen=True):
    """How a run ended; the rest of its record, which may be large, is skipped."""

    status: Status
    reason: str | None
    name: str
    wall_s: float
    variant: str = ""


class _Identity(msgspec.Struct, frozen=True):
    fingerprint: str
    variant: str = ""


@dataclass(frozen=True)
class Begun:
    """A run that was begun."""

    dir: Path
    fingerprint: str
    variant: str
    head: Head | None  # None: no record, as it was killed together with its parent, or still runs


def read_head(run_dir: Path) -> Head | None:
    """How a run ended; None where it left no record.

    Raises:
        InputError: There is one, and it cannot be read.
    """
    head: Head | None = _read(run_dir / RECORD_FILE, Head)
    return head


def begun_in(folder: Path) -> Iterator[Begun]:
    """Every run that was begun in or below a folder, in the order of their numbers.

    Raises:
        InputError: What tells of a run cannot be read.
    """
    for path in sorted(folder.rglob(JOB_FILE), key=_number):
        if ARTIFACTS_DIR in path.relative_to(folder).parts:
            continue
        identity = _read(path, _Identity)
        if identity is not None:
            head = read_head(path.parent)
            yield Begun(path.parent, identity.fingerprint, identity.variant, head)


def is_held(run_dir: Path) -> bool:
    """Whether a process carries the run out at this moment."""
    try:
        with run_lock(run_dir):
            return False
    except InputError:
        return True


def _number(path: Path) -> tuple[int, str]:
    name = path.parent.name
    return (int(name) if name.isdigit() else -1, str(path))


def _read(path: Path, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(
            f"it cannot be read: {error}", where=str(path), fix="mend it, or move its folder away"
        ) from error
