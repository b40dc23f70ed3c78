"""From a source to a converted data set, in the cache or in a folder of the user's.

The cache is addressed by content: a folder's name carries the hash of what the conversion reads
and of what was asked of it. A conversion writes into a hidden sibling folder and renames it when
it is whole, under a lock, so that a folder with the right name is always a finished one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from odbench.config.dataset_spec import DatasetKind, DatasetSpec
from odbench.dataset.convert import Advance, convert_into
from odbench.dataset.crew import Crew
from odbench.dataset.findings import refuse_findings
from odbench.dataset.plan import Plan, plan_conversion
from odbench.dataset.seen import Seen, source_state
from odbench.dataset.stored import DATASET_FILE, load_dataset, load_if_complete
from odbench.dataset.types import Dataset
from odbench.errors import ConfigError
from odbench.user_cache import default_cache_dir

__all__ = ["Converted", "convert_dataset", "default_cache_dir", "load_dataset", "prepare_dataset"]

# Names of the files of a converted data set.
_WRITTEN = (DATASET_FILE, "splits.json", "*.pbtxt", "instances_*.json", "*.tfrecord")


def prepare_dataset(spec: DatasetSpec, cache_dir: Path) -> Dataset:
    """The converted data set of a specification, from the cache where it is there.

    A folder that ``odbench data convert`` made is used as it is.

    Args:
        spec: Source, split, label map, number of shards.
        cache_dir: Converted sets lie in its ``datasets/``; made where it is missing.

    Raises:
        DatasetError: The source cannot be used, or ``spec.strict`` and there is a finding.
        ConfigError: The cache folder cannot be written.
    """
    dataset = _converted_before(spec) or _from_cache(spec, cache_dir)
    if spec.strict:
        refuse_findings(dataset.findings, str(spec.dir or spec.name))
    return dataset


def _converted_before(spec: DatasetSpec) -> Dataset | None:
    """The data set of a folder that is a converted one already."""
    if spec.kind is not DatasetKind.auto or spec.dir is None:
        return None
    folder = Path(spec.dir).expanduser()
    return load_dataset(folder) if (folder / DATASET_FILE).is_file() else None


def _from_cache(spec: DatasetSpec, cache_dir: Path) -> Dataset:
    root = cache_dir.expanduser().absolute() / "datasets"
    seen, state = Seen(cache_dir), source_state(spec)
    known = seen.recall(state)
    found = load_if_complete(root / _folder_name(spec, known)) if known else None
    if found is not None:
        return found
    with Crew(spec.workers) as crew:
        plan = plan_conversion(spec, crew)
        target = root / _folder_name(spec, plan.hash)
        found = load_if_complete(target)
        if found is None:
            with _writing(cache_dir):
                root.mkdir(parents=True, exist_ok=True)
                with FileLock(root / f".{target.name}.lock"):
                    found = load_if_complete(target)  # another process may have made it meanwhile
                    if found is None:
                        _make(target, plan, crew, None)
    seen.remember(state, plan)
    return found or load_dataset(target)


@dataclass(frozen=True)
class Converted:
    """A data set in a folder of the user's."""

    dataset: Dataset
    made: bool  # False: it was there already


def convert_dataset(
    spec: DatasetSpec,
    out: Path,
    *,
    force: bool = False,
    workers: int | None = None,
    advance: Advance | None = None,
) -> Converted:
    """Convert into exactly that folder; nothing is done where the same data set is there.

    Args:
        spec: Source, split, label map, number of shards.
        out: The folder.
        force: Replace another converted data set there.
        workers: Processes; None: as many as are worth it.
        advance: Called after every picture.

    Raises:
        DatasetError: The source cannot be used, or ``spec.strict`` and there is a finding.
        ConfigError: Something else is in the folder, or it cannot be written.
    """
    out = out.expanduser().absolute()
    _keep_apart(spec, out)
    seen, state = Seen(default_cache_dir()), source_state(spec)
    with _locked(out):
        found = load_if_complete(out)
        if found is None or found.hash != seen.recall(state):
            with Crew(workers) as crew:
                plan = plan_conversion(spec, crew)
                if found is None or found.hash != plan.hash:
                    _check_free(out, force)
                    with _writing(out, "--out"):
                        out.parent.mkdir(parents=True, exist_ok=True)
                        _make(out, plan, crew, advance)
                    found = None
            seen.remember(state, plan)
        if found is not None and spec.strict:
            refuse_findings(found.findings, str(spec.dir or spec.name))
        return Converted(found or load_dataset(out), made=found is None)


def _make(target: Path, plan: Plan, crew: Crew, advance: Advance | None) -> None:
    """Convert beside the target, then rename; the lock is held, so leftovers are nobody's."""
    partial = target.with_name(f".{target.name}.partial")
    old = target.with_name(f".{target.name}.old")
    _remove(partial)
    partial.mkdir()
    try:
        convert_into(partial, plan, crew, advance)
        if plan.spec.strict:
            refuse_findings(load_dataset(partial).findings, str(plan.spec.dir or plan.spec.name))
        _remove(old)
        if target.exists():  # damaged, or to be replaced
            target.rename(old)
        partial.rename(target)
        _remove(old)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _keep_apart(spec: DatasetSpec, out: Path) -> None:
    """Never write over the source, nor remove a folder that holds it."""
    source = Path(spec.dir or "").expanduser().resolve()
    if spec.dir is not None and (source == out.resolve() or out.resolve() in source.parents):
        raise ConfigError(
            "the source lies in the folder to write",
            where="--out",
            value=out,
            fix="name a folder beside it or below it",
        )


def _check_free(out: Path, force: bool) -> None:
    """Refuse to write over anything; with ``force``, over anything but a converted data set."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if not out.exists() and not out.is_symlink():
        return
    converted = _is_converted(out)
    if force and converted:
        return
    raise ConfigError(
        f"{'another data set' if converted else 'something else'} is there already",
        where="--out",
        value=out,
        allowed="a new or empty folder, or the same data set",
        fix="name another folder" + (", or replace it: --force" if converted else ""),
    )


def _is_converted(folder: Path) -> bool:
    """Whether a conversion made the folder and nothing of anybody else's lies in it."""
    if folder.is_symlink() or not (folder / DATASET_FILE).is_file():
        return False
    return all(
        path.is_file() and any(path.match(pattern) for pattern in _WRITTEN)
        for path in folder.iterdir()
    )


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Wait for others that convert into the same folder; the lock does not lie in the user's."""
    locks = default_cache_dir().expanduser().absolute() / "locks"
    name = hashlib.sha256(os.fsencode(out)).hexdigest()[:16]
    with _writing(locks):
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{name}.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _folder_name(spec: DatasetSpec, digest: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", spec.name) or "dataset"
    return f"{name}-{digest[:12]}"


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


@contextmanager
def _writing(folder: Path, where: str = "paths.cache_dir") -> Iterator[None]:
    """Say which folder could not be written; the sources translate their own errors of reading."""
    try:
        yield
    except OSError as error:
        what = "the data set" if where == "--out" else "the cache of converted data sets"
        raise ConfigError(
            f"cannot write {what}: {error.strerror or error}",
            where=where,
            value=folder,
            fix=f"make room, or name another folder: {where}=PATH",
        ) from error
