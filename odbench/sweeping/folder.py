"""Where a sweep lies: found again by its cells, and held by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from odbench.errors import InputError
from odbench.records import SWEEP_FILE
from odbench.sweep import Sweep, enter_sweep, read_sweep

LOCK_FILE = ".sweep.lock"


def find_folder(runs_dir: Path, cells: str) -> Path | None:
    """The newest sweep of those cells, of the folders ``runs_dir/DATE/TIME``; None: there is none.

    Args:
        runs_dir: Where runs are.
        cells: Digest of the cells' fingerprints.
    """
    for path in sorted(runs_dir.glob(f"*/*/{SWEEP_FILE}"), reverse=True):
        try:
            found = read_sweep(path.parent)
        except (OSError, ValueError, TypeError):  # not ours
            continue
        if found is not None and found.cells == cells:
            return path.parent
    return None


@contextmanager
def held_sweep(runs_dir: Path, folder: Path, cells: str | None, *, again: bool) -> Iterator[Sweep]:
    """Find or make a sweep's folder, and hold it: nobody else carries it out meanwhile.

    The kernel lets go of it with the process, however that ends.

    Args:
        runs_dir: Where runs are.
        folder: The sweep's, if there is none yet.
        cells: Digest of the cells' fingerprints; None: they are chosen as it goes.
        again: Whether to go on with a sweep of the same cells.

    Raises:
        InputError: Another process carries it out.
    """
    runs_dir.mkdir(parents=True, exist_ok=True)
    # two that start at once must not both find nothing, and begin the same sweep twice
    with _locked(runs_dir / LOCK_FILE, wait=True):
        found = find_folder(runs_dir, cells) if again and cells is not None else None
        sweep = enter_sweep(found or folder, cells)
        lock = _locked(Path(sweep.dir) / LOCK_FILE, wait=False)
        lock.__enter__()
    try:
        yield sweep
    finally:
        lock.__exit__(None, None, None)


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise InputError(
                "this sweep is going already",
                where=str(path.parent),
                fix="let it end, or begin another one of the same cells: --new",
            ) from None
        yield
    finally:
        os.close(descriptor)
