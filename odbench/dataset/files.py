"""Files of a source: their digest, their name, and which of them belong to which split."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from odbench.dataset.source import SPLITS, TRAIN, VAL
from odbench.dataset.types import Finding
from odbench.errors import DatasetError

if TYPE_CHECKING:
    from odbench.config.dataset_spec import DatasetSpec

_CHUNK = 1 << 20  # bytes read at a time

# The first word that is there names the validation split.
VAL_WORDS = ("val", "valid", "validation", "test")


@dataclass
class SplitFiles:
    """The annotation files of each split, or of the pool where their names tell no split."""

    splits: dict[str, list[Path]] = field(default_factory=dict)
    pool: list[Path] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)  # of another split, which nothing reads


def source_root(spec: DatasetSpec) -> tuple[Path, Path | None]:
    """The folder of a source, and its one annotation file where ``dataset.dir`` names a file.

    Raises:
        DatasetError: There is neither folder nor file.
    """
    path = Path(spec.dir or "").expanduser()
    if path.is_dir():
        return path, None
    if path.is_file():
        return path.parent, path
    raise DatasetError(
        "no such folder or file",
        where="dataset.dir",
        value=path,
        fix="give the folder that holds the annotations, or the annotation file itself",
    )


def named_files(spec: DatasetSpec, root: Path) -> SplitFiles | None:
    """The files that ``dataset.annotations`` names; None where it names none.

    Raises:
        DatasetError: A file is not there, or only one of train and val is named.
    """
    paths = {split: root / name for split, name in spec.annotations.items()}
    for split, path in paths.items():
        if not path.is_file():
            raise DatasetError(
                "no such annotation file", where=f"dataset.annotations.{split}", value=path
            )
    if not paths:
        return None
    if "all" in paths or len(paths) == 1:
        return SplitFiles(pool=list(paths.values()))
    return SplitFiles({split: [paths[split]] for split in SPLITS})


def files_by_split(files: Iterable[Path], root: Path, several: bool = False) -> SplitFiles:
    """Sort annotation files by the words in their names, else in those of their folders.

    Args:
        files: At least one.
        root: Folder of the source; folders above it do not count.
        several: A split may have several files (shards).

    Raises:
        DatasetError: It cannot be told which file is meant.
    """
    by_word: dict[str, list[Path]] = {}
    for path in sorted(files):
        by_word.setdefault(split_word(path, root) or "", []).append(path)
    val = next((word for word in VAL_WORDS if word in by_word), None)
    if TRAIN in by_word and val:
        chosen = {TRAIN: by_word.pop(TRAIN), VAL: by_word.pop(val)}
        left = [path for paths in by_word.values() for path in paths]
        for split, paths in chosen.items():
            _check_one(paths, f"the {split} split", several)
        return SplitFiles(chosen, left=left)
    pool = [path for paths in by_word.values() for path in paths]
    _check_one(pool, "the data set", several)
    return SplitFiles(pool=pool)


def left_out(path: Path, images: int | None) -> Finding:
    """A file of a split that is neither train nor val; None: how many images is not known."""
    value = path.name if images is None else f"{images} images"
    return Finding("split_left_out", str(path), value, "left out: other files are the two splits")


def split_word(path: Path, root: Path) -> str | None:
    """The word in a file's name, else in its folders' names, that names a split."""
    relative = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    for part in (relative.stem, *reversed(relative.parts[:-1])):
        words = re.findall("[a-z]+", part.lower())
        for word in (TRAIN, *VAL_WORDS):
            if word in words:
                return word
    return None


def relative_name(path: Path, root: Path) -> str:
    """A path as it is written into records: relative to the source's folder where it can be."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def file_digest(path: str | Path) -> str:
    """The sha256 of a file.

    Raises:
        DatasetError: It cannot be read.
    """
    digest = hashlib.sha256()
    with _reading(path), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - quick
        while data := file.read(_CHUNK):
            digest.update(data)
    return digest.hexdigest()


def file_bytes(path: str | Path) -> bytes:
    """The content of a file.

    Raises:
        DatasetError: It cannot be read.
    """
    with _reading(path), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - quick
        return file.read()


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(f"cannot read the file: {error.strerror}", where=str(path)) from error


def _check_one(paths: list[Path], what: str, several: bool) -> None:
    if len(paths) > 1 and not several:
        raise DatasetError(
            f"several files could hold the annotations of {what}",
            where="dataset.dir",
            value=", ".join(str(path) for path in paths),
            fix="name them: dataset.annotations={train: FILE, val: FILE} or {all: FILE}",
        )
